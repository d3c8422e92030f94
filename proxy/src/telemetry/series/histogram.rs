//! A histogram with Envoy's buckets, of atomics alone: that of the metrics library takes a lock and a list for each.
//!
//! Invariant: a value is an addition to two atomics; what a scrape reads may lack what is being added, and a bucket is never
//! more than those above it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use runtime::metrics::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use runtime::metrics::types::MetricType;

/// The upper bounds of Envoy's buckets; the last one has none. Istio uses them for milliseconds and for bytes.
const BOUNDS: [f64; 20] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
    f64::INFINITY,
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
        let place = BOUNDS.partition_point(|bound| *bound < scaled);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Bytes and microseconds are far below where the conversion loses anything that a bucket could show.
    fn scaled(&self, value: u64) -> f64 {
        value as f64 / f64::from(self.scale)
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let mut buckets = BOUNDS.map(|bound| (bound, 0));
        for ((_, shown), counted) in buckets.iter_mut().zip(&self.buckets) {
            *shown = counted.load(Ordering::Relaxed);
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.scaled(self.sum.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
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
        assert!(BOUNDS.is_sorted());
    }
}
