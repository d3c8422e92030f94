//! The fuzz targets without a fuzzer: a bounded number of mutations of their seeds with every run. A failure prints the seed;
//! `FUZZ_SEED` begins with it again, and `FUZZ_ROUNDS` says how many there are.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::targets;

const ROUNDS: u64 = 4000;

/// Words that mean something to what is fuzzed.
const WORDS: [&str; 16] = [
    "null",
    "{}",
    "[]",
    "\"\"",
    "-1",
    "1e999",
    "\\u0000",
    "\\ud800",
    ",",
    "\"name\":\"istio-proxy\"",
    "\"restartPolicy\":\"Always\"",
    "\u{0}",
    "4294967296",
    "*",
    "0.0.0.0/0",
    "\n- ",
];

#[test]
fn reviews() {
    run(targets::review, targets::review_seeds().collect());
}

#[test]
fn annotations() {
    run(targets::annotations, targets::annotation_seeds().collect());
}

fn run(target: fn(&[u8]), seeds: Vec<Vec<u8>>) {
    let from = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let start = from("FUZZ_SEED").unwrap_or_else(fresh);
    seeds.iter().for_each(|seed| target(seed));
    for round in start..start + from("FUZZ_ROUNDS").unwrap_or(ROUNDS) {
        let mut random = Random(round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            eprintln!("FUZZ_SEED={round} FUZZ_ROUNDS=1: {:?}", String::from_utf8_lossy(&bytes));
            resume_unwind(panic);
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let (at, other) = (random.below(bytes.len() + 1), random.below(bytes.len() + 1));
    let range = at.min(other)..at.max(other).min(at.min(other) + 64);
    match random.below(7) {
        0 => bytes.splice(range, []).for_each(drop),
        1 => {
            let part = bytes[range].to_vec();
            bytes.splice(at..at, part).for_each(drop);
        }
        2 => {
            let word = WORDS[random.below(WORDS.len())].bytes();
            bytes.splice(range, word).for_each(drop);
        }
        3 => {
            let word = WORDS[random.below(WORDS.len())].bytes();
            bytes.splice(at..at, word).for_each(drop);
        }
        4 => {
            let seed = &seeds[random.below(seeds.len())];
            let from = random.below(seed.len());
            let part = seed[from..(from + random.below(64)).min(seed.len())].to_vec();
            bytes.splice(range, part).for_each(drop);
        }
        5 => value(bytes, random),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(random.below(256)).expect("a byte");
            }
        }
    }
}

/// Puts a word in the place of a JSON value, so that what comes of it is JSON still.
fn value(bytes: &mut Vec<u8>, random: &mut Random) {
    let colons: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b':').collect();
    if colons.is_empty() {
        return;
    }
    let from = colons[random.below(colons.len())] + 1;
    let length = bytes[from..].iter().position(|byte| b",}]".contains(byte)).unwrap_or_default();
    let word = WORDS[random.below(6)].bytes();
    bytes.splice(from..from + length, word).for_each(drop);
}

/// Marsaglia's xorshift: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % bound.max(1)
    }
}

/// Another number with every run.
fn fresh() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() >> 16
}
