//! What is wrong with the configuration: the setting, who set it, and what would be right.

use std::fmt;

use super::Source;

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    pub(super) fn new(setting: &str, source: &Source, what: impl fmt::Display) -> Self {
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
