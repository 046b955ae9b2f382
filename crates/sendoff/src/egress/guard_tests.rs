//! The guard judged by a canary: whatever address the hub dials, the canary's listener is what it
//! reaches. No input may touch it, the controls must.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::guard::is_public;
use super::tests::PATIENT;
use super::*;
use crate::Class;

/// Names and their addresses, as an attacker's name server would give them.
const NAMES: [(&str, &[&str]); 16] = [
    ("public.test", &["93.184.216.34"]),
    ("public6.test", &["2606:2800:220:1:248:1893:25c8:1946"]),
    ("localhost", &["127.0.0.1", "::1"]),
    ("loop.test", &["127.0.0.1"]),
    ("loop6.test", &["::1"]),
    ("private.test", &["10.0.0.1"]),
    ("many-private.test", &["10.0.0.1", "192.168.1.1", "172.16.0.1", "fd00::1"]),
    ("169.254.169.254.nip.io", &["169.254.169.254"]),
    ("mapped.test", &["::ffff:127.0.0.1"]),
    ("nat64.test", &["64:ff9b::7f00:1"]),
    ("azure.test", &["168.63.129.16"]),
    ("zero.test", &["0.0.0.0"]),
    ("linklocal.test", &["fe80::1"]),
    ("nothing.test", &[]),
    ("mixed.test", &["10.0.0.1", "93.184.216.34"]),
    ("xn--lp-fka.test", &["127.0.0.1"]),
];

/// What must not be dialled, in every notation of it that I know.
#[rustfmt::skip]
const REFUSED: &[&str] = &[
    // IPv4 literals: the registry's ranges at their edges.
    "https://0.0.0.0/", "https://0.1.2.3/", "https://10.0.0.0/", "https://10.255.255.255/",
    "https://100.64.0.0/", "https://100.127.255.255/", "https://127.0.0.1/",
    "https://127.255.255.254/", "https://169.254.0.1/", "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/", "https://172.16.0.1/", "https://172.31.255.255/",
    "https://192.0.0.1/", "https://192.0.0.192/", "https://192.0.2.1/", "https://192.88.99.1/",
    "https://192.168.0.1/", "https://192.168.255.255/", "https://198.18.0.1/",
    "https://198.19.255.255/", "https://198.51.100.1/", "https://203.0.113.1/",
    "https://224.0.0.1/", "https://239.255.255.255/", "https://240.0.0.1/",
    "https://255.255.255.255/", "https://168.63.129.16/machine",
    // Other notations of IPv4.
    "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.1/", "https://0x7f.0x0.0x0.0x1/", "https://017700000001/", "https://0177.0.0.1/",
    "https://127.0.0.1./", "https://0/", "https://0x0/", "https://00000177.1/",
    "https://%31%32%37.0.0.1/", "https://127%2e0%2e0%2e1/", "https://１２７.０.０.１/",
    "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://2852039166/", "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/", "https://169.254.43518/", "https://0x0a.0.0.1/",
    "https://256.0.0.1/", "https://127.0.0.1.1/", "https://4294967296/",
    // IPv6.
    "https://[::]/", "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[0000::0001]/",
    "https://[::127.0.0.1]/", "https://[::7f00:1]/", "https://[::a9fe:a9fe]/",
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:8.8.8.8]/", "https://[::ffff:0:127.0.0.1]/", "https://[::FFFF:0A00:0001]/",
    "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::8.8.8.8]/", "https://[64:ff9b:1::1]/",
    "https://[100::1]/", "https://[100:0:0:1::1]/", "https://[2001::1]/", "https://[2001:0:7f00:1::]/",
    "https://[2001:2::1]/", "https://[2001:10::1]/", "https://[2001:20::1]/", "https://[2001:db8::1]/",
    "https://[2002:7f00:1::1]/", "https://[2002:a9fe:a9fe::1]/", "https://[2002:808:808::1]/",
    "https://[3fff::1]/", "https://[3fff:fff:ffff::1]/", "https://[4000::1]/", "https://[5f00::1]/",
    "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://[fe80::1%25lo]/",
    "https://[fe80::1%lo]/", "https://[fec0::1]/", "https://[ff02::1]/", "https://[ffff::1]/",
    // Names.
    "https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://localhost:22/",
    "https://loop.test/", "https://LOOP.test:8443/", "https://loop6.test/", "https://private.test/",
    "https://many-private.test/", "https://169.254.169.254.nip.io/", "https://mapped.test/",
    "https://nat64.test/", "https://azure.test/", "https://zero.test/", "https://linklocal.test/",
    "https://nothing.test/", "https://unknown.test/", "https://löp.test/",
    // Parsers that disagree about where the host is.
    "https://public.test@127.0.0.1/", "https://public.test:pass@127.0.0.1/",
    "https://127.0.0.1@public.test/", "https://127.0.0.1:443@public.test/", "https://@127.0.0.1/",
    "https://public.test%40127.0.0.1/",
    "https://127.0.0.1\\@public.test/", "https:\\\\127.0.0.1/", "https:127.0.0.1/", "https:/127.0.0.1/",
    "https:///127.0.0.1/", "https://127.0.0.1?@public.test/", "https://127.0.0.1#public.test",
    "https://127.0.0.1%00.public.test/", "https://public.test\r\nHost: loop.test\r\n@127.0.0.1/",
    "https://127.0.0.1\t/", "\thttps://127.0.0.1/\n", "https://[::1]:443@public.test/",
    "https://127.0.0.1:99999/", "https://127.0.0.1:-1/", "https://[127.0.0.1]/", "https://[::1/",
    "https://", "https:///", "https://:443/", "", "//127.0.0.1/", "127.0.0.1", "127.0.0.1:80",
    // Unencrypted http, also to public addresses.
    "http://127.0.0.1/", "http://169.254.169.254/latest/", "http://[::1]/", "http://localhost/",
    "http://loop.test/", "http://public.test/", "http://8.8.8.8/", "http://[2606:4700::1111]/",
    "http://mixed.test/", "http://10.0.0.1/", "http://2130706433/",
    // Other schemes.
    "ftp://public.test/", "file:///etc/passwd", "file://127.0.0.1/", "gopher://127.0.0.1:6379/_INFO",
    "unix:///var/run/docker.sock", "data:text/plain,x", "javascript:alert(1)", "ws://127.0.0.1/",
    "wss://public.test/", "sftp://public.test/", "dict://127.0.0.1:11211/", "jar:https://public.test!/",
    "view-source:https://public.test/", "http+unix://%2Fvar%2Frun/", "HTTPS://127.0.0.1/",
];

