//! Renewal, and the login's way to Looker, against sockets that behave badly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{key, ring};
use crate::login::exchange::{Flights, Refusal};
use crate::login::state::Tokens;
use crate::login::{Desk, LookerHosts};
use crate::{Class, Egress, EgressConfig, OAuth, Origins, Spec};

const SPEC: Spec = Spec::new("drive", "Drive").oauth(
    OAuth::new("https://login.example/authorize", "https://login.example/token")
        .keep(&["account_id"]),
);

/// Reads one request to its end.
async fn request(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut piece = [0; 4096];
    loop {
        let n = socket.read(&mut piece).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let len = head.to_ascii_lowercase();
        let len = len.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if n == 0 || len.and_then(|len| len.parse().ok()).is_none_or(|len: usize| body.len() >= len)
        {
            return text;
        }
    }
}

/// A server that gives each request the same answer once `gate` opens, and counts them.
#[allow(clippy::disallowed_methods, reason = "a test plays the network")]
async fn server(
    answer: String,
    gate: Arc<Notify>,
) -> (std::net::SocketAddr, Arc<AtomicUsize>, Arc<Notify>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, came) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (counted, coming) = (Arc::clone(&count), Arc::clone(&came));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            request(&mut socket).await;
            counted.fetch_add(1, Ordering::SeqCst);
            coming.notify_one();
            gate.notified().await;
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, count, came)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn egress(origin: &str, address: std::net::SocketAddr) -> Egress {
    let mut config = EgressConfig::new("a secret of the test".into());
    config.origins = Origins::parse([format!("{origin}=http://{address}")]).unwrap();
    Egress::new(config).unwrap()
}

fn desk() -> Arc<Desk> {
    let clients = [("drive".to_owned(), ("id".to_owned(), "client secret".into()))].into();
    Arc::new(Desk::new(ring(&[key("k", 1)]), None, clients, LookerHosts::default()))
}

/// Two deliveries hold the same token; the one whose renewal is under way is stopped.
#[tokio::test]
async fn p24_a_renewal_goes_on_when_the_delivery_that_began_it_is_dropped() {
    let gate = Arc::new(Notify::new());
    let new = r#"{"access_token":"acc-2","refresh_token":"ref-2","expires_in":3600,"account_id":"dbid:7","uid":"1"}"#;
    let (address, count, came) = server(http("200 OK", new), Arc::clone(&gate)).await;
    let (desk, egress) = (desk(), egress("https://login.example", address));
    let state =
        r#"{"tokens":{"access_token":"acc-1","refresh_token":"ref-old-1","expiry_date":1000}}"#;
    let login = || desk.login(&egress, &SPEC, Some("i"), Some(state));
    let (first, second) = (login(), login());
    tokio::select! {
        _ = first.token() => panic!("answered before it was sent"),
        () = came.notified() => {}
    }
    gate.notify_one();
    assert_eq!(second.token().await.unwrap().expose(), "acc-2");
    // One that comes late holds the old token still.
    let late = login();
    assert_eq!(late.token().await.unwrap().expose(), "acc-2");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    for login in [second, late] {
        let kept = login.to_write().unwrap();
        let again = desk.login(&egress, &SPEC, Some("i"), Some(&kept.data));
        assert_eq!(again.kept("account_id").as_deref(), Some("dbid:7"));
        assert_eq!(again.kept("uid"), None);
        assert!(kept.refresh_time.unwrap() >= 600 && !kept.data.contains("acc-2"));
    }
    assert!(first.to_write().is_some(), "read in the reference's shape, so written anew");
}

