//! What a client and a server say in, what each of them gets out of a proxy between them. The target is the tests' own; this gives it to
//! libFuzzer, and libFuzzer something to begin with.
#![no_main]

#[path = "../../proxy/tests/component/composition/mod.rs"]
mod composition;
#[path = "../seeds.rs"]
mod seeds;
#[expect(dead_code, reason = "the tests' own, of which this is a part")]
#[path = "../../proxy/tests/component/support.rs"]
mod support;
#[expect(dead_code, reason = "the tests' own, of which this is a part")]
#[path = "../../proxy/tests/component/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(
    init: seeds::write("composition", composition::seeds()),
    |bytes: &[u8]| composition::composition(bytes)
);
