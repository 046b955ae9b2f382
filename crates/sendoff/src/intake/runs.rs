//! Copying text in which marks come often, block by block.
//!
//! Escapes come at the end of every row of a CSV and every few bytes in JSON within JSON, newlines
//! after every 60 characters of base64. There a `memchr` and a `memcpy` for each run would cost
//! more than the run. So the text is looked at in blocks whose places do not depend on what was
//! found, which lets the processor look at several at once, and after each mark a whole block is
//! copied: what was too much is written over.

mod look;

pub(super) use look::{Job, Look, Marks, widest};

/// How much is searched and copied at a time.
pub(super) const BLOCK: usize = 64;

/// By how much the target must be longer than the source: the last block, and the end of an escape
/// that was cut by the edge of its chunk.
pub(super) const SLACK: usize = BLOCK + 8;

/// What to do at a mark.
#[derive(Clone, Copy)]
pub(super) struct Instead {
    /// How many bytes of the source are passed over, the mark among them.
    pub(super) over: usize,
    /// The byte that takes their place, if one does.
    pub(super) byte: u8,
    pub(super) written: bool,
}

/// Copies whole blocks until `instead` knows nothing to do at a mark, or the source has too little
/// left for a block. Gives the new positions in both.
///
/// `find` says which bytes of a block are marks. `instead` is given the mark and what follows it.
#[inline(always)]
pub(super) fn copy_blocks(
    (from, mut read): (&[u8], usize),
    (to, mut written): (&mut [u8], usize),
    mut find: impl FnMut(&[u8; BLOCK]) -> u64,
    instead: impl Fn(&[u8]) -> Option<Instead>,
) -> (usize, usize) {
    while let Some(block) = from.get(read..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let mut found = find(block);
        // How much of the block is done; more than all of it after an escape across its end.
        let mut done = 0;
        loop {
            let run = from.get(read + done..).and_then(<[u8]>::first_chunk::<BLOCK>);
            let out = to.get_mut(written..).and_then(<[u8]>::first_chunk_mut::<BLOCK>);
            let (Some(run), Some(out)) = (run, out) else { return (read + done, written) };
            *out = *run;
            if found == 0 {
                written += BLOCK - done;
                read += BLOCK;
                break;
            }
            let mark = found.trailing_zeros() as usize;
            written += mark - done;
            let known = from.get(read + mark..).and_then(&instead);
            let (Some(known), Some(out)) = (known, to.get_mut(written)) else {
                return (read + mark, written);
            };
            *out = known.byte;
            written += usize::from(known.written);
            done = mark + known.over;
            if done >= BLOCK {
                read += done;
                break;
            }
            found &= u64::MAX << done;
        }
    }
    (read, written)
}

/// Copies lines of the same length without what ends them, up to the first that is not such a
/// line: shorter or longer, or with a mark within it. Gives the new positions.
#[inline(always)]
pub(super) fn copy_lines(
    (from, mut read): (&[u8], usize),
    (to, mut written): (&mut [u8], usize),
    (length, end): (usize, [u8; 2]),
    mut find: impl FnMut(&[u8; BLOCK]) -> u64,
) -> (usize, usize) {
    while let Some(block) = from.get(read..).and_then(<[u8]>::first_chunk::<BLOCK>)
        && let Some(out) = to.get_mut(written..).and_then(<[u8]>::first_chunk_mut::<BLOCK>)
    {
        let found = find(block);
        if found.trailing_zeros() as usize != length
            || block.get(length..length + 2) != Some(&end[..])
        {
            break;
        }
        *out = *block;
        (read, written) = (read + length + 2, written + length);
    }
    (read, written)
}
