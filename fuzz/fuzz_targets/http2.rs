//! Frames of HTTP/2 in, what is found in them out. The target is the tests' own; this gives it to libFuzzer, and libFuzzer something to begin with.
#![no_main]
#![expect(dead_code, reason = "of what the tests share a target uses a part")]

#[path = "../seeds.rs"]
mod seeds;
#[path = "../../proxy/tests/component/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: seeds::write("http2", targets::http2_seeds()),
    |bytes: &[u8]| targets::http2(bytes)
);