/// What must be dialled, and at which address.
const REACHED: [(&str, &str); 15] = [
    ("https://public.test#@127.0.0.1/", "93.184.216.34:443"),
    ("https://8.8.8.8/", "8.8.8.8:443"),
    ("https://1.1.1.1:8443/path?q=1", "1.1.1.1:8443"),
    ("https://134744072/", "8.8.8.8:443"),
    ("https://[2606:4700:4700::1111]/", "[2606:4700:4700::1111]:443"),
    ("https://[2a00:1450:4001:82b::200e]:22/", "[2a00:1450:4001:82b::200e]:22"),
    ("https://public.test/", "93.184.216.34:443"),
    ("HTTPS://PUBLIC.test:9999/", "93.184.216.34:9999"),
    ("https://public6.test/", "[2606:2800:220:1:248:1893:25c8:1946]:443"),
    ("https://mixed.test/", "93.184.216.34:443"),
    ("https://public.test/a/../@127.0.0.1", "93.184.216.34:443"),
    ("https://172.32.0.1/", "172.32.0.1:443"),
    ("https://100.128.0.1/", "100.128.0.1:443"),
    ("https://10.9.1.2/", "10.9.1.2:443"),
    ("http://10.9.1.2:8080/", "10.9.1.2:8080"),
];

/// A network whose every road leads to one listener.
struct Canary {
    listener: SocketAddr,
    names: HashMap<&'static str, &'static [&'static str]>,
    dialled: Mutex<Vec<SocketAddr>>,
    lookups: AtomicUsize,
}

type Later<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl Network for Canary {
    fn resolve(&self, host: &str, _port: u16) -> Later<Vec<IpAddr>> {
        let nth = self.lookups.fetch_add(1, Ordering::SeqCst);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let found = if host == "rebind.test" {
            // Public for the check, private for the use.
            Ok(vec![if nth == 0 { "93.184.216.34" } else { "127.0.0.1" }])
        } else {
            self.names
                .get(host.as_str())
                .map(|found| found.to_vec())
                .ok_or_else(|| io::Error::other("Name or service not known"))
        };
        let found = found.map(|texts| {
            texts.iter().map(|text| text.parse().expect("an address in the table")).collect()
        });
        Box::pin(async move { found })
    }

    fn connect(&self, address: SocketAddr) -> Later<TcpStream> {
        self.dialled.lock().expect("no panic").push(address);
        Box::pin(TcpStream::connect(self.listener))
    }
}

struct Lab {
    listener: TcpListener,
    canary: Arc<Canary>,
    http: Http,
}

impl Lab {
    async fn new(config: impl FnOnce(&mut EgressConfig)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let canary = Arc::new(Canary {
            listener: listener.local_addr().expect("its address"),
            names: NAMES.into_iter().collect(),
            dialled: Mutex::default(),
            lookups: AtomicUsize::new(0),
        });
        let mut settings = EgressConfig::new("a secret".into());
        settings.allow_addresses = vec!["10.9.0.0/16".parse().expect("a network")];
        settings.retry.tries = 1;
        config(&mut settings);
        let egress = Egress::on(settings, canary.clone()).expect("an egress");
        Self { listener, canary, http: egress.http(Scope::new("Vendor")) }
    }

