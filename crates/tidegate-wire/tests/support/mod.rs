//! What the integration tests share: reading files, and ways to cut bytes up.

use std::fs;

use bytes::Bytes;
use serde_json::Value;

pub(crate) fn read_json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A small generator of pseudo-random numbers (xorshift64*), so that every run cuts at the same places.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

/// The same bytes whole, byte by byte, and at random places.
pub(crate) fn cuttings(body: &[u8], seed: u64) -> Vec<Vec<Bytes>> {
    let mut all = vec![vec![Bytes::copy_from_slice(body)]];
    all.push(body.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect());
    for round in 0..4 {
        let mut random = Seeded::new(seed + round);
        let mut pieces = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let longest = if round % 2 == 0 { 40 } else { 900 };
            let (piece, behind) = rest.split_at((1 + random.below(longest)).min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = behind;
        }
        all.push(pieces);
    }
    all
}
