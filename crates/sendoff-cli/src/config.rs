//! The configuration: what is in force, and who said so.

mod catalogue;
mod checks;
mod legacy;
mod limits;
mod problem;
mod read;
mod secrets;
mod show;
mod sources;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use sendoff::{LookerHosts, Origins, Secret, SpoolLimits, StateKey, Values};
use sendoff_destinations::{AwsEnvironment, AzureEnvironment, DriveScope};

use checks::{action, folder, log, loopback, network, sixty_four_hex_digits, web_url};
use limits::{connection_limits, delivery_limits, spool_limits};
use read::Reader;
use sources::Layers;

pub use catalogue::Catalogue;
pub use problem::{Problem, Problems};
pub use read::InForce;
#[cfg(feature = "workbench")]
pub(crate) use secrets::{secret_text, token_text};
pub use show::{to_json, to_reference, to_toml};
#[cfg(feature = "workbench")]
pub(crate) use sources::closest;
pub use sources::{Environment, Flags, Source};

/// Every setting with its default and its explanation.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// How long Looker waits for an answer, as far as is known.
const LOOKER_WAITS: Duration = Duration::from_secs(30 * 60);

/// What is in force. The default file says what each setting means.
#[derive(Clone)]
pub struct Config {
    /// `listen`.
    pub listen: Vec<SocketAddr>,
    /// `label`.
    pub label: String,
    /// `base_url`.
    pub base_url: Option<String>,
    /// `secrets`.
    pub secrets: Vec<Secret>,
    /// `webhook_tokens`.
    pub webhook_tokens: Vec<Secret>,
    /// `actions`; empty means all.
    pub actions: Vec<String>,
    /// `log`, as directives.
    pub log: String,
    /// Whether `log_format` is `json`.
    pub log_json: bool,
    /// `looker_hosts`.
    pub looker_hosts: LookerHosts,
    /// `state_keys`.
    pub state_keys: Vec<StateKey>,
    /// `allow_addresses`.
    pub allow_addresses: Vec<IpNet>,
    /// `origins`.
    pub origins: Origins,
    /// The content of `extra_ca`.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// `cipher_master`.
    pub cipher_master: Option<Secret>,
    /// Those of `limits` that concern a delivery.
    pub limits: sendoff::Limits,
    /// Those of `limits` that concern connections.
    pub connections: ConnectionLimits,
    /// `spool`.
    pub spool: SpoolLimits,
    /// `file.root`.
    pub file_root: Option<PathBuf>,
    /// `debug.enabled`.
    pub debug: bool,
    /// `lambda.response_stream`.
    pub lambda_response_stream: bool,
    /// `sftp.legacy_algorithms`.
    pub sftp_legacy_algorithms: bool,
    /// `workbench.listen`.
    pub workbench_listen: SocketAddr,
    /// `workbench.base_url`.
    pub workbench_base_url: Option<String>,
    /// `workbench.folder`.
    pub workbench_folder: Option<PathBuf>,
    /// What the environment says of keys for AWS, if `aws.own_keys` is on.
    pub aws: Option<AwsEnvironment>,
    /// What the environment says of the hub's identity at Azure, if `azure.own_identity` is on.
    pub azure: Option<AzureEnvironment>,
    /// `google.own_account`.
    pub google_own_account: bool,
    /// `google.scope`.
    pub drive_scope: DriveScope,
    /// `settings`, by action.
    pub settings: BTreeMap<String, Values>,
    /// `oauth`, by action: the client's id and secret.
    pub clients: BTreeMap<String, (String, Secret)>,
    /// Every setting in the order of the default file, secrets masked.
    pub in_force: Vec<InForce>,
    /// What the operator should know although nothing is wrong.
    pub notes: Vec<String>,
}

/// What connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
    /// What running deliveries get after SIGTERM.
    pub grace: Duration,
}

