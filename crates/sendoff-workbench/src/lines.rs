//! An exchange as lines, each with what is to be said of it beside it.

use serde::Serialize;

use crate::exchange::{Exchange, Peek, indented};
use crate::remarks::{Place, Remark};

/// A text inside JSON is cut here, so that its line shows how it ends.
const TEXT: usize = 240;
/// What is no JSON is shown up to here.
const RAW: usize = 6_000;
/// And a body up to so many lines.
const LINES: usize = 400;

/// Whose line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// It was sent.
    Sent,
    /// It came back.
    Got,
}

/// What stands on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Method and URL, or the status.
    Start,
    /// A header.
    Header,
    /// A line of a body. JSON that is whole is indented.
    Body,
    /// Why no whole answer came.
    Failure,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Whose it is.
    pub side: Side,
    /// What it is.
    pub kind: LineKind,
    /// Its text.
    pub text: String,
    /// The remarks beside it, as places in the list that was given.
    pub remarks: Vec<usize>,
}

impl Exchange {
    /// The exchange from top to bottom, each remark beside the line that it concerns: the one that
    /// names it, else the first of the part that it is about.
    pub fn lines(&self, remarks: &[Remark]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut add = |side, kind, text: String| {
            lines.push(Line { side, kind, text, remarks: Vec::new() });
        };
        add(Side::Sent, LineKind::Start, format!("{} {}", self.method, self.url));
        for (name, value) in &self.request_headers {
            add(Side::Sent, LineKind::Header, format!("{name}: {value}"));
        }
        for text in body(&self.request_body) {
            add(Side::Sent, LineKind::Body, text);
        }
        if let Some(status) = self.status {
            let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
            let text = format!("{status} {}", reason.unwrap_or_default());
            add(Side::Got, LineKind::Start, text.trim_end().to_owned());
            for (name, value) in &self.response_headers {
                add(Side::Got, LineKind::Header, format!("{name}: {value}"));
            }
            for text in body(&self.response_body) {
                add(Side::Got, LineKind::Body, text);
            }
        }
        if let Some(failure) = &self.failure {
            add(Side::Got, LineKind::Failure, failure.clone());
        }
        for (n, remark) in remarks.iter().enumerate() {
            let at = place(&lines, &remark.place);
            if let Some(line) = at.and_then(|at| lines.get_mut(at)) {
                line.remarks.push(n);
            }
        }
        lines
    }
}

fn body(peek: &Peek) -> Vec<String> {
    body_lines(peek).0
}

/// The lines of a body, and whether more came than they show.
pub(crate) fn body_lines(peek: &Peek) -> (Vec<String>, bool) {
    let (text, mut is_cut) = indented(peek, TEXT).unwrap_or_else(|| {
        let text = peek.text();
        let start: String = text.chars().take(RAW).collect();
        let is_cut = start.len() < text.len();
        (start, is_cut)
    });
    let mut lines = text.lines();
    let shown = lines.by_ref().take(LINES).map(str::to_owned).collect();
    is_cut |= lines.next().is_some() || !peek.is_whole();
    (shown, is_cut)
}

