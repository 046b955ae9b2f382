//! Holds the counts of delta encodings against the number of a page's values, since room is made for
//! as many as they claim.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#delta-encoding-delta_binary_packed--5>

use parquet::basic::Encoding;
use parquet::errors::{ParquetError, Result};

use super::thrift::Walk;

/// Writers have blocks of 128 values.
const LARGEST_BLOCK: u64 = 1 << 16;

/// Whether the values can be as many as their encoding says.
pub(super) fn check(encoding: Encoding, values: &[u8], most: u64) -> Result<()> {
    let fits = match encoding {
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => {
            values.is_empty() || end(values, most).is_some()
        }
        // The lengths of what each value shares with the one before, then those of its rest.
        Encoding::DELTA_BYTE_ARRAY => {
            values.is_empty()
                || end(values, most).and_then(|at| end(values.get(at..)?, most)).is_some()
        }
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => Err(ParquetError::General("a page has fewer values than it says".into())),
    }
}

/// Where a list of such numbers ends, of which there are `most` at most.
fn end(bytes: &[u8], most: u64) -> Option<usize> {
    let mut walk = Walk::new(bytes);
    let (block, parts, count) = (walk.number()?, walk.number()?, walk.number()?);
    walk.signed()?;
    if count > most || block > LARGEST_BLOCK || parts == 0 || parts > block {
        return None;
    }
    let part = block / parts;
    let mut left = count.saturating_sub(1);
    while left > 0 {
        walk.signed()?;
        let widths = bytes.get(walk.at..walk.at.checked_add(parts as usize)?)?;
        walk.at += parts as usize;
        for width in widths {
            if left == 0 {
                break;
            }
            walk.at = walk.at.checked_add(usize::from(*width) * part as usize / 8)?;
            left = left.saturating_sub(part);
        }
    }
    // The last part may be shorter than its block.
    Some(walk.at.min(bytes.len()))
}
