//! A body in, the webhook's answer out. The target is the tests' own; this gives it to libFuzzer, and libFuzzer something to begin with.
#![no_main]
#![expect(dead_code, unused_imports, reason = "of what the tests share a target uses a part")]

#[path = "../../injector/tests/component/corpus.rs"]
mod corpus;
#[path = "../../injector/tests/component/decided.rs"]
mod decided;
#[path = "../../injector/tests/component/judge/mod.rs"]
mod judge;
#[path = "../seeds.rs"]
mod seeds;
#[path = "../../injector/tests/component/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: seeds::write("review", targets::review_seeds()),
    |bytes: &[u8]| targets::review(bytes)
);
