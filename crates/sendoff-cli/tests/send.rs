//! `sendoff send`, `sendoff record` and `sendoff check --recorded` as child processes.

#![allow(clippy::disallowed_methods, reason = "small files, in a test")]

#[path = "serve/hub.rs"]
#[allow(dead_code, reason = "shared with the tests of serve")]
mod hub;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

struct Lab {
    hub: hub::Hub,
    folder: tempfile::TempDir,
}

impl Lab {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap().to_owned();
        let near = ("SENDOFF_ALLOW_ADDRESSES", "127.0.0.0/8");
        Self { hub: hub::Hub::start(&[("SENDOFF_FILE_ROOT", &root), near]), folder }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.hub.address)
    }

    fn send(&self, more: &[&str]) -> Output {
        send_to(&self.url(), &self.hub.token, more)
    }

    fn delivered(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

fn send_to(url: &str, token: &str, more: &[&str]) -> Output {
    hub::sendoff()
        .args(["send", "--to", url])
        .args(more)
        .env("SENDOFF_TOKEN", token)
        .output()
        .unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_delivery_is_made_and_told_in_words_and_json() {
    let lab = Lab::start();
    let sent =
        lab.send(&["file", "--look", "penguins", "--format", "csv", "--field", "filename=p.csv"]);
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    assert_eq!(lab.delivered("p.csv").lines().count(), 345);
    assert!(said(&sent).contains("User sees  Nothing: it was sent."), "{}", said(&sent));
    assert!(sent.stderr.is_empty(), "no progress without a terminal");

    let csv = lab.folder.path().join("mine.csv");
    std::fs::write(&csv, "email,n\na@example.com,1\n").unwrap();
    let csv = csv.to_str().unwrap();
    // As it is, by its ending; and made into JSON.
    let sent = lab.send(&["file", "--data", csv, "--field", "filename=as-it-is.csv", "--json"]);
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let json: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(json["exit_code"], 0);
    assert_eq!(json["outcome"]["success"], true);
    assert_eq!(json["verdict"]["severity"], "success");
    assert_eq!(json["progress"]["stage"], "ended");
    assert!(json["exchange"]["url"].as_str().unwrap().ends_with("/actions/file/execute"));
    assert!(!said(&sent).contains(&lab.hub.token));
    assert_eq!(lab.delivered("as-it-is.csv"), "email,n\na@example.com,1\n");
    let made = ["file", "--data", csv, "--format", "json", "--field", "filename=made.json"];
    let sent = lab.send(&made);
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let made: Value = serde_json::from_str(&lab.delivered("made.json")).unwrap();
    assert_eq!(made[0]["mine.email"], "a@example.com", "{made}");
    let big = ["file", "--generate", "3MB", "--format", "csv", "--field", "filename=big.csv"];
    assert_eq!(code(&lab.send(&big)), Some(0));
    assert!(lab.delivered("big.csv").len() > 3_000_000);
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_file_is_sent_in_any_format() {
    let lab = Lab::start();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../sendoff-workbench/tests/parquet/");
    let file = |name: &str| format!("{data}{name}.parquet");
    let made = file("types");
    let made = ["file", "--data", &made, "--format", "json", "--field", "filename=t.json"];
    let sent = lab.send(&made);
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let made: Value = serde_json::from_str(&lab.delivered("t.json")).unwrap();
    assert_eq!(made[0]["types.zip"], "007");
    assert_eq!(made[2]["types.id"], 9_223_372_036_854_775_807_i64);
    assert_eq!(made[1]["types.name"], Value::Null);
    for (name, says) in [
        ("lz4", "write the file with snappy, gzip or zstd"),
        ("encrypted", "The Parquet file is encrypted"),
    ] {
        let sent = lab.send(&["file", "--data", &file(name), "--field", "filename=x.csv"]);
        assert_eq!(code(&sent), Some(2), "{}", said(&sent));
        assert!(said(&sent).contains(says), "{}", said(&sent));
    }
}

#[test]
fn wrong_usage_is_2_and_suggests_what_was_meant() {
    let lab = Lab::start();
    for (more, says) in [
        (&["fiel", "--look", "penguins"][..], "Did you mean `file`?"),
        (&["file", "--look", "penguins", "--field", "filname=x"], "Did you mean `filename`?"),
        (&["file", "--look", "penguins", "--format", "cvs"], "did you mean `csv`?"),
        (&["file", "--look", "penguins", "--param", "kee=1"], "no param `kee`"),
        (&["file", "--look", "pinguins"], "There are:"),
        (&["file", "--dashboard", "shopp"], "There are:"),
        (&["file", "--sql", "SELEC 1", "--field", "filename=x"], "SQL"),
        (&["file", "--look", "penguins", "--field", "if_exists=perhaps"], "It can be"),
        (&["file", "--look", "penguins", "--fault", "bang"], "Known are cut@BYTES"),
        (&["file", "--data", "not-there.csv"], "cannot be read"),
        (&["file"], "required"),
        (&["file", "--look", "penguins", "--param", "a=env:NOT_SET"], "NOT_SET is not set"),
    ] {
        let sent = lab.send(more);
        assert_eq!(code(&sent), Some(2), "{more:?} {}", said(&sent));
        assert!(said(&sent).contains(says), "{more:?} {}", said(&sent));
    }
}

#[test]
fn what_cannot_be_written_is_told_before_or_beside_the_outcome() {
    let lab = Lab::start();
    let more = |flag: &str, path: &str| {
        lab.send(&["file", "--look", "penguins", "--field", "filename=k.csv", flag, path])
    };
    for flag in ["--state", "--record"] {
        let sent = more(flag, "/not-there/x");
        assert_eq!(code(&sent), Some(2), "{}", said(&sent));
        assert!(said(&sent).contains("/not-there/x cannot be written"), "{}", said(&sent));
        assert_eq!(lab.delivered("k.csv"), "", "nothing is sent");
    }
    if cfg!(target_os = "linux") {
        let sent = more("--record", "/dev/full");
        assert_eq!(code(&sent), Some(0), "it was delivered: {}", said(&sent));
        assert!(said(&sent).contains("Nothing: it was sent."), "{}", said(&sent));
        assert!(said(&sent).contains("/dev/full cannot be written"), "{}", said(&sent));
    }
}

#[test]
fn failures_and_silence_have_codes_of_their_own() {
    let lab = Lab::start();
    let once =
        ["file", "--look", "penguins", "--field", "filename=once.csv", "--field", "if_exists=fail"];
    assert_eq!(code(&lab.send(&once)), Some(0));
    let twice = lab.send(&once);
    assert_eq!(code(&twice), Some(1), "{}", said(&twice));
    assert!(said(&twice).contains("The schedule history shows a failure"), "{}", said(&twice));
    // Cut data is no file.
    let cut = lab.send(&[
        "file",
        "--push",
        "--look",
        "penguins",
        "--field",
        "filename=cut.csv",
        "--fault",
        "cut@3000",
    ]);
    assert_eq!(code(&cut), Some(1), "{}", said(&cut));
    assert!(said(&cut).contains("seed=1 fault=cut@3000"), "{}", said(&cut));
    assert_eq!(lab.delivered("cut.csv"), "");

    let wrong = send_to(&lab.url(), "a/b", &once);
    assert_eq!(code(&wrong), Some(3), "{}", said(&wrong));
    assert!(said(&wrong).contains("The token is not the hub's"), "{}", said(&wrong));
    let gone = send_to("http://127.0.0.1:1/", "a/b", &once);
    assert_eq!(code(&gone), Some(3), "{}", said(&gone));
    assert!(said(&gone).contains("No connection to 127.0.0.1:1"), "{}", said(&gone));
}

#[test]
fn an_answer_that_looker_mistakes_is_4() {
    for (fault, want) in [
        ("execute/delivery/not-empty", 4),
        ("execute/delivery/in-envelope", 4),
        ("execute/delivery/is-json", 4),
        ("execute/delivery/succeeds", 1),
    ] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn_on(
            async move { sendoff_workbench::bad::serve(fault, listener).await.unwrap() },
            runtime.handle(),
        );
        let more = [
            "ledger",
            "--sql",
            "SELECT 1 AS email",
            "--no-form",
            "--param",
            "api_key=k-1-secret",
            "--param",
            "sender=ana@example.com",
            "--field",
            "path=in/",
        ];
        let sent = send_to(&url, sendoff_workbench::bad::TOKEN, &more);
        assert_eq!(code(&sent), Some(want), "{fault} {}", said(&sent));
    }
}

#[test]
fn what_is_wrong_is_told_in_json_too() {
    let lab = Lab::start();
    let gone = "http://127.0.0.1:1/".to_owned();
    for (url, more, want, says) in [
        (lab.url(), &["fiel", "--look", "penguins"][..], 2, "Did you mean `file`?"),
        (lab.url(), &["dropbox", "--look", "penguins"], 2, "no action `dropbox`"),
        (gone, &["file", "--look", "penguins"], 3, "No connection to 127.0.0.1:1"),
    ] {
        let sent = send_to(&url, &lab.hub.token, &[more, &["--json"]].concat());
        assert_eq!(code(&sent), Some(want), "{}", said(&sent));
        let json: Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(json["exit_code"], want);
        assert!(json["error"].as_str().unwrap().contains(says), "{json}");
    }
    let sent = lab.send(&["file", "--look", "penguins", "--format", "bad", "--json"]);
    let json: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!((code(&sent), &json["exit_code"]), (Some(2), &2.into()));
    assert!(json["error"].as_str().unwrap().contains("'bad'"), "{json}");
    // A failure is an outcome, and has the whole of it.
    let once = ["file", "--look", "penguins", "--field", "filename=j.csv"];
    let once = [&once[..], &["--field", "if_exists=fail", "--json"]].concat();
    assert_eq!(code(&lab.send(&once)), Some(0));
    let twice = lab.send(&once);
    assert_eq!(code(&twice), Some(1), "{}", said(&twice));
    let json: Value = serde_json::from_slice(&twice.stdout).unwrap();
    assert_eq!(json["exit_code"], 1);
    assert_eq!(json["outcome"]["success"], false);
    assert_eq!(json["verdict"]["severity"], "failure");
    // So has one that breaks off.
    let more = ["debug", "--push", "--look", "penguins", "--fault", "hangup@2000", "--json"];
    let broken = lab.send(&more);
    assert_eq!(code(&broken), Some(3), "{}", said(&broken));
    let json: Value = serde_json::from_slice(&broken.stdout).unwrap();
    assert_eq!((&json["exit_code"], &json["outcome"]), (&3.into(), &Value::Null));
    assert_eq!(json["progress"]["sent"], 2_000);
    assert!(json["failure"].as_str().unwrap().contains("hung up on purpose"), "{json}");
}

/// A server that is no hub is told from one with another token.
#[test]
fn a_web_server_is_no_hub() {
    for answer in ["HTTP/1.1 405 Method Not Allowed\r\n", "HTTP/1.1 200 OK\r\n"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = request(&mut socket);
            let page = "<!DOCTYPE html><html><head><title>It works</title></head><body>…</body>";
            let head = format!("content-length: {}\r\n\r\n", page.len());
            socket.write_all(format!("{answer}{head}{page}").as_bytes()).unwrap();
        });
        let sent = send_to(&url, "a/b", &["file", "--look", "penguins"]);
        serving.join().unwrap();
        assert_eq!(code(&sent), Some(3), "{}", said(&sent));
        assert!(said(&sent).contains("a web page, \"It works\""), "{}", said(&sent));
        assert!(said(&sent).contains("It may be no action hub"), "{}", said(&sent));
        assert!(!said(&sent).contains("<body>"), "{}", said(&sent));
    }
}