/// The line of a place; the start of its part where the line itself is not there.
fn place(lines: &[Line], place: &Place) -> Option<usize> {
    let first = |side, kind| lines.iter().position(|l| l.side == side && l.kind == kind);
    let start = |side| first(side, LineKind::Start);
    let header = |side, name: &str| {
        let lead = format!("{}:", name.to_ascii_lowercase());
        lines.iter().position(|line| {
            line.side == side
                && line.kind == LineKind::Header
                && line.text.to_ascii_lowercase().starts_with(&lead)
        })
    };
    let member = |side, name: &str| {
        let named = |line: &&Line, mark: &str| {
            line.side == side && line.kind == LineKind::Body && line.text.contains(mark)
        };
        // As a member, else as the value that names a field or an action.
        let marks = [format!("\"{name}\":"), format!("\"{name}\"")];
        marks.iter().find_map(|mark| lines.iter().position(|line| named(&line, mark)))
    };
    match place {
        Place::RequestLine => start(Side::Sent),
        Place::RequestHeader(name) => header(Side::Sent, name).or_else(|| start(Side::Sent)),
        Place::RequestMember(name) => member(Side::Sent, name).or_else(|| start(Side::Sent)),
        Place::Status => start(Side::Got),
        Place::AnswerHeader(name) => header(Side::Got, name).or_else(|| start(Side::Got)),
        Place::AnswerBody => first(Side::Got, LineKind::Body).or_else(|| start(Side::Got)),
        Place::AnswerMember(name) => member(Side::Got, name)
            .or_else(|| first(Side::Got, LineKind::Body))
            .or_else(|| start(Side::Got)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Strength;

    fn exchange() -> Exchange {
        let answer = br#"{"looker":{"success":true,"state":{"data":"x","refreshTime":6}}}"#;
        Exchange {
            method: "POST".into(),
            url: "http://h/execute".into(),
            request_headers: vec![("Host".into(), "h".into())],
            request_body: Peek::of(b"{\"type\":\"cell\"}", 15),
            status: Some(404),
            response_headers: vec![("Content-Type".into(), "text/html".into())],
            response_body: Peek::of(answer, answer.len() as u64),
            ..Exchange::default()
        }
    }

    fn beside(place: Place) -> String {
        let remark = Remark {
            place,
            text: String::new(),
            looker: String::new(),
            strength: Strength::A,
            section: String::new(),
            check: None,
        };
        let lines = exchange().lines(&[remark]);
        let marked: Vec<_> = lines.iter().filter(|line| line.remarks == [0]).collect();
        assert_eq!(marked.len(), 1, "{lines:?}");
        marked[0].text.trim().to_owned()
    }

    #[test]
    fn each_remark_stands_beside_its_line() {
        assert_eq!(beside(Place::RequestLine), "POST http://h/execute");
        assert_eq!(beside(Place::RequestHeader("host".into())), "Host: h");
        assert_eq!(beside(Place::RequestMember("type".into())), "\"type\": \"cell\"");
        assert_eq!(beside(Place::Status), "404 Not Found");
        assert_eq!(beside(Place::AnswerHeader("content-type".into())), "Content-Type: text/html");
        assert_eq!(beside(Place::AnswerBody), "{");
        assert_eq!(beside(Place::AnswerMember("refreshTime".into())), "\"refreshTime\": 6");
        assert_eq!(beside(Place::AnswerMember("x".into())), "\"data\": \"x\",");
        assert_eq!(beside(Place::AnswerMember("not there".into())), "{");
        assert_eq!(beside(Place::AnswerHeader("not-there".into())), "404 Not Found");
    }

    #[test]
    fn a_body_is_cut_where_nobody_reads_on() {
        let long = format!("{{\"data\":\"{}\"}}", "x".repeat(1_000));
        let (lines, is_cut) = body_lines(&Peek::of(long.as_bytes(), long.len() as u64));
        assert!(is_cut && lines[1].ends_with("x…\"") && lines.len() == 3, "{lines:?}");
        let rows = "a,b\n".repeat(500);
        let (lines, is_cut) = body_lines(&Peek::of(rows.as_bytes(), rows.len() as u64));
        assert!(is_cut && lines.len() == LINES);
        let (lines, is_cut) = body_lines(&Peek::of(b"a,b\n1,2\n", 8));
        assert_eq!((lines.len(), is_cut), (2, false));
        let (_, is_cut) = body_lines(&Peek::of(&[b'x'; 64 << 10], 1 << 20));
        assert!(is_cut);
    }

    #[test]
    fn a_failure_has_a_line_of_its_own() {
        let failed = Exchange { status: None, failure: Some("Gone.".into()), ..exchange() };
        let lines = failed.lines(&[]);
        assert_eq!(lines.last().unwrap().kind, LineKind::Failure);
        assert!(lines.iter().filter(|line| line.side == Side::Got).count() == 1);
    }
}
