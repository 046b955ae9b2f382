//! azure_storage against Azurite, Microsoft's emulator, which checks every signature:
//! `BEHAVIOUR_AZURITE`.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use jiff::Timestamp;
use sendoff::testing::{Fake, Object};
use sendoff::{Reply, Values};
use sha2::Sha256;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::server::{Server, hashed, texts};

/// Azurite, if it runs, with a container of its own.
pub fn azurite() -> Option<Arc<dyn Fake>> {
    let server = Server::from_env("BEHAVIOUR_AZURITE")?;
    let container = format!("sendoff-{}", Uuid::new_v4().simple());
    Some(Arc::new(Azurite { server, container, made: OnceCell::new() }))
}

struct Azurite {
    server: Server,
    container: String,
    made: OnceCell<()>,
}

/// The account and the key that Azurite documents
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

impl Azurite {
    /// Sends a signed request without a body; `query` is sorted and needs no encoding,
    /// and `path` none but for spaces.
    async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Reply {
        let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let path = format!("/{ACCOUNT}/{}", path.replace(' ', "%20"));
        let pairs: String = query.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
        // Eleven standard headers, none of them set.
        let text = format!(
            "{method}\n{}x-ms-date:{date}\nx-ms-version:2023-11-03\n/{ACCOUNT}{path}{pairs}",
            "\n".repeat(11)
        );
        let key = base64_simd::STANDARD.decode_to_vec(KEY).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
        mac.update(text.as_bytes());
        let signature = base64_simd::STANDARD.encode_to_string(mac.finalize().into_bytes());
        let call = self.server.request(method, &path).await.query(query.iter().copied());
        call.header("x-ms-date", date)
            .header("x-ms-version", "2023-11-03")
            .header("authorization", format!("SharedKey {ACCOUNT}:{signature}"))
            .send()
            .await
            .expect("Azurite answers")
    }

    async fn made(&self) {
        let make = async || {
            let reply = self.ask(Method::PUT, &self.container, &[("restype", "container")]).await;
            reply.success().await.expect("a container");
        };
        self.made.get_or_init(make).await;
    }
}

impl Fake for Azurite {
    fn origins(&self) -> Vec<String> {
        vec![self.server.address.clone()]
    }

    fn settings(&self) -> Values {
        [
            ("account", ACCOUNT),
            ("accessKey", KEY),
            ("endpoint", &format!("{}/{ACCOUNT}", self.server.address)),
        ]
        .into_iter()
        .collect()
    }

    fn answers(&self) -> Values {
        [("container", self.container.as_str()), ("path", "daily"), ("filename", "orders")]
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
            self.made().await;
            let query = [("comp", "list"), ("restype", "container")];
            let reply = self.ask(Method::GET, &self.container, &query).await;
            let list = reply.success().await.expect("a list").text().await.expect("a text");
            let mut objects = Vec::new();
            for name in texts(&list, "Name") {
                let path = format!("{}/{name}", self.container);
                let reply = self.ask(Method::GET, &path, &[]).await;
                objects.push(hashed(path, reply).await);
            }
            objects
        })
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        // Blocks that were never listed cannot be seen, and no request takes them back.
        Box::pin(std::future::ready(Vec::new()))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        let error = "<Error><Code>InternalError</Code><Message>Injected</Message></Error>";
        ("application/xml", error.to_owned())
    }

    fn commits(&self, method: &Method, path_and_query: &str) -> bool {
        *method == Method::PUT && !path_and_query.contains("comp=block&")
    }
}