/// What a hub says is text to the terminal, and an answer that comes too early is told.
#[test]
fn a_hub_does_not_steer_the_terminal_and_cannot_answer_unheard() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let list = serde_json::json!({"label": "H", "integrations": [{
        "name": "mine", "label": "Mine", "url": format!("{url}execute"),
        "supported_action_types": ["query"],
    }]});
    let evil = "\u{1b}]0;owned\u{7} \u{202e}gnp.exe";
    let told = serde_json::json!({"looker": {"success": true, "message": evil}});
    let serving = std::thread::spawn(move || {
        for answer in [list, told] {
            let (mut socket, _) = listener.accept().unwrap();
            // The first bytes are enough for it.
            let mut buffer = [0; 4_096];
            assert!(socket.read(&mut buffer).unwrap() > 0);
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
            socket.write_all((head + &answer).as_bytes()).unwrap();
            // Until the other side is done with it.
            while socket.read(&mut buffer).is_ok_and(|read| read > 0) {}
        }
    });
    let more = ["mine", "--generate", "1GB", "--format", "csv", "--push", "--no-form"];
    let sent = send_to(&url, "a/b", &[&more[..], &["--fault", "slow@10MB"]].concat());
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let text = said(&sent);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    assert!(text.contains("\\u{1b}]0;owned\\u{7} \\u{202e}gnp.exe"), "{text:?}");
    assert!(text.contains("did not wait for the rest"), "{text:?}");
    serving.join().unwrap();
}

