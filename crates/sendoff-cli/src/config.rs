//! The configuration: what is in force, and who said so.

mod legacy;
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
use sendoff::{AnyAction, LoginBy, LookerHosts, Origins, Secret, SpoolLimits, StateKey, Values};

use sendoff_destinations::AwsEnvironment;

use read::Reader;
use sources::Layers;

pub use read::InForce;
pub(crate) use secrets::{secret_text, token_text};
pub use show::{to_json, to_reference, to_toml};
pub(crate) use sources::closest;
pub use sources::{Environment, Flags, Source};

/// Every setting with its default and its explanation.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

const HOUR: Duration = Duration::from_secs(3600);
const INSTANT: Duration = Duration::from_millis(10);
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const SECRETS: [&str; 4] = ["secrets", "webhook_tokens", "state_keys", "cipher_master"];

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
    /// `workbench.listen`.
    pub workbench_listen: SocketAddr,
    /// `workbench.base_url`.
    pub workbench_base_url: Option<String>,
    /// `workbench.folder`.
    pub workbench_folder: Option<PathBuf>,
    /// What the environment says of keys for AWS, if `aws.own_keys` is on.
    pub aws: Option<AwsEnvironment>,
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

/// The settings that there are: those of the default file, and the params of every action.
#[derive(Clone, Debug)]
pub struct Catalogue {
    params: Vec<Param>,
    names: Vec<String>,
    logins: Vec<LoginClient>,
}

#[derive(Clone, Debug)]
struct Param {
    action: String,
    name: String,
    path: String,
    secret: bool,
}

/// Where the client of an action's login stands.
#[derive(Clone, Debug)]
struct LoginClient {
    action: String,
    id: String,
    secret: String,
    /// The reference hub's names; the second are read where the first are not set.
    variables: [Option<(&'static str, &'static str)>; 2],
}

impl LoginClient {
    fn new(action: &str, variables: [Option<(&'static str, &'static str)>; 2]) -> Self {
        let path = |what: &str| format!("oauth.{action}.{what}");
        let (id, secret) = (path("client_id"), path("client_secret"));
        Self { action: action.to_owned(), id, secret, variables }
    }
}

