//! Finding marks in a block, with the widest vectors that the processor has.

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use wide::u8x16;

use super::BLOCK;

/// Which bytes are marks.
#[derive(Clone, Copy)]
pub(in super::super) struct Marks {
    /// These two.
    pub(in super::super) equal: [u8; 2],
    /// And all up to this one.
    pub(in super::super) up_to: u8,
}

/// A way to look at a block.
pub(in super::super) trait Look: Copy {
    /// Which bytes are marks, that of the first byte in the lowest bit; and whether a byte is
    /// outside of ASCII.
    fn find(self, block: &[u8; BLOCK], marks: Marks) -> (u64, bool);
}

/// Work that looks at blocks.
pub(in super::super) trait Job {
    type Output;

    /// Must be `#[inline(always)]`: instructions that not every processor has are allowed in what
    /// is compiled together with [`widest`] alone.
    fn run(self, look: impl Look) -> Self::Output;
}

/// Does the work in the way that is best here.
pub(in super::super) fn widest<J: Job>(job: J) -> J::Output {
    #[cfg(target_arch = "x86_64")]
    {
        struct On<L, J>(L, J);
        impl<L: Look, J: Job> pulp::NullaryFnOnce for On<L, J> {
            type Output = J::Output;
            #[inline(always)]
            fn call(self) -> J::Output {
                self.1.run(self.0)
            }
        }
        if let Some(look) = V4::try_new() {
            return look.vectorize(On(look, job));
        }
        if let Some(look) = V3::try_new() {
            return look.vectorize(On(look, job));
        }
    }
    job.run(Any)
}

/// Sixteen bytes at a time: every processor of the architecture does that.
#[derive(Clone, Copy)]
struct Any;

impl Look for Any {
    #[inline(always)]
    fn find(self, block: &[u8; BLOCK], marks: Marks) -> (u64, bool) {
        const LANES: usize = 16;
        let [first, second] = marks.equal.map(u8x16::splat);
        let last = u8x16::splat(marks.up_to);
        let (lanes, _) = block.as_chunks::<LANES>();
        let (mut found, mut all) = (0, u8x16::splat(0));
        for (n, lane) in lanes.iter().enumerate() {
            let lane = u8x16::new(*lane);
            all |= lane;
            let marks = lane.simd_eq(first) | lane.simd_eq(second) | lane.min(last).simd_eq(lane);
            found |= u64::from(marks.to_bitmask()) << (LANES * n);
        }
        // The highest bit of a byte is set only outside of ASCII.
        (found, all.to_bitmask() != 0)
    }
}

#[cfg(target_arch = "x86_64")]
impl Look for V3 {
    #[inline(always)]
    fn find(self, block: &[u8; BLOCK], marks: Marks) -> (u64, bool) {
        let (avx, avx2) = (self.avx, self.avx2);
        let [first, second, last] = [marks.equal[0], marks.equal[1], marks.up_to]
            .map(|byte| avx._mm256_set1_epi8(byte.cast_signed()));
        let [low, high]: [core::arch::x86_64::__m256i; 2] = pulp::cast(*block);
        let marks = |half| {
            let either = avx2._mm256_or_si256(
                avx2._mm256_cmpeq_epi8(half, first),
                avx2._mm256_cmpeq_epi8(half, second),
            );
            let small = avx2._mm256_cmpeq_epi8(avx2._mm256_min_epu8(half, last), half);
            let marks = avx2._mm256_movemask_epi8(avx2._mm256_or_si256(either, small));
            u64::from(marks.cast_unsigned())
        };
        let all = avx2._mm256_movemask_epi8(avx2._mm256_or_si256(low, high));
        (marks(low) | marks(high) << 32, all != 0)
    }
}

#[cfg(target_arch = "x86_64")]
impl Look for V4 {
    #[inline(always)]
    fn find(self, block: &[u8; BLOCK], marks: Marks) -> (u64, bool) {
        let (f, bw) = (self.avx512f, self.avx512bw);
        let [first, second, last] = [marks.equal[0], marks.equal[1], marks.up_to]
            .map(|byte| f._mm512_set1_epi8(byte.cast_signed()));
        let block = pulp::cast(*block);
        let found = bw._mm512_cmpeq_epi8_mask(block, first)
            | bw._mm512_cmpeq_epi8_mask(block, second)
            | bw._mm512_cmple_epu8_mask(block, last);
        (found, bw._mm512_movepi8_mask(block) != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_by_one(block: &[u8; BLOCK], marks: Marks) -> (u64, bool) {
        let is = |byte: u8| marks.equal.contains(&byte) || byte <= marks.up_to;
        let found = block.iter().rev().fold(0, |found, &byte| found << 1 | u64::from(is(byte)));
        (found, !block.is_ascii())
    }

    struct Find([u8; BLOCK], Marks);

    impl Job for Find {
        type Output = (u64, bool);
        #[inline(always)]
        fn run(self, look: impl Look) -> Self::Output {
            look.find(&self.0, self.1)
        }
    }

    proptest! {
        /// On a processor that lacks the wider vectors, only those it has are looked at.
        #[test]
        fn every_way_finds_the_same(
            text in proptest::collection::vec(
                prop_oneof![Just(b'"'), Just(b'\\'), Just(b'\n'), b' '..=b'~', any::<u8>()],
                BLOCK,
            ),
            up_to in prop_oneof![Just(0), Just(0x1f), any::<u8>()],
        ) {
            let block: [u8; BLOCK] = text.try_into().unwrap();
            let marks = Marks { equal: *b"\"\\", up_to };
            let right = one_by_one(&block, marks);
            prop_assert_eq!(Any.find(&block, marks), right);
            prop_assert_eq!(widest(Find(block, marks)), right);
            #[cfg(target_arch = "x86_64")]
            if let Some(look) = V3::try_new() {
                prop_assert_eq!(look.vectorize(|| look.find(&block, marks)), right);
            }
        }
    }
}
