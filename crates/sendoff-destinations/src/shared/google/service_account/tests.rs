//! Tests of keys as people paste them and of what is asserted with them.

use super::*;
use crate::shared::google::fake::{EMAIL, KEY};

fn account(key: &str) -> Result<ServiceAccount> {
    let file = KeyFile::parts(EMAIL, &key.into(), "private_key")?;
    let wanted = Wanted { scope: "a b", subject: Some(" user@example.com "), impersonate: None };
    ServiceAccount::new(&file, &wanted, &Arc::default())
}

#[test]
fn a_key_is_read_however_it_was_pasted() {
    let json = json!({"client_email": EMAIL, "private_key": KEY, "project_id": "p"}).to_string();
    for pasted in [
        KEY.to_owned(),
        KEY.replace('\n', "\\n"),
        KEY.replace('\n', " "),
        KEY.replace('\n', "\r\n"),
        format!("\"{}\"", KEY.replace('\n', "\\n")),
        json,
    ] {
        assert!(account(&pasted).is_ok(), "{pasted}");
    }
    let file = KeyFile::parts(
        "",
        &json!({"client_email": EMAIL, "private_key": KEY}).to_string().into(),
        "private_key",
    )
    .expect("a key file");
    assert_eq!((file.email.as_str(), file.project), (EMAIL, None));
}

#[test]
fn what_is_no_key_is_refused_at_its_field_and_not_quoted() {
    let cut = &KEY[..KEY.len() / 2];
    let damaged = KEY.replacen("MII", "M!I", 1);
    let other = KEY.replacen("MII", "MIJ", 1);
    for (key, why) in [
        ("hunter2hunter2", "does not begin"),
        (cut, "cut off"),
        (damaged.as_str(), "damaged"),
        (other.as_str(), "no RSA key"),
        ("{\"private_key\":\"hunter2hunter2\"}", "no key file"),
    ] {
        let error = account(key).err().expect(why);
        assert_eq!((error.class(), error.field_name()), (Class::Settings, Some("private_key")));
        assert!(error.message().contains(why) && !error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn the_assertion_says_who_asks_for_what_in_whose_name_and_for_an_hour() {
    let account = account(KEY).expect("a key");
    let now = Timestamp::from_second(1_764_072_000).expect("a time");
    let Proof::Key(key) = &account.proof else { panic!("no key") };
    let assertion = account.assertion(key, now).expect("signed");
    let claims = assertion.split('.').nth(1).expect("three parts");
    let claims = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(
        claims,
        json!({"iss": EMAIL, "scope": "a b", "aud": "https://oauth2.googleapis.com/token",
            "iat": 1_764_072_000, "exp": 1_764_075_600, "sub": "user@example.com"})
    );
}

#[test]
fn another_scope_or_user_is_another_token() {
    let file = KeyFile::parts(EMAIL, &KEY.into(), "private_key").expect("a key");
    let tokens = Arc::default();
    let id = |scope, subject| {
        let wanted = Wanted { scope, subject, impersonate: None };
        ServiceAccount::new(&file, &wanted, &tokens).expect("an account").id
    };
    assert_eq!(id("a", None), id("a", Some("")));
    assert_ne!(id("a", None), id("b", None));
    assert_ne!(id("a", None), id("a", Some("user@example.com")));
}
