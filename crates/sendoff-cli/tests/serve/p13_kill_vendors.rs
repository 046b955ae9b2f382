//! P13 where the last step is a vendor's: after kill -9 a bucket and an SFTP server hold nothing that
//! looks finished and is not, and the next start serves.

use std::sync::Arc;

use sendoff::Values;
use sendoff::testing::{Fake, Flow, Object, Vendor};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::hub::{Hub, until};
use crate::p13_kill::kills;
use crate::random::Random;
use crate::request::{Order, Request};
use crate::wire::Wire;

/// Two parts of an upload.
const SIZE: usize = 6 << 20;

/// A vendor's stand-in, and a hub that is killed and started before it.
struct Stage {
    runtime: Runtime,
    action: &'static str,
    /// The form field with the name of the file; the fake's others stay.
    fake: Arc<dyn Fake>,
    vendor: Vendor,
    spool: tempfile::TempDir,
}

impl Stage {
    fn set(action: &'static str, speaks_http: bool) -> Self {
        let runtime = Runtime::new().unwrap();
        let made = sendoff_destinations::fakes().into_iter().map(|make| make());
        let (_, fake) = made.into_iter().find(|(each, _)| each.spec().name == action).unwrap();
        let vendor = runtime.block_on(Vendor::start(Arc::clone(&fake), speaks_http)).unwrap();
        Self { runtime, action, fake, vendor, spool: tempfile::tempdir().unwrap() }
    }

    fn start(&self) -> Hub {
        let origins = self.vendor.origins().join(",");
        let spool = self.spool.path().to_str().unwrap();
        Hub::start(&[("SENDOFF_ORIGINS", &origins), ("SENDOFF_SPOOL_DIR", spool)])
    }

    fn request(&self, hub: &Hub, name: &str, order: Order) -> Request {
        let json = |values: &Values| serde_json::to_string(values).unwrap();
        let mut form = self.fake.answers();
        form.0.insert("filename".into(), name.into());
        Request::set(hub, self.action, &json(&self.fake.settings()), &json(&form), order, SIZE)
    }

    /// What stands under a name, finished.
    fn object(&self, name: &str) -> Option<Object> {
        let all = self.runtime.block_on(self.fake.objects());
        all.into_iter().find(|object| object.name.ends_with(&format!("/{name}")))
    }

    /// What is there and not finished.
    fn leftovers(&self) -> usize {
        self.runtime.block_on(self.fake.leftovers()).len()
    }

    /// Bytes that hubs have sent it.
    fn sent(&self) -> u64 {
        self.vendor.proxy().passed(Flow::Up)
    }

    fn deliver(&self, hub: &Hub, name: &str, order: Order) {
        let request = self.request(hub, name, order);
        let answer = Wire::open(hub.address).call(request.to_bytes());
        assert!(answer.body.contains("\"success\":true"), "{}", answer.body);
        assert_whole(&self.object(name).expect("it is said to be there"), &request);
    }

    /// Kills the hub when the vendor has got so many bytes, or all.
    fn kill_after(&self, bytes: u64, hub: Hub, name: &str, order: Order) {
        let request = self.request(&hub, name, order);
        let mut caller = Wire::open(hub.address);
        let before = self.sent();
        caller.send(request.to_bytes());
        until("the vendor gets nothing", || {
            self.sent() >= before.saturating_add(bytes) || self.object(name).is_some()
        });
        // With SIGKILL; its end is waited for.
        drop(hub);
        let answer = caller.receive();
        let object = self.object(name);
        if let Ok(answer) = answer {
            let told = answer.body.contains("\"success\":true");
            assert!(told && object.is_some(), "{answer:?}");
        }
        if let Some(object) = object {
            assert_whole(&object, &request);
        }
    }
}

fn assert_whole(object: &Object, request: &Request) {
    let digest = Sha256::digest(request.delivered());
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((object.bytes, &object.sha256), (request.delivered_bytes(), &sha256));
}

fn nothing_looks_finished(action: &'static str, speaks_http: bool) {
    let stage = Stage::set(action, speaks_http);
    let mut hub = stage.start();
    stage.deliver(&hub, "first.csv", Order::FormThenData);
    let all = stage.sent();
    // What SSH pads is not the same each time, so that the end is not met by its byte.
    let last_step = all - all / 500;
    let (mut delivered, mut left) = (0, 0);
    for seed in 0..kills().div_ceil(3) {
        let mut random = Random::seeded(seed + 1);
        let order = [Order::FormThenData, Order::DataThenForm][random.below(2)];
        let name = format!("{seed}.csv");
        let bytes = match random.below(4) {
            0 => u64::MAX - all,
            1 => last_step + random.below((all - last_step) as usize) as u64,
            _ => random.below(last_step as usize) as u64,
        };
        stage.kill_after(bytes, hub, &name, order);
        delivered += u64::from(stage.object(&name).is_some());
        // One a kill is what the action's page says that may stay.
        assert!(stage.leftovers() as u64 <= left + 1, "seed {seed}");
        left = stage.leftovers() as u64;

        hub = stage.start();
        stage.deliver(&hub, &name, order);
    }
    // Or the kills came at other times than they should.
    assert!(delivered > 0 && left > 0, "{delivered} delivered, {left} left over");
}

#[test]
fn p13_kill_nine_leaves_no_object_in_a_bucket() {
    nothing_looks_finished("amazon_s3", true);
}

#[cfg(feature = "sftp")]
#[test]
fn p13_kill_nine_leaves_no_file_on_an_sftp_server() {
    nothing_looks_finished("sftp", false);
}