    /// Whether `work` made somebody connect to the listener.
    async fn contacted<T>(&self, work: impl Future<Output = T>) -> (bool, Option<T>) {
        tokio::select! {
            biased;
            accepted = self.listener.accept() => {
                accepted.expect("a connection");
                (true, None)
            }
            done = work => (self.somebody_waits().await, Some(done)),
        }
    }

    /// Connects itself: connections are accepted in their order, so whoever comes before was there.
    async fn somebody_waits(&self) -> bool {
        let probe = TcpStream::connect(self.canary.listener).await.expect("a probe");
        let (_, first) = self.listener.accept().await.expect("a connection");
        first != probe.local_addr().expect("its address")
    }

    fn dialled(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.canary.dialled.lock().expect("no panic"))
    }
}

#[tokio::test]
async fn no_input_reaches_the_canary() {
    assert!(REFUSED.len() >= 120, "{}", REFUSED.len());
    let lab = Lab::new(|_| ()).await;
    for url in REFUSED {
        let (contacted, done) = lab.contacted(lab.http.get(url).send()).await;
        assert!(!contacted, "{url:?} reached {:?}", lab.dialled());
        let error = done.expect("the call ended").expect_err(url);
        let parsed_ip = url::Url::parse(url).ok().and_then(|u| u.host_str().map(str::to_owned));
        // The message names what the caller wrote, never what a name resolved to.
        for address in NAMES.iter().flat_map(|(_, found)| found.iter()) {
            let written = parsed_ip.as_deref().is_some_and(|host| host.contains(address));
            assert!(written || !error.message().contains(address), "{url:?}: {error}");
        }
    }
}

#[tokio::test]
async fn the_same_inputs_as_downloads_do_not_either() {
    let lab = Lab::new(|_| ()).await;
    let stop = Stop::new();
    for url in REFUSED {
        let download = lab.http.delivery.egress.download(url, PATIENT, &stop);
        let (contacted, done) = lab.contacted(download).await;
        assert!(!contacted, "{url:?} reached {:?}", lab.dialled());
        let error = done.expect("the call ended").expect_err(url);
        assert_eq!(error.class(), Class::Looker, "{url:?}");
        assert!(error.message().contains("Looker's download"), "{url:?}: {error}");
    }
}

#[tokio::test]
async fn hosts_of_other_protocols_do_not_either() {
    let lab = Lab::new(|_| ()).await;
    for host in [
        "127.0.0.1",
        "::1",
        "[::1]",
        "localhost",
        "loop.test",
        "mapped.test",
        "10.0.0.1",
        "169.254.169.254",
        "::ffff:127.0.0.1",
        "azure.test",
        "fe80::1",
        "0.0.0.0",
        "",
        "unknown.test",
    ] {
        let (contacted, done) = lab.contacted(lab.http.connect("sftp", host, 22)).await;
        assert!(!contacted, "{host:?} reached {:?}", lab.dialled());
        assert!(done.is_some_and(|result| result.is_err()), "{host:?}");
    }
    let (contacted, _) = lab.contacted(lab.http.connect("sftp", "public.test", 22)).await;
    assert!(contacted);
    assert_eq!(lab.dialled(), ["93.184.216.34:22".parse().expect("an address")]);
}

