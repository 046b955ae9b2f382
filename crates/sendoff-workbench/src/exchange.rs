//! What crossed the wire in one request and its answer, and how it is shown to people.

use std::fmt::{self, Write};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// The first bytes of a body, and how long the whole was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    first: Vec<u8>,
    total: u64,
    whole: Option<Kept>,
}

/// Where more of a body is kept than its first bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The file.
    pub path: std::path::PathBuf,
    /// How many bytes it has; fewer than the body where the body was too long.
    pub bytes: u64,
}

/// As much of a body is kept. A list answer with small icons fits, so that it can be shown as the
/// JSON it is.
const KEPT: usize = 64 * 1024;

impl Peek {
    pub(crate) fn add(&mut self, sent: usize, shown: &[u8]) {
        self.total += sent as u64;
        let room = KEPT.saturating_sub(self.first.len()).min(shown.len());
        self.first.extend_from_slice(&shown[..room]);
    }

    /// The first bytes as text, secrets masked.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.first).into_owned()
    }

    /// The first bytes, secrets masked.
    pub fn start(&self) -> &[u8] {
        &self.first
    }

    /// Whether the first bytes are all. A masked body has another length than was sent, so that
    /// this may be false for a body that is.
    pub fn is_whole(&self) -> bool {
        self.first.len() < KEPT || self.first.len() as u64 == self.total
    }

    /// Where more of it is kept, if it is.
    pub fn kept(&self) -> Option<&Kept> {
        self.whole.as_ref()
    }

    pub(crate) fn keep(&mut self, kept: Option<Kept>) {
        self.whole = kept;
    }

    pub(crate) fn of(first: &[u8], total: u64) -> Self {
        let first = first[..first.len().min(KEPT)].to_vec();
        Self { first, total, whole: None }
    }

    /// How many bytes the body had.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// How a body stands in JSON.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    bytes: u64,
    start: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<Kept>,
}

impl Serialize for Peek {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let start = String::from_utf8_lossy(&self.first);
        Written { bytes: self.total, start, whole: self.whole.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Peek {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let first = written.start.into_owned().into_bytes();
        Ok(Self { first, total: written.bytes, whole: written.whole })
    }
}

/// One request and its answer. Tokens and sensitive params are masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exchange {
    /// When it began.
    pub started: jiff::Timestamp,
    /// What it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<crate::Call>,
    /// The action that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `POST`, or `GET` for a download.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// In the order sent.
    pub request_headers: Vec<(String, String)>,
    /// What was sent.
    pub request_body: Peek,
    /// The answer's status; `None` when no answer came.
    pub status: Option<u16>,
    /// In the order received.
    pub response_headers: Vec<(String, String)>,
    /// What was received.
    pub response_body: Peek,
    /// From the start to the answer's headers.
    #[serde(with = "milliseconds")]
    pub until_answer: Duration,
    /// From the start to the answer's last byte.
    #[serde(with = "milliseconds")]
    pub until_end: Duration,
    /// Why no whole answer came.
    pub failure: Option<String>,
    /// When the pieces of the answer's body came, the first ones; empty where nobody watched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Piece>,
}

/// A piece of an answer's body, as the connection gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// From the start of the call.
    #[serde(with = "milliseconds")]
    pub at: Duration,
    /// How many bytes.
    pub bytes: usize,
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64() * 1_000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let time = f64::deserialize(from)?;
        Duration::try_from_secs_f64(time / 1_000.0).map_err(serde::de::Error::custom)
    }
}

/// Whether terminal colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Paint {
    /// Wraps `text` in an ANSI style such as `1` (bold), `2` (dim), `32` (green) or `31` (red).
    pub fn style(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// A text of a stranger's as a terminal may show it: what would steer it stands as `\u{1b}`, newlines
/// too, and what is too long is cut.
pub fn tame(text: &str, longest: usize) -> String {
    let mut tamed = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == longest {
            tamed.push('…');
            break;
        }
        match steers(c) {
            true => tamed.extend(c.escape_default()),
            false => tamed.push(c),
        }
    }
    tamed
}

/// Control characters, and those that change the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A body is shown up to this many lines.
const LINES: usize = 24;
/// And a line up to so many characters.
const WIDTH: usize = 110;
/// A header, a URL or a failure up to so many.
const LINE: usize = 4_000;
/// A text inside JSON is cut here, so that its line shows how the text ends.
const TEXT: usize = 80;

