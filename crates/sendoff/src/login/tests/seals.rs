//! The seal: nothing altered, moved, old or foreign opens.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use super::{key, ring};
use crate::login::seal::{KeyRing, Opened, Purpose, Seal, StateKey, Unsealed};

const STORED: Seal<'static> = Seal { purpose: Purpose::Stored, action: "drive", instance: "i1" };

fn opens(ring: &KeyRing, to: Seal<'_>, text: &str) -> Result<Vec<u8>, Unsealed> {
    ring.open(to, text).map(|opened| opened.text)
}

#[test]
fn p21_no_flipped_bit_is_accepted() {
    let ring = ring(&[key("k", 7)]);
    let plain = vec![b'x'; 400];
    let sealed = ring.seal(STORED, &plain).unwrap();
    assert_eq!(opens(&ring, STORED, &sealed).unwrap(), plain);
    let mut tried = 0;
    let mut refuse = |text: &str| {
        tried += 1;
        assert!(ring.open(STORED, text).is_err(), "{text}");
    };
    // Of the text as it lies in Looker, and of the bytes below it.
    for place in 0..sealed.len() {
        for bit in 0..8 {
            let mut bytes = sealed.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                refuse(&text);
            }
        }
    }
    let (head, body) = sealed.rsplit_once('.').unwrap();
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(body).unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << bit;
            refuse(&format!("{head}.{}", base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes)));
        }
    }
    for end in 0..sealed.len() {
        refuse(&sealed[..end]);
    }
    refuse(&format!("{sealed}A"));
    assert!(tried > 7_000, "{tried}");
}

#[test]
fn p21_nothing_moves_to_another_purpose_action_or_instance() {
    let ring = ring(&[key("k", 7)]);
    let purposes = [Purpose::Link, Purpose::Trip, Purpose::Code, Purpose::Stored];
    let mut seals = Vec::new();
    for purpose in purposes {
        // The last two would read the same if they were only written one behind the other.
        for (action, instance) in [("a", "i"), ("b", "i"), ("a", "j"), ("ab", "c"), ("a", "bc")] {
            seals.push(Seal { purpose, action, instance });
        }
    }
    for (n, from) in seals.iter().enumerate() {
        let sealed = ring.seal(*from, b"text").unwrap();
        for (m, to) in seals.iter().enumerate() {
            assert_eq!(ring.open(*to, &sealed).is_ok(), n == m, "{from:?} as {to:?}");
        }
    }
}

#[test]
fn p20_what_passes_through_a_browser_is_good_for_ten_minutes() {
    let ring = ring(&[key("k", 7)]);
    let now = SystemTime::now();
    let minutes = |n: u64| Duration::from_secs(n * 60);
    for purpose in [Purpose::Link, Purpose::Trip, Purpose::Code] {
        let seal = Seal { purpose, ..STORED };
        let sealed = ring.seal_at(seal, b"text", now).unwrap();
        let at = |time| ring.open_at(seal, &sealed, time).map(drop);
        assert_eq!(at(now + minutes(10)), Ok(()));
        assert_eq!(at(now + minutes(10) + Duration::from_secs(2)), Err(Unsealed::Expired));
        // Another replica's clock may be behind by so much.
        assert_eq!(at(now - minutes(5)), Ok(()));
        assert_eq!(at(now - minutes(5) - Duration::from_secs(2)), Err(Unsealed::Expired));
    }
    let sealed = ring.seal_at(STORED, b"text", now).unwrap();
    assert!(ring.open_at(STORED, &sealed, now + minutes(5_000_000)).is_ok());
}

#[test]
fn p21_the_first_key_seals_all_open_and_an_unknown_one_is_told_apart() {
    let (old, new) = (key("old", 1), key("new", 2));
    let both = ring(&[new.clone(), old.clone()]);
    let by_old = ring(std::slice::from_ref(&old)).seal(STORED, b"text").unwrap();
    let by_both = both.seal(STORED, b"text").unwrap();
    assert!(by_both.starts_with("s1.new."), "{by_both}");
    let text = || b"text".to_vec();
    assert_eq!(both.open(STORED, &by_old), Ok(Opened { text: text(), newest: false }));
    assert_eq!(both.open(STORED, &by_both), Ok(Opened { text: text(), newest: true }));
    let only_new = ring(&[new]);
    assert_eq!(opens(&only_new, STORED, &by_old), Err(Unsealed::NoSuchKey));
    // The same name for another key, and the same key by another name.
    assert_eq!(opens(&ring(&[key("old", 3)]), STORED, &by_old), Err(Unsealed::Altered));
    let renamed = by_old.replace(".old.", ".other.");
    assert_eq!(opens(&ring(&[key("other", 1)]), STORED, &renamed), Err(Unsealed::Altered));
    assert!(KeyRing::new(vec![key("one", 1), key("one", 2)]).is_err());
}

#[test]
fn keys_from_other_secrets_are_the_same_in_each_replica() {
    let one = ring(&[StateKey::derived(b"secret")]).seal(STORED, b"text").unwrap();
    assert!(ring(&[StateKey::derived(b"secret")]).open(STORED, &one).is_ok());
    assert!(ring(&[StateKey::derived(b"Secret")]).open(STORED, &one).is_err());
    // Made by python's hmac and hashlib (RFC 5869), so that no later version seals by another key.
    assert!(one.starts_with("s1.57469cdbb968."), "{one}");
}

#[test]
fn no_two_seals_are_alike() {
    let ring = ring(&[key("k", 7)]);
    let all: HashSet<_> = (0..20_000).map(|_| ring.seal(STORED, b"").unwrap()).collect();
    assert_eq!(all.len(), 20_000);
}

#[test]
fn no_key_stands_in_what_is_shown() {
    assert!(!format!("{:?} {:?}", key("k", 0xab), ring(&[key("k", 0xab)])).contains("abab"));
    for wrong in ["", "k", "k:", "k:abab", "k:zz", ":ab", "a b:ab"] {
        let error = StateKey::parse(wrong).unwrap_err();
        assert!(!error.message().contains("abab"), "{error}");
    }
}