/// The only delivery that waits is stopped when the vendor has the old token already: the new one
/// must not be lost with it.
#[tokio::test]
async fn p24_a_renewal_that_nobody_waits_for_is_heard_to_its_end() {
    let gate = Arc::new(Notify::new());
    let new = r#"{"access_token":"acc-2","refresh_token":"ref-2","expires_in":3600}"#;
    let (address, count, came) = server(http("200 OK", new), Arc::clone(&gate)).await;
    let (desk, egress) = (desk(), egress("https://login.example", address));
    let state =
        r#"{"tokens":{"access_token":"acc-1","refresh_token":"ref-old-1","expiry_date":1000}}"#;
    let login = || desk.login(&egress, &SPEC, Some("i"), Some(state));
    let stopped = login();
    tokio::select! {
        _ = stopped.token() => panic!("answered before it was sent"),
        () = came.notified() => {}
    }
    gate.notify_one();
    // What is written is the newest that is known, and it comes to be known.
    let landed = async {
        loop {
            let kept = stopped.to_write().unwrap().data;
            let again = desk.login(&egress, &SPEC, Some("i"), Some(&kept));
            if again.held().tokens.as_ref().is_some_and(Tokens::is_usable) {
                return again;
            }
            tokio::task::yield_now().await;
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(30), landed).await.expect("new tokens");
    assert_eq!(again.token().await.unwrap().expose(), "acc-2");
    assert_eq!(login().token().await.unwrap().expose(), "acc-2");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// Somebody waits for it, and somebody comes later.
#[tokio::test]
async fn p24_a_renewal_that_panics_holds_no_later_one_up() {
    let flights = Arc::new(Flights::default());
    fn lost() -> Refusal {
        Refusal::other("It was lost.".to_owned())
    }
    let begin = |renewal: BoxFuture<'static, Result<Tokens, Refusal>>| {
        flights.fly(&mut flights.slots(), [7; 32], renewal, lost())
    };
    let flight = begin(Box::pin(async { panic!("a panic on purpose") }));
    assert_eq!(flight.await.unwrap_err().error().message(), "It was lost.");
    assert_eq!(flights.slots().len(), 0, "nothing is remembered of it");
    assert!(begin(Box::pin(async { Err(lost()) })).await.is_err());
    assert_eq!(flights.slots().len(), 0);
    assert!(begin(Box::pin(async { Ok(Tokens::default()) })).await.is_ok());
    assert_eq!(flights.slots().len(), 1);
}

#[tokio::test]
async fn only_invalid_grant_takes_a_login_away() {
    let state =
        r#"{"tokens":{"access_token":"acc-1","refresh_token":"ref-old-1","expiry_date":1000}}"#;
    for (status, body, class, lost) in [
        (
            "400 x",
            r#"{"error":"invalid_grant","error_description":"Gone ref-old-1."}"#,
            Class::Login,
            true,
        ),
        ("401 x", r#"{"error":"invalid_client"}"#, Class::Hub, false),
        ("400 x", r#"{"error":"temporarily_unavailable"}"#, Class::Vendor, false),
        ("429 x", "slow down", Class::Vendor, false),
        ("503 x", "", Class::Vendor, false),
        ("200 OK", "<html>maintenance</html>", Class::Vendor, false),
        ("200 OK", r#"{"token_type":"Bearer"}"#, Class::Vendor, false),
        ("302 Found", "", Class::Vendor, false),
    ] {
        let gate = Arc::new(Notify::new());
        gate.notify_one();
        let (address, count, _) = server(http(status, body), gate).await;
        let (desk, egress) = (desk(), egress("https://login.example", address));
        let login = desk.login(&egress, &SPEC, Some("i"), Some(state));
        let error = login.token().await.unwrap_err();
        assert_eq!(error.class(), class, "{status} {body}: {error}");
        assert!(
            !error.log_line().contains("ref-old-1") && !error.log_line().contains("client secret")
        );
        assert_eq!(count.load(Ordering::SeqCst), 1, "{status}");
        let kept = login.to_write().unwrap().data;
        assert_eq!(kept == "reset", lost, "{status} {body}: {kept}");
    }
}

/// Protocol fact B: Looker has stored the state although its status made no sense.
#[tokio::test]
async fn what_looker_says_to_a_login_is_believed_but_for_a_status_below_100() {
    let to = url::Url::parse("https://acme.looker.com/action_hub_state/secret-token").unwrap();
    for (status, taken) in [
        ("200 OK", true),
        ("204 x", true),
        ("099 x", true),
        ("000 x", true),
        ("0 x", true),
        ("302 Found", false),
        ("400 x", false),
        ("404 x", false),
        ("500 x", false),
    ] {
        let gate = Arc::new(Notify::new());
        gate.notify_one();
        let (address, ..) = server(http(status, ""), gate).await;
        let egress = egress("https://acme.looker.com", address);
        let given = egress.give_state(&to, &serde_json::json!({"sealed": "s"})).await;
        assert_eq!(given.is_ok(), taken, "{status}: {given:?}");
        if let Err(error) = given {
            assert!(!error.log_line().contains("secret-token"), "{error}");
        }
    }
    // Nobody there at all.
    let egress = egress("https://acme.looker.com", "127.0.0.1:1".parse().unwrap());
    assert!(egress.give_state(&to, &serde_json::json!({})).await.is_err());
}
