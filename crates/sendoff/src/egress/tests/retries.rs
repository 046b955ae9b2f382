//! What is sent again, and what is not.

use super::*;

#[tokio::test]
async fn passing_statuses_are_tried_again_and_others_are_not() {
    for status in [408, 425, 429, 500, 502, 503, 504, 400, 401, 403, 404, 409, 413, 422, 501, 505] {
        let vendor = Vendor::new(move |nth, mut socket| async move {
            read_request(&mut socket).await;
            let refusal = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
            say(&mut socket, if nth == 0 { &refusal } else { OK }).await;
        })
        .await;
        let reply = vendor.http().get(URL).send().await.expect("an answer");
        let again = [408, 425, 429, 500, 502, 503, 504].contains(&status);
        assert_eq!(reply.status().as_u16(), if again { 200 } else { status });
        assert_eq!(vendor.connections(), if again { 2 } else { 1 }, "{status}");
    }
}

#[tokio::test]
async fn there_are_four_tries_at_most() {
    let vendor = Vendor::answering(&[BUSY]).await;
    let reply = vendor.http().get(URL).send().await.expect("an answer");
    assert_eq!(vendor.connections(), 4);
    let error = reply.success().await.expect_err("a refusal");
    assert_eq!(error.message(), "Vendor answered 503 Service Unavailable: busy.");
    assert_eq!((error.class(), error.retry()), (Class::Vendor, Retry::Later));
}

#[tokio::test]
async fn a_post_goes_out_once_unless_the_vendor_takes_repeats() {
    let vendor = Vendor::answering(&[BUSY, OK]).await;
    let reply = vendor.http().post(URL).body("data").send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (503, 1));

    let vendor = Vendor::new(|nth, mut socket| async move {
        let seen = read_request(&mut socket).await;
        assert_eq!(seen.body, b"data");
        say(&mut socket, if nth == 0 { BUSY } else { OK }).await;
    })
    .await;
    let reply = vendor.http().post(URL).body("data").repeatable().send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 2));
    let vendor = Vendor::answering(&[BUSY, OK]).await;
    let reply = vendor.http().put(URL).body("data").once().send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (503, 1));
}

#[tokio::test]
async fn a_stream_cannot_be_sent_twice_but_a_spooled_one_can() {
    let vendor = Vendor::answering(&[BUSY, OK]).await;
    let body = chunks(vec![Ok("data".into())]).with_len(4);
    let reply = vendor.http().put(URL).body(body).send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (503, 1));

    let vendor = Vendor::new(|nth, mut socket| async move {
        let seen = read_request(&mut socket).await;
        assert_eq!(seen.body, b"data");
        say(&mut socket, if nth == 0 { BUSY } else { OK }).await;
    })
    .await;
    let body = Body::again(|| chunks(vec![Ok("data".into())]).with_len(4));
    let reply = vendor.http().put(URL).body(body).send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 2));
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let busy = "HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let vendor = Vendor::answering(Box::leak(Box::new([busy, OK]))).await;
    let before = Instant::now();
    let reply = vendor.http().get(URL).send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 2));
    assert!(before.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_post_that_was_refused_until_later_goes_out_then() {
    let later = "HTTP/1.1 429 x\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let vendor = Vendor::answering(Box::leak(Box::new([later, OK]))).await;
    let reply = vendor.http().post(URL).body("data").send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 2));
    // Without a time we choose one.
    let bare = "HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n";
    let vendor = Vendor::answering(Box::leak(Box::new([bare, OK]))).await;
    let reply = vendor.http().post(URL).body("data").send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 2));
    // Four times at most, and `once` means once.
    for (answer, once, tries) in [(bare, false, 4), (bare, true, 1), (later, true, 1)] {
        let vendor = Vendor::answering(Box::leak(Box::new([answer]))).await;
        let call = vendor.http().post(URL).body("data");
        let call = if once { call.once() } else { call };
        let reply = call.send().await.expect("an answer");
        assert_eq!((reply.status().as_u16(), vendor.connections()), (429, tries));
    }
}