/// Without `settings`, whose texts may be secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("in_force", &self.in_force).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the file, the environment and the flags over the defaults.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn load(
        catalogue: &Catalogue,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<Self, Problems> {
        let layers = Layers::gather(catalogue, environment, flags);
        let mut reader =
            Reader { given: layers.given, problems: layers.problems, in_force: Vec::new() };
        let mut notes = layers.notes;
        let config = Self::read(&mut reader, catalogue, environment);
        match config {
            Some(mut config) if reader.problems.is_empty() => {
                config.add_notes(&mut notes);
                Ok(Self { in_force: reader.in_force, notes, ..config })
            }
            _ => Err(Problems(reader.problems)),
        }
    }

    /// In the order of the default file. Reads on after a wrong value, for the sake of the list.
    fn read(r: &mut Reader, catalogue: &Catalogue, environment: &Environment) -> Option<Self> {
        let listen = r.list("listen", |text| {
            text.parse().map_err(|_| {
                "it must be an IP address with a port, such as \"0.0.0.0:8080\" or \"[::]:8080\""
                    .to_owned()
            })
        });
        let label = r.text("label");
        let base_url = r.optional("base_url", web_url);
        let secrets = r.secrets("secrets");
        let webhook_tokens = r.secrets("webhook_tokens");
        let actions = r.list("actions", |name| action(name, catalogue));
        let log = r.word("log", log);
        let log_json = r.word("log_format", |word| match word {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("it must be \"text\" or \"json\"".to_owned()),
        });
        let looker_hosts = r.list("looker_hosts", |entry| match LookerHosts::parse([entry]) {
            Ok(_) => Ok(entry.to_owned()),
            Err(fault) => Err(fault.to_string().trim_end_matches('.').to_owned()),
        });
        let state_keys = r.secrets_of("state_keys", |text| match StateKey::parse(text) {
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.to_string().trim_end_matches('.').to_owned()),
        });
        let allow_addresses = r.list("allow_addresses", network);
        let origins = r.list("origins", |entry| match Origins::parse([entry]) {
            Ok(_) => Ok(entry.to_owned()),
            Err(fault) => Err(fault.to_string().trim_end_matches('.').to_owned()),
        });
        let extra_ca_pem = r.optional("extra_ca", |path| {
            let text = sources::read_file(path.as_ref());
            text.map(String::into_bytes)
                .map_err(|why| format!("the file {}", why.trim_end_matches('.')))
        });
        let cipher_master = r.secret("cipher_master", sixty_four_hex_digits);
        let limits = delivery_limits(r);
        let connections = connection_limits(r);
        let spool = spool_limits(r, environment);
        let file_root = r.optional("file.root", folder);
        let debug = r.switch("debug.enabled");
        let sftp_legacy_algorithms = r.switch("sftp.legacy_algorithms");
        let workbench_listen = r.word("workbench.listen", loopback);
        let workbench_base_url = r.optional("workbench.base_url", web_url);
        let workbench_folder = r.path("workbench.folder");
        let lambda_response_stream = r.switch("lambda.response_stream");
        let own_keys = r.switch("aws.own_keys");
        let own_identity = r.switch("azure.own_identity");
        let google_own_account = r.switch("google.own_account");
        let drive_scope = r.word("google.scope", |word| match word {
            "drive" => Ok(DriveScope::Drive),
            "drive.file" => Ok(DriveScope::DriveFile),
            _ => Err("it must be \"drive\" or \"drive.file\"".to_owned()),
        });
        let settings = settings(r, catalogue);
        let clients = clients(r, catalogue);
        Some(Self {
            listen: listen?,
            label: label?,
            base_url: base_url?,
            secrets: secrets?,
            webhook_tokens: webhook_tokens?,
            actions: actions?,
            log: log?,
            log_json: log_json?,
            looker_hosts: LookerHosts::parse(looker_hosts?).ok()?,
            state_keys: state_keys?
                .iter()
                .map(|key| StateKey::parse(key.expose()).ok())
                .collect::<Option<_>>()?,
            allow_addresses: allow_addresses?,
            origins: Origins::parse(origins?).ok()?,
            extra_ca_pem: extra_ca_pem?,
            cipher_master: cipher_master?,
            limits: limits?,
            connections: connections?,
            spool: spool?,
            file_root: file_root?,
            debug: debug?,
            lambda_response_stream: lambda_response_stream?,
            sftp_legacy_algorithms: sftp_legacy_algorithms?,
            workbench_listen: workbench_listen?,
            workbench_base_url: workbench_base_url?,
            workbench_folder: workbench_folder?,
            aws: own_keys?.then(|| aws(environment)),
            azure: own_identity?.then(|| azure(environment)),
            google_own_account: google_own_account?,
            drive_scope: drive_scope?,
            settings,
            clients: clients?,
            in_force: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn add_notes(&mut self, notes: &mut Vec<String>) {
        if self.secrets.iter().any(|secret| secret.expose().len() < 16) {
            notes.push(
                "A secret has fewer than 16 characters and can be guessed: `openssl rand -hex 32` \
                 makes a good one."
                    .to_owned(),
            );
        }
        if self.limits.deadline >= LOOKER_WAITS {
            notes.push(format!(
                "limits.deadline is {}, and Looker gives up after about {}: it then takes a \
                 delivery that may still succeed for a failure.",
                units::show_duration(self.limits.deadline),
                units::show_duration(LOOKER_WAITS),
            ));
        }
        let offered = |action: &str| match action {
            "file" => self.file_root.is_some(),
            "debug" => self.debug,
            _ => true,
        } && (self.actions.is_empty() || self.actions.iter().any(|name| name == action));
        let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.settings).into_iter().partition(|(name, _)| offered(name));
        for name in dropped.keys() {
            notes.push(format!("settings.{name} is not used: the action is not offered."));
        }
        self.settings = kept;
        let listed = |name: &String| self.actions.is_empty() || self.actions.contains(name);
        self.clients.retain(|name, _| listed(name));
    }
}

