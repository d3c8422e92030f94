//! The proxy's own metrics as text, made as it is read: whoever reads slowly, or goes away, has made the proxy hold one piece.
//!
//! Few series are of a fixed number: the registry writes them at once, in OpenMetrics, so nothing here has to expect anything
//! else. Those of edges may be many, and follow in pieces. Invariant: a family has one head and all of its samples behind it.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::series::{self, Edges, FAMILIES};

/// A text format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0 and its forerunner: ends with `# EOF`.
    OpenMetrics,
    /// Prometheus' own, version 0.0.4.
    Text,
}

/// What is made and sent at once; a series more, where that does not fit.
pub(crate) const PIECE: usize = 64 << 10;

/// Suffixes of samples of a family of another name.
const SUFFIXES: [&str; 8] = ["_total", "_created", "_bucket", "_sum", "_count", "_info", "_gsum", "_gcount"];

/// Between two pieces: the one before is sent, and what else there is to do on this thread and on its processor is done. A worker
/// that is woken there does not take the processor from a thread whose slice is not over; a long answer would be made in one.
pub(crate) async fn give_way() {
    tokio::task::yield_now().await;
    std::thread::yield_now();
}

/// All metrics of the proxy; clones show the same ones.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(super) few: runtime::metrics::Metrics,
    pub(super) edges: Edges,
}

impl Shown {
    /// As they are now, and those of edges when their turn comes.
    pub(crate) fn exposition(&self, format: Format) -> Exposition {
        let mut exposition = Exposition::of(&self.few.text(), format);
        exposition
            .families
            .extend(FAMILIES.iter().map(|family| Family::of_edges(family, &self.edges, format)));
        exposition
    }

    /// All of it at once.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.exposition(Format::OpenMetrics).text()
    }
}

/// All families, in order, and the end; yields pieces of whole lines.
pub(crate) struct Exposition {
    families: VecDeque<Family>,
    end: &'static [u8],
}

/// One family, as far as it has not been written.
pub(crate) struct Family {
    pub(crate) name: String,
    head: String,
    samples: Samples,
}

enum Samples {
    Few(String),
    OfEdges(series::Samples),
}

impl Exposition {
    /// Reads OpenMetrics of ours, and translates it where the other format is spoken.
    fn of(open_metrics: &str, format: Format) -> Self {
        let mut families: VecDeque<Family> = VecDeque::new();
        let mut named = "";
        for line in open_metrics.lines().filter(|line| *line != "# EOF") {
            let Some(head) = line.strip_prefix("# ") else {
                if let Some(Family { samples: Samples::Few(samples), .. }) = families.back_mut() {
                    push(samples, line);
                }
                continue;
            };
            let mut words = head.splitn(3, ' ');
            let (Some(keyword), Some(name), said) =
                (words.next(), words.next(), words.next().unwrap_or_default())
            else {
                continue;
            };
            if name != named {
                families.push_back(Family::new(name, Samples::Few(String::new())));
                named = name;
            }
            let Some(family) = families.back_mut() else { continue };
            match (format, keyword) {
                (Format::OpenMetrics, _) => push(&mut family.head, line),
                (Format::Text, "TYPE") => family.translate(said),
                (Format::Text, "HELP") => push(&mut family.head, line),
                (Format::Text, _) => {}
            }
        }
        Self { families, end: if format == Format::OpenMetrics { b"# EOF\n" } else { b"" } }
    }

    /// Takes the family of this name out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Family> {
        let place = self.families.iter().position(|family| family.name == name)?;
        self.families.remove(place)
    }

    /// Takes the family out that has samples of this name.
    pub(crate) fn remove_with_sample(&mut self, sample: &str) -> Option<Family> {
        let base = SUFFIXES.iter().find_map(|suffix| sample.strip_suffix(suffix));
        self.remove(sample).or_else(|| self.remove(base?))
    }

    /// A response's.
    pub(crate) fn into_body(self) -> Body {
        Body::from_stream(stream::iter(self).then(async |piece| {
            give_way().await;
            Ok::<_, Infallible>(piece)
        }))
    }

    #[cfg(test)]
    fn text(self) -> String {
        String::from_utf8(self.flatten().collect()).unwrap()
    }
}

