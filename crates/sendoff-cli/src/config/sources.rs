//! Where values come from: the defaults, a file, the environment and flags, laid over each other.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Value;

use super::secrets::TOKEN_VARIABLE;
use super::{Catalogue, DEFAULTS, Problem, legacy};

/// More than any setting's file needs; a wrong path to something huge is an error, not a wait.
const FILE_AT_MOST: u64 = 1 << 20;
const PREFIX: &str = "SENDOFF_";

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `config.default.toml`.
    Default,
    /// This file.
    File(PathBuf),
    /// This variable.
    Environment(String),
    /// This flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// The variables of the process, read once.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's variables. The one place that reads them.
    #[allow(clippy::disallowed_methods, reason = "the config names the source of every value")]
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// A variable that is set to something. An empty one counts as not set, as in the reference
    /// hub and in compose files that pass on what may be missing.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// What the command line says about settings.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The flag's name, the setting's path and the value.
    pub values: Vec<(String, String, String)>,
}

/// A value as it was given, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) source: Source,
    /// A text of the environment or a flag: commas separate the items of a list.
    pub(super) commas: bool,
    /// `file:` and `exec:` mean themselves.
    pub(super) literal: bool,
}

impl Given {
    pub(super) fn new(value: Value, source: Source) -> Self {
        let commas = matches!(source, Source::Environment(_) | Source::Flag(_));
        Self { value, source, commas, literal: false }
    }
}

/// Every layer over the one below it.
pub(super) struct Layers<'a> {
    catalogue: &'a Catalogue,
    pub(super) given: BTreeMap<String, Given>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

impl<'a> Layers<'a> {
    pub(super) fn gather(
        catalogue: &'a Catalogue,
        environment: &Environment,
        flags: &Flags,
    ) -> Self {
        let mut layers = Self {
            catalogue,
            given: defaults().into_iter().collect(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        layers.add_file(environment, flags);
        legacy::add(&mut layers, environment);
        layers.add_environment(environment);
        for (flag, path, value) in &flags.values {
            let source = Source::Flag(flag.clone());
            if layers.catalogue.knows(path) {
                layers.set(path, Given::new(Value::String(value.clone()), source));
            } else {
                layers.unknown(path, source, layers.catalogue.paths());
            }
        }
        layers
    }

    pub(super) fn set(&mut self, path: &str, given: Given) {
        self.given.insert(path.to_owned(), given);
    }

    pub(super) fn logins(&self) -> &'a [super::catalogue::LoginClient] {
        &self.catalogue.logins
    }

    pub(super) fn offers(&self, action: &str) -> bool {
        self.catalogue.names.iter().any(|name| name == action)
    }

    fn add_file(&mut self, environment: &Environment, flags: &Flags) {
        let named =
            flags.file.clone().or_else(|| environment.get("SENDOFF_CONFIG").map(Into::into));
        let path = match named {
            Some(path) => path,
            None if Path::new("sendoff.toml").exists() => "sendoff.toml".into(),
            None => return,
        };
        self.notes.push(format!("The settings of {} are in force.", path.display()));
        let source = Source::File(path.clone());
        let text = match read_file(&path) {
            Ok(text) => text,
            Err(why) => return self.problems.push(Problem::new("The file", &source, why)),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(fault) => {
                // The error's own display quotes the line, which may hold a secret.
                let at = fault.span().map_or(0, |span| span.start).min(text.len());
                let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
                let what = format!("is no TOML, in line {line}: {}.", fault.message());
                return self.problems.push(Problem::new("The file", &source, what));
            }
        };
        let mut leaves = Vec::new();
        flatten("", table, &mut leaves);
        for (path, value) in leaves {
            if self.catalogue.knows(&path) {
                self.set(&path, Given::new(value, source.clone()));
            } else {
                self.unknown(&path, source.clone(), self.catalogue.paths());
            }
        }
    }

    fn add_environment(&mut self, environment: &Environment) {
        let names: BTreeMap<String, String> =
            self.catalogue.paths().map(|path| (variable(&path), path)).collect();
        for name in environment.names().filter(|name| name.starts_with(PREFIX)) {
            if is_not_a_setting(name) {
                continue;
            }
            let source = Source::Environment(name.to_owned());
            let value = environment.get(name).unwrap_or_default();
            if let Some(path) = names.get(name) {
                self.set(path, Given::new(Value::String(value.to_owned()), source));
                continue;
            }
            let plain = name.strip_suffix("_FILE").and_then(|plain| names.get_key_value(plain));
            match plain.filter(|(_, path)| self.catalogue.is_secret(path)) {
                Some((plain, path)) if environment.get(plain).is_some() => {
                    let what = format!("and {plain} are both set: remove one of them.");
                    self.problems.push(Problem::new(path, &source, what));
                }
                Some((_, path)) => self.add_secret_file(path, value, source),
                None => self.unknown(name, source, names.keys().cloned()),
            }
        }
    }

    /// The twin of a secret's variable: one secret in each line.
    pub(super) fn add_secret_file(&mut self, path: &str, file: &str, source: Source) {
        match read_file(Path::new(file)) {
            Ok(text) => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let value = Value::Array(lines.map(|line| Value::String(line.into())).collect());
                self.set(path, Given { literal: true, ..Given::new(value, source) });
            }
            Err(why) => {
                let what = format!("names the file {file:?}, which {why}");
                self.problems.push(Problem::new(path, &source, what));
            }
        }
    }