impl Catalogue {
    /// The settings when these are the actions.
    pub fn new<'a>(actions: impl IntoIterator<Item = &'a dyn AnyAction>) -> Self {
        let mut catalogue = Self { params: Vec::new(), names: Vec::new(), logins: Vec::new() };
        for action in actions {
            let name = action.spec().name;
            catalogue.names.push(name.to_owned());
            if let Some(LoginBy::OAuth(oauth)) = action.spec().login {
                catalogue
                    .logins
                    .push(LoginClient::new(name, [oauth.variables, oauth.or_variables]));
            }
            // The link to a page of Looker's is nothing to be set.
            let params = action.params().into_iter().filter(|p| p.delegate_oauth_url.is_none());
            catalogue.params.extend(params.map(|param| Param {
                action: name.to_owned(),
                path: format!("settings.{name}.{}", param.name),
                name: param.name,
                secret: param.sensitive,
            }));
        }
        catalogue
    }

    fn paths(&self) -> impl Iterator<Item = String> + use<> {
        let mut own: Vec<_> = self.params.iter().map(|param| param.path.clone()).collect();
        own.extend(self.logins.iter().flat_map(|one| [one.id.clone(), one.secret.clone()]));
        sources::defaults().into_iter().map(|(path, _)| path).chain(own)
    }

    fn knows(&self, path: &str) -> bool {
        self.paths().any(|known| known == path)
    }

    fn is_secret(&self, path: &str) -> bool {
        SECRETS.contains(&path)
            || self.params.iter().any(|param| param.secret && param.path == path)
            || self.logins.iter().any(|one| one.secret == path)
    }
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    fn new(setting: &str, source: &Source, what: impl fmt::Display) -> Self {
        match source {
            // The variable's own name may be all there is.
            Source::Environment(name) if name == setting => Self(format!("{name} {what}")),
            _ => Self(format!("{setting} ({source}) {what}")),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|problem| format!("  {problem}")).collect();
        write!(f, "The configuration is wrong:\n{}", lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

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
        let file_root = r.path("file.root");
        let debug = r.switch("debug.enabled");
        let workbench_listen = r.word("workbench.listen", loopback);
        let workbench_base_url = r.optional("workbench.base_url", web_url);
        let workbench_folder = r.path("workbench.folder");
        let own_keys = r.switch("aws.own_keys");
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
            workbench_listen: workbench_listen?,
            workbench_base_url: workbench_base_url?,
            workbench_folder: workbench_folder?,
            aws: own_keys?.then(|| aws(environment)),
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

fn delivery_limits(r: &mut Reader) -> Option<sendoff::Limits> {
    let body_bytes = r.size("limits.body_bytes", 1024..=1 << 50);
    let keep_alive = r.duration("limits.keep_alive", INSTANT..=HOUR);
    let deadline = r.duration("limits.deadline", Duration::from_secs(1)..=24 * HOUR);
    let idle = r.duration("limits.idle", INSTANT..=24 * HOUR);
    let download_wait = r.duration("limits.download_wait", INSTANT..=24 * HOUR);
    let running = r.count("limits.running", 1..=100_000);
    let per_lane = r.count("limits.per_lane", 1..=100_000);
    let waiting = r.count("limits.waiting", 0..=1_000_000);
    let mut limits = sendoff::Limits::default();
    limits.body_bytes = body_bytes?;
    limits.keep_alive = keep_alive?;
    limits.deadline = deadline?;
    limits.idle = idle?;
    limits.download_wait = download_wait?;
    limits.running = running?;
    limits.per_lane = per_lane?;
    limits.waiting = waiting?;
    Some(limits)
}

fn connection_limits(r: &mut Reader) -> Option<ConnectionLimits> {
    let connections = r.count("limits.connections", 1..=1_000_000);
    let header_bytes = r.size("limits.header_bytes", 1024..=1 << 20);
    let headers = r.count("limits.headers", 8..=1024);
    let header_timeout = r.duration("limits.header_timeout", INSTANT..=HOUR);
    let grace = r.duration("limits.grace", Duration::ZERO..=24 * HOUR);
    Some(ConnectionLimits {
        connections: connections?,
        header_bytes: usize::try_from(header_bytes?).ok()?,
        headers: headers?,
        header_timeout: header_timeout?,
        grace: grace?,
    })
}

fn spool_limits(r: &mut Reader, environment: &Environment) -> Option<SpoolLimits> {
    let temporary = || PathBuf::from(environment.get("TMPDIR").unwrap_or("/tmp"));
    let dir = r.path("spool.dir").map(|dir| match dir {
        Some(dir) if dir.as_os_str() == "none" => None,
        Some(dir) => Some(dir),
        None => Some(temporary()),
    });
    let memory = 0..=1 << 40;
    let disk = 0..=1 << 50;
    let memory_per_delivery = r.size("spool.memory_per_delivery", memory.clone());
    let memory_total = r.size("spool.memory_total", memory);
    let bytes_per_delivery = r.size("spool.bytes_per_delivery", disk.clone());
    let bytes_total = r.size("spool.bytes_total", disk);
    Some(SpoolLimits {
        dir: dir?,
        memory_per_delivery: usize::try_from(memory_per_delivery?).ok()?,
        memory_total: usize::try_from(memory_total?).ok()?,
        bytes_per_delivery: bytes_per_delivery?,
        bytes_total: bytes_total?,
    })
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

/// The workbench asks nobody to log in and sends data wherever it is told to.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| {
        "it must be an address of this machine with a port, such as \"127.0.0.1:8090\": the \
         workbench has no login, so nobody else may reach it (from elsewhere, \
         `ssh -L 8090:127.0.0.1:8090` leads to it)"
            .to_owned()
    })
}

fn web_url(text: &str) -> Result<String, String> {
    let right = "it must be an http or https URL without a query, such as \
                 \"https://hub.example.com\"";
    let url: http::Uri = text.parse().map_err(|_| right.to_owned())?;
    let web = matches!(url.scheme_str(), Some("http" | "https"));
    if web && url.authority().is_some() && url.query().is_none() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(right.to_owned())
    }
}

fn action(name: &str, catalogue: &Catalogue) -> Result<String, String> {
    if catalogue.names.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let close = sources::closest(name, catalogue.names.iter().cloned());
    Err(match close {
        Some(close) => format!("there is no action \"{name}\", did you mean \"{close}\""),
        None => format!("there is no action \"{name}\"; there are {}", catalogue.names.join(", ")),
    })
}

fn log(directives: &str) -> Result<String, String> {
    // A directive without `=` or `::` that is no level would be read as a crate's name, and a
    // misspelt level as a log that stays empty.
    let sound = directives.split(',').all(|directive| match directive.split_once('=') {
        Some((_, level)) => LEVELS.contains(&level.trim()),
        None => LEVELS.contains(&directive.trim()) || directive.contains("::"),
    });
    if sound {
        Ok(directives.to_owned())
    } else {
        Err(format!(
            "it must be one of {}, or directives such as \"info,sendoff=debug\"",
            LEVELS.join(", ")
        ))
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let one_address = || text.parse().map(|address: std::net::IpAddr| address.into()).ok();
    let network = text.parse().ok().or_else(one_address);
    network.ok_or_else(|| {
        "each must be a network such as \"10.20.0.0/16\", \"fd00::/8\" or a single address"
            .to_owned()
    })
}

fn sixty_four_hex_digits(text: &str) -> Result<(), String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("it must be 64 hexadecimal characters, as `openssl rand -hex 32` prints".to_owned())
    }
}
