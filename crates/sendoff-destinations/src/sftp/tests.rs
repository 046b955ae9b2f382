//! Which login goes where: what an admin entered must not reach a server that a user named.

use sendoff::prelude::*;
use sendoff::{Class, Values};

use super::server::Server;
use super::{Form, Settings};

/// An ed25519 key that was made for this test, encrypted with "a passphrase".
const ENCRYPTED: &str = include_str!("test_key");

fn read<F: Fields>(values: &[(&str, &str)]) -> F {
    let values: Values = values.iter().copied().collect();
    let mut problems = Default::default();
    F::read(&values, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

async fn server(settings: &[(&str, &str)], form: &[(&str, &str)]) -> Result<Server> {
    read::<Settings>(settings).server(&read::<Form>(form), false).await
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

#[cfg(feature = "fakes")]
mod deliveries {
    use std::sync::Arc;

    use russh::keys::ssh_key::Algorithm;
    use russh::keys::{HashAlg, decode_secret_key};
    use russh::{MethodKind, MethodSet, cipher, kex, mac};
    use sendoff::testing::{By, Content, Fake, Heard, Looker, Shipment, Vendor};
    use sendoff::{ActionType, EgressConfig, Format, Hub, Origins, Values};

    use super::super::Sftp;
    use super::super::fake::{Cut, Server};

    struct Stage {
        server: Arc<Server>,
        looker: Looker,
        _vendor: Vendor,
    }

    impl Stage {
        async fn set(server: Server, legacy: bool) -> Self {
            let server = Arc::new(server);
            let vendor = Vendor::start(server.clone(), false).await.unwrap();
            let origins = vendor.origins();
            let looker = Looker::before(|secret, _| {
                let mut egress = EgressConfig::new("a secret".into());
                egress.origins = Origins::parse(origins)?;
                let action = Sftp::new(legacy);
                Hub::builder().action(action).secrets([secret]).egress(egress).build()
            });
            Self { looker: looker.await.unwrap(), server, _vendor: vendor }
        }

        async fn send(&self, bytes: u64) -> Heard {
            self.send_as(self.server.settings(), bytes).await
        }

        async fn send_as(&self, settings: Values, bytes: u64) -> Heard {
            let shipment = Shipment {
                action: "sftp".to_owned(),
                kind: ActionType::Query,
                settings,
                answers: self.server.answers(),
                content: Some(Content::new(Format::Csv, bytes)),
                by: By::Push,
                fault: None,
                webhook_id: String::new(),
            };
            self.looker.execute(&shipment).await.unwrap()
        }

        /// The sizes of what stands under its name, and what else is there.
        async fn files(&self) -> (Vec<u64>, Vec<String>) {
            let sizes = self.server.objects().await.iter().map(|object| object.bytes).collect();
            (sizes, self.server.leftovers().await)
        }
    }

    fn delivered(heard: &Heard) -> bool {
        heard.envelope.as_ref().expect("an answer").success
    }

    /// A server without posix-rename: the old file steps aside, and nothing of it stays.
    #[tokio::test]
    async fn a_file_is_replaced_where_renames_do_not_replace() {
        let stage = Stage::set(Server::plain(None), false).await;
        for bytes in [1_000, 2_000] {
            let heard = stage.send(bytes).await;
            assert!(delivered(&heard), "{heard:?}");
            assert_eq!(stage.files().await, (vec![bytes], vec![]));
        }
    }

    /// The first delivery renames once, the second tries, moves the old file away and renames.
    const MOVED_AWAY: u32 = 3;
    const NAMED: u32 = 4;

    #[tokio::test]
    async fn an_old_file_has_its_name_again_when_the_connection_is_lost_meanwhile() {
        for (rename, done) in [(MOVED_AWAY, false), (MOVED_AWAY, true), (NAMED, false)] {
            let cut = Cut { rename, done, for_good: false };
            let stage = Stage::set(Server::plain(Some(cut)), false).await;
            assert!(delivered(&stage.send(1_000).await));
            let heard = stage.send(2_000).await;
            assert!(!delivered(&heard), "{cut:?}: {heard:?}");
            assert!(heard.message().contains("Nothing was delivered"), "{cut:?}: {heard:?}");
            assert_eq!(stage.files().await, (vec![1_000], vec![]), "{cut:?}");
        }
    }

    #[tokio::test]
    async fn a_new_file_that_got_its_name_is_delivered_although_nobody_said_so() {
        let cut = Cut { rename: NAMED, done: true, for_good: false };
        let stage = Stage::set(Server::plain(Some(cut)), false).await;
        assert!(delivered(&stage.send(1_000).await));
        let heard = stage.send(2_000).await;
        assert!(delivered(&heard), "{heard:?}");
        assert_eq!(stage.files().await, (vec![2_000], vec![]));
    }

    #[tokio::test]
    async fn an_old_file_that_cannot_be_given_its_name_is_named() {
        for (rename, done) in [(MOVED_AWAY, true), (NAMED, false)] {
            let cut = Cut { rename, done, for_good: true };
            let stage = Stage::set(Server::plain(Some(cut)), false).await;
            assert!(delivered(&stage.send(1_000).await));
            let heard = stage.send(2_000).await;
            assert!(!delivered(&heard), "{heard:?}");
            let left = stage.server.leftovers().await;
            let old = left.iter().find(|name| name.ends_with(".old")).expect("the old file");
            let old = old.rsplit('/').next().unwrap();
            assert!(heard.message().contains(old), "{old}: {heard:?}");
        }
    }

    #[tokio::test]
    async fn questions_at_the_keyboard_are_answered_with_the_password() {
        let asking = |config: &mut russh::server::Config| {
            config.methods = MethodSet::from(&[MethodKind::KeyboardInteractive][..]);
        };
        let stage = Stage::set(Server::of(asking), false).await;
        let heard = stage.send(1_000).await;
        assert!(delivered(&heard), "{heard:?}");
        let mut settings = stage.server.settings();
        settings.0.insert("password".into(), "not-the-right-password".into());
        let heard = stage.send_as(settings, 1_000).await;
        let said = "refused the login of looker with the password; it takes: keyboard-interactive";
        assert!(heard.message().contains(said), "{heard:?}");
    }

    /// An RSA key that is no secret.
    const RSA: &str = include_str!("../shared/google/test_key.pem");

    #[tokio::test]
    async fn old_algorithms_are_spoken_where_the_operator_says_so() {
        let key = decode_secret_key(RSA, None).unwrap();
        let print = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        for legacy in [false, true] {
            let key = key.clone();
            let old = |config: &mut russh::server::Config| {
                config.keys = vec![key];
                let preferred = &mut config.preferred;
                preferred.key = vec![Algorithm::Rsa { hash: None }].into();
                preferred.kex = vec![kex::DH_G14_SHA1].into();
                preferred.cipher = vec![cipher::AES_128_CBC].into();
                preferred.mac = vec![mac::HMAC_SHA1].into();
            };
            let stage = Stage::set(Server::of(old), legacy).await;
            let mut settings = stage.server.settings();
            settings.0.insert("host_key".into(), print.clone());
            let heard = stage.send_as(settings, 100_000).await;
            assert_eq!(delivered(&heard), legacy, "{heard:?}");
            if !legacy {
                let said = "only algorithms that are too old to be safe";
                assert!(heard.message().contains(said), "{heard:?}");
            }
        }
    }
}
