//! Precedence, wrong values, secrets, and the reference hub's variables.

#![allow(clippy::disallowed_methods, reason = "tests write files")]

use std::collections::BTreeSet;
use std::time::Duration;

use super::catalogue::{LoginClient, Param};
use super::*;

fn catalogue() -> Catalogue {
    let param = |name: &str, secret| Param {
        action: "amazon_s3".into(),
        name: name.into(),
        path: format!("settings.amazon_s3.{name}"),
        secret,
    };
    Catalogue {
        params: vec![param("region", false), param("secret_access_key", true)],
        names: vec!["amazon_s3".into(), "debug".into(), "sftp".into()],
        logins: vec![
            LoginClient::new("dropbox", [Some(("DROPBOX_KEY", "DROPBOX_SECRET")), None]),
            LoginClient::new(
                "google_sheets",
                [
                    Some(("GOOGLE_SHEET_CLIENT_ID", "GOOGLE_SHEET_CLIENT_SECRET")),
                    Some(("GOOGLE_DRIVE_CLIENT_ID", "GOOGLE_DRIVE_CLIENT_SECRET")),
                ],
            ),
        ],
    }
}

#[test]
fn every_variable_of_amazons_is_read_where_own_keys_are_on() {
    let names = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    ];
    let mut environment: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    assert!(from(&environment).aws.is_none());
    environment.push(("SENDOFF_AWS_OWN_KEYS", "true"));
    let aws = from(&environment).aws.unwrap();
    let secrets = [aws.access_key_id, aws.secret_access_key, aws.session_token];
    let mut read: Vec<_> = secrets.iter().map(|it| it.as_ref().unwrap().expose()).collect();
    let paths = [aws.web_identity_token_file, aws.container_token_file];
    read.extend(paths.iter().map(|it| it.as_ref().unwrap().to_str().unwrap()));
    read.push(aws.container_token.as_ref().unwrap().expose());
    let texts = [
        aws.role_arn,
        aws.role_session_name,
        aws.container_path,
        aws.container_url,
        aws.machine_url,
    ];
    read.extend(texts.iter().map(|it| it.as_deref().unwrap()));
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect());
}

#[test]
fn every_variable_of_azures_is_read_where_the_own_identity_is_on() {
    let names = [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    ];
    let mut environment: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    assert!(from(&environment).azure.is_none());
    environment.push(("SENDOFF_AZURE_OWN_IDENTITY", "true"));
    let azure = from(&environment).azure.unwrap();
    let texts = [azure.tenant_id, azure.client_id, azure.authority, azure.endpoint];
    let mut read: Vec<_> = texts.iter().map(|it| it.as_deref().unwrap()).collect();
    read.push(azure.machine_url.as_deref().unwrap());
    read.push(azure.federated_token_file.as_ref().unwrap().to_str().unwrap());
    read.push(azure.endpoint_header.as_ref().unwrap().expose());
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), names.into_iter().collect());
}

#[test]
fn old_algorithms_are_spoken_only_if_the_operator_says_so() {
    assert!(!from(&[]).sftp_legacy_algorithms);
    assert!(from(&[("SENDOFF_SFTP_LEGACY_ALGORITHMS", "true")]).sftp_legacy_algorithms);
}

