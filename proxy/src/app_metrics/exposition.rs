//! The proxy's own metrics as families, in the format that is asked for. They are written by our registry in OpenMetrics, so
//! nothing here has to expect anything else.

use super::negotiation::Format;

/// Suffixes of samples of a family of another name.
const SUFFIXES: [&str; 8] = ["_total", "_created", "_bucket", "_sum", "_count", "_info", "_gsum", "_gcount"];

/// All families, in order.
pub(super) struct Exposition {
    format: Format,
    families: Vec<Family>,
}

/// One family.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) head: String,
    pub(super) samples: String,
}

impl Exposition {
    /// Reads OpenMetrics of ours, and translates it where the other format is spoken.
    pub(super) fn new(open_metrics: &str, format: Format) -> Self {
        let mut families: Vec<Family> = Vec::new();
        let mut named = "";
        for line in open_metrics.lines().filter(|line| *line != "# EOF") {
            let Some(head) = line.strip_prefix("# ") else {
                if let Some(family) = families.last_mut() {
                    push(&mut family.samples, line);
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
                families.push(Family { name: name.to_owned(), ..Family::default() });
                named = name;
            }
            let Some(family) = families.last_mut() else { continue };
            match (format, keyword) {
                (Format::OpenMetrics, _) => push(&mut family.head, line),
                (Format::Text, "TYPE") => family.translate(said),
                (Format::Text, "HELP") => push(&mut family.head, line),
                (Format::Text, _) => {}
            }
        }
        Self { format, families }
    }

    /// Takes the family of this name out.
    pub(super) fn take(&mut self, name: &str) -> Option<Family> {
        let place = self.families.iter().position(|family| family.name == name)?;
        Some(self.families.remove(place))
    }

    /// Takes the family out that has samples of this name.
    pub(super) fn take_with_sample(&mut self, sample: &str) -> Option<Family> {
        let base = SUFFIXES.iter().find_map(|suffix| sample.strip_suffix(suffix));
        self.take(sample).or_else(|| self.take(base?))
    }

    /// Everything that has not been taken out, and the end.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Family { head, samples, .. } in &self.families {
            text.push_str(head);
            text.push_str(samples);
        }
        if self.format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

impl Family {
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
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Format};

    const OURS: &str = "# HELP a Things.\n# TYPE a counter\na_total{x=\"y\"} 1\na_total{x=\"z\"} 2\n\
                        # HELP b_seconds Time.\n# TYPE b_seconds histogram\n# UNIT b_seconds seconds\nb_seconds_sum 1\nb_seconds_count 1\n\
                        # HELP c Nothing yet.\n# TYPE c gauge\n\
                        # HELP d Build.\n# TYPE d info\nd_info{v=\"1\"} 1\n# EOF\n";

    #[test]
    fn open_metrics_stays_as_it_is() {
        assert_eq!(Exposition::new(OURS, Format::OpenMetrics).text(), OURS);
    }

    #[test]
    fn the_older_format_names_families_as_their_samples() {
        assert_eq!(
            Exposition::new(OURS, Format::Text).text(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"y\"} 1\na_total{x=\"z\"} 2\n\
             # HELP b_seconds Time.\n# TYPE b_seconds histogram\nb_seconds_sum 1\nb_seconds_count 1\n\
             # HELP c Nothing yet.\n# TYPE c gauge\n\
             # HELP d_info Build.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n"
        );
    }

    #[test]
    fn a_family_is_found_by_its_name_and_by_its_samples() {
        let mut open = Exposition::new(OURS, Format::OpenMetrics);
        assert!(open.take_with_sample("a_count").is_some(), "no other family has a name that begins so");
        assert!(open.take("a").is_none());
        assert_eq!(open.take_with_sample("b_seconds_bucket").unwrap().name, "b_seconds");
        let mut text = Exposition::new(OURS, Format::Text);
        assert!(text.take("a").is_none() && text.take_with_sample("a").is_none());
        assert_eq!(
            text.take_with_sample("a_total").unwrap().samples,
            "a_total{x=\"y\"} 1\na_total{x=\"z\"} 2\n"
        );
    }
}
