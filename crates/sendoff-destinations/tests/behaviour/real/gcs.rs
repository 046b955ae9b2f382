//! google_cloud_storage against gcp-storage-emulator, which keeps buckets and objects and speaks
//! uploads at once and in sessions: `BEHAVIOUR_GCS`.
//!
//! It knows no logins, so that the token comes from the stand-in, and neither preconditions nor
//! the cancelling of a session.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::Values;
use sendoff::testing::{Fake, Object};
use sendoff_destinations::fakes;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::server::{Server, hashed};

/// The emulator, if it runs, with a bucket of its own.
pub fn gcs() -> Option<Arc<dyn Fake>> {
    let server = Server::from_env("BEHAVIOUR_GCS")?;
    let bucket = format!("sendoff-{}", Uuid::new_v4().simple());
    let fakes = fakes().into_iter().map(|make| make());
    let (_, fake) = fakes
        .into_iter()
        .find(|(action, _)| action.spec().name == "google_cloud_storage")
        .expect("a stand-in");
    Some(Arc::new(Gcs { server, bucket, made: OnceCell::new(), fake }))
}

struct Gcs {
    server: Server,
    bucket: String,
    made: OnceCell<()>,
    /// Gives tokens.
    fake: Arc<dyn Fake>,
}

impl Gcs {
    async fn made(&self) {
        let make = async || {
            let call = self.server.request(Method::POST, "/storage/v1/b?project=p").await;
            let reply = call.json(&json!({"name": self.bucket})).send().await;
            reply.expect("the emulator answers").success().await.expect("a bucket");
        };
        self.made.get_or_init(make).await;
    }

    async fn get(&self, path: &str) -> sendoff::Reply {
        let path = format!("/storage/v1/b/{}/o{path}", self.bucket);
        let call = self.server.request(Method::GET, &path).await;
        call.send().await.expect("the emulator answers")
    }
}

/// Whether a connection is for the token endpoint, by its first bytes.
async fn wants_token(stream: &TcpStream) -> bool {
    const LINE: &[u8] = b"POST /token ";
    let mut start = [0; LINE.len()];
    loop {
        match stream.peek(&mut start).await {
            Ok(read) if read == LINE.len() => return start == LINE,
            Ok(read) if read > 0 && start[..read] == LINE[..read] => {
                tokio::task::yield_now().await;
            }
            _ => return false,
        }
    }
}

impl Fake for Gcs {
    fn origins(&self) -> Vec<String> {
        self.fake.origins()
    }

    fn settings(&self) -> Values {
        self.fake.settings()
    }

    fn answers(&self) -> Values {
        [("bucket", self.bucket.as_str()), ("path", "daily"), ("filename", "orders")]
            .into_iter()
            .collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.made().await;
            if wants_token(&stream).await {
                self.fake.serve(stream).await;
            } else {
                self.server.pipe(stream).await;
            }
        })
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        Box::pin(async move {
            self.made().await;
            let list = self.get("").await.success().await.expect("a list");
            let list: Value = list.json().await.expect("JSON");
            let mut objects = Vec::new();
            for item in list["items"].as_array().into_iter().flatten() {
                let name = item["name"].as_str().expect("a name");
                let path = format!("/{}?alt=media", name.replace('/', "%2F").replace(' ', "%20"));
                let reply = self.get(&path).await;
                objects.push(hashed(format!("{}/{name}", self.bucket), reply).await);
            }
            objects
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        // Sessions cannot be listed, here or at Google.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, status: u16) -> (&'static str, String) {
        self.fake.refusal(status)
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        self.fake.commits(method, path_and_query)
    }
}
