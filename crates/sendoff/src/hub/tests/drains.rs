//! A hub that ends waits for more than deliveries: for forms, logins and their renewals.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use url::{Position, Url};

use super::{SECRET, post, send};
use crate::prelude::*;
use crate::{EgressConfig, Hub, OAuth, Origins};

const HOUR: Duration = Duration::from_secs(3600);

/// Draws a form once its user's login is good.
struct Drive;

impl Action for Drive {
    type Settings = ();
    type Form = ();

    const SPEC: Spec = Spec::new("drive", "Drive")
        .description("Has a login.")
        .oauth(OAuth::new("https://login.example/authorize", "https://login.example/token"));

    async fn execute(&self, _: &Context<()>, (): (), _: Payload) -> Result<Receipt> {
        Ok(Receipt::new("nowhere"))
    }
}

/// A hub whose action's vendor, and its Looker, is the listener.
async fn hub() -> (Hub, TcpListener) {
    let vendor = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = vendor.local_addr().unwrap();
    let mut egress = EgressConfig::new(SECRET.into());
    let origins = ["https://login.example", "https://acme.looker.com"];
    let origins = origins.map(|origin| format!("{origin}=http://{address}"));
    egress.origins = Origins::parse(origins).unwrap();
    let hub = Hub::builder().action(Drive).secrets([SECRET.into()]).egress(egress);
    let hub = hub.base_url("https://hub.example");
    (hub.oauth_client("drive", "id", "client secret".into()).build().unwrap(), vendor)
}

/// A form request of a user whose access token has expired.
fn form() -> Request<Full<Bytes>> {
    let state = r#"{"tokens":{"access_token":"acc-1","refresh_token":"ref-1","expiry_date":1000}}"#;
    let body = json!({"type": "query", "data": {"state_json": state}, "form_params": {}});
    post("/actions/drive/form").body(Full::new(Bytes::from(body.to_string()))).unwrap()
}

/// A browser that the provider sends back, with the code `code-1`.
async fn return_from_login(hub: &Hub) -> Request<Full<Bytes>> {
    let body = json!({"type": "query", "data": {"state_url": "https://acme.looker.com/state/1"}});
    let body = Full::new(Bytes::from(body.to_string()));
    let (_, form) = send(hub, post("/actions/drive/form").body(body).unwrap()).await;
    let link = Url::parse(form[0]["oauth_url"].as_str().unwrap()).unwrap();
    let begin = Request::get(&link[Position::BeforePath..]).body(Full::<Bytes>::default());
    let begun = hub.clone().oneshot(begin.unwrap()).await.unwrap();
    let header = |name: &str| begun.headers()[name].to_str().unwrap();
    let to = Url::parse(header("location")).unwrap();
    let state = to.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    let mut back = Url::parse("https://hub.example/actions/drive/oauth_redirect").unwrap();
    back.query_pairs_mut().append_pair("code", "code-1").append_pair("state", &state);
    Request::get(&back[Position::BeforePath..])
        .header("cookie", header("set-cookie").split(';').next().unwrap())
        .body(Full::default())
        .unwrap()
}

/// The request of a renewal, which the vendor has now.
async fn renewal(vendor: &TcpListener) -> TcpStream {
    asked(vendor, "ref-1").await
}

