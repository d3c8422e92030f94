//! The inputs that libFuzzer begins with: what the tests begin with, written into the directory that cargo-fuzz keeps.

use std::path::Path;

/// Writes them, before libFuzzer looks for them.
pub(crate) fn write(target: &str, seeds: impl Iterator<Item = Vec<u8>>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&directory).expect("fuzz/corpus");
    for (number, seed) in seeds.enumerate() {
        std::fs::write(directory.join(format!("seed-{number}")), seed).expect("fuzz/corpus");
    }
}
