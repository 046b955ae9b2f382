//! Cells as JSON, appended to a buffer: the hot path of every destination that sends rows.

use super::json::text_run;
use super::value::{Cell, CellValue};

/// Appends `text` as a JSON string.
pub fn write_json_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let run = text_run(rest);
        let (plain, tail) = rest.split_at(run);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = tail.split_first() else { break };
        escape(byte, out);
        rest = after;
    }
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |of: u8| DIGITS[usize::from(of & 15)];
            return out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                digit(byte >> 4),
                digit(byte),
            ]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

impl CellValue<'_> {
    /// Appends the value as JSON. Numbers and nested JSON keep their text, every digit of it.
    pub fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Text(text) => write_json_text(text, out),
            other => out.extend_from_slice(other.text().as_bytes()),
        }
    }

    /// Appends the value as a JSON string, whatever it is; null stays null. For ids, which vendors
    /// want as text.
    pub fn write_json_string(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            other => write_json_text(other.text(), out),
        }
    }
}

impl Cell<'_> {
    /// Appends the value as JSON; a pivoted cell is an object of its keys and values, null for a
    /// value that is null.
    pub fn write_json(self, out: &mut Vec<u8>) {
        if !self.is_pivoted() {
            return self.value().write_json(out);
        }
        out.push(b'{');
        for (n, (key, entry)) in self.pivots().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            write_json_text(key, out);
            out.push(b':');
            entry.value().write_json(out);
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_what_serde_json_reads_back(text: String) {
            let mut out = Vec::new();
            write_json_text(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn numbers_keep_every_digit() {
        let mut out = Vec::new();
        CellValue::Number("9007199254740993.10").write_json(&mut out);
        CellValue::Number("9007199254740993").write_json_string(&mut out);
        CellValue::Bool(false).write_json(&mut out);
        CellValue::Null.write_json_string(&mut out);
        assert_eq!(out, b"9007199254740993.10\"9007199254740993\"falsenull");
    }
}
