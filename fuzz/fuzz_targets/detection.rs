//! A client's first bytes in, what is spoken out. The target is the tests' own; this gives it to libFuzzer, and libFuzzer something to begin with.
#![no_main]
#![expect(dead_code, reason = "of what the tests share a target uses a part")]

#[path = "../seeds.rs"]
mod seeds;
#[path = "../../proxy/tests/component/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: seeds::write("detection", targets::detection_seeds()),
    |bytes: &[u8]| targets::detection(bytes)
);
