//! What S3, Spaces and Azure Storage are asked for, header by header: options, names, credentials,
//! and files that are there already.
//!
//! That data arrives whole and that faults are told truthfully is the behaviour suite's part.

#![allow(clippy::disallowed_methods, reason = "a test mounts a token as platforms do")]

mod stage;

use std::io::Read;
use std::sync::Arc;

use sendoff::testing::Vendor;
use sendoff_destinations::{AzureEnvironment, Config};
use serde_json::{Value, json};

use stage::{
    Asked, Script, Stage, answer, builder_of, delivered, egress, refusal, refused, text, with,
};

/// What differs between the stores.
struct Store {
    action: &'static str,
    /// The form field.
    bucket: &'static str,
    /// In front of the headers that describe the object.
    of_object: &'static str,
    /// The request that describes an upload in parts.
    described_by: &'static str,
    /// Plan, title and URL as the object keeps them.
    metadata: [(&'static str, &'static str); 3],
    /// Refuses by itself to replace an object.
    conditional: bool,
}

const LIKE_S3: [(&str, &str); 3] = [
    ("x-amz-meta-looker-plan-id", "88"),
    ("x-amz-meta-looker-title", "=?UTF-8?B?VW1zw6R0emU=?="),
    ("x-amz-meta-looker-url", "https://looker.example/looks/1"),
];

const S3: Store = Store {
    action: "amazon_s3",
    bucket: "bucket",
    of_object: "",
    described_by: "?uploads=",
    metadata: LIKE_S3,
    conditional: true,
};

const SPACES: Store = Store { action: "digitalocean_object_storage", conditional: false, ..S3 };

const AZURE: Store = Store {
    action: "azure_storage",
    bucket: "container",
    of_object: "x-ms-blob-",
    described_by: "?comp=blocklist",
    metadata: [
        ("x-ms-meta-looker_plan_id", "88"),
        ("x-ms-meta-looker_title", "Ums%C3%A4tze"),
        ("x-ms-meta-looker_url", "https%3A//looker.example/looks/1"),
    ],
    conditional: true,
};

const STORES: [Store; 3] = [S3, SPACES, AZURE];

const DATA: &str = "id\n1\n";

/// What needs more than one part.
fn large() -> String {
    "0123456,x\n".repeat(600_000)
}

impl Store {
    async fn stage(&self) -> Stage {
        Stage::set(Script::before(self.action)).await
    }

    async fn send(&self, stage: &Stage, settings: Value, form: Value, data: &str) -> Value {
        let settings = with(stage.settings(), settings);
        let form = with(json!(stage.vendor.behind().answers()), form);
        stage.send(self.action, settings, form, data).await
    }

    /// The request that wrote the object.
    async fn put(&self, settings: Value, form: Value) -> Asked {
        let stage = self.stage().await;
        delivered(&self.send(&stage, settings, form, DATA).await);
        stage.vendor.one("PUT /")
    }

    fn header<'a>(&self, asked: &'a Asked, name: &str) -> &'a str {
        asked.header(&format!("{}{name}", self.of_object))
    }
}

#[tokio::test]
async fn an_object_says_what_it_is_and_whose() {
    for store in STORES {
        for data in [DATA, &large()] {
            let stage = store.stage().await;
            delivered(&store.send(&stage, json!({}), json!({}), data).await);
            let by = if data == DATA { "PUT /" } else { store.described_by };
            let asked = stage.vendor.one(by);
            assert_eq!(store.header(&asked, "content-type"), "text/csv", "{}", store.action);
            let disposition = store.header(&asked, "content-disposition");
            assert_eq!(disposition, "attachment; filename=\"orders.csv\"", "{}", store.action);
            for (name, value) in store.metadata {
                assert_eq!(asked.header(name), value, "{}", store.action);
            }
        }
    }
}

#[tokio::test]
async fn gzip_is_in_the_bytes_the_name_and_the_type() {
    for store in STORES {
        let put = store.put(json!({}), json!({ "gzip": "yes" })).await;
        assert!(put.path.ends_with("/daily/orders.csv.gz"), "{}", put.path);
        assert_eq!(store.header(&put, "content-type"), "application/gzip");
        let disposition = store.header(&put, "content-disposition");
        assert_eq!(disposition, "attachment; filename=\"orders.csv.gz\"");
        let mut plain = String::new();
        flate2::read::GzDecoder::new(put.body.as_slice()).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, DATA);
    }
}

fn already_there(answer: &Value) {
    refused(answer, "already");
    assert!(answer["validation_errors"]["filename"].is_string(), "{answer}");
    assert_eq!(answer["error"]["status_code"], "ALREADY_EXISTS", "{answer}");
}

