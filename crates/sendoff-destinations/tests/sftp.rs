//! What only SFTP has: host keys, logins, and what is done with a file that is there already;
//! against the stand-in, and against OpenSSH where the environment says that it listens.

#![cfg(feature = "sftp")]

#[path = "behaviour/real/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the behaviour suite uses the rest")]
mod server;
#[path = "behaviour/real/sshd.rs"]
#[allow(dead_code, unreachable_pub, reason = "the behaviour suite uses the rest")]
mod sshd;

use std::sync::Arc;

use sendoff::testing::{By, Content, Damage, Fake, Flow, Heard, Injury, Looker, Shipment, Vendor};
use sendoff::{ActionType, AnyAction, EgressConfig, Format, Hub, Origins, Values};

struct Bench {
    real: bool,
    vendor: Vendor,
    looker: Looker,
}

fn ours() -> (Box<dyn AnyAction>, Arc<dyn Fake>) {
    let mut all = sendoff_destinations::fakes().into_iter().map(|make| make());
    all.find(|(action, _)| action.spec().name == "sftp").expect("sftp has a stand-in")
}

/// The stand-in, and OpenSSH if it is there.
async fn benches() -> Vec<Bench> {
    let mut benches = vec![bench(ours().1, false).await];
    if let Some(real) = sshd::sshd() {
        benches.push(bench(real, true).await);
    }
    benches
}

async fn bench(fake: Arc<dyn Fake>, real: bool) -> Bench {
    let vendor = Vendor::start(fake, false).await.expect("a port");
    let mut origins = vendor.origins();
    let looker = Looker::before(|secret, downloads| {
        origins.extend(downloads);
        let mut egress = EgressConfig::new("a secret".into());
        egress.origins = Origins::parse(origins)?;
        Hub::builder().actions([ours().0]).secrets([secret]).egress(egress).build()
    });
    Bench { real, looker: looker.await.expect("a hub"), vendor }
}

impl Bench {
    /// The same kind of server, without files.
    async fn fresh(&self) -> Self {
        let fake = if self.real { sshd::sshd().expect("it was there") } else { ours().1 };
        bench(fake, self.real).await
    }

    fn settings(&self, change: &[(&str, &str)]) -> Values {
        changed(self.vendor.fake().settings(), change)
    }

    fn answers(&self, change: &[(&str, &str)]) -> Values {
        changed(self.vendor.fake().answers(), change)
    }

    async fn ship(&self, settings: Values, answers: Values, bytes: u64) -> Heard {
        let shipment = Shipment {
            action: "sftp".to_owned(),
            kind: ActionType::Query,
            settings,
            answers,
            content: Some(Content::new(Format::Csv, bytes)),
            by: By::Push,
            fault: None,
            webhook_id: "0123456789abcdef0123456789abcdef".to_owned(),
        };
        self.looker.execute(&shipment).await.expect("an answer")
    }

    /// The names without folders, and the sizes.
    async fn objects(&self) -> Vec<(String, u64)> {
        assert_eq!(self.vendor.fake().leftovers().await, Vec::<String>::new());
        let objects = self.vendor.fake().objects().await.into_iter();
        let bare = |name: String| name.rsplit('/').next().unwrap_or_default().to_owned();
        objects.map(|object| (bare(object.name), object.bytes)).collect()
    }

    /// Delivers what must fail, and gives the sentence.
    async fn refused(&self, settings: Values, answers: Values) -> String {
        let heard = self.ship(settings, answers, 1_000).await;
        assert!(heard.envelope.as_ref().is_some_and(|envelope| !envelope.success), "{heard:?}");
        assert_eq!(self.objects().await, []);
        heard.message().to_owned()
    }
}

/// `values` with others in their place; an empty text takes a value away.
fn changed(mut values: Values, change: &[(&str, &str)]) -> Values {
    for (name, value) in change {
        values.0.insert((*name).into(), (*value).into());
    }
    values
}

fn delivered(heard: &Heard) -> &str {
    assert!(heard.envelope.as_ref().is_some_and(|envelope| envelope.success), "{heard:?}");
    heard.message()
}