#[tokio::test]
async fn the_controls_are_reached_where_they_are() {
    for (url, at) in REACHED {
        let lab = Lab::new(|_| ()).await;
        let (contacted, _) = lab.contacted(lab.http.get(url).send()).await;
        assert!(contacted, "{url:?}");
        assert_eq!(lab.dialled(), [at.parse().expect("an address in the table")], "{url:?}");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_each_connection_and_that_answer_is_used() {
    let lab = Lab::new(|_| ()).await;
    let (contacted, _) = lab.contacted(lab.http.get("https://rebind.test/").send()).await;
    assert!(contacted);
    assert_eq!(lab.canary.lookups.load(Ordering::SeqCst), 1);
    assert_eq!(lab.dialled(), ["93.184.216.34:443".parse().expect("an address")]);
    // From now on the name is private: the next connection asks again, and is refused.
    let (contacted, done) = lab.contacted(lab.http.get("https://rebind.test/").send()).await;
    assert!(!contacted);
    let error = done.expect("the call ended").expect_err("refused");
    assert_eq!(error.class(), Class::Settings);
    assert!(error.message().contains("SENDOFF_ALLOW_ADDRESSES"), "{error}");
    assert!(!error.message().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn no_redirect_is_followed() {
    for location in [
        "https://127.0.0.1/",
        "http://127.0.0.1/",
        "//127.0.0.1/",
        "http://[::1]/",
        "/elsewhere",
        "https://loop.test/",
        "https://public.test/",
        "http://169.254.169.254/",
        "file:///etc/passwd",
    ] {
        for status in [301, 302, 303, 307, 308] {
            // The origin map leads to a server of its own; the canary stands for all else.
            let server = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
            let port = server.local_addr().expect("its address").port();
            let served = tokio::spawn(async move {
                let (mut socket, _) = server.accept().await.expect("a connection");
                let mut head = [0; 4096];
                assert!(socket.read(&mut head).await.expect("a request") > 0);
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                );
                socket.write_all(answer.as_bytes()).await.expect("an answer");
            });
            let direct = DirectTo(port);
            let mut config = EgressConfig::new("a secret".into());
            config.origins =
                Origins::parse([format!("https://vendor.test=http://127.0.0.1:{port}")])
                    .expect("map");
            let egress = Egress::on(config, Arc::new(direct)).expect("an egress");
            let http = egress.http(Scope::new("Vendor"));
            let reply = http.get("https://vendor.test/").send().await.expect("an answer");
            assert_eq!(reply.status().as_u16(), status);
            let error = reply.success().await.expect_err("a redirect is no success");
            assert!(error.message().contains("redirect"), "{error}");
            served.await.expect("one connection");
        }
    }
}

/// Allows the one server, and panics for any other road.
struct DirectTo(u16);

impl Network for DirectTo {
    fn resolve(&self, host: &str, _port: u16) -> Later<Vec<IpAddr>> {
        panic!("{host} was looked up")
    }

    fn connect(&self, address: SocketAddr) -> Later<TcpStream> {
        assert_eq!(address.to_string(), format!("127.0.0.1:{}", self.0));
        Box::pin(TcpStream::connect(address))
    }
}

#[test]
fn mapped_forms_have_to_be_listed_themselves() {
    let guard = Guard::new(vec!["127.0.0.0/8".parse().expect("a network")]);
    let permits = |text: &str| guard.permits(text.parse().expect("ip"), Reach::PublicOrAllowed);
    assert!(permits("127.0.0.1") && permits("127.8.8.8"));
    assert!(!permits("::ffff:127.0.0.1") && !permits("::1") && !permits("10.0.0.1"));
    let guard = Guard::new(vec!["::ffff:127.0.0.0/104".parse().expect("a network")]);
    assert!(guard.permits("::ffff:127.0.0.1".parse().expect("ip"), Reach::PublicOrAllowed));
    assert!(!guard.permits("127.0.0.1".parse().expect("ip"), Reach::PublicOrAllowed));
}

#[test]
fn the_edges_of_the_special_ranges_are_where_the_registry_has_them() {
    for (inside, outside) in [
        ("0.255.255.255", "1.0.0.0"),
        ("10.255.255.255", "11.0.0.0"),
        ("100.64.0.0", "100.63.255.255"),
        ("126.255.255.255", "126.255.255.255"),
        ("169.254.255.255", "169.255.0.0"),
        ("172.16.0.0", "172.15.255.255"),
        ("192.0.0.255", "192.0.1.0"),
        ("192.168.0.0", "192.167.255.255"),
        ("198.19.255.255", "198.20.0.0"),
        ("224.0.0.0", "223.255.255.255"),
        ("168.63.129.16", "168.63.129.17"),
        ("2001:1ff::1", "2001:200::1"),
        ("2001:db8:ffff::1", "2001:db9::1"),
        ("2002::", "2003::1"),
        ("3fff:fff::1", "3fff:1000::1"),
        ("1fff::1", "2000::1"),
        ("4000::", "3ffe::1"),
    ] {
        if inside != outside {
            assert!(!is_public(inside.parse().expect("ip")), "{inside}");
        }
        assert!(is_public(outside.parse().expect("ip")), "{outside}");
    }
}
