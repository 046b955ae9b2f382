//! Keys by which a vendor recognises a row that it has had.

use crate::egress::Http;

/// Keys of a delivery's rows: the same for the same row whenever Looker sends the same delivery
/// again.
///
/// A key is 32 hexadecimal digits, made of the webhook id, the action and a part of the caller's,
/// and the row's number. A query that does not sort may give another row the same number, so a
/// vendor that drops repeats in silence should get something of the row itself beside it.
#[derive(Clone, Debug)]
pub struct RowKeys {
    base: String,
}

impl RowKeys {
    /// The keys for one kind of request, such as `identify`. Without a webhook id they are new for
    /// each delivery.
    pub fn new(http: &Http, part: &str) -> Self {
        Self { base: http.idempotency_key(part) }
    }

    /// The key of a row: `<32 hexadecimal digits>-17`.
    pub fn key(&self, row: u64) -> String {
        format!("{}-{row}", self.base)
    }

    /// Appends the key of a row.
    pub fn write(&self, row: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.base.as_bytes());
        out.push(b'-');
        write_number(row, out);
    }
}

/// Without an allocation.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // In range: a u64 has at most 20 digits.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
