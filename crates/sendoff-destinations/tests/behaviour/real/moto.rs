//! amazon_s3 against moto, a server of AWS's dialects in Python: `BEHAVIOUR_MOTO`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::testing::{Fake, Object};
use sendoff::{Call, Values};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::server::{Server, hashed, texts};

/// moto, if it runs, with a bucket of its own.
pub fn moto() -> Option<Arc<dyn Fake>> {
    let server = Server::from_env("BEHAVIOUR_MOTO")?;
    let bucket = format!("sendoff-{}", Uuid::new_v4().simple());
    Some(Arc::new(Moto { server, bucket, made: OnceCell::new() }))
}

struct Moto {
    server: Server,
    bucket: String,
    made: OnceCell<()>,
}

const REGION: &str = "us-east-1";

impl Moto {
    /// moto finds the service by the signature's scope and does not check the rest.
    async fn ask(&self, method: Method, path: &str) -> Call {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20261124/{REGION}/s3/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        self.server.request(method, path).await.header("authorization", scope)
    }

    async fn list(&self, query: &str) -> String {
        self.made().await;
        let path = format!("/{}?{query}", self.bucket);
        let reply = self.ask(Method::GET, &path).await.send().await.expect("moto answers");
        reply.success().await.expect("a list").text().await.expect("a text")
    }

    async fn made(&self) {
        let make = async || {
            let path = format!("/{}", self.bucket);
            let reply = self.ask(Method::PUT, &path).await.send().await.expect("moto answers");
            reply.success().await.expect("a bucket");
        };
        self.made.get_or_init(make).await;
    }
}

impl Fake for Moto {
    fn origins(&self) -> Vec<String> {
        vec![self.server.address.clone()]
    }

    fn settings(&self) -> Values {
        [
            ("access_key_id", "AKIACANARYMOTOACCESS"),
            ("secret_access_key", "canary/secret/access/key/of/moto/0000000"),
            ("region", REGION),
            ("endpoint", &self.server.address),
            ("force_path_style", "yes"),
        ]
        .into_iter()
        .collect()
    }

    fn answers(&self) -> Values {
        [("bucket", self.bucket.as_str()), ("path", "daily"), ("filename", "orders")]
            .into_iter()
            .collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.made().await;
            self.server.pipe(stream).await;
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(async move {
            let mut objects = Vec::new();
            for key in texts(&self.list("list-type=2").await, "Key") {
                let path = format!("/{}/{key}", self.bucket);
                let reply = self.ask(Method::GET, &path).await.send().await.expect("moto answers");
                objects.push(hashed(format!("{}/{key}", self.bucket), reply).await);
            }
            objects
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async move { texts(&self.list("uploads=").await, "UploadId") })
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        let error = "<Error><Code>InternalError</Code><Message>Injected</Message></Error>";
        ("application/xml", error.to_owned())
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        match *method {
            Method::PUT => !path_and_query.contains('?'),
            Method::POST => path_and_query.contains("uploadId="),
            _ => false,
        }
    }
}