/// A request's head and body, as they stand on the wire.
fn request(socket: &mut std::net::TcpStream) -> String {
    let mut raw = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = socket.read(&mut buffer).unwrap();
        raw.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&raw);
        let chunked = text.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let over = if chunked { text.ends_with("0\r\n\r\n") } else { text.contains("\r\n\r\n") };
        if over || read == 0 {
            return text.into_owned();
        }
    }
}

/// What stands behind `"name":"` in a text.
fn member(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next().map(str::to_owned)
}

/// A hub with one action that wants a login, by OAuth version 1. Its provider believes everybody: whoever
/// opens the link is logged in.
fn hub_with_login() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let base = url.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let text = request(&mut socket);
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let logged_in = text.contains("ada-is-logged-in");
            let body = match path.split('?').next().unwrap_or_default() {
                "/" => serde_json::json!({"label": "H", "integrations": [{
                    "name": "mine", "label": "Mine", "url": format!("{base}execute"),
                    "form_url": format!("{base}form"), "uses_oauth": true,
                    "supported_action_types": ["query"], "params": [],
                }]}),
                "/form" if logged_in => serde_json::json!([{"name": "folder", "label": "Folder"}]),
                "/form" => {
                    let back = member(&text, "state_url").unwrap();
                    let link = format!("{base}login?back={back}");
                    serde_json::json!([{"name": "login", "type": "oauth_link", "oauth_url": link}])
                }
                "/login" => {
                    let back = path.split_once("back=").unwrap().1;
                    post(back, r#"{"who":"ada-is-logged-in"}"#);
                    serde_json::json!("You may close this tab.")
                }
                _ => serde_json::json!({"looker": {"success": logged_in}}),
            };
            let body = body.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            // Whoever was stopped is gone.
            let _ = socket.write_all((head + &body).as_bytes());
        }
    });
    url
}

