//! The commands: what they print, where, and the code that they end with.

use std::process::Output;

use crate::hub::{Hub, SECRET, sendoff};
use crate::wire::Wire;

/// A token that the reference hub made, under the secret `s3cret`.
const REFERENCE_TOKEN: &str = "9d8ebac9c87e06fc19ba4b94cc8c2abe9c518e94dcd93621e637d8947368ae53/df9c2f237a9fa1c79808ca8718685e29885516637a2328ff849d526b4748d0f49a6e43f1e3ac7da2c2624cee92734b2d9a36da83a11e249cce62393c4855e14b";

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output = sendoff().args(arguments).envs(environment.iter().copied()).output().unwrap();
    let Output { status, stdout, stderr } = output;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn list(token: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: hub\r\nAuthorization: Token token=\"{token}\"\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn token_prints_one_line_that_the_hub_accepts() {
    let (code, out, err) = run(&["token"], &[("SENDOFF_SECRETS", SECRET)]);
    assert_eq!((code, err.as_str()), (0, ""));
    let token = out.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace) && token.len() == 64 + 1 + 128, "{out:?}");
    let hub = Hub::start(&[]);
    assert_eq!(Wire::open(hub.address).call(list(token)).status, 200);
    let wrong = token.replace('a', "b");
    assert_eq!(Wire::open(hub.address).call(list(&wrong)).status, 403);
}

#[test]
fn a_token_may_be_limited_to_actions_that_exist() {
    let secret = [("SENDOFF_SECRETS", SECRET)];
    let (code, out, _) = run(&["token", "--action", "debug"], &secret);
    assert_eq!(code, 0);
    let hub = Hub::start(&[]);
    let answer = Wire::open(hub.address).call(list(out.trim_end()));
    assert_eq!(answer.body.matches("\"form_url\"").count(), 1, "{}", answer.body);
    let (code, out, err) = run(&["token", "--action", "debg"], &secret);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("\"debg\"") && err.contains("zapier"), "{err}");
}

#[test]
fn the_reference_hubs_variables_and_token_are_enough() {
    let hub = Hub::start(&[
        ("SENDOFF_SECRETS", ""),
        ("ACTION_HUB_SECRET", "s3cret"),
        ("ACTION_HUB_LABEL", "Ours"),
        ("ACTION_HUB_BASE_URL", "https://hub.example.com"),
        ("ACTION_WHITELIST", "zapier"),
    ]);
    let answer = Wire::open(hub.address).call(list(REFERENCE_TOKEN));
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("\"label\":\"Ours\""), "{}", answer.body);
    assert!(answer.body.contains("\"https://hub.example.com/actions/zapier/execute\""));
    assert_eq!(answer.body.matches("\"form_url\"").count(), 1);
}

#[test]
fn without_a_secret_nothing_is_served_and_the_way_out_is_named() {
    // A taken address, so that a hub that serves all the same ends too.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for command in ["serve", "token"] {
        let (code, out, err) = run(&[command], &[("SENDOFF_LISTEN", &taken)]);
        assert_eq!((code, out.as_str()), (78, ""), "{err}");
        assert!(err.contains("openssl rand -hex 32"), "{err}");
    }
    assert_eq!(run(&["config", "check"], &[]).0, 78);
}

#[test]
fn a_wrong_configuration_is_refused_with_78_and_everything_that_is_wrong() {
    let wrong = [
        ("SENDOFF_SECRETS", SECRET),
        ("SENDOFF_LISEN", "127.0.0.1:0"),
        ("SENDOFF_LIMITS_IDLE", "never"),
    ];
    for arguments in [&["serve"][..], &["config"], &["config", "check"], &["token"]] {
        let (code, out, err) = run(arguments, &wrong);
        assert_eq!((code, out.as_str()), (78, ""), "{arguments:?}: {err}");
        assert!(err.contains("Did you mean SENDOFF_LISTEN?"), "{err}");
        assert!(err.contains("limits.idle") && err.contains("\"never\""), "{err}");
    }
    let spool = [("SENDOFF_SECRETS", SECRET), ("SENDOFF_SPOOL_DIR", "/nowhere")];
    assert_eq!(run(&["serve"], &spool).0, 78);
    assert_eq!(run(&["config", "check"], &spool).0, 78);
    assert_eq!(run(&["config", "check"], &[("SENDOFF_SECRETS", SECRET)]).0, 0);
}