#[tokio::test]
async fn a_file_that_is_there_is_replaced_respected_or_kept() {
    for store in STORES {
        let stage = store.stage().await;
        let puts = || stage.vendor.asked_for("PUT /");
        let send = async |if_exists: &str| {
            store.send(&stage, json!({}), json!({ "if_exists": if_exists }), DATA).await
        };
        delivered(&send("overwrite").await);
        delivered(&send("overwrite").await);
        assert_eq!(stage.vendor.asked().len(), 2, "nobody need look before he replaces");
        assert!(puts().iter().all(|put| put.header("if-none-match").is_empty()));

        already_there(&send("fail").await);
        assert_eq!(puts().len(), 2, "{}", store.action);

        let answer = send("keep_both").await;
        let said = delivered(&answer);
        assert!(said.contains("daily/orders (2).csv") && said.contains("was taken"), "{said}");
        let last = puts().pop().unwrap();
        assert!(last.path.ends_with("/daily/orders%20%282%29.csv"), "{}", last.path);
        let condition = if store.conditional { "*" } else { "" };
        assert_eq!(last.header("if-none-match"), condition, "{}", store.action);
    }
}

/// Somebody else is quicker than the look that the hub takes first.
#[tokio::test]
async fn a_file_that_comes_meanwhile_is_not_replaced() {
    for store in STORES {
        for data in [DATA, &large()] {
            let stage = store.stage().await;
            delivered(&store.send(&stage, json!({}), json!({}), "the first\n").await);
            let before = stage.vendor.behind().objects().await;
            stage.vendor.tell("HEAD /", text(404, ""));
            already_there(
                &store.send(&stage, json!({}), json!({ "if_exists": "fail" }), data).await,
            );
            assert_eq!(stage.vendor.behind().objects().await, before, "{}", store.action);
            assert!(stage.vendor.behind().leftovers().await.is_empty(), "{}", store.action);
        }
    }
}

#[tokio::test]
async fn a_refusal_has_the_code_that_fits() {
    for store in STORES {
        let stage = store.stage().await;
        let elsewhere = json!({ store.bucket: "no-such-one" });
        let answer = store.send(&stage, json!({}), elsewhere, DATA).await;
        assert!(answer["validation_errors"][store.bucket].is_string(), "{answer}");
        assert_eq!(answer["error"]["status_code"], "NOT_FOUND", "{answer}");

        stage.vendor.tell_always("PUT /", refusal(stage.vendor.behind(), 503));
        let answer = store.send(&stage, json!({}), json!({}), DATA).await;
        refused(&answer, "refused (503 S");
        assert_eq!(answer["error"]["status_code"], "RESOURCE_EXHAUSTED", "{answer}");
        assert_eq!(stage.vendor.asked_for("PUT /").len(), 4, "it is asked again first");
    }
}

#[tokio::test]
async fn the_default_bucket_stands_first() {
    for store in STORES {
        let stage = store.stage().await;
        let field = format!("default_{}", store.bucket);
        let settings = with(stage.settings(), json!({ field.as_str(): "looker-exports" }));
        let form = stage.form(store.action, &settings, json!({})).await;
        let options = form[store.bucket]["options"].as_array().unwrap();
        let names: Vec<_> = options.iter().map(|option| option["name"].as_str().unwrap()).collect();
        assert_eq!(names[0], "looker-exports", "{}", store.action);
        assert!(names.len() > 1, "{names:?}");

        // Where no list is to be had, the line of text holds it.
        let denied = text(403, "<Error><Code>AccessDenied</Code></Error>");
        let denied = denied.header("x-ms-error-code", "AuthorizationPermissionMismatch");
        stage.vendor.tell_always("GET /", denied);
        let settings = with(settings, json!({ field.as_str(): "reports-of-sales" }));
        let form = stage.form(store.action, &settings, json!({})).await;
        assert_eq!(form[store.bucket]["default"], "reports-of-sales", "{form}");
    }
}

// Amazon S3 <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

