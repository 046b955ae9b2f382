//! The reference hub's variables, which work unchanged.
//!
//! What they mean there: `src/server/server.ts`, `src/hub/action_request.ts`, `src/hub/sources.ts`
//! and `src/actions/debug/debug.ts` of looker-open-source/actions at 029be064.

use toml::Value;

use super::Problem;
use super::sources::{Environment, Given, Layers, Source, variable};

enum Means {
    /// The text itself.
    Text,
    /// One secret, which may hold commas.
    Secret,
    /// A number of seconds.
    Seconds,
    /// A number of milliseconds; 0 waits without end in the reference hub.
    Silence,
    /// Listens on every address, as the reference does.
    Port,
    /// Any value turns it on.
    On,
    /// Any value sets the log to `debug`.
    Debug,
}

/// The variable, the setting, and how to read it.
const NAMES: [(&str, &str, Means); 11] = [
    ("ACTION_HUB_LABEL", "label", Means::Text),
    ("ACTION_HUB_SECRET", "secrets", Means::Secret),
    ("ACTION_HUB_BASE_URL", "base_url", Means::Text),
    ("PORT", "listen", Means::Port),
    ("CIPHER_MASTER", "cipher_master", Means::Secret),
    ("ACTION_WHITELIST", "actions", Means::Text),
    ("ACTION_HUB_JSON_KEEPALIVE_SEC", "limits.keep_alive", Means::Seconds),
    ("ACTION_HUB_STREAM_REQUEST_TIMEOUT", "limits.download_wait", Means::Silence),
    ("ACTION_HUB_SOCKET_TIMEOUT", "limits.idle", Means::Silence),
    ("ACTION_HUB_DEBUG_ENDPOINT", "debug.enabled", Means::On),
    ("ACTION_HUB_DEBUG", "log", Means::Debug),
];

pub(super) fn add(layers: &mut Layers<'_>, environment: &Environment) {
    let mut names: Vec<_> =
        NAMES.iter().map(|(name, path, means)| (*name, (*path).to_owned(), means)).collect();
    for login in layers.logins() {
        let [own, other] = login.variables;
        let set = |(id, secret): &(&str, &str)| {
            [id, secret].into_iter().any(|name| environment.get(name).is_some())
        };
        let Some((id, secret)) = own.filter(set).or(other) else { continue };
        names.push((id, login.id.clone(), &Means::Text));
        names.push((secret, login.secret.clone(), &Means::Secret));
    }
    for (name, path, means) in names {
        let path = path.as_str();
        let Some(text) = environment.get(name) else { continue };
        if wins_over(layers, environment, name, path) {
            continue;
        }
        if matches!(means, Means::Silence) && text.trim() == "0" {
            layers.notes.push(format!(
                "{name}=0 waits without end in the reference hub. Here {path} keeps its default, \
                 because every request must end."
            ));
            continue;
        }
        match read(text, means) {
            Some(value) if path == "actions" => add_actions(layers, name, value),
            Some(value) => {
                let literal = matches!(means, Means::Secret);
                let source = Source::Environment(name.to_owned());
                layers.set(path, Given { literal, ..Given::new(value, source) });
            }
            None => {
                let source = Source::Environment(name.to_owned());
                let what = format!("is {text:?}: it must be {}.", right(means));
                layers.problems.push(Problem::new(path, &source, what));
            }
        }
    }
    note_unused(layers, environment);
}

/// The reference ignores names of its list that it has no action for. So does this hub, as long as
/// one is left: an empty list would mean all of them.
fn add_actions(layers: &mut Layers<'_>, name: &str, value: Value) {
    let source = Source::Environment(name.to_owned());
    let listed = value.as_str().unwrap_or_default().split(',').map(str::trim);
    let (known, unknown): (Vec<_>, Vec<_>) =
        listed.filter(|action| !action.is_empty()).partition(|action| layers.offers(action));
    if known.is_empty() {
        let what = format!("is {value}: none of these actions is in this hub.");
        layers.problems.push(Problem::new("actions", &source, what));
        return;
    }
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        layers.notes.push(format!("{name} lists what this hub does not have: {unknown}."));
    }
    let known = known.into_iter().map(|action| Value::String(action.to_owned()));
    layers.set("actions", Given::new(Value::Array(known.collect()), source));
}

/// Whether the setting's own variable is set as well. It wins, and a note says so.
fn wins_over(layers: &mut Layers<'_>, environment: &Environment, old: &str, path: &str) -> bool {
    let new = variable(path);
    let set = [new.clone(), format!("{new}_FILE")];
    let wins = set.iter().any(|name| environment.get(name).is_some());
    if wins {
        layers.notes.push(format!("{old} is set beside {new}, which wins: remove one of them."));
    }
    wins
}

fn read(text: &str, means: &Means) -> Option<Value> {
    Some(match means {
        Means::Text => Value::String(text.to_owned()),
        Means::Secret => Value::Array(vec![Value::String(text.to_owned())]),
        Means::Seconds => Value::Integer(text.trim().parse::<u32>().ok()?.into()),
        Means::Silence => Value::String(format!("{} ms", text.trim().parse::<u32>().ok()?)),
        Means::Port => Value::String(format!("0.0.0.0:{}", text.trim().parse::<u16>().ok()?)),
        Means::On => Value::Boolean(true),
        Means::Debug => Value::String("debug".to_owned()),
    })
}

fn right(means: &Means) -> &'static str {
    match means {
        Means::Port => "a port from 0 to 65535",
        Means::Silence => "a whole number of milliseconds",
        _ => "a whole number of seconds",
    }
}

/// The reference's variables that tune what is done otherwise here.
const TUNING: [&str; 3] =
    ["GOOGLE_SHEET_RETRY", "GOOGLE_SHEETS_BASE_DELAY", "GOOGLE_SHEETS_WRITE_BATCH"];

fn note_unused(layers: &mut Layers<'_>, environment: &Environment) {
    let used = |name: &str| NAMES.iter().any(|(used, ..)| *used == name);
    for name in environment.names() {
        if (name.starts_with("ACTION_HUB_") && !used(name)) || TUNING.contains(&name) {
            layers.notes.push(format!("{name} has no meaning here and is ignored."));
        } else if name.starts_with("ENCRYPT_PAYLOAD") {
            layers.notes.push(format!("{name} is not needed: logins are always sealed here."));
        }
    }
}