const OTHER_KEY: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn a_host_key_that_is_not_pinned_is_named_and_refused() {
    for bench in benches().await {
        let said = bench.refused(bench.settings(&[("host_key", OTHER_KEY)]), bench.answers(&[]));
        let said = said.await;
        assert!(said.contains("none of those in the setting \"Host Key\""), "{said}");
        let said = bench.refused(bench.settings(&[("host_key", "")]), bench.answers(&[])).await;
        assert!(said.contains("the setting \"Host Key\" of the SFTP action is empty"), "{said}");
        // What the error names is what must be pinned.
        let seen = said.split_whitespace().find(|word| word.starts_with("SHA256:"));
        let seen = seen.expect("a fingerprint").trim_end_matches('.');
        let heard = bench.ship(bench.settings(&[("host_key", seen)]), bench.answers(&[]), 1_000);
        delivered(&heard.await);
    }
}

#[tokio::test]
async fn an_unchecked_host_key_is_told() {
    for bench in benches().await {
        let settings = bench.settings(&[("host_key", "accept-any-host-key")]);
        let heard = bench.ship(settings, bench.answers(&[]), 1_000).await;
        assert!(delivered(&heard).contains("was not checked"), "{heard:?}");
    }
}

#[tokio::test]
async fn a_refused_login_names_who_and_with_what() {
    for bench in benches().await {
        let wrong = "not-the-right-password";
        let settings = bench.settings(&[("password", wrong)]);
        let said = bench.refused(settings.clone(), bench.answers(&[])).await;
        assert!(said.contains("refused the login of") && said.contains("password"), "{said}");
        assert!(!said.contains(wrong), "{said}");
        let (status, form) = bench.looker.form("sftp", &settings, None).await.expect("a form");
        let error = form["error"].as_str().unwrap_or_default();
        assert!(status == 200 && error.contains("refused the login of"), "{form}");
        let (_, form) =
            bench.looker.form("sftp", &bench.settings(&[]), None).await.expect("a form");
        assert_eq!(
            form[0]["name"].as_str().or(form["fields"][0]["name"].as_str()),
            Some("address")
        );
    }
}

#[tokio::test]
async fn schedules_of_the_old_kind_go_on_once_the_host_key_is_known() {
    for bench in benches().await {
        let own = bench.vendor.fake().settings();
        let get = |name: &str| own.get(name).unwrap_or_default().to_owned();
        let folder = bench.answers(&[]).get("path").unwrap_or_default().to_owned();
        let answers = changed(
            Values::default(),
            &[
                ("address", &format!("sftp://{}/~/{folder}/old%20way/", get("host"))),
                ("username", &get("username")),
                ("password", &get("password")),
                ("filename", "orders.csv"),
            ],
        );
        let said = bench.refused(Values::default(), answers.clone()).await;
        assert!(said.contains("SHA256:") && said.contains("Looker admin"), "{said}");
        let pinned = changed(Values::default(), &[("host_key", &get("host_key"))]);
        let heard = bench.ship(pinned, answers, 1_000).await;
        assert!(delivered(&heard).contains("/old way/orders.csv"), "{heard:?}");
    }
}

#[tokio::test]
async fn what_is_there_is_replaced_kept_or_respected() {
    for bench in benches().await {
        let ship = async |if_exists: &str, bytes| {
            bench.ship(bench.settings(&[]), bench.answers(&[("if_exists", if_exists)]), bytes).await
        };
        delivered(&ship("fail", 1_000).await);
        let heard = ship("fail", 2_000).await;
        assert!(heard.message().contains("is there already"), "{heard:?}");
        let error = heard.envelope.as_ref().and_then(|envelope| envelope.error.as_ref());
        assert_eq!(error.map(|error| error.status_code.as_str()), Some("ALREADY_EXISTS"));
        assert_eq!(bench.objects().await, [("orders.csv".to_owned(), 1_000)]);
        delivered(&ship("overwrite", 3_000).await);
        assert_eq!(bench.objects().await, [("orders.csv".to_owned(), 3_000)]);
        for bytes in [4_000, 5_000] {
            delivered(&ship("keep_both", bytes).await);
        }
        let sizes = bench.objects().await;
        let numbered = ["orders (2).csv", "orders (3).csv", "orders.csv"].map(str::to_owned);
        assert!(sizes.into_iter().eq(numbered.into_iter().zip([4_000, 5_000, 3_000])));
    }
}

