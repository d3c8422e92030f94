//! A histogram with Envoy's buckets, of atomics alone: that of the metrics library takes a lock and a list for each.
//!
//! Invariant: a value is an addition to two atomics; what a scrape reads may lack what is being added, and a bucket is never
//! more than those above it.

use std::sync::atomic::{AtomicU64, Ordering};

/// The upper bounds of Envoy's buckets, and how they are written; the last one has none. Istio uses them for milliseconds and
/// for bytes.
const BOUNDS: [(f64, &str); 20] = [
    (0.5, "0.5"),
    (1.0, "1.0"),
    (5.0, "5.0"),
    (10.0, "10.0"),
    (25.0, "25.0"),
    (50.0, "50.0"),
    (100.0, "100.0"),
    (250.0, "250.0"),
    (500.0, "500.0"),
    (1_000.0, "1000.0"),
    (2_500.0, "2500.0"),
    (5_000.0, "5000.0"),
    (10_000.0, "10000.0"),
    (30_000.0, "30000.0"),
    (60_000.0, "60000.0"),
    (300_000.0, "300000.0"),
    (600_000.0, "600000.0"),
    (1_800_000.0, "1800000.0"),
    (3_600_000.0, "3600000.0"),
    (f64::INFINITY, "+Inf"),
];

/// How many of a value's units make one of a bucket's: 1,000 where microseconds are shown as milliseconds.
pub(super) type Scale = u32;

/// The histogram. Of its 168 bytes none is allocated apart.
pub(super) struct Histogram {
    scale: Scale,
    sum: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len()],
}

impl Histogram {
    pub(super) fn new(scale: Scale) -> Self {
        Self { scale, sum: AtomicU64::new(0), buckets: [const { AtomicU64::new(0) }; BOUNDS.len()] }
    }

    /// One more value.
    pub(super) fn observe(&self, value: u64) {
        self.sum.fetch_add(value, Ordering::Relaxed);
        let scaled = self.scaled(value);
        let place = BOUNDS.partition_point(|(bound, _)| *bound < scaled);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// The sum as it is shown, and of each bucket its bound and how many values are in it and not below it.
    pub(super) fn read(&self) -> (f64, [(&'static str, u64); BOUNDS.len()]) {
        let mut buckets = BOUNDS.map(|(_, bound)| (bound, 0));
        for ((_, shown), counted) in buckets.iter_mut().zip(&self.buckets) {
            *shown = counted.load(Ordering::Relaxed);
        }
        (self.scaled(self.sum.load(Ordering::Relaxed)), buckets)
    }

    /// Bytes and microseconds are far below where the conversion loses anything that a bucket could show.
    fn scaled(&self, value: u64) -> f64 {
        value as f64 / f64::from(self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::{AtomicU64, BOUNDS, Histogram};
    use std::sync::atomic::Ordering;

    fn place(histogram: &Histogram) -> Option<usize> {
        histogram.buckets.iter().position(|bucket: &AtomicU64| bucket.load(Ordering::Relaxed) > 0)
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (scale, value, bucket) in [
            (1, 0, 0),
            (1, 1, 1),
            (1, 2, 2),
            (1, 5, 2),
            (1, 6, 3),
            (1, 3_600_000, 18),
            (1, 3_600_001, 19),
            (1, u64::MAX, 19),
            (1000, 500, 0),
            (1000, 501, 1),
            (1000, 1000, 1),
            (1000, 1001, 2),
        ] {
            let histogram = Histogram::new(scale);
            histogram.observe(value);
            assert_eq!((place(&histogram), histogram.count()), (Some(bucket), 1), "{value} of {scale}");
        }
        assert!(BOUNDS.is_sorted_by_key(|(bound, _)| *bound));
        assert!(BOUNDS.iter().all(|(bound, written)| written.parse() == Ok(*bound)));
    }
}
