//! Whether a request's head can mean only one thing.
//!
//! A proxy in front of the hub and the hub must agree on where each request ends; where they do
//! not, one caller can slip a request of his own into another's connection. hyper reads leniently
//! (a bare LF ends a line, a repeated or contradicted Content-Length is resolved), so the bytes
//! are judged before hyper sees them. RFC 9112, sections 2.2, 5 and 6.1.

/// Where the body ends that belongs to a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// Where the last chunk says so.
    Chunked,
    /// HTTP/2's preface: what follows is framed by itself.
    Http2,
}

/// The head is no HTTP, or could mean two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubtful;

pub(super) const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The length of the head that `bytes` begin with, if it is all there. `from` is how much was
/// looked at before. Empty lines before a request line belong to no head and are doubtful.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    let found = bytes.get(from..)?.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(from + found + 4)
}

/// Whether a line ended without CR: such a head is doubtful before it is complete.
pub(super) fn has_bare_line_feed(bytes: &[u8], from: usize) -> bool {
    let line_feeds = bytes.iter().enumerate().skip(from).filter(|(_, byte)| **byte == b'\n');
    line_feeds.into_iter().any(|(at, _)| at == 0 || bytes[at - 1] != b'\r')
}

/// Judges a complete head, with its closing empty line.
pub(super) fn judge(head: &[u8], most_headers: usize) -> Result<Framing, Doubtful> {
    if head == HTTP2 {
        return Ok(Framing::Http2);
    }
    if has_bare_line_feed(head, 0) || head.contains(&0) {
        return Err(Doubtful);
    }
    let text = head.strip_suffix(b"\r\n\r\n").ok_or(Doubtful)?;
    let mut lines =
        text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request = lines.next().ok_or(Doubtful)?;
    let http_1_1 = request.ends_with(b" HTTP/1.1");
    if !(http_1_1 || request.ends_with(b" HTTP/1.0")) || request.contains(&b'\r') {
        return Err(Doubtful);
    }
    let (mut length, mut chunked) = (None, false);
    for (n, line) in lines.enumerate() {
        let (name, value) = field(line).filter(|_| n < most_headers).ok_or(Doubtful)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let given = number(value).filter(|_| length.is_none()).ok_or(Doubtful)?;
            length = Some(given);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !http_1_1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Doubtful);
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(Doubtful),
        (length, false) => Ok(Framing::Length(length.unwrap_or(0))),
        (None, true) => Ok(Framing::Chunked),
    }
}

/// A head that was found sound, without what says how long its body is.
pub(super) fn without_framing(head: &[u8]) -> Vec<u8> {
    let framing = [&b"content-length"[..], b"transfer-encoding"];
    let lines = head.split_inclusive(|byte| *byte == b'\n').filter(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        !framing.iter().any(|framing| name.eq_ignore_ascii_case(framing))
    });
    lines.flatten().copied().collect()
}

/// Name and value of a header line; none where the name is empty, holds or is followed by a space,
/// or the line continues the one above it (obs-fold).
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let sound = !name.is_empty() && name.iter().all(token) && !value.contains(&b'\r');
    sound.then(|| (name, value.trim_ascii()))
}

/// Digits alone: no sign, no list, no hexadecimal.
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(head: &str) -> Result<Framing, Doubtful> {
        judge(head.as_bytes(), 64)
    }

    #[test]
    fn plain_heads_are_understood() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:  12 \r\n\r\n";
        assert_eq!(judged(head), Ok(Framing::Length(12)));
        assert_eq!(judged("GET / HTTP/1.0\r\n\r\n"), Ok(Framing::Length(0)));
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
        assert_eq!(judged(head), Ok(Framing::Chunked));
        assert_eq!(judged("PRI * HTTP/2.0\r\n\r\n"), Ok(Framing::Http2));
        assert_eq!(
            judged("GET / HTTP/1.1\r\nX-Empty:\r\nX-Colon: a:b\r\n\r\n"),
            Ok(Framing::Length(0))
        );
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length: -1",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding\t: chunked",
            " Transfer-Encoding: chunked",
            "X: y\r\n Transfer-Encoding: chunked",
            "X: y\nTransfer-Encoding: chunked",
            "X: y\rTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding: \"chunked\"",
            "X: \0",
            "no colon",
            ": no name",
        ] {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            assert_eq!(judged(&head), Err(Doubtful), "{lines:?}");
        }
        for head in [
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
        ] {
            assert_eq!(judged(head), Err(Doubtful), "{head:?}");
        }
        let many = "A: b\r\n".repeat(65);
        assert_eq!(judged(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(Doubtful));
    }

    #[test]
    fn the_framing_can_be_taken_out() {
        let head = b"POST /content-length: HTTP/1.1\r\nContent-Length: 5\r\nA: b\r\n\r\n";
        let rest = b"POST /content-length: HTTP/1.1\r\nA: b\r\n\r\n";
        assert_eq!(without_framing(head), rest);
        let head = b"POST / HTTP/1.1\r\nA: b\r\ntransfer-ENCODING:chunked\r\n\r\n";
        assert_eq!(without_framing(head), b"POST / HTTP/1.1\r\nA: b\r\n\r\n");
    }

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let bytes = b"GET / HTTP/1.1\r\nA: b\r\n\r\nbody";
        for cut in 0..bytes.len() {
            let expected = (cut >= 24).then_some(24);
            assert_eq!(end(&bytes[..cut], 0), expected);
            let before = cut.min(23);
            assert_eq!(end(bytes, before), Some(24), "looked at {before} before");
        }
    }
}
