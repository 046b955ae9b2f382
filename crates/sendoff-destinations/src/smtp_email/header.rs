//! Header fields: folded, and with letters beyond ASCII as RFC 2047 and RFC 2231 write them.
//!
//! What comes in is one line of text; control characters that are in it all the same become spaces,
//! so that nothing can begin a header of its own.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::shared::mail::address::{Mailbox, Mailboxes};

/// RFC 5322, 2.1.1: lines should have no more than 78 characters.
const LINE: usize = 76;
/// Bytes of UTF-8 in one encoded word, so that the first stands behind `Reply-To: `.
const WORD: usize = 39;
/// What no folding can mend: RFC 5322 allows 998 characters in a line.
const LONGEST_ATOM: usize = 200;
/// Characters of a parameter's value in one piece (RFC 2231, section 3).
const PIECE: usize = 60;

/// RFC 2231's attribute-char.
const ATTRIBUTE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'!').remove(b'+');

/// Appends a header of free text, such as the subject.
pub(super) fn text(name: &str, value: &str, out: &mut String) {
    let value = without_controls(value);
    out.push_str(name);
    out.push(':');
    let plain = value.is_ascii()
        && !value.contains("=?")
        // Folding cannot keep a run of spaces.
        && !value.contains("  ")
        && value.split(' ').all(|word| word.len() <= LONGEST_ATOM);
    if plain {
        fold(name.len() + 1, value.split(' '), out);
    } else {
        let words = encoded_words(&value);
        out.push(' ');
        out.push_str(&words.join("\r\n "));
    }
    out.push_str("\r\n");
}

/// Appends a header of mailboxes; none if there are none.
pub(super) fn mailboxes<'a>(
    name: &str,
    list: impl IntoIterator<Item = &'a Mailbox>,
    out: &mut String,
) {
    let mut all = list.into_iter().map(mailbox).peekable();
    if all.peek().is_none() {
        return;
    }
    out.push_str(name);
    out.push_str(": ");
    out.push_str(&all.collect::<Vec<_>>().join(",\r\n "));
    out.push_str("\r\n");
}

/// As [`mailboxes`], for a list that may be empty.
pub(super) fn list(name: &str, list: &Mailboxes, out: &mut String) {
    mailboxes(name, list.iter(), out);
}

/// A header that holds nothing to encode.
pub(super) fn plain(name: &str, value: &str, out: &mut String) {
    out.push_str(name);
    out.push_str(": ");
    out.push_str(value);
    out.push_str("\r\n");
}

/// A file's name as a parameter, with the `;` before it.
pub(super) fn filename(name: &str) -> String {
    let name = without_controls(name);
    if name.is_ascii() && name.len() <= PIECE {
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!(";\r\n filename=\"{escaped}\"");
    }
    let encoded = utf8_percent_encode(&name, ATTRIBUTE).to_string();
    let mut pieces = vec!["UTF-8''".to_owned()];
    for (n, part) in encoded.split('%').enumerate() {
        // An escape is not cut in two; what stands behind one is cut anywhere.
        let (escape, rest) = if n == 0 { ("", part) } else { part.split_at(part.len().min(2)) };
        let sign = if n == 0 { "" } else { "%" };
        push_piece(&format!("{sign}{escape}"), &mut pieces);
        rest.chars().for_each(|c| push_piece(c.encode_utf8(&mut [0; 4]), &mut pieces));
    }
    if let [one] = pieces.as_slice() {
        return format!(";\r\n filename*={one}");
    }
    let numbered = pieces.iter().enumerate();
    numbered.map(|(n, piece)| format!(";\r\n filename*{n}*={piece}")).collect()
}

fn push_piece(text: &str, pieces: &mut Vec<String>) {
    match pieces.last_mut() {
        Some(last) if last.len() + text.len() <= PIECE => last.push_str(text),
        _ => pieces.push(text.to_owned()),
    }
}

