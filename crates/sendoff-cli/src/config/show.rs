//! The configuration as text: what is in force, and the reference page.

use std::fmt::Write;

use super::{Config, DEFAULTS, InForce, sources};

/// As TOML, with the source of each value behind it. Secrets are masked.
pub fn to_toml(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for InForce { path, value, source } in &config.in_force {
        let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
        if table != section {
            section = table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        text.push_str(&format!("{key} = {value} # {source}\n"));
    }
    text
}

/// As one JSON object: each setting's path with its value and source.
pub fn to_json(config: &Config) -> serde_json::Value {
    let settings = config.in_force.iter().map(|InForce { path, value, source }| {
        let entry = serde_json::json!({"value": value, "source": source.to_string()});
        (path.clone(), entry)
    });
    serde_json::Value::Object(settings.collect())
}

/// The page of the documentation that lists every setting.
pub fn to_reference() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         Written by `sendoff docs` from `crates/sendoff-cli/config.default.toml`: change that \
         file.\n\n\
         | setting | in the environment | default |\n|---|---|---|\n",
    );
    for (path, given) in sources::defaults() {
        let variable = sources::variable(&path);
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{path}` | `{variable}` | `{}` |", given.value);
    }
    let _ = write!(page, "\n## What each means\n\n```toml\n{DEFAULTS}```\n");
    page
}
