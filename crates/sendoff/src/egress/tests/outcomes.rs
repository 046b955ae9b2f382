//! Delivered, not delivered, or may have arrived.

use super::*;

/// The system gives no socket.
struct NoSockets;

impl Network for NoSockets {
    fn resolve(
        &self,
        _host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async { Err(rustix::io::Errno::NFILE.into()) })
    }

    fn connect(
        &self,
        _address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        Box::pin(async { Err(rustix::io::Errno::MFILE.into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_file_descriptor_the_hub_is_busy_and_nobody_elses_way_is_blamed() {
    let egress = Egress::on(EgressConfig::new("s".into()), Arc::new(NoSockets));
    let http = egress.expect("an egress").http(Scope::new("Vendor"));
    for url in ["https://8.8.8.8/", "https://vendor.test/"] {
        let error = http.post(url).body("data").send().await.expect_err("no socket");
        assert_eq!((error.class(), error.retry()), (Class::Hub, Retry::Later));
        assert_eq!(error.arrival(), Arrival::Nothing);
        assert!(error.message().contains("is busy"), "{error}");
    }
}

/// Cuts every connection after a whole request.
async fn cuts_after_last_byte() -> Vendor {
    Vendor::new(|_, mut socket| async move {
        assert!(read_request(&mut socket).await.whole);
    })
    .await
}

#[tokio::test]
async fn cut_after_the_last_byte_a_post_may_have_arrived() {
    let bodies = [
        Body::Empty,
        Body::from("data"),
        Body::Stream(megabytes(1)),
        Body::Stream(megabytes(1).with_len(1 << 20)),
    ];
    for body in bodies {
        let vendor = cuts_after_last_byte().await;
        let error = vendor.http().post(URL).body(body).send().await.expect_err("no answer");
        assert_eq!(error.arrival(), Arrival::Maybe, "{error}");
        assert!(error.message().contains("may have arrived at Vendor"), "{error}");
        assert_eq!(vendor.connections(), 1);
    }
}

#[tokio::test]
async fn a_repeated_put_may_have_arrived_too_but_a_get_leaves_nothing() {
    let vendor = cuts_after_last_byte().await;
    let error = vendor.http().put(URL).body("data").send().await.expect_err("no answer");
    assert_eq!((error.arrival(), vendor.connections()), (Arrival::Maybe, 4));

    let vendor = cuts_after_last_byte().await;
    let error = vendor.http().get(URL).send().await.expect_err("no answer");
    assert_eq!((error.arrival(), vendor.connections()), (Arrival::Nothing, 4));
}

#[tokio::test]
async fn a_post_that_changes_nothing_is_repeated_and_leaves_nothing() {
    let vendor = cuts_after_last_byte().await;
    let error = vendor.http().post(URL).body("a search").reads().send().await.expect_err("cut");
    assert_eq!((error.arrival(), vendor.connections()), (Arrival::Nothing, 4), "{error}");
    // Nor does an answer that breaks off, or is not what was due.
    let vendor = Vendor::new(|_, mut socket| async move {
        read_request(&mut socket).await;
        say(&mut socket, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"half").await;
    })
    .await;
    let reply = vendor.http().post(URL).reads().send().await.expect("the head of an answer");
    let error = reply.json::<serde_json::Value>().await.expect_err("half an answer");
    assert_eq!(error.arrival(), Arrival::Nothing, "{error}");
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_does_not_hide_that_it_may_have_arrived() {
    let vendor = Vendor::new(|nth, mut socket| async move {
        read_request(&mut socket).await;
        if nth > 0 {
            say(&mut socket, "HTTP/1.1 409 Conflict\r\nContent-Length: 6\r\n\r\nexists").await;
        }
    })
    .await;
    let reply = vendor.http().put(URL).body("data").send().await.expect("an answer");
    let error = reply.success().await.expect_err("a refusal");
    assert_eq!((error.arrival(), error.http_status()), (Arrival::Maybe, Some(409)));
}

#[tokio::test]
async fn cut_before_the_last_byte_nothing_was_delivered() {
    for len in [None, Some(64 << 20)] {
        let vendor = Vendor::new(|_, mut socket| async move {
            let mut some = [0; 100_000];
            socket.read_exact(&mut some).await.expect("the beginning");
        })
        .await;
        let mut body = megabytes(64);
        if let Some(len) = len {
            body = body.with_len(len);
        }
        let error = vendor.http().post(URL).body(body).send().await.expect_err("cut");
        assert_eq!(error.arrival(), Arrival::Nothing, "{error}");
        assert_eq!(vendor.connections(), 1);
        assert!(error.message().contains("while data was being sent"), "{error}");
    }
}

/// Two threads, because the body's source blocks one: the answer and the RST must have come after
/// hyper last read and before it writes, which is when the write's fault used to win.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_early_answer_is_heard_before_the_broken_pipe() {
    let (closed, wait) = std::sync::mpsc::channel();
    let vendor = Vendor::new(move |_, mut socket| {
        let closed = closed.clone();
        async move {
            let mut some = [0; 1000];
            socket.read_exact(&mut some).await.expect("the beginning");
            let words = "at most 1 MB";
            let answer = format!("HTTP/1.1 413 Too Large\r\nContent-Length: 12\r\n\r\n{words}");
            socket.write_all(answer.as_bytes()).await.expect("an answer");
            // Closing with unread bytes sends a RST.
            drop(socket);
            let _ = closed.send(());
        }
    })
    .await;
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let mut sent = 0;
    let body = stream::poll_fn(move |_| {
        if sent == 1 {
            wait.recv().expect("the vendor's end");
        }
        sent += 1;
        std::task::Poll::Ready((sent < 100).then(|| Ok(chunk.clone())))
    });
    let call = vendor.http().post(URL).body(ByteStream::new(body));
    let error = call.send().await.expect("the answer").success().await.expect_err("a refusal");
    assert_eq!(error.message(), "Vendor answered 413 Payload Too Large: at most 1 MB.");
    assert_eq!(error.arrival(), Arrival::Nothing);
}

#[tokio::test]
async fn after_an_early_answer_the_upload_ends_with_the_reply() {
    let vendor = Vendor::new(|_, mut socket| async move {
        let mut some = [0; 10];
        socket.read_exact(&mut some).await.expect("the beginning");
        socket
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            .await
            .expect("an answer");
        // Keeps the connection open, as a proxy may.
        let seen = read_request(&mut socket).await;
        assert!(!seen.whole);
    })
    .await;
    let (body, dropped) = endless();
    let reply = vendor.http().post(URL).body(body).send().await.expect("the answer");
    let error = reply.success().await.expect_err("a refusal");
    assert_eq!((error.class(), error.http_status()), (Class::Settings, Some(403)));
    assert!(dropped.await.is_err(), "the body is let go");
}

#[tokio::test]
async fn a_fault_of_the_source_is_given_back_and_the_request_stays_incomplete() {
    for len in [None, Some(8), Some(5)] {
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = std::sync::Mutex::new(Some(tell));
        let vendor = Vendor::new(move |_, mut socket| {
            let tell = tell.lock().expect("no panic").take().expect("one connection");
            async move {
                let seen = read_request(&mut socket).await;
                let _ = tell.send(seen.whole);
            }
        })
        .await;
        // With a stated length of 5 all bytes are there, and only the end says that it is bad.
        let mut body =
            chunks(vec![Ok("first".into()), Err(Error::looker("Looker's data was cut."))]);
        if let Some(len) = len {
            body = body.with_len(len);
        }
        let error = vendor.http().put(URL).body(body).send().await.expect_err("cut");
        assert_eq!((error.class(), error.message()), (Class::Looker, "Looker's data was cut."));
        assert_eq!(error.arrival(), Arrival::Nothing);
        // Without a connection (the body failed before it was opened) nothing was whole either.
        assert!(!told.await.unwrap_or(false), "{len:?}");
    }
}

#[tokio::test]
async fn a_body_of_another_length_than_stated_is_never_completed() {
    for (len, how) in [(3, "longer"), (9, "shorter")] {
        let vendor = Vendor::answering(&[OK]).await;
        let body = chunks(vec![Ok("fo".into()), Ok("ur".into())]).with_len(len);
        let error = vendor.http().put(URL).body(body).send().await.expect_err("wrong length");
        assert_eq!((error.class(), error.arrival()), (Class::Hub, Arrival::Nothing));
        assert!(error.message().contains(how), "{error}");
    }
}

#[tokio::test]
async fn an_answer_cut_after_its_200_leaves_doubt_about_a_post_only() {
    const SHORT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":";
    let vendor = Vendor::answering(&[SHORT]).await;
    let reply = vendor.http().post(URL).body("x").send().await.expect("a head");
    let error = reply.text().await.expect_err("cut");
    assert_eq!(error.arrival(), Arrival::Maybe);

    let reply = vendor.http().get(URL).send().await.expect("a head");
    let error = reply.text().await.expect_err("cut");
    assert_eq!((error.class(), error.arrival()), (Class::Vendor, Arrival::Nothing));

    let mut stream = vendor.http().get(URL).send().await.expect("a head").stream();
    assert_eq!(stream.len_hint(), Some(100));
    assert_eq!(stream.next().await.expect("a piece").expect("bytes"), "{\"id\":");
    assert!(stream.next().await.expect("an end").is_err());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_gateway_that_does_not_know_leaves_it_open_where_something_changes() {
    let answered = async |status: u16, reads: bool| {
        let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 4\r\n\r\nslow");
        let answer: &'static str = Box::leak(answer.into_boxed_str());
        let vendor = Vendor::answering(Box::leak(Box::new([answer]))).await;
        let call = vendor.http().post(URL).body("data");
        let call = if reads { call.reads() } else { call };
        call.send().await.expect("an answer").success().await.expect_err("a refusal")
    };
    for status in [502, 504, 520, 524] {
        let error = answered(status, false).await;
        assert_eq!(error.arrival(), Arrival::Maybe, "{error}");
        assert!(error.message().contains(&format!("Vendor answered {status}")), "{error}");
        assert_eq!(answered(status, true).await.arrival(), Arrival::Nothing);
    }
    // Their own word is that they failed, or did not begin.
    for status in [500, 503, 429, 400] {
        assert_eq!(answered(status, false).await.arrival(), Arrival::Nothing, "{status}");
    }
}

#[tokio::test]
async fn a_gateway_that_speaks_before_all_was_sent_leaves_nothing_open() {
    let vendor = Vendor::new(|_, mut socket| async move {
        let mut some = [0; 1000];
        socket.read_exact(&mut some).await.expect("the beginning");
        say(&mut socket, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    let body = megabytes(64).with_len(64 << 20);
    let call = vendor.http().post(URL).body(body);
    let error = call.send().await.expect("the answer").success().await.expect_err("a refusal");
    assert_eq!((error.http_status(), error.arrival()), (Some(502), Arrival::Nothing));
}
