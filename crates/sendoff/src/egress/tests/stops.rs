//! A stop, a limit or a silence ends every phase of a call.

use super::*;
use crate::Reason;

/// A vendor that takes what comes and says nothing; the receiver hears of each whole request.
async fn silent() -> (Vendor, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let vendor = Vendor::new(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            if read_request(&mut socket).await.whole {
                let _ = tell.send(());
            }
            // Until the other side hangs up.
            let _ = socket.read(&mut [0]).await;
        }
    })
    .await;
    (vendor, told)
}

fn scope() -> (Scope, Stop) {
    let scope = Scope::new("Vendor");
    let stop = scope.stop.clone();
    (scope, stop)
}

struct NeverConnects(tokio::sync::mpsc::UnboundedSender<()>);

impl Network for NeverConnects {
    fn resolve(
        &self,
        _host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(std::future::pending())
    }

    fn connect(
        &self,
        _address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        let _ = self.0.send(());
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn before_anything_and_while_connecting() {
    let (tell, mut dialling) = tokio::sync::mpsc::unbounded_channel();
    let mut config = EgressConfig::new("s".into());
    config.connect_timeout = Duration::from_secs(3600);
    let egress = Egress::on(config, Arc::new(NeverConnects(tell))).expect("an egress");
    let (scope, stop) = scope();
    let http = egress.http(scope);
    let call = http.post("https://8.8.8.8/").body("data").send();
    let (result, ()) = tokio::join!(call, async {
        dialling.recv().await;
        stop.stop(Reason::Draining);
    });
    let error = result.expect_err("stopped");
    assert_eq!((error.class(), error.arrival()), (Class::Hub, Arrival::Nothing));
    let error = http.get("https://8.8.8.8/").send().await.expect_err("stopped before");
    assert!(error.message().contains("restarting"), "{error}");
    assert!(http.connect("sftp", "8.8.8.8", 22).await.is_err());
    assert!(dialling.try_recv().is_err(), "a stopped delivery dials nobody");
}

#[tokio::test]
async fn while_the_body_is_sent() {
    let (vendor, _) = silent().await;
    let (scope, stop) = scope();
    let (body, dropped) = endless();
    let http = vendor.http_with(|_| (), scope);
    let (result, ()) = tokio::join!(http.post(URL).body(body).send(), async {
        while vendor.connections() == 0 {
            tokio::task::yield_now().await;
        }
        stop.stop(Reason::CallerGone);
    });
    let error = result.expect_err("stopped");
    assert_eq!((error.class(), error.arrival()), (Class::Looker, Arrival::Nothing));
    assert!(dropped.await.is_err(), "the body is let go");
}

#[tokio::test]
async fn while_the_answer_is_awaited() {
    let (vendor, mut whole) = silent().await;
    let (scope, stop) = scope();
    let http = vendor.http_with(|_| (), scope);
    let (result, ()) = tokio::join!(http.post(URL).body("data").send(), async {
        whole.recv().await;
        stop.stop(Reason::Deadline(Duration::from_secs(1500)));
    });
    let error = result.expect_err("stopped");
    assert_eq!((error.class(), error.arrival()), (Class::Hub, Arrival::Maybe));
    assert!(error.message().contains("may have arrived") && error.message().contains("25 min"));
}

#[tokio::test]
async fn while_the_answer_is_read_and_while_a_retry_is_waited_for() {
    let vendor = Vendor::new(|_, mut socket| async move {
        read_request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart").await.expect("said");
        let _ = socket.read(&mut [0]).await;
    })
    .await;
    let (scope_, stop) = scope();
    let http = vendor.http_with(|_| (), scope_);
    let mut stream = http.get(URL).send().await.expect("a head").stream();
    assert_eq!(stream.next().await.expect("a piece").expect("bytes"), "part");
    stop.stop(Reason::Draining);
    assert_eq!(stream.next().await.expect("an end").expect_err("stopped").class(), Class::Hub);

    let busy =
        "HTTP/1.1 429 x\r\nRetry-After: 250\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let vendor = Vendor::new(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            read_request(&mut socket).await;
            socket.write_all(busy.as_bytes()).await.expect("said");
            // The client hangs up when it has read the answer.
            let _ = socket.read(&mut [0]).await;
            let _ = tell.send(());
        }
    })
    .await;
    let (scope_, stop) = scope();
    let http = vendor.http_with(|_| (), scope_);
    let (result, ()) = tokio::join!(http.get(URL).send(), async {
        told.recv().await;
        stop.stop(Reason::Draining);
    });
    assert_eq!(result.expect_err("stopped").class(), Class::Hub);
    assert_eq!(vendor.connections(), 1);
}

#[tokio::test]
async fn a_cleanup_goes_through_after_a_stop() {
    let vendor = Vendor::answering(&[OK]).await;
    let (scope, stop) = scope();
    let http = vendor.http_with(|_| (), scope);
    stop.stop(Reason::CallerGone);
    assert!(http.delete(URL).send().await.is_err());
    let reply = http.for_cleanup().delete(URL).send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 1));
}

#[tokio::test]
async fn silence_ends_a_call_and_says_whether_it_may_have_arrived() {
    let (vendor, _told) = silent().await;
    let short = |config: &mut EgressConfig| {
        config.idle_timeout = Duration::from_millis(50);
        config.retry.tries = 1;
    };
    let http = vendor.http_with(short, Scope::new("Vendor"));
    let error = http.post(URL).body("data").send().await.expect_err("silence");
    assert_eq!(error.arrival(), Arrival::Maybe);
    assert!(error.message().contains("neither took nor sent a byte for 50 ms"), "{error}");
    let error = http.get(URL).send().await.expect_err("silence");
    assert_eq!((error.arrival(), error.retry()), (Arrival::Nothing, Retry::Later));
    let error = vendor
        .http()
        .post(URL)
        .body("data")
        .timeout(Duration::from_millis(50))
        .send()
        .await
        .expect_err("out of time");
    assert_eq!(error.arrival(), Arrival::Maybe);
    assert!(error.message().contains("did not answer within 50 ms"), "{error}");
}

#[tokio::test]
async fn a_slow_source_is_not_the_vendors_silence() {
    let vendor = Vendor::answering(&[OK]).await;
    let http = vendor
        .http_with(|config| config.idle_timeout = Duration::from_millis(400), Scope::new("Vendor"));
    let body = stream::unfold(0, |n| async move {
        // The slowness is what is tested.
        tokio::time::sleep(Duration::from_millis(600)).await;
        (n < 2).then(|| (Ok(Bytes::from_static(b"x")), n + 1))
    });
    let call = http.post(URL).body(ByteStream::new(body)).idle_timeout(Duration::from_millis(400));
    let reply = call.send().await.expect("an answer");
    assert_eq!(reply.status().as_u16(), 200);
}

#[tokio::test]
async fn a_vendor_that_stops_reading_is_given_up() {
    let vendor = Vendor::new(|_, socket| async move {
        std::future::pending::<()>().await;
        drop(socket);
    })
    .await;
    let http = vendor
        .http_with(|config| config.idle_timeout = Duration::from_millis(200), Scope::new("Vendor"));
    let error = http.post(URL).body(megabytes(64)).send().await.expect_err("stalled");
    assert_eq!((error.class(), error.arrival()), (Class::Vendor, Arrival::Nothing));
}
