//! The fuzz targets without a fuzzer, with every run. A failure prints the round's seed; `FUZZ_SEED` begins with it.

use crate::support::scale;
use crate::targets;

#[test]
fn beginnings_by_the_million() {
    let seeds: Vec<_> = targets::detection_seeds().collect();
    seeds.iter().for_each(|seed| targets::detection(seed));
    let given = std::env::var("FUZZ_SEED").ok().map(|text| text.parse().expect("a number"));
    let start = given.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let rounds = scale("beginnings", 1_000_000, 200_000) as u64;
    for round in start..start + rounds {
        let mut random = fastrand::Rng::with_seed(round);
        let bytes = mutated(&seeds, &mut random);
        if let Err(panic) = std::panic::catch_unwind(|| targets::detection(&bytes)) {
            eprintln!("FUZZ_SEED={round}: {bytes:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Noise, or a seed that is cut, of which a few bytes are others, or behind which something else follows.
fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    if random.u8(..8) == 0 {
        bytes = vec![0; random.usize(..64)];
        random.fill(&mut bytes);
    }
    for _ in 0..random.usize(..4) {
        if let Some(byte) = random.choice(&mut bytes) {
            *byte = [random.u8(..), 0, 255, b' ', b'\n', 22][random.usize(..6)];
        }
    }
    match random.u8(..4) {
        0 => bytes.truncate(random.usize(..=bytes.len())),
        1 => bytes.extend_from_slice(&seeds[random.usize(..seeds.len())]),
        _ => {}
    }
    bytes
}
