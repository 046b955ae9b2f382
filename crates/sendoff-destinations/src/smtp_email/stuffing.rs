//! The dots of RFC 5321, 4.5.2: a line that begins with one gets a second, and one alone ends the
//! message.

use bytes::Bytes;
use memchr::memchr_iter;

/// Passes a message on, chunk by chunk.
pub(super) struct Stuffer {
    /// The last byte before the next chunk ended a line.
    line_begins: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { line_begins: true }
    }
}

impl Stuffer {
    /// The pieces of `chunk` as they go out; without dots at the beginnings of lines it is one, and
    /// nothing is copied.
    pub(super) fn push(&mut self, chunk: Bytes) -> Vec<Bytes> {
        let mut pieces = Vec::with_capacity(1);
        let mut from = 0;
        for at in memchr_iter(b'.', &chunk) {
            let begins = match at.checked_sub(1) {
                Some(before) => chunk.get(before) == Some(&b'\n'),
                None => self.line_begins,
            };
            if begins {
                pieces.push(chunk.slice(from..at));
                pieces.push(Bytes::from_static(b"."));
                from = at;
            }
        }
        if let Some(last) = chunk.last() {
            self.line_begins = *last == b'\n';
        }
        pieces.push(chunk.slice(from..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// What ends the message.
    pub(super) fn end(&self) -> &'static [u8] {
        if self.line_begins { b".\r\n" } else { b"\r\n.\r\n" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(message: &[u8], cut: usize) -> Vec<u8> {
        let mut stuffer = Stuffer::default();
        let mut out = Vec::new();
        for chunk in message.chunks(cut) {
            for piece in stuffer.push(Bytes::copy_from_slice(chunk)) {
                out.extend_from_slice(&piece);
            }
        }
        out.extend_from_slice(stuffer.end());
        out
    }

    #[test]
    fn dots_are_doubled_wherever_the_chunks_are_cut() {
        for (message, want) in [
            (&b"a.b\r\n.c\r\n..\r\n"[..], &b"a.b\r\n..c\r\n...\r\n.\r\n"[..]),
            (b".", b"..\r\n.\r\n"),
            (b"", b".\r\n"),
            (b"x", b"x\r\n.\r\n"),
            (b"\r\n.\r\nQUIT\r\n", b"\r\n..\r\nQUIT\r\n.\r\n"),
        ] {
            for cut in 1..=message.len().max(1) {
                assert_eq!(sent(message, cut), want, "{cut}");
            }
        }
    }
}