#[tokio::test]
async fn s3_gets_the_options_of_the_form() {
    const CLASS: &str = "x-amz-storage-class";
    const SSE: &str = "x-amz-server-side-encryption";
    const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
    const ACL: &str = "x-amz-acl";
    let kms = json!({ "sse": "aws:kms", "sse_kms_key_id": " alias/looker " });
    for (form, headers) in [
        (json!({}), vec![(CLASS, ""), (SSE, ""), (KEY, ""), (ACL, "")]),
        (json!({ "storage_class": "STANDARD_IA" }), vec![(CLASS, "STANDARD_IA")]),
        (json!({ "storage_class": "GLACIER_IR" }), vec![(CLASS, "GLACIER_IR")]),
        (json!({ "sse": "AES256" }), vec![(SSE, "AES256"), (KEY, "")]),
        (kms, vec![(SSE, "aws:kms"), (KEY, "alias/looker")]),
        (json!({ "acl": "bucket-owner-full-control" }), vec![(ACL, "bucket-owner-full-control")]),
        (json!({ "acl": "public-read" }), vec![(ACL, "public-read")]),
    ] {
        for (data, by) in [(DATA, "PUT /"), (&large(), S3.described_by)] {
            let stage = S3.stage().await;
            delivered(&S3.send(&stage, json!({}), form.clone(), data).await);
            let asked = stage.vendor.one(by);
            for (name, value) in &headers {
                assert_eq!(asked.header(name), *value, "{form} {name}");
            }
        }
    }
}

#[tokio::test]
async fn spaces_get_their_access() {
    for (form, acl) in [
        (json!({}), ""),
        (json!({ "acl": "private" }), "private"),
        (json!({ "acl": "public-read" }), "public-read"),
    ] {
        let put = SPACES.put(json!({}), form).await;
        assert_eq!(put.header("x-amz-acl"), acl);
        assert_eq!(put.header("host"), "quarterly-reports.nyc3.digitaloceanspaces.com");
    }
}

#[tokio::test]
async fn temporary_keys_bring_their_token() {
    let put = S3.put(json!({ "session_token": "canary-token-of-the-session" }), json!({})).await;
    assert_eq!(put.header("x-amz-security-token"), "canary-token-of-the-session");
    assert!(put.header("authorization").contains(";x-amz-security-token"), "it is signed too");
}

