//! What the log says of commands to machines.
//!
//! A program of its own: where a test beside it logged without a subscriber, tracing would take
//! nobody to be interested.

mod stage;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::util::SubscriberInitExt;

use stage::{before, rows, send};

const ONE: &str = "i-0000000000000001a";
const TWO: &str = "i-0000000000000002a";

fn machines(tag: &str, ids: &[&str]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| [json!(id)]).collect();
    let ids: Vec<_> = ids.iter().map(|id| &id[..]).collect();
    rows(tag, &["machines.id"], &ids)
}

/// What an operator finds in the log while this is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, subscriber.set_default())
    }

    /// The lines of commands.
    fn commands(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains("command")).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn the_log_names_each_droplet_that_was_changed_and_for_whom() {
    let (log, _guard) = Log::begin();
    let stage = before("digitalocean_droplet").await;
    send(
        &stage,
        "digitalocean_droplet",
        json!({}),
        &machines("digitalocean_droplet_id", &["11", "12"]),
    )
    .await;
    let commands = log.commands();
    assert_eq!(commands.len(), 2, "{commands:?}");
    let all = commands.join("\n");
    for part in [
        "ids=\"11\"",
        "ids=\"12\"",
        "operation=\"shutdown\"",
        stage::WEBHOOK,
        "digitalocean_droplet",
        "88",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
}

#[tokio::test]
async fn the_log_names_the_instances_of_each_command() {
    let (log, _guard) = Log::begin();
    let stage = before("aws_ec2_stop_instance").await;
    send(
        &stage,
        "aws_ec2_stop_instance",
        json!({ "dry_run": "yes" }),
        &machines("aws_resource_id", &[ONE]),
    )
    .await;
    assert!(log.commands().is_empty(), "a question changes nothing");
    send(
        &stage,
        "aws_ec2_stop_instance",
        json!({ "operation": "force" }),
        &machines("aws_resource_id", &[ONE, TWO]),
    )
    .await;
    let commands = log.commands();
    let [one] = commands.as_slice() else { panic!("{commands:?}") };
    for part in [
        &format!("ids=\"{ONE} {TWO}\""),
        "\"StopInstances Force\"",
        stage::WEBHOOK,
        "aws_ec2_stop_instance",
    ] {
        assert!(one.contains(part), "{part}: {one}");
    }
    assert!(!one.contains("canary"), "{one}");
}
