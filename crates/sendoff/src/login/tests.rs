//! What is sealed stays sealed; what the reference hub left in Looker is read.

use super::legacy::LegacyKey;

#[test]
fn what_the_reference_hub_sealed_is_read_under_its_key_alone() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/sealed_state_and_token.json"))
            .unwrap();
    let master = golden["cipher_master"].as_str().unwrap();
    let key = LegacyKey::new(&master.into()).unwrap();
    let other = LegacyKey::new(&master.replace('2', "3").into()).unwrap();
    for one in golden["sealed"].as_array().unwrap() {
        let (sealed, plain) = (one["sealed"].as_str().unwrap(), one["plain"].as_str().unwrap());
        assert_eq!(key.open(sealed).as_deref(), Some(plain), "{}", one["case"]);
        assert_ne!(other.open(sealed).as_deref(), Some(plain));
    }
}
