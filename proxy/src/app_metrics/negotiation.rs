//! Which of the two text formats is spoken: what the application is asked for, and what it answers with.
//!
//! Prometheus' protobuf format is not asked for, since nothing could be added to it.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::telemetry::exposition::Format;

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";
const DEFAULT_ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5",
);

impl Format {
    /// What an answer is in, as far as its head tells. Some exporters say nothing, or something that is not so (`text/html`,
    /// `application/octet-stream`): they are taken for the older format, and their lines are looked at anyway.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        match media_type(headers.get(CONTENT_TYPE)).as_str() {
            OPEN_METRICS => Some(Self::OpenMetrics),
            "application/vnd.google.protobuf" => None,
            _ => Some(Self::Text),
        }
    }

    /// What a scraper wants where there is nothing of the application: OpenMetrics, unless it says that it does not.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let accepted: Vec<_> = ranges(headers).collect();
        let takes = |range: &str| accepted.iter().any(|accepted| range_type(accepted) == range);
        let open = accepted.is_empty() || takes(OPEN_METRICS) || takes("*/*") || takes("application/*");
        if open { Self::OpenMetrics } else { Self::Text }
    }

    /// The application's own, where it is one of the two.
    pub(super) fn content_type(self, application: &HeaderMap) -> HeaderValue {
        let said = application.get(CONTENT_TYPE);
        let usable = [OPEN_METRICS, TEXT].contains(&media_type(said).as_str());
        said.filter(|_| usable).cloned().unwrap_or_else(|| self.default_content_type())
    }

    pub(super) fn default_content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::OpenMetrics => runtime::metrics::CONTENT_TYPE,
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        })
    }
}

/// The scraper's Accept header, as far as an answer to it can be added to.
pub(super) fn accept(headers: &HeaderMap) -> HeaderValue {
    let open_metrics_2 = |range: &str| range_type(range) == OPEN_METRICS && range.contains("version=2");
    let kept: Vec<_> = ranges(headers)
        .filter(|range| [OPEN_METRICS, TEXT, "text/*", "*/*"].contains(&range_type(range).as_str()))
        .filter(|range| !open_metrics_2(range))
        .collect();
    if kept.is_empty() {
        return DEFAULT_ACCEPT;
    }
    // Parts of header values are header values.
    HeaderValue::from_str(&kept.join(",")).unwrap_or(DEFAULT_ACCEPT)
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|range| !range.is_empty())
}

fn range_type(range: &str) -> String {
    range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn media_type(value: Option<&HeaderValue>) -> String {
    value.and_then(|value| value.to_str().ok()).map(range_type).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ACCEPT, CONTENT_TYPE, DEFAULT_ACCEPT, Format, HeaderMap, accept};

    fn headers(name: &hyper::header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.clone(), value.parse().unwrap())])
    }

    #[test]
    fn only_what_can_be_added_to_is_asked_for() {
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
                          application/openmetrics-text;version=2.0.0;q=0.65,application/openmetrics-text;version=1.0.0;\
                          escaping=allow-utf-8;q=0.6, text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(
            accept(&headers(&ACCEPT, prometheus)),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(accept(&HeaderMap::new()), DEFAULT_ACCEPT);
        assert_eq!(accept(&headers(&ACCEPT, "image/png")), DEFAULT_ACCEPT);
    }

    #[test]
    fn the_format_is_the_answers() {
        for (said, format) in [
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Some(Format::OpenMetrics)),
            ("text/plain; version=0.0.4", Some(Format::Text)),
            ("Text/Plain", Some(Format::Text)),
            ("text/html", Some(Format::Text)),
            ("application/vnd.google.protobuf; encoding=delimited", None),
        ] {
            assert_eq!(Format::of(&headers(&CONTENT_TYPE, said)), format, "{said}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), Some(Format::Text));
        let content_type = |said| Format::Text.content_type(&headers(&CONTENT_TYPE, said));
        assert_eq!(
            content_type("text/plain; version=0.0.4; escaping=values"),
            "text/plain; version=0.0.4; escaping=values"
        );
        assert_eq!(content_type("text/html"), "text/plain; version=0.0.4; charset=utf-8");
    }

    #[test]
    fn alone_the_proxy_speaks_what_the_scraper_takes() {
        for (accepted, format) in [
            ("text/plain;version=0.0.4", Format::Text),
            ("*/*", Format::OpenMetrics),
            ("text/plain, application/openmetrics-text;version=1.0.0", Format::OpenMetrics),
        ] {
            assert_eq!(Format::wanted(&headers(&ACCEPT, accepted)), format, "{accepted}");
        }
        assert_eq!(Format::wanted(&HeaderMap::new()), Format::OpenMetrics);
    }
}
