//! What Looker may give back as a state: ours, the reference hub's, and what is none.

use serde_json::json;

use super::{desk, golden, key, master};
use crate::Secret;
use crate::login::legacy::LegacyKey;
use crate::login::state::{self, Kept, Tokens};

/// Made by node's crypto in the way of the reference's `aes_transit_crypto.ts`, under the golden
/// file's key.
const CIPHERED: &str = r#"{"cid":"fcd3b1e90ba8910c45fb1d138fa1c7fc1b8a839e1a1d4f328ce1faec11a9dc1c","payload":"1043022CQkJCQkJCQkJCQkJCQkJCQGpVi1JGT1GOjEsp010iEZBmOsKNUO_UKQPw_3bFk148ABsSYJoIfWGS8wN81ffn_ZjGavX4reune1lDthMnvXrwf8NAcTejkK9NJMrBajS1Q0rK8C9dXRhUS_AtNtXMr2MiGt70m3GBZeZatDQD7YKMsumEQE3jGriIEgU6gIH4zC1wqa7M7_nSO0jjuxnC_wpq"}"#;

fn read(state: &str) -> Option<Kept> {
    state::read(&desk(&[key("k", 1)]), "drive", "i1", state)
}

fn text(secret: &Option<Secret>) -> Option<&str> {
    secret.as_ref().map(Secret::expose)
}

#[test]
fn what_the_reference_hub_sealed_is_read_under_its_key_alone() {
    let key = LegacyKey::new(&master().into()).unwrap();
    let other = LegacyKey::new(&master().replace('2', "3").into()).unwrap();
    let golden = golden();
    for one in golden["sealed"].as_array().unwrap() {
        let (sealed, plain) = (one["sealed"].as_str().unwrap(), one["plain"].as_str().unwrap());
        assert_eq!(key.open(sealed).as_deref(), Some(plain), "{}", one["case"]);
        assert_ne!(other.open(sealed).as_deref(), Some(plain));
        for end in 0..sealed.len() {
            assert_ne!(key.open(&sealed[..end]).as_deref(), Some(plain));
        }
    }
    // Lengths that lie.
    for lie in ["1", "1999999", "1000000", "1043999AA", "2043022", "1-43022", "104302é"] {
        assert_eq!(key.open(lie), None, "{lie}");
    }
}

