//! Which login goes where: what an admin entered must not reach a server that a user named.

use sendoff::prelude::*;
use sendoff::{Class, Values};

use super::server::Server;
use super::{Form, Settings};
#[cfg(feature = "fakes")]
use super::{Sftp, fake};

/// An ed25519 key that was made for this test, encrypted with "a passphrase".
const ENCRYPTED: &str = include_str!("test_key");

fn read<F: Fields>(values: &[(&str, &str)]) -> F {
    let values: Values = values.iter().copied().collect();
    let mut problems = Default::default();
    F::read(&values, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

async fn server(settings: &[(&str, &str)], form: &[(&str, &str)]) -> Result<Server> {
    read::<Settings>(settings).server(&read::<Form>(form)).await
}

const OWN: &[(&str, &str)] =
    &[("host", "files.example"), ("username", "looker"), ("password", "the admin's")];
const OPEN: &[(&str, &str)] = &[
    ("host", "files.example"),
    ("username", "looker"),
    ("password", "the admin's"),
    ("allow_form_credentials", "yes"),
];

#[tokio::test]
async fn what_is_sent_where() {
    let foreign = ("address", "sftp://mallory.example/");
    /// Params, answers, and the host, user and password that result, or words of the refusal.
    type Case<'a> = (
        &'a [(&'a str, &'a str)],
        &'a [(&'a str, &'a str)],
        Result<(&'a str, &'a str, &'a str), &'a str>,
    );
    let table: &[Case<'_>] = &[
        (OWN, &[], Ok(("files.example", "looker", "the admin's"))),
        (
            OWN,
            &[("address", "sftp://FILES.example/in/")],
            Ok(("FILES.example", "looker", "the admin's")),
        ),
        (
            OWN,
            &[("username", "looker"), ("password", "x")],
            Ok(("files.example", "looker", "the admin's")),
        ),
        (OWN, &[("username", "root")], Err("username")),
        (OWN, &[("address", "sftp://root@files.example/")], Err("username")),
        (OWN, &[("address", "sftp://files.example:23/")], Err("address")),
        (OWN, &[foreign, ("username", "u"), ("password", "p")], Err("address")),
        (OPEN, &[foreign, ("username", "u"), ("password", "p")], Ok(("mallory.example", "u", "p"))),
        (OPEN, &[foreign, ("username", "looker")], Err("password")),
        (OPEN, &[foreign, ("password", "p")], Err("username")),
        (OPEN, &[("username", "root")], Err("password")),
        (OPEN, &[("password", "mine")], Ok(("files.example", "looker", "mine"))),
        (&[], &[foreign, ("username", "u"), ("password", "p")], Ok(("mallory.example", "u", "p"))),
        (&[], &[("username", "u"), ("password", "p")], Err("address")),
        (&[("password", "the admin's")], &[foreign, ("username", "u")], Err("host")),
        (&[("host", "files.example:23")], &[], Err("host")),
        (&[("host", "sftp://files.example")], &[], Err("host")),
    ];
    for (settings, form, want) in table {
        let got = server(settings, form).await;
        let got = got.map(|server| {
            let password = server.password.map(|password| password.expose().to_owned());
            (server.host, server.username, password.unwrap_or_default())
        });
        let got = got.as_ref().map(|(host, name, password)| (&**host, &**name, &**password));
        let got = got.map_err(|error| error.field_name().unwrap_or_default());
        assert_eq!(got, *want, "{settings:?} {form:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for address in [
        "http://files.example/",
        "ftp://files.example",
        "sftp://",
        "sftp://user:secret@files.example/",
        "sftp://files.example/%ff",
        "sftp://files.example/a?b",
        "sftp://files.example:99999/",
    ] {
        let form = [("address", address), ("username", "u"), ("password", "p")];
        let Err(error) = server(&[], &form).await else { panic!("{address} was taken") };
        assert_eq!((error.class(), error.field_name()), (Class::Form, Some("address")));
    }
}

#[tokio::test]
async fn a_private_key_is_read_however_it_was_pasted() {
    let joined = ENCRYPTED.trim().replace('\n', " ");
    let escaped = ENCRYPTED.replace('\n', "\\n");
    for pem in [ENCRYPTED, &joined, &escaped] {
        let settings = [
            ("host", "files.example"),
            ("username", "looker"),
            ("private_key", pem),
            ("passphrase", "a passphrase"),
        ];
        let Ok(server) = server(&settings, &[]).await else { panic!("{pem} was not read") };
        assert!(server.key.is_some_and(|key| !key.is_encrypted()));
    }
}

#[tokio::test]
async fn a_private_key_that_cannot_be_read_says_why() {
    for (pem, passphrase, said) in [
        (ENCRYPTED, "", "fills in \"Passphrase\""),
        (ENCRYPTED, "another", "checks both"),
        ("ssh-ed25519 AAAA", "", "from -----BEGIN"),
    ] {
        let settings = [
            ("host", "files.example"),
            ("username", "looker"),
            ("private_key", pem),
            ("passphrase", passphrase),
        ];
        let Err(error) = server(&settings, &[]).await else { panic!("{pem} was read") };
        assert!(error.message().contains(said), "{error}");
        assert_eq!(error.class(), Class::Settings);
    }
}

/// A server without posix-rename: the old file steps aside, and nothing of it stays.
#[cfg(feature = "fakes")]
#[tokio::test]
async fn a_file_is_replaced_where_renames_do_not_replace() {
    use sendoff::testing::{By, Content, Fake, Looker, Shipment, Vendor};
    use sendoff::{ActionType, EgressConfig, Origins};

    let server = std::sync::Arc::new(fake::Server::plain());
    let vendor = Vendor::start(server.clone(), false).await.unwrap();
    let origins = vendor.origins();
    let looker = Looker::before(|secret, _| {
        let mut egress = EgressConfig::new("a secret".into());
        egress.origins = Origins::parse(origins)?;
        Hub::builder().action(Sftp).secrets([secret]).egress(egress).build()
    });
    let looker = looker.await.unwrap();
    for bytes in [1_000, 2_000] {
        let shipment = Shipment {
            action: "sftp".to_owned(),
            kind: ActionType::Query,
            settings: server.settings(),
            answers: server.answers(),
            content: Some(Content::new(Format::Csv, bytes)),
            by: By::Push,
            fault: None,
            webhook_id: String::new(),
        };
        let heard = looker.execute(&shipment).await.unwrap();
        assert!(heard.envelope.as_ref().is_some_and(|envelope| envelope.success), "{heard:?}");
        let sizes: Vec<u64> = server.objects().await.iter().map(|object| object.bytes).collect();
        assert_eq!((sizes, server.leftovers().await), (vec![bytes], vec![]));
    }
}