    fn unknown(&mut self, name: &str, source: Source, known: impl Iterator<Item = String>) {
        let close = closest(name, known);
        let hint = close.map_or_else(
            || "`sendoff config --default` shows all settings.".to_owned(),
            |close| format!("Did you mean {close}?"),
        );
        self.problems.push(Problem::new(name, &source, format!("is no setting. {hint}")));
    }
}

/// Variables with our prefix that are none of our settings: the file's name, the build's revision,
/// the token of a hub that commands call, and what Kubernetes gives every container of a namespace
/// that has a service called `sendoff`
/// (`SENDOFF_SERVICE_HOST`, `SENDOFF_PORT_8080_TCP_ADDR`).
fn is_not_a_setting(name: &str) -> bool {
    matches!(name, "SENDOFF_CONFIG" | "SENDOFF_COMMIT" | "SENDOFF_PORT" | TOKEN_VARIABLE)
        || name.starts_with("SENDOFF_SERVICE_")
        || name.starts_with("SENDOFF_PORT_")
}

/// The settings of the embedded file, in its order.
pub(super) fn defaults() -> Vec<(String, Given)> {
    let table: toml::Table = DEFAULTS.parse().expect("a test reads the embedded defaults");
    let mut leaves = Vec::new();
    flatten("", table, &mut leaves);
    // A table forgets the order; the file's is the one that people know.
    let mut section = String::new();
    let order: Vec<String> = DEFAULTS
        .lines()
        .filter_map(|line| {
            if let Some(name) = line.strip_prefix('[') {
                section = format!("{}.", name.trim_end_matches(']'));
            }
            let (key, _) = line.split_once(" = ")?;
            Some(format!("{section}{key}"))
        })
        .collect();
    leaves.sort_by_key(|(path, _)| order.iter().position(|known| known == path));
    let given = |value| Given::new(value, Source::Default);
    leaves.into_iter().map(|(path, value)| (path, given(value))).collect()
}

/// The values of a table's leaves under their dotted paths.
pub(super) fn flatten(prefix: &str, table: toml::Table, leaves: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(table) => flatten(&path, table, leaves),
            value => leaves.push((path, value)),
        }
    }
}

/// A setting's name in the environment.
pub(super) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

/// A small text file. Blocks: the config is read before the server starts.
pub(super) fn read_file(path: &Path) -> Result<String, String> {
    let read = || {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        let read = file.take(FILE_AT_MOST + 1).read_to_string(&mut text)?;
        Ok::<_, std::io::Error>((text, read as u64))
    };
    match read() {
        Ok((_, size)) if size > FILE_AT_MOST => Err("is larger than 1 MiB.".to_owned()),
        Ok((text, _)) => Ok(text),
        Err(fault) => Err(format!("cannot be read: {fault}.")),
    }
}

/// The name that was probably meant.
pub(crate) fn closest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let distance = |known: &str| {
        strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &known.to_ascii_lowercase())
    };
    let (distance, close) = known.map(|known| (distance(&known), known)).min()?;
    (distance <= (name.len() / 3).max(2)).then_some(close)
}