#[tokio::test]
async fn a_paced_request_that_is_told_to_wait_holds_all_that_share_its_pace() {
    let bare = "HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n";
    let pace = |rest| Arc::new(Pace::new(Rate::Unlimited, rest, Duration::from_secs(1)));
    let vendor = Vendor::answering(Box::leak(Box::new([bare, OK]))).await;
    let shared = pace(Duration::from_millis(300));
    let before = Instant::now();
    let http = vendor.http().paced(&shared, 1);
    let call = async {
        // A POST that nobody promised to be repeatable, and no time to wait in the answer.
        let reply = http.post(URL).body("data").send().await.expect("an answer");
        assert_eq!((reply.status().as_u16(), vendor.connections()), (200, 2));
    };
    let other = async {
        while vendor.connections() == 0 {
            tokio::task::yield_now().await;
        }
        // The pause comes with the answer; until then nobody is held.
        while before.elapsed() < Duration::from_millis(300) {
            shared.admit(1).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(call, other);
    assert!(before.elapsed() >= Duration::from_millis(300));

    let vendor = Vendor::answering(Box::leak(Box::new([bare, OK]))).await;
    let http = vendor.http().paced(&pace(Duration::ZERO), 1);
    let reply = http.post(URL).body("data").once().send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (429, 1), "once is once");

    let vendor = Vendor::answering(Box::leak(Box::new([bare]))).await;
    let http = vendor.http().paced(&pace(Duration::ZERO), 1);
    let reply = http.post(URL).body("data").send().await.expect("an answer");
    assert_eq!((reply.status().as_u16(), vendor.connections()), (429, 11), "not for ever");
}

#[tokio::test]
async fn a_door_within_two_quotas_keeps_both() {
    let vendor = Vendor::answering(&[OK]).await;
    let http = vendor.http();
    let hour = Duration::from_secs(3_600);
    let quota = |requests| Quota { requests, within: hour, cool_down: Duration::ZERO };
    let ask = async |user: &str| {
        let door = http.within(user, quota(2)).within("all users", quota(3));
        door.get(URL).send().await.expect("an answer")
    };
    for user in ["a", "a", "b"] {
        ask(user).await;
    }
    // The one has used up his own, the other has not.
    for user in ["a", "c"] {
        tokio::select! {
            biased;
            _ = ask(user) => panic!("{user} was let through"),
            _ = http.get(URL).send() => {}
        }
    }
    assert_eq!(vendor.connections(), 5);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_reported_at_once() {
    let hour = "HTTP/1.1 429 x\r\nRetry-After: 3600\r\nContent-Length: 4\r\n\r\nslow";
    let minute = "HTTP/1.1 503 x\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n";
    // Longer than anyone waits; beyond the delivery's time; beyond the call's time.
    let soon = |scope: &mut Scope| scope.deadline = Some(Instant::now() + Duration::from_secs(30));
    for (answer, wait, deadline, timeout) in
        [(hour, 3600, false, None), (minute, 60, true, None), (minute, 60, false, Some(30))]
    {
        let vendor = Vendor::answering(Box::leak(Box::new([answer]))).await;
        let mut scope = Scope::new("Vendor");
        if deadline {
            soon(&mut scope);
        }
        let mut call = vendor.http_with(|_| (), scope).get(URL);
        if let Some(seconds) = timeout {
            call = call.timeout(Duration::from_secs(seconds));
        }
        let error = call.send().await.expect("an answer").success().await.expect_err("refusal");
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(wait)));
        assert_eq!(vendor.connections(), 1);
    }
}

#[tokio::test]
async fn a_dead_vendor_gets_no_storm_of_retries() {
    let vendor = Vendor::answering(&[BUSY]).await;
    let http = vendor.http_with(
        |config| {
            config.retry.first_wait = Duration::ZERO;
            config.retry.longest_wait = Duration::ZERO;
        },
        Scope::new("Vendor"),
    );
    for _ in 0..200 {
        http.get(URL).send().await.expect("an answer");
    }
    // The reserve of 10, 0.15 each, and what the seconds of this test earn.
    assert!((210..=245).contains(&vendor.connections()), "{}", vendor.connections());
}

/// Fails to connect as often as told, then goes to the vendor.
struct Flaky {
    failures: AtomicUsize,
    kind: io::ErrorKind,
}

