//! Templates to HTML. Every value is escaped; no template switches that off.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, State, Value};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// The templates, compiled.
pub(super) struct View(Environment<'static>);

const TEMPLATES: &[(&str, &str)] = &[
    ("frame.html", include_str!("templates/frame.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("wire_parts.html", include_str!("templates/wire_parts.html")),
    ("home.html", include_str!("templates/home.html")),
    ("data.html", include_str!("templates/data.html")),
    ("action.html", include_str!("templates/action.html")),
    ("enable.html", include_str!("templates/enable.html")),
    ("form.html", include_str!("templates/form.html")),
    ("outcome.html", include_str!("templates/outcome.html")),
    ("held.html", include_str!("templates/held.html")),
    ("exchange.html", include_str!("templates/exchange.html")),
    ("exchange_line.html", include_str!("templates/exchange_line.html")),
    ("exchange_body.html", include_str!("templates/exchange_body.html")),
    ("exchange_page.html", include_str!("templates/exchange_page.html")),
    ("run.html", include_str!("templates/run.html")),
    ("notice.html", include_str!("templates/notice.html")),
    ("wire.html", include_str!("templates/wire.html")),
    ("replayed.html", include_str!("templates/replayed.html")),
    ("schedules.html", include_str!("templates/schedules.html")),
    ("schedule.html", include_str!("templates/schedule.html")),
    ("load.html", include_str!("templates/load.html")),
    ("check.html", include_str!("templates/check.html")),
    ("looker.html", include_str!("templates/looker.html")),
    ("google.svg", include_str!("templates/google.svg")),
];

impl View {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        // Lines that hold nothing but a tag leave nothing behind.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("the usual marks are sound"));
        for (name, source) in TEMPLATES {
            environment.add_template(name, source).expect("a test compiles every template");
        }
        environment.add_filter("count", count);
        environment.add_filter("bytes", bytes);
        environment.add_filter("seconds", seconds);
        environment.add_function("link", link);
        environment.add_global("version", super::assets::version());
        Self(environment)
    }

    pub(super) fn page(&self, template: &str, context: Value) -> Response {
        let rendered = self.0.get_template(template).and_then(|page| page.render(context));
        match rendered {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                let mut why = format!("The page cannot be drawn, which is a bug: {error}\n");
                let mut cause = std::error::Error::source(&error);
                while let Some(below) = cause {
                    why += &format!("{below}\n");
                    cause = below.source();
                }
                (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
            }
        }
    }
}

/// A value as templates see it.
pub(super) fn shown(value: impl Serialize) -> Value {
    Value::from(Serde(value))
}

/// What the page shows and is sent from, as it stands in its address.
pub(super) const CHOICES: [&str; 6] = ["data", "sql", "cell", "action", "find", "run"];

/// What goes wrong on purpose, as a link hands it on.
pub(super) const FAULTS: [&str; 2] = ["faults", "vendor_fault"];

/// `link(cell="1.2")`: the address of the page as it is, with one choice changed. Empty removes.
fn link(state: &State<'_, '_>, changes: Kwargs) -> Result<String, minijinja::Error> {
    let choice = state.lookup("choice").unwrap_or_default();
    let mut query = Vec::new();
    for name in CHOICES {
        let value = match changes.get::<Option<Value>>(name)? {
            Some(changed) => changed,
            None => choice.get_attr(name).unwrap_or_default(),
        };
        if value.is_true() {
            query.push((name, value.to_string()));
        }
    }
    // A fault goes with a link that names it, and with no other.
    for name in FAULTS {
        let value = changes.get::<Option<Value>>(name)?.unwrap_or_default();
        if value.is_true() {
            query.push((name, value.to_string()));
        }
    }
    changes.assert_all_used()?;
    Ok(address(query))
}

/// The page's address with these choices.
pub(super) fn address<'a>(query: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pair = |(name, value): (&str, String)| {
        format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
    };
    let query: Vec<String> = query.into_iter().map(pair).collect();
    if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
}

/// `15241` becomes `15,241`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `15241` becomes `15.2 kB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1_000 {
        return format!("{number} bytes");
    }
    let (mut size, mut unit) = (number as f64 / 1e3, 0);
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1e3;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `0.0123` becomes `12 ms`, `75.2` becomes `1 min 15 s`.
pub(super) fn seconds(time: f64) -> String {
    match time {
        t if t < 0.001 => "under 1 ms".to_owned(),
        t if t < 1.0 => format!("{:.0} ms", t * 1e3),
        t if t < 60.0 => format!("{t:.1} s"),
        t => format!("{} min {} s", (t / 60.0).floor(), (t % 60.0).floor()),
    }
}

/// The names and values of a form or an address, the last of a name winning.
pub(super) type Pairs = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_counts_and_times_are_readable() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(15_241), "15.2 kB");
        assert_eq!(bytes(999_960), "1.0 MB");
        assert_eq!(bytes(10_000_000_000), "10.0 GB");
        assert_eq!(seconds(0.0123), "12 ms");
        assert_eq!(seconds(75.2), "1 min 15 s");
    }

    #[test]
    fn a_link_changes_one_choice_and_escapes_all() {
        let mut view = View::new();
        view.0.add_template("t.html", "{{ link(cell='1.2', action='') }}").unwrap();
        let choice = minijinja::context! { data => "sql", sql => "SELECT '&'", action => "file" };
        let context = minijinja::context! { choice };
        let text = view.0.get_template("t.html").unwrap().render(context).unwrap();
        assert_eq!(text, "&#x2f;?data=sql&amp;sql=SELECT%20%27%26%27&amp;cell=1%2E2");
    }
}