/// A request that holds `what`, which has come.
async fn asked(vendor: &TcpListener, what: &str) -> TcpStream {
    let (mut socket, _) = vendor.accept().await.unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.contains(what) {
        let read = socket.read(&mut piece).await.unwrap();
        assert!(read > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    socket
}

async fn answer(mut socket: TcpStream) {
    let tokens = r#"{"access_token":"acc-2","refresh_token":"ref-2","expires_in":3600}"#;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{tokens}", tokens.len());
    socket.write_all(answer.as_bytes()).await.unwrap();
    // Until the hub has read it and lets go.
    let _ = socket.read(&mut [0]).await;
}

#[tokio::test]
async fn p12_a_form_is_drawn_while_the_hub_drains() {
    let (hub, vendor) = hub().await;
    let mut drawing = pin!(send(&hub, form()));
    let socket = tokio::select! {
        _ = &mut drawing => panic!("drawn without the vendor"),
        socket = renewal(&vendor) => socket,
    };
    let mut drained = pin!(hub.drain(HOUR));
    assert!((&mut drained).now_or_never().is_none(), "the hub does not wait for the form");
    let ((status, form), ()) = tokio::join!(drawing, answer(socket));
    assert_eq!(status, StatusCode::OK);
    assert!(form["state"]["data"].is_string(), "{form}");
    drained.await;
}

#[tokio::test]
async fn p12_a_renewal_that_nobody_waits_for_is_waited_for_by_the_hub() {
    let (hub, vendor) = hub().await;
    let socket = {
        let mut drawing = pin!(hub.clone().oneshot(form()));
        tokio::select! {
            _ = &mut drawing => panic!("drawn without the vendor"),
            socket = renewal(&vendor) => socket,
        }
    };
    // The caller has gone, and the vendor may have replaced the refresh token.
    let mut drained = pin!(hub.drain(HOUR));
    assert!((&mut drained).now_or_never().is_none(), "the hub does not wait for the renewal");
    tokio::join!(drained, answer(socket));
}

/// The code is used up, and the tokens are nowhere yet.
#[tokio::test]
async fn p12_a_login_reaches_looker_while_the_hub_drains() {
    let (hub, vendor) = hub().await;
    let back = return_from_login(&hub).await;
    let mut finishing = pin!(hub.clone().oneshot(back));
    let socket = tokio::select! {
        _ = &mut finishing => panic!("logged in without the vendor"),
        socket = asked(&vendor, "code-1") => socket,
    };
    let mut drained = pin!(hub.drain(HOUR));
    assert!((&mut drained).now_or_never().is_none(), "the hub does not wait for the login");
    let outside = async {
        answer(socket).await;
        answer(asked(&vendor, "POST /state/1").await).await;
    };
    let (page, ()) = tokio::join!(finishing, outside);
    assert_eq!(page.unwrap().status(), StatusCode::OK);
    drained.await;
}

#[tokio::test]
async fn p12_what_does_not_end_in_its_grace_is_told_so() {
    let (hub, vendor) = hub().await;
    let mut drawing = pin!(send(&hub, form()));
    let _silent = tokio::select! {
        _ = &mut drawing => panic!("drawn without the vendor"),
        socket = renewal(&vendor) => socket,
    };
    tokio::time::pause();
    let ((_, form), ()) = tokio::join!(drawing, hub.drain(Duration::from_secs(1)));
    assert!(form.to_string().contains("restarting"), "{form}");
}

#[tokio::test]
async fn p12_a_hub_that_ends_begins_no_form_and_no_login() {
    let (hub, _vendor) = hub().await;
    hub.drain(HOUR).await;
    let (status, answer) = send(&hub, form()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["error"].as_str().unwrap().contains("restarting"), "{answer}");
    let check = post("/actions/drive/oauth_check").method("GET").body(Full::<Bytes>::default());
    assert_eq!(send(&hub, check.unwrap()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let back = Request::get("/actions/drive/oauth_redirect?code=c&state=s");
    let (status, page) = send(&hub, back.body(Full::<Bytes>::default()).unwrap()).await;
    assert_eq!((status, page), (StatusCode::SERVICE_UNAVAILABLE, Value::Null), "a page");
}

#[tokio::test]
async fn p16_forms_have_places_of_their_own() {
    let (hub, vendor) = hub().await;
    let mut places = Vec::new();
    while let Ok(place) = hub.inner.ask() {
        places.push(place);
    }
    let (status, full) = send(&hub, form()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(full["error"].as_str().unwrap().contains("busy"), "{full}");
    // Deliveries do not wait for them.
    assert!(hub.inner.admission.enter(0, None).is_some());
    places.pop();
    let vendor = async { answer(renewal(&vendor).await).await };
    let ((_, form), ()) = tokio::join!(send(&hub, form()), vendor);
    assert!(form["state"]["data"].is_string(), "{form}");
}
