//! Walks over Thrift's compact encoding and keeps next to nothing: what a file claims is held against
//! the bytes that are there, before anything reserves memory for it.
//!
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

/// No structure of the format nests so deep.
const DEEPEST: u8 = 24;

/// A type as it stands on the wire.
pub(super) type Kind = u8;

pub(super) const TRUE: Kind = 1;
const FALSE: Kind = 2;
pub(super) const I32: Kind = 5;
pub(super) const LIST: Kind = 9;
pub(super) const STRUCT: Kind = 12;

/// A place in the bytes. Every step is `None` where they are malformed or end too early.
pub(super) struct Walk<'b> {
    bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Walk<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn pass(&mut self, count: u64) -> Option<()> {
        let count = usize::try_from(count).ok()?;
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// An unsigned number, seven bits a byte.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A signed number.
    pub(super) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The members of a structure, each given to `each`, which says whether it has read the value;
    /// what it has not is passed over.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, i64, Kind) -> Option<bool>,
    ) -> Option<()> {
        self.members_at(DEEPEST, &mut each)
    }

    fn members_at(
        &mut self,
        depth: u8,
        each: &mut dyn FnMut(&mut Self, i64, Kind) -> Option<bool>,
    ) -> Option<()> {
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.signed()?,
                step => id + i64::from(step),
            };
            let kind = head & 0x0f;
            if !each(self, id, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    /// Kind and number of a list's elements: no more than bytes are left, for each takes one.
    pub(super) fn list(&mut self) -> Option<(Kind, u64)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.number()?,
            count => u64::from(count),
        };
        (count <= (self.bytes.len() - self.at) as u64).then_some((head & 0x0f, count))
    }

    fn skip(&mut self, kind: Kind, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // As a member of a structure, a truth value stands in its kind.
            TRUE | FALSE => Some(()),
            3 => self.pass(1),
            4..=6 => self.number().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let length = self.number()?;
                self.pass(length)
            }
            LIST | 10 => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, depth))
            }
            11 => {
                let count = self.number()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth)?;
                    self.skip_element(kinds & 0x0f, depth)
                })
            }
            STRUCT => self.members_at(depth, &mut |_, _, _| Some(false)),
            13 => self.pass(16),
            _ => None,
        }
    }

    fn skip_element(&mut self, kind: Kind, depth: u8) -> Option<()> {
        match kind {
            TRUE | FALSE => self.pass(1),
            kind => self.skip(kind, depth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_members_are_read() {
        // Member 1: i32 -3; member 2: a list of two i32; member 20: text; stop.
        let bytes = [0x15, 5, 0x19, 0x25, 2, 4, 0x08, 40, 2, b'h', b'i', 0, 9];
        let mut walk = Walk::new(&bytes);
        let mut seen = Vec::new();
        walk.members(|walk, id, kind| {
            seen.push((id, kind));
            match id {
                1 => Some(walk.signed()? == -3),
                _ => Some(false),
            }
        })
        .unwrap();
        assert_eq!(seen, [(1, I32), (2, LIST), (20, 8)]);
        assert_eq!(walk.at, 12);
    }

    #[test]
    fn what_is_claimed_and_not_there_is_refused() {
        let walked = |bytes: &[u8]| Walk::new(bytes).members(|_, _, _| Some(false)).is_some();
        assert!(walked(&[0]));
        // No end; a text, a list and a map that are longer than what is left; a number without end.
        for bytes in [
            &[][..],
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 1],
            &[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f, 0],
            &[0x1b, 0xff, 0xff, 0x7f, 0x55, 0],
            &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x1e, 0],
        ] {
            assert!(!walked(bytes), "{bytes:?}");
        }
        // Structures in structures without end.
        assert!(!walked(&[0x1c; 100_000]));
    }
}