fn call(url: &str, head: &str, body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut socket = std::net::TcpStream::connect(host).unwrap();
    let line = format!(
        "{head} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(line.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn post(url: &str, body: &str) {
    let answer = call(url, "POST", body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The command, and the login link that it has printed.
fn waiting_for_login(
    url: &str,
    state: &Path,
) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let mut child = hub::sendoff()
        .args(["send", "mine", "--to", url, "--look", "penguins", "--login", "--json", "--state"])
        .arg(state)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    let link = line.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(line.starts_with("Log in, then it goes on: ") && link.starts_with(url), "{line}");
    (child, told, link)
}

#[test]
fn a_login_is_waited_for_and_kept() {
    let url = hub_with_login();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    // Without --login the link is told, and nothing is sent.
    let refused = send_to(&url, "a/b", &["mine", "--look", "penguins"]);
    assert_eq!(code(&refused), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains(&format!("has to log in: {url}login?")), "{}", said(&refused));

    let (child, _told, link) = waiting_for_login(&url, &state);
    let page = call(&link, "GET", "");
    assert!(page.contains("You may close this tab"), "{page}");
    let sent = child.wait_with_output().unwrap();
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let json: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(json["outcome"]["success"], true);
    assert!(!said(&sent).contains("ada-is-logged-in"), "{}", said(&sent));
    let kept = std::fs::read_to_string(&state).unwrap();
    assert!(kept.contains("ada-is-logged-in"), "{kept}");
    // The next send needs no login.
    let state = state.to_str().unwrap();
    let again = send_to(&url, "a/b", &["mine", "--look", "penguins", "--state", state]);
    assert_eq!(code(&again), Some(0), "{}", said(&again));
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn what_is_stopped_ends_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let url = hub_with_login();
    let (mut waiting, _told, _) = waiting_for_login(&url, &folder.path().join("state"));
    interrupt(&waiting);
    assert_eq!(waiting.wait().unwrap().code(), Some(130));

    // A hub that has taken the request and does not answer.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}/", listener.local_addr().unwrap());
    let list = serde_json::json!({"label": "H", "integrations": [{
        "name": "mine", "label": "Mine", "url": format!("{to}execute"),
        "supported_action_types": ["query"],
    }]});
    let sending = hub::sendoff()
        .args(["send", "mine", "--to", &to, "--look", "penguins", "--no-form", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    let _ = request(&mut socket);
    let list = list.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", list.len());
    socket.write_all((head + &list).as_bytes()).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    let asked = request(&mut socket);
    assert!(asked.contains("attachment"), "{asked}");
    interrupt(&sending);
    let stopped = sending.wait_with_output().unwrap();
    assert_eq!(code(&stopped), Some(130), "{}", said(&stopped));
    let json: Value = serde_json::from_slice(&stopped.stdout).unwrap();
    assert_eq!(json["failure"], "It was stopped.");
}

/// `script` of util-linux gives the command a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_how_far_it_is() {
    let lab = Lab::start();
    let sendoff = env!("CARGO_BIN_EXE_sendoff");
    let shown = |more: &str| {
        let line = match more.strip_prefix("check") {
            Some(more) => format!("stty cols 30; {sendoff} check {} {more}", lab.url()),
            None => format!(
                "stty cols 30; {sendoff} send debug --push --generate 3MB --format csv \
                 --field sleep=0 --fault slow@6MB --to {} {more}",
                lab.url()
            ),
        };
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm")
            .env("SENDOFF_TOKEN", &lab.hub.token)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(code(&output), Some(0), "{}", said(&output));
        said(&output)
    };
    let text = shown("");
    // Written anew on its line, coloured, with the share, and taken away before the outcome.
    let lines: Vec<&str> = text.split("\r\u{1b}[2K").collect();
    assert!(lines.len() > 3, "{text:?}");
    let bars = || lines.iter().filter(|line| line.contains("\u{1b}[2m["));
    let full: Vec<_> = bars().map(|line| line.matches('#').count()).collect();
    // No wider than the terminal, or it would wrap.
    let dim = |line: &str| line.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "").len();
    assert!(bars().all(|line| dim(line) < 30), "{text:?}");
    assert!(full.is_sorted() && full.last() > full.first(), "{text:?}");
    assert!(lines.last().unwrap().starts_with("Sent "), "{text:?}");
    assert!(lines.last().unwrap().contains("Nothing: it was sent."), "{text:?}");
    // A file gets no colours because something else is a terminal.
    let file = lab.folder.path().join("outcome");
    shown(&format!("> {}", file.display()));
    let outcome = std::fs::read_to_string(file).unwrap();
    assert!(outcome.contains("Sent ") && !outcome.contains('\u{1b}'), "{outcome:?}");
    let checked = shown("check --only list/answer");
    assert!(checked.contains("\r\u{1b}[2K\u{1b}[2m1 of 1"), "{checked:?}");
    assert!(checked.contains("list/answer/is-"), "{checked:?}");
    let quiet = shown("--quiet");
    assert!(!quiet.contains("] ") && quiet.contains("Sent "), "{quiet:?}");
}

/// The recorder, and where it listens.
fn recorder(lab: &Lab, out: &Path) -> (Child, String) {
    let mut child = hub::sendoff()
        .args(["record", "--to", &lab.url(), "--listen", "127.0.0.1:0", "--out"])
        .arg(out)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    (child, url)
}

fn end(mut recorder: Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(recorder.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(recorder.wait().unwrap().success());
}

#[test]
fn what_was_recorded_is_sent_again_and_checked() {
    let lab = Lab::start();
    let out = lab.folder.path().join("recorded.jsonl");
    let (recording, url) = recorder(&lab, &out);
    let send = |more: &[&str]| send_to(&url, &lab.hub.token, more);
    let more = [
        "file",
        "--look",
        "penguins",
        "--push",
        "--field",
        "filename=r.csv",
        "--field",
        "if_exists=fail",
    ];
    let first = send(&more);
    assert_eq!(code(&first), Some(0), "{}", said(&first));
    let refused = send(&more);
    assert_eq!(code(&refused), Some(1), "{}", said(&refused));
    end(recording);
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(!text.contains(&lab.hub.token));
    let calls: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let calls: Vec<_> = calls.iter().map(|call| call["call"].as_str().unwrap()).collect();
    assert_eq!(calls, ["list", "form", "execute", "list", "form", "execute"]);

    let out = out.to_str().unwrap();
    std::fs::remove_file(lab.folder.path().join("r.csv")).unwrap();
    let again = lab.send(&["--replay", out, "--only", "3", "--json"]);
    assert_eq!(code(&again), Some(0), "{}", said(&again));
    let json: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["replayed"][0]["status_then"], 200);
    assert_eq!(lab.delivered("r.csv").lines().count(), 345);
    let both = lab.send(&["--replay", out]);
    assert_eq!(code(&both), Some(1), "the file is there: {}", said(&both));
    let none = lab.send(&["debug", "--replay", out]);
    assert_eq!(code(&none), Some(2), "{}", said(&none));

    let checked = hub::sendoff().args(["check", "--recorded", out, "--json"]).output().unwrap();
    assert_eq!(code(&checked), Some(0), "{}", said(&checked));
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let outcome = |id: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["id"] == id).unwrap()["outcome"].clone()
    };
    for id in [
        "list/answer/is-json",
        "form/answer/shape",
        "execute/delivery/in-envelope",
        "execute/error/in-envelope",
    ] {
        assert_eq!(outcome(id), "pass", "{id}");
    }
    for id in [
        "auth/missing/list-refused",
        "list/urls/reachable",
        "robustness/json/broken",
        "execute/error/missing-param",
    ] {
        assert_eq!(outcome(id), "not_run", "{id}");
    }
}