/// The names are Amazon's: the platform sets them.
fn aws(environment: &Environment) -> AwsEnvironment {
    let text = |name: &str| environment.get(name).map(str::to_owned);
    let secret = |name: &str| text(name).map(Secret::from);
    let path = |name: &str| text(name).map(PathBuf::from);
    AwsEnvironment {
        access_key_id: secret("AWS_ACCESS_KEY_ID"),
        secret_access_key: secret("AWS_SECRET_ACCESS_KEY"),
        session_token: secret("AWS_SESSION_TOKEN"),
        web_identity_token_file: path("AWS_WEB_IDENTITY_TOKEN_FILE"),
        role_arn: text("AWS_ROLE_ARN"),
        role_session_name: text("AWS_ROLE_SESSION_NAME"),
        container_path: text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        container_url: text("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        container_token: secret("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        container_token_file: path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        no_machine: text("AWS_EC2_METADATA_DISABLED")
            .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        machine_url: text("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    }
}

/// The names are Microsoft's: the platform sets them.
fn azure(environment: &Environment) -> AzureEnvironment {
    let text = |name: &str| environment.get(name).map(str::to_owned);
    AzureEnvironment {
        tenant_id: text("AZURE_TENANT_ID"),
        client_id: text("AZURE_CLIENT_ID"),
        federated_token_file: text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
        authority: text("AZURE_AUTHORITY_HOST"),
        endpoint: text("IDENTITY_ENDPOINT"),
        endpoint_header: text("IDENTITY_HEADER").map(Secret::from),
        machine_url: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    }
}

fn settings(r: &mut Reader, catalogue: &Catalogue) -> BTreeMap<String, Values> {
    let mut settings: BTreeMap<String, Values> = BTreeMap::new();
    for param in &catalogue.params {
        if let Some(text) = r.param(&param.path, param.secret) {
            let values = settings.entry(param.action.clone()).or_default();
            values.0.insert(param.name.clone(), text);
        }
    }
    settings
}

/// The clients of the actions that have one. Half of one is a mistake.
fn clients(r: &mut Reader, catalogue: &Catalogue) -> Option<BTreeMap<String, (String, Secret)>> {
    let mut clients = BTreeMap::new();
    let mut sound = true;
    for one in &catalogue.logins {
        let source = |path: &str| r.given.get(path).map(|given| given.source.clone());
        let sources = (source(&one.id), source(&one.secret));
        let id = r.param(&one.id, false).filter(|id| !id.is_empty());
        let secret = r.param(&one.secret, true);
        match (id, secret, sources) {
            (Some(id), Some(secret), _) => {
                clients.insert(one.action.clone(), (id, secret.into()));
            }
            (Some(_), None, (Some(source), _)) => {
                sound = false;
                let what = format!("is set without {}.", one.secret);
                r.problems.push(Problem::new(&one.id, &source, what));
            }
            (None, Some(_), (_, Some(source))) => {
                sound = false;
                let what = format!("is set without {}.", one.id);
                r.problems.push(Problem::new(&one.secret, &source, what));
            }
            _ => {}
        }
    }
    sound.then_some(clients)
}