fn mailbox(mailbox: &Mailbox) -> String {
    let Some(name) = mailbox.name().map(without_controls) else {
        return mailbox.address();
    };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
    let name = if !name.is_ascii() || name.contains("=?") || name.len() > PIECE {
        encoded_words(&name).join("\r\n ")
    } else if name.chars().all(atom) {
        name
    } else {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    };
    // On lines of their own, so that neither makes the other's too long.
    let gap = if name.len() + mailbox.address().len() + 12 > LINE { "\r\n " } else { " " };
    format!("{name}{gap}<{}>", mailbox.address())
}

fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Words on lines that are not too long.
fn fold<'a>(mut column: usize, words: impl Iterator<Item = &'a str>, out: &mut String) {
    for word in words {
        if column > 1 && column + 1 + word.len() > LINE {
            out.push_str("\r\n");
            column = 0;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
}

/// `=?UTF-8?B?…?=`, each with whole characters.
fn encoded_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(WORD);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, after) = rest.split_at(end);
        let base64 = base64_simd::STANDARD.encode_to_string(word.as_bytes());
        words.push(format!("=?UTF-8?B?{base64}?="));
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendoff::Value;

    fn subject(value: &str) -> String {
        let mut out = String::new();
        text("Subject", value, &mut out);
        let lines: Vec<_> = out.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        for (n, line) in lines.iter().enumerate() {
            assert!(line.len() <= LINE.max(LONGEST_ATOM + 1), "{line}");
            assert!(n == 0 || (line.starts_with(' ') && !line.trim().is_empty()), "{line:?}");
        }
        out
    }

    #[test]
    fn subjects_are_folded_or_encoded() {
        assert_eq!(subject("Orders of today"), "Subject: Orders of today\r\n");
        assert_eq!(subject("Umsätze"), "Subject: =?UTF-8?B?VW1zw6R0emU=?=\r\n");
        assert_eq!(subject("=?x"), "Subject: =?UTF-8?B?PT94?=\r\n");
        assert_eq!(subject("a\nBcc: b@x.example"), "Subject: a Bcc: b@x.example\r\n");
        assert!(subject("a\r\nBcc: b@x.example").starts_with("Subject: =?UTF-8?B?"));
        let long = subject("word ".repeat(60).trim());
        assert_eq!(long.replace("\r\n", ""), format!("Subject: {}", "word ".repeat(60).trim()));
        assert!(long.matches("\r\n").count() > 3);
        assert!(subject(&"x".repeat(400)).contains("=?UTF-8?B?"));
        subject(&"ü".repeat(500));
        subject(&format!("{}end", " ".repeat(300)));
    }

    #[test]
    fn names_are_atoms_quoted_or_encoded() {
        let shown = |text: &str| mailbox(&Mailbox::parse(text).unwrap());
        assert_eq!(shown("Ada L <a@x.example>"), "Ada L <a@x.example>");
        assert_eq!(shown("\"L., \\\"A\\\"\" <a@x.example>"), r#""L., \"A\"" <a@x.example>"#);
        assert_eq!(shown("Jürgen <a@x.example>"), "=?UTF-8?B?SsO8cmdlbg==?= <a@x.example>");
        assert_eq!(shown("a@x.example"), "a@x.example");
    }

    #[test]
    fn file_names_are_quoted_or_encoded_in_pieces() {
        assert_eq!(filename("a \"b\".csv"), ";\r\n filename=\"a \\\"b\\\".csv\"");
        assert_eq!(filename("Umsätze.csv"), ";\r\n filename*=UTF-8''Ums%C3%A4tze.csv");
        let long = filename(&format!("{}.csv", "ä".repeat(40)));
        assert!(long.starts_with(";\r\n filename*0*=UTF-8''%C3"), "{long}");
        assert!(long.contains(";\r\n filename*4*="), "{long}");
        for line in long.split("\r\n") {
            assert!(line.len() <= 78 && !line.trim_end_matches(';').ends_with('%'), "{line}");
        }
    }
}