impl Exchange {
    /// The exchange as people read it: request line, headers, first lines of the body, answer.
    pub fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut out, paint);
        out
    }

    fn write(&self, out: &mut String, paint: Paint) -> fmt::Result {
        let sent = paint.style("36", ">");
        let got = paint.style("35", "<");
        let (method, url) = (tame(&self.method, LINE), tame(&self.url, LINE));
        writeln!(out, "{sent} {} {}", paint.style("1", &method), paint.style("1", &url))?;
        write_headers(out, &sent, &self.request_headers, paint)?;
        write_body(out, &sent, &self.request_body, paint)?;
        let time = format!("after {:.1} ms", self.until_end.as_secs_f64() * 1_000.0);
        if let Some(status) = self.status {
            let colour = if (200..300).contains(&status) { "1;32" } else { "1;31" };
            let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
            let line = format!("HTTP/1.1 {status} {}", reason.unwrap_or_default());
            let line = paint.style(colour, line.trim_end());
            writeln!(out, "{got} {line}  {}", paint.style("2", &time))?;
            write_headers(out, &got, &self.response_headers, paint)?;
            write_body(out, &got, &self.response_body, paint)?;
        }
        if let Some(failure) = &self.failure {
            writeln!(out, "{got} {}  {time}", paint.style("1;31", &tame(failure, LINE)))?;
        }
        Ok(())
    }
}

fn write_headers(
    out: &mut String,
    mark: &str,
    headers: &[(String, String)],
    paint: Paint,
) -> fmt::Result {
    for (name, value) in headers {
        let (name, value) = (tame(name, LINE), tame(value, LINE));
        writeln!(out, "{mark} {} {value}", paint.style("2", &format!("{name}:")))?;
    }
    Ok(())
}

fn write_body(out: &mut String, mark: &str, body: &Peek, paint: Paint) -> fmt::Result {
    writeln!(out, "{mark}")?;
    if body.total == 0 {
        return writeln!(out, "{mark} {}", paint.style("2", "(no body)"));
    }
    let text = readable(body);
    let mut lines = text.lines();
    for line in lines.by_ref().take(LINES) {
        writeln!(out, "{mark} {}", tame(line, WIDTH))?;
    }
    let left = lines.count();
    let mut rest = format!("({} bytes in all", grouped(body.total));
    if left > 0 {
        let _ = write!(rest, ", {left} more lines of what is kept");
    }
    rest.push(')');
    writeln!(out, "{mark} {}", paint.style("2", &rest))
}

/// Whole JSON is indented with its long texts cut; anything else stays as it came.
fn readable(body: &Peek) -> String {
    if let Some((text, _)) = indented(body, TEXT) {
        return text;
    }
    let text = body.text();
    if body.first.len() as u64 == body.total {
        return text;
    }
    // The start of a longer document, most often one long line: show as much as fits a few.
    let start: String = text.chars().take(6 * WIDTH).collect();
    let characters: Vec<char> = start.chars().collect();
    characters.chunks(WIDTH).map(String::from_iter).collect::<Vec<_>>().join("\n")
}

/// JSON that is whole, indented, each text in it cut at `longest`; and whether one was. Its members
/// stand as they came, in their order, doubles too.
pub(crate) fn indented(body: &Peek, longest: usize) -> Option<(String, bool)> {
    let text = std::str::from_utf8(&body.first).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut lines =
        Indented { out: String::with_capacity(text.len()), depth: 0, longest, is_cut: false };
    let json = text.trim_ascii_start();
    let newlines = text.len() - json.len();
    if newlines > 0 {
        lines.out = format!("({newlines} newline{} first)\n", if newlines == 1 { "" } else { "s" });
    }
    lines.write(json);
    Some((lines.out, lines.is_cut))
}

struct Indented {
    out: String,
    depth: usize,
    longest: usize,
    is_cut: bool,
}

impl Indented {
    /// `json` is sound.
    fn write(&mut self, json: &str) {
        let mut rest = json;
        while let Some(first) = rest.chars().next() {
            let mut taken = first.len_utf8();
            match first {
                '"' => taken = self.text(rest),
                '{' | '[' => {
                    self.out.push(first);
                    let inner = rest[1..].trim_ascii_start();
                    if inner.starts_with(['}', ']']) {
                        self.out.push_str(&inner[..1]);
                        taken = rest.len() - inner.len() + 1;
                    } else {
                        self.depth += 1;
                        self.line();
                    }
                }
                '}' | ']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.line();
                    self.out.push(first);
                }
                ',' => {
                    self.out.push(first);
                    self.line();
                }
                ':' => self.out.push_str(": "),
                _ if first.is_ascii_whitespace() => {}
                _ => self.out.push(first),
            }
            rest = &rest[taken..];
        }
    }

    fn line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }

    /// Writes the text at the start, which begins with its quote, and returns its length.
    fn text(&mut self, rest: &str) -> usize {
        let (mut characters, mut kept, mut is_escaped) = (0, 0, false);
        for (at, character) in rest.char_indices().skip(1) {
            match character {
                '"' if !is_escaped => {
                    let is_cut = characters > self.longest;
                    self.out.push_str(&rest[..if is_cut { kept } else { at }]);
                    self.out.push_str(if is_cut { "…\"" } else { "\"" });
                    self.is_cut |= is_cut;
                    return at + 1;
                }
                // What follows belongs to it.
                '\\' if !is_escaped => is_escaped = true,
                _ => {
                    is_escaped = false;
                    characters += 1;
                    if characters <= self.longest {
                        kept = at + character.len_utf8();
                    }
                }
            }
        }
        // Sound JSON ends its texts.
        self.out.push_str(rest);
        rest.len()
    }
}

