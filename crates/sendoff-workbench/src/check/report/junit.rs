//! The run as JUnit XML, which every CI reads: a suite for each area.

use std::fmt::{self, Write};

use crate::check::{Checked, Outcome, Report, find};

/// A `<testsuites>` document.
pub fn junit(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write(report, &mut out);
    out
}

fn write(report: &Report, out: &mut String) -> fmt::Result {
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    let hub = escaped(&report.hub);
    writeln!(
        out,
        "<testsuites name=\"sendoff check {hub}\" time=\"{:.3}\">",
        report.took.as_secs_f64()
    )?;
    if let Some(why) = &report.untestable {
        let error = "failures=\"0\" errors=\"1\" skipped=\"0\"";
        writeln!(out, "  <testsuite name=\"hub\" tests=\"1\" {error}>")?;
        writeln!(
            out,
            "    <testcase classname=\"hub\" name=\"The hub can be tested\"><error message=\"{}\"/>\
             </testcase>\n  </testsuite>",
            escaped(why)
        )?;
    }
    for suite in report.checks.chunk_by(|a, b| area(a) == area(b)) {
        let failures = suite.iter().filter(|checked| fails(checked)).count();
        let errors = suite.iter().filter(|c| c.outcome == Outcome::Error).count();
        let skipped = suite.iter().filter(|c| is_skipped(c)).count();
        writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" \
             skipped=\"{skipped}\">",
            suite.first().map_or("", area),
            suite.len(),
        )?;
        for checked in suite {
            case(checked, out)?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn case(checked: &Checked, out: &mut String) -> fmt::Result {
    let (id, title) = (escaped(checked.id), escaped(checked.title));
    let detail = escaped(&checked.detail);
    write!(out, "    <testcase classname=\"{id}\" name=\"{title}\">")?;
    match checked.outcome {
        Outcome::Error => write!(out, "<error message=\"{detail}\"/>")?,
        _ if fails(checked) => {
            let rule = find(checked.id).map_or("", |check| check.rule);
            let exchange = match &checked.shown {
                Some((_, recorded)) => {
                    format!(
                        "\nsent {}\ngot {}",
                        super::sent(&recorded.exchange),
                        super::got(&recorded.exchange)
                    )
                }
                None => String::new(),
            };
            write!(
                out,
                "<failure message=\"{detail}\" type=\"{} {}\">{}{}</failure>",
                checked.strength,
                escaped(&checked.reference),
                escaped(rule),
                escaped(&exchange),
            )?;
        }
        outcome if is_skipped(checked) => {
            write!(out, "<skipped message=\"{}: {detail}\"/>", outcome.as_str())?;
        }
        Outcome::Pass => {}
        outcome => write!(out, "<system-out>{}: {detail}</system-out>", outcome.as_str())?,
    }
    writeln!(out, "</testcase>")
}

fn area(checked: &Checked) -> &'static str {
    checked.id.split('/').next().unwrap_or(checked.id)
}

fn fails(checked: &Checked) -> bool {
    checked.outcome == Outcome::Fail && checked.expected.is_none()
}

fn is_skipped(checked: &Checked) -> bool {
    matches!(checked.outcome, Outcome::Skipped | Outcome::NotApplicable | Outcome::NotRun)
}

/// XML 1.0 has no way to write most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
