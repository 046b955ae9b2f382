//! What is sealed stays sealed, what the reference hub left in Looker is read, and a login goes
//! nowhere but to Looker.

mod handed_over;
mod routes;
mod seals;
mod service;
mod shapes;

use std::collections::HashMap;

use super::{Desk, KeyRing, LegacyKey, LookerHosts, StateKey};

/// What the reference hub itself wrote.
fn golden() -> serde_json::Value {
    let text = include_str!("../../../tests/golden/sealed_state_and_token.json");
    serde_json::from_str(text).unwrap()
}

fn master() -> String {
    golden()["cipher_master"].as_str().unwrap().to_owned()
}

fn key(id: &str, byte: u8) -> StateKey {
    StateKey::parse(&format!("{id}:{}", format!("{byte:02x}").repeat(32))).unwrap()
}

fn ring(keys: &[StateKey]) -> KeyRing {
    KeyRing::new(keys.to_vec()).unwrap()
}

fn desk(keys: &[StateKey]) -> Desk {
    let legacy = LegacyKey::new(&master().into()).unwrap();
    Desk::new(ring(keys), Some(legacy), HashMap::new(), LookerHosts::default())
}