/// It is exported for `send` and `check`, and must not be in the way of other commands.
#[test]
fn the_variable_for_a_hubs_token_is_no_wrong_setting() {
    let environment = [("SENDOFF_SECRETS", SECRET), ("SENDOFF_TOKEN", "nonce/hmac")];
    let (code, _, err) = run(&["config", "check"], &environment);
    assert_eq!(code, 0, "{err}");
}

#[cfg(feature = "page")]
#[test]
fn a_bad_hub_that_there_is_not_is_wrong_usage() {
    let (code, _, err) = run(&["workbench", "--bad", "no/such/fault"], &[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("`no/such/fault`") && err.contains("sendoff explain"), "{err}");
}

#[test]
fn config_prints_what_is_in_force_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.toml");
    std::fs::write(&path, format!("label = \"From the file\"\nsecrets = [\"{SECRET}\"]\n"))
        .unwrap();
    let path = path.to_str().unwrap();
    let environment = [("SENDOFF_CONFIG", path), ("SENDOFF_LISTEN", "127.0.0.1:9")];
    let (code, out, err) = run(&["config", "--set", "log=warn"], &environment);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains(path), "{err}");
    assert!(!out.contains(SECRET) && !err.contains(SECRET));
    for line in [
        &format!("label = \"From the file\" # file {path}"),
        &format!("secrets = [\"[secret]\"] # file {path}"),
        "listen = [\"127.0.0.1:9\"] # environment SENDOFF_LISTEN",
        "log = \"warn\" # flag --set",
        "deadline = \"25 min\" # default",
    ] {
        assert!(out.lines().any(|it| it == line), "no {line} in:\n{out}");
    }
    let (_, json, _) = run(&["config", "--json"], &environment);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["limits.deadline"]["source"], "default");
    assert_eq!(json["secrets"]["value"][0], "[secret]");
    let (_, default, _) = run(&["config", "--default"], &[("SENDOFF_LISEN", "x")]);
    assert_eq!(default, include_str!("../../config.default.toml"));
}

#[test]
fn actions_are_listed_as_a_table_and_as_json() {
    let (code, table, _) = run(&["actions"], &[]);
    assert_eq!(code, 0);
    assert!(table.starts_with("NAME") && table.contains("\namazon_s3 "), "{table}");
    assert!(!table.contains("\nfile ") && !table.contains("\ndebug "), "{table}");
    let offered = [("SENDOFF_FILE_ROOT", "/tmp"), ("SENDOFF_DEBUG_ENABLED", "yes")];
    let (_, json, _) = run(&["actions", "--json"], &offered);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let file = json.as_array().unwrap().iter().find(|it| it["name"] == "file").unwrap();
    assert_eq!(file["streaming"], true);
    assert_eq!(file["types"][0], "dashboard");
}

#[test]
fn ready_tells_a_ready_hub_from_none() {
    let hub = Hub::start(&[]);
    let url = format!("http://{}", hub.address);
    assert_eq!(run(&["ready", &url], &[]).0, 0);
    assert_eq!(run(&["ready"], &[("SENDOFF_LISTEN", &hub.address.to_string())]).0, 0);
    drop(hub);
    let (code, out, err) = run(&["ready", &url], &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("is not ready"), "{err}");
}

#[test]
fn completions_the_manual_and_the_version_are_printed() {
    assert!(run(&["completions", "bash"], &[]).1.contains("_sendoff()"));
    assert!(run(&["man"], &[]).1.contains(".TH sendoff"));
    assert!(run(&["--version"], &[]).1.starts_with(concat!("sendoff ", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = run(&["--help"], &[]);
    assert_eq!(code, 0);
    assert!(out.contains("78  wrong configuration"), "{out}");
    assert_eq!(run(&["frobnicate"], &[]).0, 2);
    assert_eq!(run(&[], &[]).0, 2);
}

#[test]
fn serve_says_where_it_listens_and_which_limits_the_platform_has() {
    let mut hub = Hub::start(&[("K_SERVICE", "hub")]);
    hub.wait_for("from this machine only");
    hub.wait_for("sendoff token");
    hub.wait_for("32 MiB");
}

#[test]
fn an_address_that_is_taken_is_a_failure_not_a_wrong_configuration() {
    let hub = Hub::start(&[]);
    let address = hub.address.to_string();
    let taken = [("SENDOFF_SECRETS", SECRET), ("SENDOFF_LISTEN", address.as_str())];
    let (code, _, err) = run(&["serve"], &taken);
    assert_eq!(code, 1);
    assert!(err.contains(&address), "{err}");
}
