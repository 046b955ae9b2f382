//! A zip archive with one file, made while it is read.
//!
//! The data is compressed twice: once to learn the sizes, which an archive has in front, and once
//! as it goes out. So nothing of it is kept, and a message knows its length before it begins.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use futures_util::stream;
use jiff::Zoned;
use sendoff::{ByteStream, Error, Result, Spooled};

/// An archive without the extensions for large files ends here.
const MOST: u64 = u32::MAX as u64;

/// Names are UTF-8 (APPNOTE.TXT 4.4.4, bit 11).
const UTF8: u16 = 1 << 11;
const DEFLATE: u16 = 8;
/// Version 2.0 can read it.
const VERSION: u16 = 20;

/// An archive that can be read as often as wanted.
#[derive(Clone)]
pub(super) struct Zip {
    data: Spooled,
    head: Bytes,
    tail: Bytes,
    compressed: u64,
}

impl Zip {
    /// Learns what the archive of `data` will be.
    ///
    /// # Errors
    /// The hub's when the data cannot be read; a form error when it is too large.
    pub(super) async fn of(data: Spooled, name: &str, modified: &Zoned) -> Result<Self> {
        let too_large = || {
            Error::form(
                "attach",
                "The data is too large for a zip archive (4 GiB). Send less of it.",
            )
        };
        if data.len() > MOST {
            return Err(too_large());
        }
        let (mut crc, mut plain, mut deflate) = (Crc::new(), data.stream(), Deflate::new());
        let mut compressed = 0;
        while let Some(chunk) = plain.next().await {
            let chunk = chunk?;
            crc.update(&chunk);
            compressed += deflate.push(&chunk)?.len() as u64;
        }
        compressed += deflate.finish()?.len() as u64;
        // Some room for what stands around it.
        if compressed > MOST - (1 << 16) {
            return Err(too_large());
        }
        let entry = Entry {
            crc: crc.sum(),
            compressed: compressed as u32,
            plain: data.len() as u32,
            time: dos_time(modified),
            name: name.as_bytes(),
        };
        Ok(Self { head: entry.local(), tail: entry.central(), data, compressed })
    }

    pub(super) fn len(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64 + self.compressed
    }

    pub(super) fn stream(&self) -> ByteStream {
        let around = |bytes: &Bytes| stream::iter([Ok(bytes.clone())]);
        let body = futures_util::StreamExt::chain(around(&self.head), deflated(self.data.stream()));
        let all = futures_util::StreamExt::chain(body, around(&self.tail));
        ByteStream::new(all).with_len(self.len())
    }
}

/// What an archive says of its file.
struct Entry<'a> {
    crc: u32,
    compressed: u32,
    plain: u32,
    /// Time and date.
    time: (u16, u16),
    name: &'a [u8],
}

impl Entry<'_> {
    /// APPNOTE.TXT 4.3.7.
    fn local(&self) -> Bytes {
        let mut out = b"PK\x03\x04".to_vec();
        self.common(&mut out);
        out.extend_from_slice(self.name);
        out.into()
    }

    /// APPNOTE.TXT 4.3.12 and 4.3.16.
    fn central(&self) -> Bytes {
        let mut out = b"PK\x01\x02".to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        self.common(&mut out);
        // Comment, disk, attributes, offset of the local header.
        out.extend_from_slice(&[0; 14]);
        out.extend_from_slice(self.name);
        let size = out.len() as u32;
        let offset = 30 + self.name.len() as u32 + self.compressed;
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.into()
    }

    fn common(&self, out: &mut Vec<u8>) {
        for field in [VERSION, UTF8, DEFLATE, self.time.0, self.time.1] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.crc, self.compressed, self.plain] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&(self.name.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
    }
}

/// MS-DOS's time and date: two seconds are the least, 1980 is the first year.
fn dos_time(at: &Zoned) -> (u16, u16) {
    let part = |value: i8| u16::from(value.unsigned_abs());
    let years = u16::try_from(at.year() - 1980).unwrap_or(0).min(127);
    let time = part(at.hour()) << 11 | part(at.minute()) << 5 | (part(at.second()) / 2);
    (time, years << 9 | part(at.month()) << 5 | part(at.day()))
}

fn deflated(data: ByteStream) -> ByteStream {
    let chunks = stream::unfold(Some((data, Deflate::new())), |state| async move {
        let (mut data, mut deflate) = state?;
        loop {
            match data.next().await {
                Some(Ok(chunk)) => match deflate.push(&chunk) {
                    Ok(out) if out.is_empty() => {}
                    Ok(out) => return Some((Ok(out.into()), Some((data, deflate)))),
                    Err(fault) => return Some((Err(fault), None)),
                },
                Some(Err(fault)) => return Some((Err(fault), None)),
                None => return Some((deflate.finish().map(Bytes::from), None)),
            }
        }
    });
    ByteStream::new(chunks)
}

struct Deflate(Compress);

impl Deflate {
    fn new() -> Self {
        Self(Compress::new(Compression::default(), false))
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.step(rest, &mut out, FlushCompress::None)?.1;
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        while self.step(&[], &mut out, FlushCompress::Finish)?.0 != Status::StreamEnd {}
        Ok(out)
    }

    fn step(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        flush: FlushCompress,
    ) -> Result<(Status, usize)> {
        out.reserve(16 * 1024);
        let before = self.0.total_in();
        let status = self
            .0
            .compress_vec(bytes, out, flush)
            .map_err(|fault| Error::hub("The data could not be compressed.").cause(fault))?;
        Ok((status, (self.0.total_in() - before) as usize))
    }
}