#[tokio::test]
async fn a_path_stays_below_the_base_path() {
    for bench in benches().await {
        for (name, value) in [("path", "../x"), ("filename", "../../x.csv"), ("path", "a/../../x")]
        {
            let said = bench.refused(bench.settings(&[]), bench.answers(&[(name, value)])).await;
            assert!(said.contains("\"..\" is not allowed"), "{said}");
        }
        let base = bench.answers(&[]).get("path").unwrap_or_default().to_owned();
        let settings = bench.settings(&[("base_path", &base)]);
        let heard = bench.ship(settings, bench.answers(&[("path", "/etc")]), 1_000).await;
        assert!(delivered(&heard).contains(&format!("{base}/etc/orders.csv")), "{heard:?}");
    }
}

#[tokio::test]
async fn the_servers_own_words_are_kept() {
    for bench in benches().await {
        // A file stands where a folder is needed.
        delivered(&bench.ship(bench.settings(&[]), bench.answers(&[]), 1_000).await);
        let path = format!("{}/orders.csv", bench.answers(&[]).get("path").unwrap_or_default());
        let heard = bench.ship(bench.settings(&[]), bench.answers(&[("path", &path)]), 1_000).await;
        assert!(heard.message().contains("orders.csv"), "{heard:?}");
        assert_eq!(bench.objects().await, [("orders.csv".to_owned(), 1_000)]);
    }
    if let Some(real) = sshd::sshd() {
        let bench = bench(real, true).await;
        let answers = bench.answers(&[("path", "/etc")]);
        let said = bench.refused(bench.settings(&[]), answers).await;
        assert!(said.contains("Permission denied"), "{said}");
    }
}

#[tokio::test]
async fn a_private_key_logs_in() {
    let Some(real) = sshd::Sshd::from_env() else { return };
    let pem = real.key("client_key");
    let joined = pem.trim().replace('\n', " ");
    let bench = bench(Arc::new(real), true).await;
    for pem in [pem, joined] {
        let settings = bench.settings(&[("password", ""), ("private_key", &pem)]);
        delivered(&bench.ship(settings, bench.answers(&[]), 1_000).await);
    }
}

/// The rename is done, its answer is lost: a second look turns that into the truth.
#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    for if_exists in ["overwrite", "fail", "keep_both"] {
        for mut bench in benches().await {
            let answers = bench.answers(&[("if_exists", if_exists)]);
            delivered(&bench.ship(bench.settings(&[]), answers.clone(), 1_000).await);
            let all = bench.vendor.proxy().passed(Flow::Down);
            let mut looked_up = 0;
            for before in (0..=240).step_by(20) {
                bench = bench.fresh().await;
                let after = all.saturating_sub(before);
                let injury =
                    Injury { flow: Flow::Down, after, damage: Damage::Close, lasting: false };
                bench.vendor.proxy().injure(injury);
                let heard = bench.ship(
                    bench.settings(&[]),
                    bench.answers(&[("if_exists", if_exists)]),
                    1_000,
                );
                let heard = heard.await;
                let success = heard.envelope.as_ref().is_some_and(|envelope| envelope.success);
                let stands = bench.objects().await.len();
                assert_eq!(
                    stands,
                    usize::from(success),
                    "{before} bytes before the end: {heard:?}"
                );
                // A second connection was made: the answer was not simply there in time.
                looked_up += u32::from(success && bench.vendor.proxy().passed(Flow::Down) > all);
            }
            assert!(looked_up > 0, "no cut met the rename's answer");
        }
    }
}