impl Network for Flaky {
    fn resolve(
        &self,
        _host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async { Err(io::Error::other("failed to lookup: Name or service not known")) })
    }

    fn connect(
        &self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        let left = self.failures.load(Ordering::SeqCst);
        if left > 0 {
            self.failures.store(left - 1, Ordering::SeqCst);
            let kind = self.kind;
            return Box::pin(async move { Err(kind.into()) });
        }
        Box::pin(TcpStream::connect(address))
    }
}

#[tokio::test]
async fn without_a_connection_even_a_streamed_post_is_tried_again() {
    let (whole, seen) = tokio::sync::oneshot::channel();
    let whole = std::sync::Mutex::new(Some(whole));
    let vendor = Vendor::new(move |_, mut socket| {
        let whole = whole.lock().expect("no panic").take().expect("one connection");
        async move {
            let seen = read_request(&mut socket).await;
            say(&mut socket, OK).await;
            whole.send(seen.body).expect("a listener");
        }
    })
    .await;
    let network = Flaky { failures: 2.into(), kind: io::ErrorKind::ConnectionRefused };
    let egress = Egress::on(vendor.config(), Arc::new(network)).expect("an egress");
    let http = egress.http(Scope::new("Vendor"));
    let body = chunks(vec![Ok("one ".into()), Ok("two".into())]).with_len(7);
    let reply = http.post(URL).body(body).send().await.expect("an answer");
    assert_eq!(reply.status().as_u16(), 200);
    assert_eq!(seen.await.expect("a request"), b"one two");
}

#[tokio::test]
async fn who_cannot_be_reached_is_named() {
    let vendor = Vendor::answering(&[OK]).await;
    for body in [Body::Empty, Body::from("data"), Body::Stream(megabytes(1))] {
        let network = Flaky { failures: 99.into(), kind: io::ErrorKind::ConnectionRefused };
        let egress = Egress::on(vendor.config(), Arc::new(network)).expect("an egress");
        let http = egress.http(Scope::new("Vendor"));
        let error = http.post(URL).body(body).send().await.expect_err("no connection");
        assert_eq!(
            error.message(),
            "Vendor could not be reached at vendor.test: it refused the connection."
        );
        assert_eq!(
            (error.class(), error.retry(), error.arrival()),
            (Class::Vendor, Retry::Later, Arrival::Nothing)
        );
    }
    let network = Flaky { failures: 0.into(), kind: io::ErrorKind::Other };
    let egress = Egress::on(vendor.config(), Arc::new(network)).expect("an egress");
    let http = egress.http(Scope::new("Vendor"));
    let error = http.get("https://no.such.test/").send().await.expect_err("no such name");
    assert!(error.message().contains("no.such.test of Vendor could not be found"), "{error}");
    assert_eq!(error.retry(), Retry::No);
    assert_eq!(vendor.connections(), 0);
}

/// One of a host's addresses refuses, another one is silent, the last one answers.
struct Addresses(SocketAddr);

impl Network for Addresses {
    fn resolve(
        &self,
        _host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let found = ["2606:4700::1", "8.8.8.8", "10.0.0.1", "9.9.9.9"];
        Box::pin(async move { Ok(found.map(|text| text.parse().expect("an address")).to_vec()) })
    }

    fn connect(
        &self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
        let vendor = self.0;
        match address.ip().to_string().as_str() {
            "2606:4700::1" => Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) }),
            "8.8.8.8" => Box::pin(std::future::pending()),
            "9.9.9.9" => Box::pin(TcpStream::connect(vendor)),
            other => panic!("{other} was dialled"),
        }
    }
}

#[tokio::test]
async fn one_dead_address_of_a_host_does_not_hide_its_others() {
    let vendor = Vendor::answering(&[OK]).await;
    let here = SocketAddr::from(([127, 0, 0, 1], vendor.port));
    let mut config = EgressConfig::new("s".into());
    config.retry.tries = 1;
    let egress = Egress::on(config, Arc::new(Addresses(here))).expect("an egress");
    let http = egress.http(Scope::new("Vendor"));
    let socket = http.connect("sftp", "files.test", 22).await.expect("a connection");
    assert_eq!(socket.peer_addr().expect("a peer"), here);
}