fn stored() -> stage::Answer {
    text(200, "").header("etag", "\"0\"")
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
#[tokio::test]
async fn a_role_is_taken_on_and_signs() {
    let stage = S3.stage().await;
    let role = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE\
                </AccessKeyId><SecretAccessKey>of the role</SecretAccessKey><SessionToken>\
                token-of-the-role</SessionToken></Credentials></AssumeRoleResult>\
                </AssumeRoleResponse>";
    stage.vendor.tell_always("POST / ", text(200, role));
    stage.vendor.tell_always("PUT /", stored());
    let arn = "arn:aws:iam::123456789012:role/looker";
    let settings = json!({ "role_arn": arn, "external_id": " of-looker " });
    delivered(&S3.send(&stage, settings, json!({}), DATA).await);
    let [asked, put] = &stage.vendor.asked()[..] else { panic!("{:?}", stage.vendor.asked()) };
    assert_eq!(asked.header("host"), "sts.eu-central-1.amazonaws.com");
    assert!(asked.header("authorization").contains("Credential=AKIACANARYACCESSKEY0/"));
    assert!(asked.header("authorization").contains("/eu-central-1/sts/aws4_request"));
    assert_eq!(
        asked.text(),
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole\
         %2Flooker&RoleSessionName=sendoff&DurationSeconds=3600&ExternalId=of-looker"
    );
    assert!(put.header("authorization").contains("Credential=ASIAROLE/"), "{put:?}");
    assert_eq!(put.header("x-amz-security-token"), "token-of-the-role");
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RedirectionErrorResponses>
#[tokio::test]
async fn a_bucket_of_another_region_is_asked_there() {
    let stage = S3.stage().await;
    let moved = text(301, "<Error><Code>PermanentRedirect</Code></Error>");
    stage.vendor.tell("PUT /", moved.header("x-amz-bucket-region", "us-west-2"));
    stage.vendor.tell("PUT /", stored());
    delivered(&S3.send(&stage, json!({}), json!({}), DATA).await);
    let asked = stage.vendor.asked();
    let [here, there] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(here.header("host"), "quarterly-reports.s3.eu-central-1.amazonaws.com");
    assert_eq!(there.header("host"), "quarterly-reports.s3.us-west-2.amazonaws.com");
    assert!(there.header("authorization").contains("/us-west-2/s3/aws4_request"), "{there:?}");
    assert_eq!(there.text(), DATA);
}

// Azure <https://learn.microsoft.com/rest/api/storageservices/put-blob>

#[tokio::test]
async fn azure_gets_the_tier() {
    let tiers = [("hot", "Hot"), ("cool", "Cool"), ("cold", "Cold"), ("archive", "Archive")];
    for (chosen, header) in tiers.into_iter().chain([("", "")]) {
        let put = AZURE.put(json!({}), json!({ "access_tier": chosen })).await;
        assert_eq!(put.header("x-ms-access-tier"), header, "{chosen}");
    }
}

#[tokio::test]
async fn a_container_is_made_if_the_form_says_so() {
    let stage = AZURE.stage().await;
    let new = json!({ "container": "new-one", "create_container": "yes" });
    stage.vendor.tell("PUT /new-one?restype=container ", text(201, ""));
    stage.vendor.tell("PUT /new-one/daily/orders.csv ", text(201, ""));
    delivered(&AZURE.send(&stage, json!({}), new, DATA).await);
    assert_eq!(stage.vendor.asked().len(), 2);
    // One that is there already is as good.
    delivered(&AZURE.send(&stage, json!({}), json!({ "create_container": "yes" }), DATA).await);
    assert_eq!(stage.vendor.asked_for("PUT /quarterly?restype=container ").len(), 1);
}

/// Blob services of these clouds, and where their logins are.
fn clouds() -> Script {
    Script::at(&[
        "https://*.blob.core.windows.net",
        "https://login.microsoftonline.com",
        "https://*.blob.core.usgovcloudapi.net",
        "https://login.microsoftonline.us",
    ])
    .told("PUT /", [text(201, "")])
}

fn orders() -> Value {
    json!({ "container": "quarterly", "path": "daily", "filename": "orders" })
}

#[tokio::test]
async fn a_sas_token_goes_along_with_each_request_and_nowhere_else() {
    let stage = Stage::set(clouds()).await;
    let token = "?sv=2023-11-03&ss=b&sig=canary%2Bsignature%2Fof0sas%3D";
    let settings = json!({ "account": "lookerexports", "sas_token": token });
    let answer = stage.send("azure_storage", settings, orders(), &large()).await;
    let said = delivered(&answer);
    assert!(!said.contains("signature"), "{said}");
    let asked = stage.vendor.asked();
    assert!(asked.len() > 2, "{asked:?}");
    for one in asked {
        assert!(one.path.ends_with("&sv=2023-11-03&ss=b&sig=canary%2Bsignature%2Fof0sas%3D"));
        assert!(one.path.starts_with("/quarterly/daily/orders.csv?comp=block"), "{}", one.path);
        assert_eq!(one.header("host"), "lookerexports.blob.core.windows.net");
        assert_eq!(one.header("authorization"), "");
    }
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
#[tokio::test]
async fn a_service_principal_logs_in_and_delivers() {
    const PRINCIPAL: [(&str, &str); 4] = [
        ("account", "lookerexports"),
        ("tenant_id", "contoso.example"),
        ("client_id", "app-of-looker"),
        ("client_secret", "canary-secret-of-the-app"),
    ];
    let token =
        json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "entra-token" });
    for (suffix, service, authority) in [
        ("", "lookerexports.blob.core.windows.net", "login.microsoftonline.com"),
        (
            "core.usgovcloudapi.net",
            "lookerexports.blob.core.usgovcloudapi.net",
            "login.microsoftonline.us",
        ),
    ] {
        let told = clouds().told("POST /contoso.example/", [answer(200, token.clone())]);
        let stage = Stage::set(told).await;
        let principal: Value =
            PRINCIPAL.map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect();
        let settings = with(principal, json!({ "endpoint_suffix": suffix }));
        delivered(&stage.send("azure_storage", settings.clone(), orders(), DATA).await);
        let asked = stage.vendor.asked();
        let [login, put] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(login.header("host"), authority);
        assert_eq!(login.path, "/contoso.example/oauth2/v2.0/token");
        assert_eq!(
            login.text(),
            "grant_type=client_credentials&client_id=app-of-looker&client_secret=\
             canary-secret-of-the-app&scope=https%3A%2F%2Fstorage.azure.com%2F.default"
        );
        assert_eq!(put.header("host"), service);
        assert_eq!(put.header("authorization"), "Bearer entra-token");

        let said = "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 0";
        let no = json!({ "error": "invalid_client", "error_description": said });
        stage.vendor.tell("POST /contoso.example/", answer(401, no));
        let heard = stage.send("azure_storage", settings, orders(), DATA).await;
        let heard = refused(&heard, "AADSTS7000215: Invalid client secret provided.");
        assert!(!heard.contains("Trace"), "{heard}");
        assert_eq!(stage.vendor.asked_for("PUT /").len(), 1, "nothing goes out without a login");
    }
}

const OWN_TOKEN: &str = "canary-token-of-the-hub";

/// Azure with a hub that may use its own identity; `environment` gets the machine's address.
async fn with_own_identity(environment: impl FnOnce(String) -> AzureEnvironment) -> Stage {
    let until = json!({ "access_token": OWN_TOKEN, "expires_on": "4070908800" });
    let lasts = json!({ "access_token": OWN_TOKEN, "expires_in": 86_399 });
    let script = clouds()
        .told("GET /metadata/identity/oauth2/token?", [answer(200, until.clone())])
        .told("GET /msi/token?", [answer(200, until)])
        .told("POST /tenant-of-the-hub/oauth2/v2.0/token ", [answer(200, lasts)]);
    let vendor = Arc::new(script);
    let running = Vendor::start(Arc::clone(&vendor) as _, true).await.unwrap();
    let machine = format!("http://{}", running.proxy().address());
    let config = Config { azure: Some(environment(machine)), ..Config::default() };
    let hub = builder_of(&config, egress(running.origins())).build().unwrap();
    Stage { hub, vendor, running }
}

fn on_the_machine(machine: String) -> AzureEnvironment {
    AzureEnvironment { machine_url: Some(machine), ..AzureEnvironment::default() }
}

async fn without_credentials(stage: &Stage, more: Value) -> Value {
    let settings = with(json!({ "account": "lookerexports" }), more);
    stage.send("azure_storage", settings, orders(), DATA).await
}

/// Delivers twice, and gives the one request for the token.
async fn asked_for_the_token(stage: &Stage) -> Asked {
    for _ in 0..2 {
        delivered(&without_credentials(stage, json!({})).await);
    }
    let mut asked = stage.vendor.asked();
    let token = asked.remove(0);
    assert_eq!(asked.len(), 2, "{asked:?}");
    for put in asked {
        assert_eq!(put.header("authorization"), format!("Bearer {OWN_TOKEN}"), "{put:?}");
    }
    token
}

#[tokio::test]
async fn the_hubs_own_identity_stands_in_for_credentials() {
    const RESOURCE: &str = "resource=https%3A%2F%2Fstorage.azure.com%2F";
    let stage = with_own_identity(on_the_machine).await;
    let asked = asked_for_the_token(&stage).await;
    let due = format!("GET /metadata/identity/oauth2/token?api-version=2018-02-01&{RESOURCE} ");
    assert_eq!((asked.line(), asked.header("metadata")), (due, "true"));

    let stage = with_own_identity(|machine| AzureEnvironment {
        endpoint: Some(format!("{machine}/msi/token")),
        endpoint_header: Some("canary-header-of-the-app".into()),
        client_id: Some("one-of-several".into()),
        ..AzureEnvironment::default()
    });
    let asked = asked_for_the_token(&stage.await).await;
    let due = format!("GET /msi/token?api-version=2019-08-01&{RESOURCE}&client_id=one-of-several ");
    assert_eq!(
        (asked.line(), asked.header("x-identity-header")),
        (due, "canary-header-of-the-app")
    );

    let file = std::env::temp_dir().join(format!("sendoff-token-{}", std::process::id()));
    std::fs::write(&file, "of.kubernetes\n").unwrap();
    let stage = with_own_identity(|_| AzureEnvironment {
        federated_token_file: Some(file.clone()),
        tenant_id: Some("tenant-of-the-hub".into()),
        client_id: Some("app-of-the-hub".into()),
        ..AzureEnvironment::default()
    });
    let asked = asked_for_the_token(&stage.await).await;
    std::fs::remove_file(file).unwrap();
    assert_eq!(asked.header("host"), "login.microsoftonline.com");
    assert_eq!(
        asked.text(),
        "grant_type=client_credentials&client_id=app-of-the-hub&scope=https%3A%2F%2F\
         storage.azure.com%2F.default&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A\
         client-assertion-type%3Ajwt-bearer&client_assertion=of.kubernetes"
    );
}

#[tokio::test]
async fn the_hubs_own_token_goes_to_azure_alone_and_only_if_the_operator_says_so() {
    let stage = with_own_identity(on_the_machine).await;
    for elsewhere in [
        json!({ "endpoint": "https://lookerexports.blob.core.windows.net" }),
        json!({ "endpoint_suffix": "evil.example" }),
    ] {
        refused(&without_credentials(&stage, elsewhere).await, "Enter one of these");
    }
    let off = Stage::set(clouds()).await;
    refused(&without_credentials(&off, json!({})).await, "Enter one of these");
    assert!(stage.vendor.asked().is_empty() && off.vendor.asked().is_empty());

    let none = answer(400, json!({ "error_description": "Identity not found" }));
    stage.vendor.tell("GET /metadata", none);
    let answer = without_credentials(&stage, json!({})).await;
    refused(&answer, "own identity at Azure cannot be had now. Its operator");
    assert!(stage.vendor.asked_for("PUT /").is_empty());
}
