//! Every delivery ends with an answer: by itself, at its deadline, cut off, drained or in a panic.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{by_hand, execute, order, post, quick, send, stage};
use crate::Limits;

#[tokio::test]
async fn p5_a_body_that_breaks_off_aborts_the_delivery_at_every_point() {
    let whole = order("read", json!("a,b\n1,2\n"));
    for at in 0..whole.len() {
        let stage = stage(quick());
        let (sender, body) = by_hand();
        sender.send(Bytes::copy_from_slice(&whole.as_bytes()[..at])).unwrap();
        drop(sender);
        let (_, answer) =
            send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
        assert_eq!(answer["looker"]["success"], false, "cut at {at}");
        // A body that ends there without an error of the connection is no better.
        let (_, answer) =
            execute(&stage.hub, Bytes::copy_from_slice(&whole.as_bytes()[..at])).await;
        assert_eq!(answer["looker"]["success"], false, "ended at {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_is_cut_after_the_idle_time() {
    let stage = stage(quick());
    let (sender, body) = by_hand();
    sender.send(Bytes::from_static(b"{\"type\":")).unwrap();
    let (status, answer) =
        send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    // The first newline went out at 30 s, so the status is 200 and the envelope says it.
    assert_eq!(status, StatusCode::OK);
    assert!(answer["looker"]["message"].as_str().unwrap().contains("stalled"), "{answer}");
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn p17_a_client_that_trickles_is_cut_although_it_never_stalls() {
    let stage = stage(quick());
    let (sender, body) = by_hand();
    let started = tokio::time::Instant::now();
    let trickle = tokio::spawn(async move {
        let mut sent = 0;
        // It ends when nobody takes any more.
        while sender.send(Bytes::from_static(b" ")).is_ok() {
            sent += 1;
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        sent
    });
    let (_, answer) = send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    let said = answer["looker"]["message"].as_str().unwrap();
    assert!(said.contains("stalled: next to nothing came for 40 s"), "{said}");
    assert_eq!(started.elapsed(), Duration::from_secs(40));
    assert_eq!(trickle.await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn p17_a_client_that_keeps_up_the_least_rate_is_waited_for() {
    let stage = stage(quick());
    let order = order("read", json!("0".repeat(200_000)));
    let pieces: Vec<_> = order.into_bytes().chunks(11_000).map(Bytes::copy_from_slice).collect();
    let slowly = futures_util::stream::iter(pieces).then(async |piece| {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<_, std::convert::Infallible>(Frame::data(piece))
    });
    let body = StreamBody::new(Box::pin(slowly));
    let (_, answer) = send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    assert_eq!(answer["looker"]["success"], true, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn p7_newlines_keep_the_connection_and_the_answer_is_the_last_thing() {
    let stage = stage(quick());
    let response = stage.hub.clone().oneshot(
        post("/actions/puppet/execute")
            .body(Full::new(Bytes::from(order("wait", json!("x")))))
            .unwrap(),
    );
    let response = response.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let started = tokio::time::Instant::now();
    for n in 0..4u64 {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(&frame[..], b"\n");
        assert_eq!(started.elapsed().as_secs(), 30 * n);
    }
    stage.go.notify_one();
    let rest = body.collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(answer["looker"]["success"], true);
}

#[tokio::test(start_paused = true)]
async fn p6_a_delivery_ends_at_its_deadline_and_says_so() {
    let stage = stage(quick());
    let (_, answer) = execute(&stage.hub, order("hang", json!("x"))).await;
    let message = answer["looker"]["message"].as_str().unwrap();
    assert_eq!(message, "stopped");
    assert!(stage.aborted.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn p6_a_delivery_that_does_not_obey_is_dropped_and_may_have_arrived() {
    let stage = stage(quick());
    let (_, answer) = execute(&stage.hub, order("wait", json!("x"))).await;
    let message = answer["looker"]["message"].as_str().unwrap();
    assert!(
        message.contains("stopped after 25 min") && message.contains("may have arrived"),
        "{message}"
    );
    assert_eq!(answer["looker"]["error"]["status_code"], "UNKNOWN");
}

#[tokio::test]
async fn p11_a_caller_who_hangs_up_stops_the_delivery() {
    let stage = stage(quick());
    let (sender, body) = by_hand();
    let whole = order("read", json!("0123456789"));
    sender.send(Bytes::from(whole[..whole.len() - 8].to_owned())).unwrap();
    let mut answer =
        Box::pin(stage.hub.clone().oneshot(post("/actions/puppet/execute").body(body).unwrap()));
    assert!((&mut answer).now_or_never().is_none());
    stage.began.notified().await;
    drop(answer);
    stage.hub.drain(Duration::from_secs(60)).await;
    assert!(stage.aborted.load(Ordering::SeqCst));
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn p12_draining_refuses_new_lets_running_finish_and_answers_the_rest() {
    let stage = stage(quick());
    let ask = |how| {
        let request = post("/actions/puppet/execute")
            .body(Full::new(Bytes::from(order(how, json!("x")))))
            .unwrap();
        let hub = stage.hub.clone();
        async move { send(&hub, request).await.1 }
    };
    let (finishes, hangs) = (tokio::spawn(ask("wait")), tokio::spawn(ask("hang")));
    while stage.running.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let draining = tokio::spawn({
        let hub = stage.hub.clone();
        async move { hub.drain(Duration::from_secs(25)).await }
    });
    while !stage.hub.is_draining() {
        tokio::task::yield_now().await;
    }
    let ready = Request::get("/readyz").body(Full::new(Bytes::new())).unwrap();
    assert_eq!(send(&stage.hub, ready).await.0, StatusCode::SERVICE_UNAVAILABLE);
    let refused = ask("ignore").await;
    assert!(refused["looker"]["message"].as_str().unwrap().contains("restarting"));
    stage.go.notify_one();
    assert_eq!(finishes.await.unwrap()["looker"]["success"], true);
    assert_eq!(hangs.await.unwrap()["looker"]["success"], false);
    assert!(stage.aborted.load(Ordering::SeqCst));
    draining.await.unwrap();
}

#[tokio::test]
async fn p16_a_full_hub_says_so_at_once_without_reading_the_body() {
    let stage = stage(Limits { running: 1, per_lane: 1, waiting: 1, ..quick() });
    let ask = || {
        let request = post("/actions/puppet/execute")
            .body(Full::new(Bytes::from(order("wait", json!("x")))))
            .unwrap();
        let hub = stage.hub.clone();
        tokio::spawn(async move { send(&hub, request).await.1 })
    };
    let inside = [ask(), ask()];
    stage.began.notified().await;
    while stage.hub.inner.admission.enter(0, None).is_some() {
        tokio::task::yield_now().await;
    }
    let (_sender, body) = by_hand();
    let (status, answer) =
        send(&stage.hub, post("/actions/puppet/execute").body(body).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["looker"]["message"].as_str().unwrap().contains("busy"), "{answer}");
    assert_eq!(answer["looker"]["error"]["status_code"], "UNAVAILABLE");
    for task in inside {
        stage.go.notify_one();
        assert_eq!(task.await.unwrap()["looker"]["success"], true);
    }
}

#[tokio::test]
async fn p18_a_panic_in_an_action_is_answered_and_others_live() {
    let stage = stage(quick());
    let (status, answer) = execute(&stage.hub, order("panic", json!("x"))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["looker"]["message"].as_str().unwrap().contains("fault in the hub"));
    assert_eq!(answer["looker"]["webhookId"], "0f0f");
    assert_eq!(execute(&stage.hub, order("ignore", json!("x"))).await.1["looker"]["success"], true);
}

#[tokio::test]
async fn p23_a_secret_in_an_error_does_not_reach_the_answer() {
    let stage = stage(quick());
    let (_, answer) = execute(&stage.hub, order("tell", json!("x"))).await;
    assert_eq!(answer["looker"]["message"], "Key [secret] is bad.");
    assert!(!answer.to_string().contains("key-123456"));
}