impl Iterator for Exposition {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut text = Vec::with_capacity(PIECE + PIECE / 2);
        while let Some(family) = self.families.front_mut() {
            if family.write(&mut text) {
                return Some(text.into());
            }
            self.families.pop_front();
        }
        text.extend_from_slice(std::mem::take(&mut self.end));
        (!text.is_empty()).then(|| text.into())
    }
}

impl Family {
    fn new(name: &str, samples: Samples) -> Self {
        Self { name: name.to_owned(), head: String::new(), samples }
    }

    fn of_edges(family: &'static series::Family, edges: &Edges, format: Format) -> Self {
        let series::Family { name, help, .. } = family;
        let samples = Samples::OfEdges(series::Samples::new(family, edges.clone()));
        let mut this = Self::new(name, samples);
        push(&mut this.head, &format!("# HELP {name} {help}"));
        match format {
            Format::OpenMetrics => push(&mut this.head, &format!("# TYPE {name} {}", family.kind())),
            Format::Text => this.translate(family.kind()),
        }
        this
    }

    /// In the older format a family is called as its samples are, and has one of five types.
    fn translate(&mut self, open_metrics_type: &str) {
        let (suffix, kind) = match open_metrics_type {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "stateset" => ("", "gauge"),
            "unknown" | "gaugehistogram" => ("", "untyped"),
            same => ("", same),
        };
        let renamed = format!("{}{suffix}", self.name);
        self.head = self.head.replacen(&self.name, &renamed, 1);
        self.name = renamed;
        push(&mut self.head, &format!("# TYPE {} {kind}", self.name));
    }

    /// The family without its head, which somebody else has written.
    pub(crate) fn without_head(self) -> Self {
        Self { head: String::new(), ..self }
    }

    /// Writes until there is a piece; tells whether that was not all.
    pub(crate) fn write(&mut self, text: &mut Vec<u8>) -> bool {
        text.extend_from_slice(std::mem::take(&mut self.head).as_bytes());
        match &mut self.samples {
            Samples::Few(samples) => {
                text.extend_from_slice(std::mem::take(samples).as_bytes());
                false
            }
            Samples::OfEdges(samples) => samples.write(text, PIECE),
        }
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Format};
    use futures_util::FutureExt;
    use http_body_util::BodyExt;

    const OURS: &str = "# HELP a Things.\n# TYPE a counter\na_total{x=\"y\"} 1\na_total{x=\"z\"} 2\n\
                        # HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 1\nb_seconds_count 1\n\
                        # HELP c Nothing yet.\n# TYPE c gauge\n\
                        # HELP d Build.\n# TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";

    #[test]
    fn open_metrics_stays_as_it_is() {
        assert_eq!(Exposition::of(OURS, Format::OpenMetrics).text(), OURS);
    }

    #[test]
    fn the_older_format_names_families_as_their_samples() {
        assert_eq!(
            Exposition::of(OURS, Format::Text).text(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"y\"} 1\na_total{x=\"z\"} 2\n\
             # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_sum 1\nb_seconds_count 1\n\
             # HELP c Nothing yet.\n# TYPE c gauge\n\
             # HELP d_info Build.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n"
        );
    }

    #[tokio::test]
    async fn others_have_their_turn_before_a_piece() {
        let mut body = Exposition::of(OURS, Format::OpenMetrics).into_body();
        assert!(body.frame().now_or_never().is_none());
        assert_eq!(body.collect().await.unwrap().to_bytes(), OURS);
    }

    #[test]
    fn a_family_is_found_by_its_name_and_by_its_samples() {
        let mut open = Exposition::of(OURS, Format::OpenMetrics);
        assert!(open.remove_with_sample("a_count").is_some(), "no other family has a name that begins so");
        assert!(open.remove("a").is_none());
        assert_eq!(open.remove_with_sample("b_seconds_bucket").unwrap().name, "b_seconds");
        let mut text = Exposition::of(OURS, Format::Text);
        assert!(text.remove("a").is_none() && text.remove_with_sample("a").is_none());
        let mut written = Vec::new();
        assert!(!text.remove_with_sample("a_total").unwrap().without_head().write(&mut written));
        assert_eq!(String::from_utf8(written).unwrap(), "a_total{x=\"y\"} 1\na_total{x=\"z\"} 2\n");
    }
}
