//! Copying what stands between two marks, where marks come often.
//!
//! Escapes come at the end of every row of a CSV and every few bytes in JSON within JSON, newlines
//! after every 60 characters of base64. There a `memchr` and a `memcpy` for each run would cost
//! more than the run, so whole blocks are copied, and what was too much is written over.

use memchr::memchr2;
use wide::u8x16;

/// How much is searched and copied at a time.
const BLOCK: usize = 64;

/// By how much the target must be longer than the source: the last block, and the end of an escape
/// that was cut by the edge of its chunk.
pub(super) const SLACK: usize = BLOCK + 8;

/// Copies bytes up to the next of `marks`, and gives both new positions.
pub(super) fn copy_run(
    marks: [u8; 2],
    from: &[u8],
    mut read: usize,
    to: &mut [u8],
    mut written: usize,
) -> (usize, usize) {
    while let Some(block) = from.get(read..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let Some(out) = to.get_mut(written..).and_then(<[u8]>::first_chunk_mut::<BLOCK>) else {
            break;
        };
        *out = *block;
        // No mark at all gives 64, which is the whole block.
        let length = found(marks, block).trailing_zeros() as usize;
        (read, written) = (read + length, written + length);
        if length < BLOCK {
            return (read, written);
        }
    }
    let rest = &from[read..];
    let run = &rest[..memchr2(marks[0], marks[1], rest).unwrap_or(rest.len())];
    to[written..written + run.len()].copy_from_slice(run);
    (read + run.len(), written + run.len())
}

/// Which bytes are one of `marks`, that of the first byte in the lowest bit.
fn found(marks: [u8; 2], block: &[u8; BLOCK]) -> u64 {
    const LANES: usize = 16;
    let [one, other] = marks.map(u8x16::splat);
    let (lanes, _) = block.as_chunks::<LANES>();
    lanes.iter().rev().fold(0, |found, lane| {
        let bytes = u8x16::new(*lane);
        let hits = bytes.simd_eq(one) | bytes.simd_eq(other);
        found << LANES | u64::from(hits.to_bitmask())
    })
}
