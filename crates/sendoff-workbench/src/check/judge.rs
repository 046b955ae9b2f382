//! What a check may come to, and the words in which problems are told.

use serde_json::Value;

/// Whether the rule is kept.
pub(super) type Verdict = Result<(), Stop>;

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// The rule is broken; what was found.
    Wrong(String),
    /// There is nothing that the rule is about; why.
    Inapplicable(String),
    /// What it takes was not allowed or not there; why.
    NotRun(String),
    /// The check itself failed; why.
    Ours(String),
}

pub(super) fn wrong(what: impl Into<String>) -> Verdict {
    Err(Stop::Wrong(what.into()))
}

pub(super) fn inapplicable<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Inapplicable(why.into()))
}

pub(super) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Stop::Wrong(what())) }
}

/// The first problems, and how many more there are.
pub(super) fn none_of(problems: impl IntoIterator<Item = String>) -> Verdict {
    const TOLD: usize = 3;
    let mut problems = problems.into_iter();
    let first: Vec<_> = problems.by_ref().take(TOLD).collect();
    if first.is_empty() {
        return Ok(());
    }
    let more = match problems.count() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    wrong(first.join("; ") + &more)
}

/// The same for things of which there has to be one at least; `nothing` says that there is none.
pub(super) fn none_of_all<T>(
    things: impl IntoIterator<Item = T>,
    nothing: &str,
    look: impl FnMut(T) -> Option<String>,
) -> Verdict {
    let mut things = things.into_iter().peekable();
    if things.peek().is_none() {
        return inapplicable(nothing);
    }
    none_of(things.filter_map(look))
}

/// A value as it is told: JSON, cut.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string(), 80)
}

pub(crate) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Absent and null are the same to Looker.
pub(super) fn given<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    value.get(member).filter(|member| !member.is_null())
}

/// The member's text, unless it is empty.
pub(super) fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// An array's items; anything else has none.
pub(super) fn items<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A problem where the member is an array with something outside `known`.
pub(super) fn unknown_word(value: &Value, member: &str, known: &[&str]) -> Option<String> {
    let member_value = given(value, member)?;
    let Some(words) = member_value.as_array() else {
        return Some(format!("`{member}` is {}, no array", shown(member_value)));
    };
    let odd = words.iter().find(|word| !word.as_str().is_some_and(|word| known.contains(&word)))?;
    Some(format!("`{member}` holds {}; known are {}", shown(odd), known.join(", ")))
}

/// What only a stack trace or an interpreter's report holds.
pub(crate) fn stack_trace(body: &str) -> Option<&'static str> {
    let marks = [
        ("    at ", ".js:"),
        ("    at ", ".ts:"),
        ("Traceback (most recent call last)", ""),
        ("panicked at", ".rs:"),
        ("stack backtrace:", ""),
        ("goroutine ", "[running]"),
        ("Exception in thread", ""),
        ("/node_modules/", ""),
        ("site-packages/", ""),
        ("\\n    at ", ""),
    ];
    let found = marks.iter().find(|(mark, and)| body.contains(mark) && body.contains(and));
    found.map(|(mark, _)| mark.trim())
}
