//! Random numbers that are the same in each run.

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        // Its state must not be 0.
        Self(seed.wrapping_mul(0x9E37_79B9) | 1)
    }

    /// From 0 up to, but not, `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        number as usize % bound.max(1)
    }
}