#[test]
fn a_recording_of_a_wrong_hub_is_found_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.jsonl");
    let line = |id: u32, call: &str, body: &str| {
        let body = serde_json::json!({"bytes": body.len(), "text": body});
        serde_json::json!({
            "sendoff": "exchange/1", "id": id, "started": "2026-11-25T10:00:00Z", "call": call,
            "action": "a", "request": {"method": "POST", "url": "https://h.example/", "headers": [],
                                       "body": {"bytes": 0, "text": ""}},
            "response": {"status": 200, "headers": [["content-type", "application/json"]], "body": body},
        })
    };
    let list = r#"{"label":"H","integrations":[{"name":"a","label":"A","url":"https://h.example/a/execute","form_url":"https://h.example/a/form","supported_action_types":["query"],"supported_download_settings":["push"]}]}"#;
    let form = r#"{"fields":[{"name":"f","label":"F","type":"select"}],"state":{"data":"••••","refreshTime":600}}"#;
    let mut text = Vec::new();
    for (n, (call, body)) in
        [("list", list), ("form", form), ("execute", "")].into_iter().enumerate()
    {
        writeln!(text, "{}", line(n as u32 + 1, call, body)).unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let checked =
        hub::sendoff().args(["check", "--json", "--recorded"]).arg(&file).output().unwrap();
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let found: Vec<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| ["fail", "warn", "note"].contains(&check["outcome"].as_str().unwrap()))
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        found,
        ["form/state/refresh-name", "form/field/select-has-options", "execute/delivery/not-empty"]
    );
    assert_eq!(code(&checked), Some(1));
    // What was cut by a crash is left out and told; what was not let in shows nothing.
    let refused = line(4, "execute", "no").to_string().replace("\"status\":200", "\"status\":403");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text = text.replacen('\n', "\n{\"sendoff\":\"exchange/1\",\"id\":9,\"sta\n", 1);
    text += &format!("{refused}\n{{\"sendoff\":\"exch");
    std::fs::write(&file, text).unwrap();
    let cut = hub::sendoff().args(["check", "--recorded"]).arg(&file).output().unwrap();
    assert_eq!(code(&cut), Some(1), "{}", said(&cut));
    assert!(said(&cut).contains("2 lines were not written to their end"), "{}", said(&cut));
    assert!(said(&cut).contains(&format!("--recorded {}", file.display())), "{}", said(&cut));
    let found = said(&cut);
    let ids = ["form/state/refresh-name", "form/field/select-has-options"];
    assert!(ids.iter().all(|id| found.contains(id)) && found.contains("2 failed"), "{found}");
    std::fs::write(&file, "nonsense").unwrap();
    let wrong = hub::sendoff().args(["check", "--recorded"]).arg(&file).output().unwrap();
    assert_eq!(code(&wrong), Some(2));
    assert!(said(&wrong).contains("line 1 is no recorded exchange"), "{}", said(&wrong));
}

