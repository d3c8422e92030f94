//! The figures: of all blocks together, and in brackets the smallest and the largest of a block.

use std::ops::RangeInclusive;

use super::waits::Waited;
use super::{BLOCK, BLOCKS, Block, Measurement, Way};
use crate::times::{Times, millis};

pub(super) fn title(place: &str) {
    println!("\nCreating pods {place}, {} of each kind, in turns; load {}:", BLOCKS * BLOCK, load());
}

pub(super) fn print(Measurement { blocks, computed }: &Measurement) {
    println!("  the API server waits for the webhook, mean:");
    for way in Way::ALL.into_iter().filter(|way| way.entry().is_some()) {
        let ratio = |blocks: &[Block]| waited(way, blocks).mean() / waited(Way::Allowed, blocks).mean();
        let all = waited(way, blocks);
        println!(
            "    {:<8} {:.2} ms, {} calls: {}",
            way.namespace(),
            all.mean() * 1e3,
            all.calls,
            spread(blocks, ratio)
        );
    }
    println!("    wanted: injected <= 1.5 x");
    let of_patched =
        |blocks: &[Block]| waited(Way::Injected, blocks).mean() / waited(Way::Patched, blocks).mean();
    println!(
        "    injected of patched: {}; the injector computes {:.3} ms",
        spread(blocks, of_patched),
        computed.mean() * 1e3
    );
    println!("  a creation takes its client:");
    for way in Way::ALL {
        let ratio = |blocks: &[Block]| added(way, blocks) / added(Way::Allowed, blocks);
        let times = times(way, blocks);
        println!(
            "    {:<8} p50 {}, p99 {}; added to the p50 {:.2} ms: {}",
            way.namespace(),
            millis(times.median()),
            millis(times.p99()),
            added(way, blocks) * 1e3,
            spread(blocks, ratio)
        );
    }
    println!("    wanted: injected <= 1.7 x");
    let of_patched = |blocks: &[Block]| added(Way::Injected, blocks) / added(Way::Patched, blocks);
    println!("    injected of patched: {}; load {}", spread(blocks, of_patched), load());
}

fn waited(way: Way, blocks: &[Block]) -> Waited {
    let all = blocks.iter().filter_map(|block| block.get(way as usize));
    all.fold(Waited::default(), |sum, measured| sum.and(measured.waited))
}

fn times(way: Way, blocks: &[Block]) -> Times {
    let all = blocks.iter().filter_map(|block| block.get(way as usize));
    Times::new(all.flat_map(|measured| measured.creations.iter().copied()).collect())
}

/// What a way adds to the p50 of a creation, in seconds.
fn added(way: Way, blocks: &[Block]) -> f64 {
    median(way, blocks) - median(Way::Plain, blocks)
}

/// In seconds.
fn median(way: Way, blocks: &[Block]) -> f64 {
    times(way, blocks).median().as_secs_f64()
}

fn spread(blocks: &[Block], ratio: impl Fn(&[Block]) -> f64) -> String {
    let each = blocks.chunks(1).map(&ratio);
    let range = each.fold(f64::INFINITY..=f64::NEG_INFINITY, |range: RangeInclusive<f64>, ratio| {
        range.start().min(ratio)..=range.end().max(ratio)
    });
    format!("{:.2} x ({:.2}-{:.2})", ratio(blocks), range.start(), range.end())
}

/// The machine's, of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
