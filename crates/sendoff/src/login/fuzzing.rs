//! What the fuzz target `login_state` reaches. Not there in an ordinary build.

use std::collections::HashMap;

use super::seal::{Purpose, Seal};
use super::{Desk, KeyRing, LegacyKey, LookerHosts, StateKey, state};

/// # Panics
/// When a text that nobody sealed opens.
pub(crate) fn read(text: &str) {
    let Ok(ring) = KeyRing::new(vec![StateKey::derived(b"fuzz")]) else { return };
    let legacy = LegacyKey::new(&"0f".repeat(32).into()).ok();
    let desk = Desk::new(ring, legacy, HashMap::new(), LookerHosts::default());
    for purpose in [Purpose::Link, Purpose::Trip, Purpose::Code, Purpose::Stored] {
        let seal = Seal { purpose, action: "a", instance: "i" };
        assert!(desk.ring.open(seal, text).is_err(), "nobody sealed {text}");
    }
    let _ = state::installs(text);
    let _ = desk.hosts.check(text);
    let _ = desk.legacy.as_ref().map(|key| key.open(text));
    let Some(kept) = state::read(&desk, "a", "i", text) else { return };
    assert!(kept.outdated, "only the reference's shapes are read unsealed");
}