#[test]
fn a_delivery_that_was_fetched_is_made_again() {
    let lab = Lab::start();
    let out = lab.folder.path().join("r.jsonl");
    let out = out.to_str().unwrap();
    let more =
        ["--sql", "SELECT 1 AS a", "--stream", "--format", "csv", "--field", "filename=s.csv"];
    let sent = lab.send(&[&["file", "--record", out], &more[..]].concat());
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let file = lab.folder.path().join("s.csv");
    let original = lab.delivered("s.csv");
    assert!(!original.is_empty());
    // From what the hub fetched then, as the recording has it.
    std::fs::remove_file(&file).unwrap();
    let again = lab.send(&["--replay", out]);
    assert_eq!(code(&again), Some(0), "{}", said(&again));
    assert_eq!(lab.delivered("s.csv"), original);
    // From other data.
    std::fs::remove_file(&file).unwrap();
    let other = lab.send(&["--replay", out, "--sql", "SELECT 2 AS a"]);
    assert_eq!(code(&other), Some(0), "{}", said(&other));
    assert_eq!(lab.delivered("s.csv"), original.replace('1', "2"));
    // A recording without it says what to do.
    let text = std::fs::read_to_string(out).unwrap();
    let lines = text.lines().filter(|line| !line.contains("\"call\":\"download\""));
    std::fs::write(out, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let none = lab.send(&["--replay", out]);
    assert_eq!(code(&none), Some(2), "{}", said(&none));
    assert!(said(&none).contains("give data with --data"), "{}", said(&none));
}

/// The copied lines, run by a shell.
#[test]
fn copied_lines_do_what_was_done() {
    let lab = Lab::start();
    let out = lab.folder.path().join("r.jsonl");
    let record = ["--push", "--record", out.to_str().unwrap(), "--field", "filename=it's.csv"];
    let sent = lab.send(&[&["file", "--sql", "SELECT 1 AS a, 'it''s' AS b"], &record[..]].concat());
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let original = lab.delivered("it's.csv");
    assert!(original.contains("it's"), "{original}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let recorded = runtime.block_on(async {
        let mut reader = sendoff_workbench::recording::Reader::open(&out).await.unwrap();
        reader.all(100).await.unwrap()
    });
    let execute = recorded.iter().find(|r| r.call == sendoff_workbench::Call::Execute).unwrap();
    let line = sendoff_workbench::copy::send_line(execute, None, &lab.url()).unwrap();
    let curl = sendoff_workbench::copy::curl_line(execute, &execute.request.url).unwrap();
    for line in [line, curl] {
        let _ = std::fs::remove_file(lab.folder.path().join("it's.csv"));
        let folder = Path::new(env!("CARGO_BIN_EXE_sendoff")).parent().unwrap();
        let ran = Command::new("sh")
            .args(["-c", &line])
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
            .env("SENDOFF_TOKEN", &lab.hub.token)
            .output()
            .unwrap();
        assert_eq!(code(&ran), Some(0), "{line}\n{}", said(&ran));
        assert_eq!(lab.delivered("it's.csv"), original, "{line}\n{}", said(&ran));
    }
}

#[test]
fn a_state_is_kept_between_two_sends_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::start();
    let state = lab.folder.path().join("state");
    std::fs::write(&state, "{\"token\":\"t-1\"}").unwrap();
    let more = ["debug", "--look", "penguins", "--state", state.to_str().unwrap(), "--json"];
    let sent = lab.send(&more);
    assert_eq!(code(&sent), Some(0), "{}", said(&sent));
    let json: Value = serde_json::from_slice(&sent.stdout).unwrap();
    let body = json["exchange"]["request_body"]["start"].as_str().unwrap();
    assert!(body.contains("\"state_json\":\"••••\""), "{body}");
    std::fs::remove_file(&state).unwrap();
    assert_eq!(code(&lab.send(&more)), Some(0));
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o600);
}
