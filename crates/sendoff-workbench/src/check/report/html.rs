//! The run as one page that opens offline.

use std::fmt::{self, Write};

use crate::Paint;
use crate::check::{Outcome, Report, find};

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;\
margin:2rem auto;padding:0 1rem}summary{cursor:pointer}code,pre{font:13px/1.4 ui-monospace,\
monospace}pre{overflow:auto;padding:.5rem;border:1px solid #8884;border-radius:4px}\
details{border-bottom:1px solid #8884;padding:.3rem 0}b{display:inline-block;min-width:8rem}\
.fail b,.error b{color:#c22}.warn b{color:#a60}.note b{color:#06a}.pass b{color:#282}";

/// A page with every check, findings opened.
pub fn html(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> fmt::Result {
    let hub = escaped(&report.hub);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>sendoff check {hub}</title><style>{STYLE}</style>\n<h1>{hub}</h1>"
    )?;
    if let Some(why) = &report.untestable {
        writeln!(out, "<p><strong>The hub could not be tested: {}</strong>", escaped(why))?;
    }
    let counts = [
        Outcome::Pass,
        Outcome::Fail,
        Outcome::Warn,
        Outcome::Note,
        Outcome::NotApplicable,
        Outcome::NotRun,
        Outcome::Skipped,
        Outcome::Error,
    ];
    let counts = counts.map(|outcome| format!("{} {}", report.count(outcome), outcome.as_str()));
    writeln!(out, "<p>{} · {:.1} s</p>", counts.join(" · "), report.took.as_secs_f64())?;
    for checked in &report.checks {
        let outcome = checked.outcome;
        let class = outcome.as_str().replace(' ', "-");
        let open = if outcome.is_finding() { " open" } else { "" };
        writeln!(
            out,
            "<details class=\"{class}\"{open}><summary><b>{}</b> <code>{}</code> {} [{}]</summary>",
            outcome.as_str(),
            escaped(checked.id),
            escaped(checked.title),
            checked.strength,
        )?;
        if !checked.detail.is_empty() {
            writeln!(out, "<p>{}</p>", escaped(&checked.detail))?;
        }
        if let Some(reason) = &checked.expected {
            writeln!(out, "<p>Known: {}</p>", escaped(reason))?;
        }
        if let Some(check) = find(checked.id) {
            let reference = escaped(&checked.reference);
            writeln!(out, "<p>Rule ({reference}): {}</p>", escaped(check.rule))?;
            writeln!(out, "<p>Looker: {}</p>", escaped(check.looker))?;
        }
        if let Some((_, recorded)) = &checked.shown {
            writeln!(out, "<pre>{}</pre>", escaped(&recorded.exchange.render(Paint::Plain)))?;
        }
        writeln!(out, "</details>")?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