#[test]
fn p21_the_references_shapes_are_read_and_written_anew() {
    for (shape, access, refresh, renew_at) in [
        (
            r#"{"tokens":{"access_token":"acc-1","refresh_token":"ref-1","expiry_date":1800000000000},"redirect":"https://hub/x"}"#,
            Some("acc-1"),
            Some("ref-1"),
            Some(1_799_999_700),
        ),
        (CIPHERED, Some("acc-1"), Some("ref-1"), Some(1_799_999_700)),
        (r#"{"access_token":"acc-1"}"#, Some("acc-1"), None, None),
        (
            r#"{"refresh_token":"ref-1","access_token":"acc-1","redirectUri":"x"}"#,
            Some("acc-1"),
            Some("ref-1"),
            None,
        ),
        (r#"{"tokens":{"refresh_token":"ref-1"}}"#, None, Some("ref-1"), None),
        (r#"{"tokens":{"longLivedToken":"acc-1"},"redirect":"x"}"#, Some("acc-1"), None, None),
        // As a text within the text.
        (r#""{\"access_token\":\"acc-1\"}""#, Some("acc-1"), None, None),
    ] {
        let kept = read(shape).unwrap_or_else(|| panic!("{shape}"));
        assert_eq!(text(&kept.tokens.access), access, "{shape}");
        assert_eq!(text(&kept.tokens.refresh), refresh, "{shape}");
        assert_eq!(kept.tokens.renew_at, renew_at, "{shape}");
        assert!(kept.outdated, "{shape}");
        let desk = desk(&[key("k", 1)]);
        let ours = state::write(&desk, "drive", "i1", &kept.tokens).unwrap().to_string();
        assert!(!ours.contains("acc-1") && !ours.contains("ref-1"), "{ours}");
        let again = state::read(&desk, "drive", "i1", &ours).unwrap();
        assert_eq!(text(&again.tokens.access), access);
        assert_eq!(text(&again.tokens.refresh), refresh);
        assert_eq!(again.tokens.renew_at, renew_at);
        assert!(!again.outdated);
        assert!(state::read(&desk, "sheets", "i1", &ours).is_none());
        assert!(state::read(&desk, "drive", "i2", &ours).is_none());
        // Once more sealed when a new key comes.
        let later = super::desk(&[key("n", 2), key("k", 1)]);
        assert!(state::read(&later, "drive", "i1", &ours).unwrap().outdated);
    }
}

#[test]
fn what_is_no_login_is_none() {
    let other_cid = CIPHERED.replace("fcd3", "0000");
    let broken = CIPHERED.replace("GpVi1", "HpVi1");
    for state in [
        "",
        "reset",
        "null",
        "\"reset\"",
        "\"\"",
        "{}",
        "[]",
        "7",
        "{",
        "true",
        r#"{"code":"c","redirect":"r"}"#,
        r#"{"tokens":null}"#,
        r#"{"tokens":{"access_token":""}}"#,
        r#"{"tokens":{"access_token":7}}"#,
        r#"{"access_token":null,"refresh_token":" "}"#,
        r#"{"sealed":"s1.k.AAAA"}"#,
        r#"{"sealed":"s9.k.AAAA"}"#,
        r#"{"sealed":""}"#,
        r#"{"sealed":7}"#,
        &other_cid,
        &broken,
    ] {
        assert!(read(state).is_none(), "{state}");
    }
}

#[test]
fn a_token_answer_is_read_as_vendors_write_it() {
    let answer = |text: &str| {
        let object = serde_json::from_str(text).unwrap();
        Tokens::of_answer(&object, &["account_id", "nothing", "size"])
    };
    let now = super::super::seal::seconds(std::time::SystemTime::now());
    let near = |at: Option<u64>, life: u64| at.unwrap().abs_diff(now + life) < 5;
    let tokens = answer(r#"{"access_token":"a","expires_in":3600,"account_id":"x","size":3}"#);
    assert!(near(tokens.renew_at, 3_300) && tokens.is_usable());
    assert_eq!(
        tokens.kept,
        [("account_id", "x"), ("size", "3")].map(|(a, b)| (a.into(), b.into())).into()
    );
    // As a text; so short that half of it counts; none at all.
    assert!(near(answer(r#"{"access_token":"a","expires_in":"14400"}"#).renew_at, 14_100));
    assert!(near(answer(r#"{"access_token":"a","expires_in":100}"#).renew_at, 50));
    assert_eq!(answer(r#"{"access_token":"a"}"#).renew_at, None);
    assert!(!answer(r#"{"access_token":"a","expires_in":0}"#).is_usable());
    // Looker asks at most every ten minutes, and only where the tokens can be renewed.
    let time = |text: &str| answer(text).refresh_time();
    assert_eq!(time(r#"{"access_token":"a","expires_in":3600}"#), None);
    assert_eq!(time(r#"{"access_token":"a","refresh_token":"r","expires_in":100}"#), Some(600));
    let hour = time(r#"{"access_token":"a","refresh_token":"r","expires_in":3600}"#).unwrap();
    assert!((3_290..=3_300).contains(&hour), "{hour}");
}

#[test]
fn the_largest_login_fits_and_a_larger_one_is_refused() {
    let desk = desk(&[key("k", 1)]);
    let tokens = |len: usize| Tokens { access: Some("a".repeat(len).into()), ..Tokens::default() };
    let object = state::write(&desk, "drive", "i1", &tokens(23_000)).unwrap();
    assert!(object.to_string().len() <= 32_000);
    assert!(state::write(&desk, "drive", "i1", &tokens(25_000)).is_err());
}

#[test]
fn a_delegated_state_is_an_array_or_one_bare_token() {
    let read = |state: &str| -> Vec<(String, String)> {
        let all = state::installs(state).into_iter();
        all.map(|one| (one.id, one.token.expose().to_owned())).collect()
    };
    let pair = |id: &str, token: &str| (id.to_owned(), token.to_owned());
    let list = json!([
        {"install_id": "T1", "token": "xoxb-1"}, {"install_id": "T2", "token": ""},
        {"install_id": 3, "token": "xoxb-3"}, {"token": "xoxb-4"}, "xoxb-5", null,
    ]);
    assert_eq!(read(&list.to_string()), [pair("T1", "xoxb-1"), pair("3", "xoxb-3")]);
    assert_eq!(read("xoxb-1-2"), [pair("any", "xoxb-1-2")]);
    assert_eq!(read("\"xoxb-1-2\""), [pair("any", "xoxb-1-2")]);
    for none in ["", "reset", "null", "\"reset\"", "[]", "{}", "[", "true", "two words"] {
        assert!(read(none).is_empty(), "{none}");
    }
}