#[test]
fn what_users_of_google_drive_are_asked_for_is_one_of_two() {
    use sendoff_destinations::DriveScope;
    assert_eq!(from(&[]).drive_scope, DriveScope::Drive);
    let asks = |config: &Config| {
        let offered = crate::hub::actions(config);
        let drive = offered.iter().find(|action| action.spec().name == "google_drive").unwrap();
        let Some(sendoff::LoginBy::OAuth(login)) = drive.spec().login else { panic!("a login") };
        login.scopes[0].rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(asks(&from(&[])), "drive");
    assert_eq!(asks(&from(&[("SENDOFF_GOOGLE_SCOPE", "drive.file")])), "drive.file");
    let wrong = problem(&[("SENDOFF_GOOGLE_SCOPE", "everything")]);
    assert!(wrong.contains("\"drive\" or \"drive.file\""), "{wrong}");
}

fn load(environment: &[(&str, &str)], flags: &Flags) -> Result<Config, Problems> {
    let environment = environment.iter().copied().collect();
    Config::load(&catalogue(), &environment, flags)
}

fn from(environment: &[(&str, &str)]) -> Config {
    load(environment, &Flags::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(environment: &[(&str, &str)]) -> Vec<String> {
    let Err(Problems(all)) = load(environment, &Flags::default()) else {
        panic!("{environment:?} was accepted")
    };
    all.iter().map(Problem::to_string).collect()
}

/// The only problem there is.
fn problem(environment: &[(&str, &str)]) -> String {
    let mut all = problems(environment);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn file(text: &str) -> (tempfile::TempDir, Flags) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hub.toml");
    std::fs::write(&path, text).unwrap();
    (dir, Flags { file: Some(path), values: Vec::new() })
}

fn exposed(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(Secret::expose).collect()
}

#[test]
fn every_setting_stands_in_the_default_file_and_the_reverse() {
    let read: BTreeSet<_> = from(&[]).in_force.into_iter().map(|it| it.path).collect();
    let written: BTreeSet<_> = sources::defaults().into_iter().map(|(path, _)| path).collect();
    assert_eq!(read, written);
    assert!(read.len() > 25);
    // The order is the file's, so that `sendoff config` reads like it.
    let order: Vec<_> = sources::defaults().into_iter().map(|(path, _)| path).collect();
    let shown: Vec<_> = from(&[]).in_force.into_iter().map(|it| it.path).collect();
    assert_eq!(shown, order);
}

#[test]
fn the_defaults_are_those_of_the_library() {
    let config = from(&[]);
    assert_eq!(config.limits, sendoff::Limits::default());
    assert_eq!(format!("{:?}", config.spool), format!("{:?}", SpoolLimits::default()));
    assert_eq!(config.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(config.secrets.is_empty() && config.notes.is_empty());
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let (_dir, mut flags) = file("label = \"file\"\n[limits]\nidle = \"2 min\"\nkeep_alive = 5\n");
    assert_eq!(load(&[], &flags).unwrap().label, "file");
    let environment =
        [("SENDOFF_LABEL", "environment"), ("SENDOFF_LIMITS_IDLE", "3 min"), ("SENDOFF_LOG", "")];
    let config = load(&environment, &flags).unwrap();
    assert_eq!(config.label, "environment");
    assert_eq!(config.limits.idle, Duration::from_secs(180));
    assert_eq!(config.limits.keep_alive, Duration::from_secs(5));
    flags.values = vec![("--set".into(), "label".into(), "flag".into())];
    let config = load(&environment, &flags).unwrap();
    assert_eq!(config.label, "flag");
    let sources: Vec<_> = ["label", "limits.idle", "limits.keep_alive", "log"]
        .iter()
        .map(|path| config.in_force.iter().find(|it| it.path == *path).unwrap().source.to_string())
        .collect();
    assert_eq!(sources[0], "flag --set");
    assert_eq!(sources[1], "environment SENDOFF_LIMITS_IDLE");
    assert!(sources[2].starts_with("file ") && sources[2].ends_with("hub.toml"));
    assert_eq!(sources[3], "default");
}

#[test]
fn unknown_names_are_errors_with_the_name_that_was_meant() {
    let (_dir, flags) = file("lable = \"x\"\n[limits]\nkeepalive = \"5 s\"\n[frobnicate]\nx = 1\n");
    let Err(Problems(all)) = load(&[("SENDOFF_LISTN", "127.0.0.1:1")], &flags) else {
        panic!("accepted")
    };
    let all: Vec<_> = all.iter().map(Problem::to_string).collect();
    assert!(all[0].contains("frobnicate.x") && all[0].contains("sendoff config --default"));
    assert!(all[1].contains("lable") && all[1].ends_with("Did you mean label?"), "{}", all[1]);
    assert!(all[2].ends_with("Did you mean limits.keep_alive?"), "{}", all[2]);
    assert_eq!(all[3], "SENDOFF_LISTN is no setting. Did you mean SENDOFF_LISTEN?");
    assert_eq!(all.len(), 4);
}

#[test]
fn what_others_read_or_kubernetes_sets_for_a_service_called_sendoff_is_no_setting() {
    from(&[
        ("SENDOFF_TOKEN", "of `sendoff send`"),
        ("SENDOFF_SERVICE_HOST", "10.0.0.1"),
        ("SENDOFF_PORT", "tcp://10.0.0.1:80"),
        ("SENDOFF_PORT_80_TCP_ADDR", "10.0.0.1"),
    ]);
}

#[test]
fn every_wrong_value_is_named_at_once_with_its_source_and_what_would_be_right() {
    let all = problems(&[
        ("SENDOFF_LISTEN", "localhost"),
        ("SENDOFF_LIMITS_DEADLINE", "soon"),
        ("SENDOFF_LIMITS_BODY_BYTES", "10 gigs"),
        ("SENDOFF_LIMITS_RUNNING", "0"),
        ("SENDOFF_ALLOW_ADDRESSES", "10.0.0.0/8,nowhere"),
        ("SENDOFF_ORIGINS", "https://a.example"),
        ("SENDOFF_ACTIONS", "amazon_s33"),
        ("SENDOFF_DEBUG_ENABLED", "maybe"),
        ("SENDOFF_LOG", "loud"),
        ("SENDOFF_LOG_FORMAT", "xml"),
        ("SENDOFF_BASE_URL", "hub.example.com"),
        ("SENDOFF_EXTRA_CA", "/nowhere.pem"),
        ("SENDOFF_FILE_ROOT", "/nowhere/files"),
        ("SENDOFF_SPOOL_DIR", "/etc/passwd"),
    ]);
    assert_eq!(all.len(), 14, "{all:#?}");
    let said = |name: &str, what: &[&str]| {
        let problem = all.iter().find(|it| it.contains(name)).unwrap_or_else(|| panic!("{name}"));
        for what in what {
            assert!(problem.contains(what), "{problem}");
        }
    };
    said("SENDOFF_LISTEN", &["listen (", "\"localhost\"", "0.0.0.0:8080"]);
    said("SENDOFF_LIMITS_DEADLINE", &["\"soon\"", "30 s", "from 1 s to 24 h"]);
    said("SENDOFF_LIMITS_BODY_BYTES", &["10 gigs", "64 KiB"]);
    said("SENDOFF_LIMITS_RUNNING", &["\"0\"", "from 1"]);
    said("SENDOFF_ALLOW_ADDRESSES", &["nowhere", "10.20.0.0/16"]);
    said("SENDOFF_ORIGINS", &["https://a.example", "http://127.0.0.1:9000"]);
    said("SENDOFF_ACTIONS", &["did you mean \"amazon_s3\""]);
    said("SENDOFF_DEBUG_ENABLED", &["maybe", "true or false"]);
    said("SENDOFF_LOG)", &["loud", "info, debug"]);
    said("SENDOFF_EXTRA_CA", &["/nowhere.pem", "cannot be read"]);
    said("SENDOFF_FILE_ROOT", &["file.root (", "\"/nowhere/files\"", "No such file", "may write"]);
    said("SENDOFF_SPOOL_DIR", &["spool.dir (", "\"/etc/passwd\"", "no folder"]);
}

#[test]
fn a_folder_that_nobody_may_write_to_or_everybody_may_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let mode = |mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let (root, spool) = (("SENDOFF_FILE_ROOT", path), ("SENDOFF_SPOOL_DIR", path));
    from(&[root, spool]);
    mode(0o777);
    assert!(problem(&[root, spool]).contains("sticky bit"));
    mode(0o1777);
    from(&[root, spool, ("TMPDIR", "/nowhere")]);
    mode(0o555);
    for name in [root.0, spool.0] {
        // Root may write wherever no other may.
        if !rustix::process::geteuid().is_root() {
            assert!(problem(&[(name, path)]).contains("may write to"), "{name}");
        }
    }
    mode(0o755);
    from(&[("SENDOFF_SPOOL_DIR", "none")]);
}

#[test]
fn a_deadline_that_looker_does_not_wait_for_is_noted() {
    assert!(from(&[("SENDOFF_LIMITS_DEADLINE", "29 min")]).notes.is_empty());
    let notes = from(&[("SENDOFF_LIMITS_DEADLINE", "2h")]).notes;
    assert!(notes.concat().contains("limits.deadline is 2 h, and Looker gives up"), "{notes:?}");
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_quoting_a_secret() {
    let (_dir, flags) = file("label = \"x\"\nsecrets = [\"hidden-away\n");
    let Err(problems) = load(&[], &flags) else { panic!("accepted") };
    let text = problems.to_string();
    assert!(text.contains("line 2") && text.contains("hub.toml"), "{text}");
    assert!(!text.contains("hidden-away"), "{text}");
    let missing = Flags { file: Some("/nowhere.toml".into()), values: Vec::new() };
    let text = load(&[], &missing).unwrap_err().to_string();
    assert!(text.contains("/nowhere.toml") && text.contains("cannot be read"), "{text}");
}

#[test]
fn secrets_are_masked_wherever_the_configuration_is_shown() {
    let config = from(&[
        ("SENDOFF_SECRETS", "0123456789abcdef-one,0123456789abcdef-two"),
        ("SENDOFF_WEBHOOK_TOKENS", "0123456789abcdef-hook"),
        ("SENDOFF_CIPHER_MASTER", &"a1".repeat(32)),
        ("SENDOFF_SETTINGS_AMAZON_S3_SECRET_ACCESS_KEY", "0123456789abcdef-s3"),
        ("SENDOFF_SETTINGS_AMAZON_S3_REGION", "eu-west-1"),
    ]);
    assert_eq!(exposed(&config.secrets), ["0123456789abcdef-one", "0123456789abcdef-two"]);
    let shown = format!("{}{}{config:?}", to_toml(&config), to_json(&config));
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("a1a1"), "{shown}");
    assert!(shown.contains("secrets = [\"[secret]\", \"[secret]\"] # environment SENDOFF_SECRETS"));
    assert!(shown.contains("region = \"eu-west-1\""));
    assert_eq!(config.settings["amazon_s3"].get("secret_access_key"), Some("0123456789abcdef-s3"));
}

#[test]
fn what_is_shown_is_a_file_that_means_the_same() {
    let config = from(&[("SENDOFF_LABEL", "a \"b\" # c"), ("SENDOFF_LIMITS_IDLE", "90")]);
    let (_dir, flags) = file(&to_toml(&config));
    let again = load(&[], &flags).unwrap();
    assert_eq!(again.label, "a \"b\" # c");
    assert_eq!(again.limits.idle, Duration::from_secs(90));
    let values = |config: &Config| -> Vec<_> {
        config.in_force.iter().map(|it| (it.path.clone(), it.value.to_string())).collect()
    };
    assert_eq!(values(&again), values(&config));
}

#[test]
fn a_wrong_secret_is_not_shown() {
    let problem = problem(&[("SENDOFF_CIPHER_MASTER", "not-hexadecimal")]);
    assert!(!problem.contains("not-hexadecimal"), "{problem}");
    assert!(problem.contains("cipher_master") && problem.contains("64 hex"), "{problem}");
}

#[test]
fn secrets_come_from_files_and_commands_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets");
    std::fs::write(&path, "first-0123456789abcdef\n\nsecond-0123456789,abcdef\n").unwrap();
    let path = path.to_str().unwrap();
    let both = ["first-0123456789abcdef", "second-0123456789,abcdef"];
    assert_eq!(exposed(&from(&[("SENDOFF_SECRETS_FILE", path)]).secrets), both);
    let named = format!("file:{path}");
    assert_eq!(exposed(&from(&[("SENDOFF_SECRETS", &named)]).secrets), both);
    let command = format!("exec:head -1 {path}");
    assert_eq!(exposed(&from(&[("SENDOFF_SECRETS", &command)]).secrets), both[..1]);
    let key = from(&[("SENDOFF_SETTINGS_AMAZON_S3_SECRET_ACCESS_KEY_FILE", path)]);
    assert_eq!(key.settings["amazon_s3"].get("secret_access_key"), Some(both[0]));

    assert!(problem(&[("SENDOFF_SECRETS", "file:/nowhere")]).contains("/nowhere"));
    assert!(problem(&[("SENDOFF_SECRETS", "exec:exit 3")]).contains("exit status: 3"));
    assert!(problem(&[("SENDOFF_SECRETS", "exec:true")]).contains("no secret"));
    assert!(problem(&[("SENDOFF_SECRETS_FILE", "/nowhere")]).contains("/nowhere"));
    let twice = problem(&[("SENDOFF_SECRETS_FILE", path), ("SENDOFF_SECRETS", "x")]);
    assert!(twice.contains("both set"), "{twice}");
    // Only secrets have the twin.
    assert!(problem(&[("SENDOFF_LABEL_FILE", path)]).contains("is no setting"));
}

#[test]
fn the_reference_hubs_variables_work_unchanged() {
    let config = from(&[
        ("ACTION_HUB_LABEL", "Ours"),
        ("ACTION_HUB_SECRET", "file:a,secret with commas"),
        ("ACTION_HUB_BASE_URL", "https://hub.example.com/looker/"),
        ("PORT", "9000"),
        ("CIPHER_MASTER", &"0f".repeat(32)),
        ("ACTION_WHITELIST", "amazon_s3,google_drive,debug"),
        ("ACTION_HUB_JSON_KEEPALIVE_SEC", "10"),
        ("ACTION_HUB_STREAM_REQUEST_TIMEOUT", "780000"),
        ("ACTION_HUB_SOCKET_TIMEOUT", "0"),
        ("ACTION_HUB_DEBUG_ENDPOINT", "https://debug.example.com"),
        ("ACTION_HUB_EXECUTE_PROCESS_COUNT", "4"),
        ("ENCRYPT_PAYLOAD_DROPBOX", "true"),
        ("GOOGLE_SHEETS_WRITE_BATCH", "4096"),
    ]);
    assert_eq!(config.label, "Ours");
    assert_eq!(exposed(&config.secrets), ["file:a,secret with commas"]);
    assert_eq!(config.base_url.as_deref(), Some("https://hub.example.com/looker"));
    assert_eq!(config.listen, ["0.0.0.0:9000".parse().unwrap()]);
    assert_eq!(config.cipher_master.unwrap().expose(), "0f".repeat(32));
    assert_eq!(config.actions, ["amazon_s3", "debug"]);
    assert_eq!(config.limits.keep_alive, Duration::from_secs(10));
    assert_eq!(config.limits.download_wait, Duration::from_secs(780));
    assert_eq!(config.limits.idle, Duration::from_secs(60));
    assert!(config.debug);
    let notes = config.notes.join("\n");
    for note in [
        "google_drive",
        "ACTION_HUB_SOCKET_TIMEOUT=0",
        "ACTION_HUB_EXECUTE_PROCESS_COUNT has no meaning",
        "ENCRYPT_PAYLOAD_DROPBOX is not needed",
        "GOOGLE_SHEETS_WRITE_BATCH has no meaning",
    ] {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn sheets_logs_in_by_its_own_client_and_else_by_drives() {
    let drive = [
        ("GOOGLE_DRIVE_CLIENT_ID", "of-drive"),
        ("GOOGLE_DRIVE_CLIENT_SECRET", "secret-of-drive-0123"),
    ];
    let own = [
        ("GOOGLE_SHEET_CLIENT_ID", "of-sheets"),
        ("GOOGLE_SHEET_CLIENT_SECRET", "secret-of-sheets-0123"),
    ];
    let client = |variables: &[(&str, &str)]| {
        let config = from(variables);
        let client = config.clients.get("google_sheets");
        client.map(|(id, secret)| (id.clone(), secret.expose().to_owned()))
    };
    let pair = |pair: [(&str, &str); 2]| Some((pair[0].1.to_owned(), pair[1].1.to_owned()));
    assert_eq!(client(&drive), pair(drive));
    assert_eq!(client(&own), pair(own));
    assert_eq!(client(&[drive, own].concat()), pair(own));
    assert_eq!(client(&[]), None);
}

#[test]
fn an_allow_list_without_any_known_action_does_not_mean_all() {
    assert!(problem(&[("ACTION_WHITELIST", "google_drive")]).contains("none of these"));
}

#[test]
fn a_new_name_wins_over_the_old_one_and_a_note_says_so() {
    let config = from(&[
        ("SENDOFF_SECRETS", "new-0123456789abcdef"),
        ("ACTION_HUB_SECRET", "old-0123456789abcdef"),
        ("SENDOFF_LIMITS_IDLE", "5 s"),
        ("ACTION_HUB_SOCKET_TIMEOUT", "7000"),
    ]);
    assert_eq!(exposed(&config.secrets), ["new-0123456789abcdef"]);
    assert_eq!(config.limits.idle, Duration::from_secs(5));
    let notes = config.notes.join("\n");
    assert!(notes.contains("ACTION_HUB_SECRET is set beside SENDOFF_SECRETS"), "{notes}");
    assert!(notes.contains("ACTION_HUB_SOCKET_TIMEOUT is set beside"), "{notes}");
}

#[test]
fn wrong_values_of_old_names_are_named_by_them() {
    assert!(problem(&[("PORT", "http")]).contains("PORT"));
    assert!(
        problem(&[("ACTION_HUB_JSON_KEEPALIVE_SEC", "30 s")]).contains("whole number of seconds")
    );
    assert!(problem(&[("ACTION_HUB_SOCKET_TIMEOUT", "-1")]).contains("milliseconds"));
}

#[test]
fn settings_of_actions_that_are_not_offered_are_noted_and_left_out() {
    let config = from(&[("SENDOFF_SETTINGS_AMAZON_S3_REGION", "x"), ("SENDOFF_ACTIONS", "sftp")]);
    assert!(config.settings.is_empty());
    assert!(config.notes.concat().contains("settings.amazon_s3 is not used"));
    assert!(problem(&[("SENDOFF_SETTINGS_AMAZON_S3_REGOIN", "x")]).contains("AMAZON_S3_REGION"));
}

#[test]
fn a_login_client_is_read_by_our_name_and_by_the_references() {
    let client = |environment: &[(&str, &str)]| {
        let client = from(environment).clients.remove("dropbox")?;
        Some((client.0, client.1.expose().to_owned()))
    };
    let there = Some(("an id".to_owned(), "a,secret".to_owned()));
    assert_eq!(client(&[("DROPBOX_KEY", "an id"), ("DROPBOX_SECRET", "a,secret")]), there);
    let (id, secret) =
        ("SENDOFF_OAUTH_DROPBOX_CLIENT_ID", "SENDOFF_OAUTH_DROPBOX_CLIENT_SECRET_FILE");
    let (dir, _) = file("");
    let path = dir.path().join("secret");
    std::fs::write(&path, "a,secret\n").unwrap();
    assert_eq!(client(&[(id, "an id"), (secret, path.to_str().unwrap())]), there);
    assert_eq!(client(&[]), None);
    // Ours wins.
    let both = [(id, "an id"), ("DROPBOX_KEY", "other"), ("DROPBOX_SECRET", "a,secret")];
    assert_eq!(client(&both), there);
    let shown = from(&[("DROPBOX_KEY", "an id"), ("DROPBOX_SECRET", "a,secret")]);
    assert!(!to_toml(&shown).contains("a,secret"), "{}", to_toml(&shown));
}

#[test]
fn half_a_login_client_is_named() {
    for (name, half) in [
        ("DROPBOX_KEY", "oauth.dropbox.client_secret"),
        ("DROPBOX_SECRET", "oauth.dropbox.client_id"),
    ] {
        let problem = problem(&[(name, "some text")]);
        assert!(problem.contains(half) && problem.contains(name), "{problem}");
        assert!(!problem.contains("some text"), "{problem}");
    }
}

#[test]
fn state_keys_and_looker_hosts_are_checked_and_keys_are_not_shown() {
    let key = format!("2026-11:{}", "0f".repeat(32));
    let config = from(&[
        ("SENDOFF_STATE_KEYS", &key),
        ("SENDOFF_LOOKER_HOSTS", "looker.example.com, *.example.com,localhost:9999"),
    ]);
    assert_eq!(config.state_keys.len(), 1);
    let hosts = |config: &Config| format!("{:?}", config.looker_hosts);
    assert!(!hosts(&config).contains("looker.com"), "what is named replaces the default");
    assert_eq!(hosts(&from(&[])), format!("{:?}", sendoff::LookerHosts::default()));
    assert!(!to_toml(&config).contains("0f0f"), "{}", to_toml(&config));
    for wrong in ["0f0f", "x:0f0f", ":0f", "a b:00"] {
        let problem = problem(&[("SENDOFF_STATE_KEYS", wrong)]);
        assert!(problem.starts_with("state_keys") && !problem.contains("0f0f"), "{problem}");
    }
    for wrong in ["https://looker.example.com", "a/b", "*", "host:99999"] {
        let problem = problem(&[("SENDOFF_LOOKER_HOSTS", wrong)]);
        assert!(problem.starts_with("looker_hosts") && problem.contains(wrong), "{problem}");
    }
}
