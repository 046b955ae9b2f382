//! The hub's own keys against a machine that answers as Amazon documents it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sendoff::{Class, Egress, EgressConfig, Http, Origins, Scope};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{AwsEnvironment, OwnKeys};

const KEYS: &str = r#"{"Code":"Success","LastUpdated":"2026-11-25T12:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAMACHINE","SecretAccessKey":"of the machine","Token":"session","Expiration":"EXPIRATION"}"#;

/// A metadata service and a container's endpoint, strict about methods and tokens.
struct Machine {
    url: String,
    /// Request lines.
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Machine {
    /// Its keys end at `expiration`.
    async fn start(expiration: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let keys = KEYS.replace("EXPIRATION", expiration);
        let log = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, keys) = (Arc::clone(&log), keys.clone());
                connections.spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if !head.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                        let lower = text.to_ascii_lowercase();
                        let length = lower.split_once("content-length: ").map_or(0, |(_, rest)| {
                            rest.split("\r\n").next().unwrap().parse().unwrap()
                        });
                        let mut form = vec![0; length];
                        stream.read_exact(&mut form).await.unwrap();
                        let form = String::from_utf8(form).unwrap();
                        let (status, body) = answer(&lower, &form, &keys);
                        log.lock().unwrap().push(text.lines().next().unwrap().to_owned());
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}"
                        );
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { url, asked, _serving: serving }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

const ROLE: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>\
<Credentials><SessionToken>session</SessionToken><SecretAccessKey>of the role</SecretAccessKey>\
<Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>ASIAROLE</AccessKeyId></Credentials>\
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

fn answer<'a>(head: &str, form: &str, keys: &'a str) -> (u16, &'a str) {
    let has = |header: &str| head.contains(&format!("\r\n{header}\r\n"));
    let (line, _) = head.split_once(" http/1.1").unwrap();
    match line {
        "put /latest/api/token" if has("x-aws-ec2-metadata-token-ttl-seconds: 60") => {
            (200, "token-of-the-machine")
        }
        "post /" => {
            let wanted = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&\
                RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fhub&RoleSessionName=hub-of-sales&\
                WebIdentityToken=of.kubernetes";
            if form == wanted { (200, ROLE) } else { (400, "") }
        }
        "get /container" if has("authorization: container-token") => (200, keys),
        _ if !has("x-aws-ec2-metadata-token: token-of-the-machine") => (401, ""),
        "get /latest/meta-data/iam/security-credentials/" => (200, "hub-role\n"),
        "get /latest/meta-data/iam/security-credentials/hub-role" => (200, keys),
        _ => (404, ""),
    }
}

fn http() -> Http {
    through(Origins::default())
}

fn through(origins: Origins) -> Http {
    let mut config = EgressConfig::new("an idempotency secret".into());
    config.origins = origins;
    Egress::new(config).unwrap().http(Scope::new("Amazon S3"))
}

/// A file with a token, as platforms mount it.
fn token_file(token: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("sendoff-token-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, format!("{token}\n")).unwrap();
    file
}

fn on_the_machine(machine: &Machine) -> AwsEnvironment {
    AwsEnvironment { machine_url: Some(machine.url.clone()), ..AwsEnvironment::default() }
}

#[tokio::test]
async fn the_machines_keys_are_asked_for_once_until_they_end() {
    let machine = Machine::start("2099-01-01T00:00:00Z").await;
    let (own, http) = (OwnKeys::new(on_the_machine(&machine)), http());
    for _ in 0..3 {
        let keys = own.get(&http, "sts.invalid").await.unwrap();
        assert_eq!(keys.id.expose(), "ASIAMACHINE");
        assert_eq!(keys.secret.expose(), "of the machine");
        assert_eq!(keys.token.unwrap().expose(), "session");
    }
    assert_eq!(machine.asked().len(), 3);

    let machine = Machine::start("2020-01-01T00:00:00Z").await;
    let own = OwnKeys::new(on_the_machine(&machine));
    own.get(&http, "sts.invalid").await.unwrap();
    own.get(&http, "sts.invalid").await.unwrap();
    assert_eq!(machine.asked().len(), 6);
}

#[tokio::test]
async fn nobody_elses_url_reaches_where_the_keys_are() {
    let machine = Machine::start("2099-01-01T00:00:00Z").await;
    let (own, http) = (OwnKeys::new(on_the_machine(&machine)), http());
    own.get(&http, "sts.invalid").await.unwrap();
    machine.asked();
    // Not even by the connection that is still open to it.
    let path = "latest/meta-data/iam/security-credentials/";
    let refused = http.get(format!("{}/{path}", machine.url)).send().await.unwrap_err();
    assert_eq!(refused.class(), Class::Settings);
    assert_eq!(machine.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_containers_endpoint_goes_before_the_machine_and_gets_its_token() {
    let machine = Machine::start("2099-01-01T00:00:00Z").await;
    let file = token_file("container-token");
    let environment = AwsEnvironment {
        container_url: Some(format!("{}/container", machine.url)),
        container_token_file: Some(file.clone()),
        ..on_the_machine(&machine)
    };
    let keys = OwnKeys::new(environment).get(&http(), "sts.invalid").await.unwrap();
    assert_eq!(keys.id.expose(), "ASIAMACHINE");
    assert_eq!(machine.asked(), ["GET /container HTTP/1.1"]);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_web_identity_is_exchanged_for_the_keys_of_its_role() {
    let sts = Machine::start("2099-01-01T00:00:00Z").await;
    let file = token_file("of.kubernetes");
    let environment = AwsEnvironment {
        web_identity_token_file: Some(file.clone()),
        role_arn: Some("arn:aws:iam::1:role/hub".into()),
        role_session_name: Some("hub-of-sales".into()),
        ..on_the_machine(&sts)
    };
    let http = through(Origins::parse([format!("https://sts.example={}", sts.url)]).unwrap());
    let keys = OwnKeys::new(environment).get(&http, "sts.example").await.unwrap();
    assert_eq!((keys.id.expose(), keys.secret.expose()), ("ASIAROLE", "of the role"));
    assert_eq!(sts.asked(), ["POST / HTTP/1.1"]);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn keys_in_the_environment_go_before_everything() {
    let machine = Machine::start("2099-01-01T00:00:00Z").await;
    let environment = AwsEnvironment {
        access_key_id: Some("AKIAENVIRONMENT".into()),
        secret_access_key: Some("of the environment".into()),
        ..on_the_machine(&machine)
    };
    let keys = OwnKeys::new(environment).get(&http(), "sts.invalid").await.unwrap();
    assert_eq!((keys.id.expose(), keys.token.is_none()), ("AKIAENVIRONMENT", true));
    assert_eq!(machine.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_had_is_the_hubs_error_and_says_no_address() {
    let far =
        |url: &str| AwsEnvironment { container_url: Some(url.into()), ..AwsEnvironment::default() };
    let none = AwsEnvironment { no_machine: true, ..AwsEnvironment::default() };
    for environment in [far("http://keys.example/"), far("http://10.0.0.1/"), far("x"), none] {
        let error = OwnKeys::new(environment).get(&http(), "sts.invalid").await.unwrap_err();
        assert_eq!(error.class(), Class::Hub);
        assert!(!error.message().contains("example") && !error.message().contains("10."));
    }
}