/// `15241` becomes `15,241`.
fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(text: &str) -> Peek {
        let mut peek = Peek::default();
        peek.add(text.len(), text.as_bytes());
        peek
    }

    #[test]
    fn json_is_indented_as_it_came() {
        let shown = |text: &str| indented(&peek(text), 4);
        let text = r#"{"b":1e400,"a":[],"a":{"x" : "a\"bcd"},"c":[true, {}]}"#;
        let want = [
            r#"{"#,
            r#"  "b": 1e400,"#,
            r#"  "a": [],"#,
            r#"  "a": {"#,
            r#"    "x": "a\"bc…""#,
            r#"  },"#,
            r#"  "c": ["#,
            r#"    true,"#,
            r#"    {}"#,
            r#"  ]"#,
            r#"}"#,
        ];
        assert_eq!(shown(text), Some((want.join("\n"), true)));
        let late = "(2 newlines first)\n{\n  \"a\": 1\n}";
        assert_eq!(shown("\n\n{\"a\":1}"), Some((late.into(), false)));
        assert_eq!(shown("\"abcd\""), Some(("\"abcd\"".into(), false)));
        assert_eq!(shown("{\"a\":1"), None);
    }

    fn exchange() -> Exchange {
        Exchange {
            method: "POST".into(),
            url: "http://127.0.0.1:1/".into(),
            request_headers: vec![("content-type".into(), "application/json".into())],
            request_body: peek("{\"a\":1}"),
            status: Some(403),
            response_headers: vec![("content-length".into(), "2".into())],
            response_body: peek("no"),
            until_end: Duration::from_micros(1_500),
            ..Exchange::default()
        }
    }

    #[test]
    fn an_exchange_reads_top_to_bottom() {
        let want = "\
> POST http://127.0.0.1:1/
> content-type: application/json
>
> {
>   \"a\": 1
> }
> (7 bytes in all)
< HTTP/1.1 403 Forbidden  after 1.5 ms
< content-length: 2
<
< no
< (2 bytes in all)
";
        assert_eq!(exchange().render(Paint::Plain), want);
        assert!(
            exchange().render(Paint::Colour).contains("\x1b[1;31mHTTP/1.1 403 Forbidden\x1b[0m")
        );
    }

    #[test]
    fn a_long_body_is_counted_whole_and_kept_in_part() {
        let mut long = Peek::default();
        for _ in 0..1_000_u32 {
            long.add(100, &[b'x'; 100]);
        }
        assert_eq!(long.total(), 100_000);
        assert_eq!(long.text().len(), KEPT);
        let shown = Exchange { request_body: long, ..exchange() }.render(Paint::Plain);
        assert!(shown.contains("(100,000 bytes in all)"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH + 3), "{shown}");
    }

    #[test]
    fn long_texts_inside_json_are_cut() {
        let icon = format!("{{\"icon\":\"{}\",\"name\":\"n\"}}", "A".repeat(5_000));
        let shown = Exchange { response_body: peek(&icon), ..exchange() }.render(Paint::Plain);
        assert!(shown.contains("A…\",\n"), "{shown}");
        assert!(shown.contains("\"name\": \"n\""), "{shown}");
    }

    #[test]
    fn what_would_steer_a_terminal_is_text() {
        let evil = "\u{1b}[31mred\u{7}\u{202e}txt.exe";
        let exchange = Exchange {
            url: evil.into(),
            response_headers: vec![("x".into(), evil.into())],
            response_body: peek(evil),
            failure: Some(evil.into()),
            ..exchange()
        };
        let shown = exchange.render(Paint::Plain);
        assert!(!shown.contains(|c: char| c != '\n' && steers(c)), "{shown:?}");
        assert_eq!(shown.matches("\\u{1b}[31mred\\u{7}\\u{202e}txt.exe").count(), 4, "{shown}");
        assert_eq!(tame("a\r\nb\tc", 4), "a\\r\\nb…");
    }

    #[test]
    fn a_request_without_an_answer_says_why() {
        let failed = Exchange { status: None, failure: Some("refused".into()), ..exchange() };
        assert!(failed.render(Paint::Plain).ends_with("< refused  after 1.5 ms\n"));
    }
}
