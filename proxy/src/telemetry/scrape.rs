//! How scrapes of the application's own metrics end, as the metric names it.

/// The result of one scrape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ScrapeResult {
    /// Everything was passed on.
    Complete,
    /// Nobody answered.
    Unreachable,
    /// Another status than 200.
    Status,
    /// A content type or encoding that nothing can be added to.
    Unsupported,
    /// Lines that are no metrics were left out.
    Malformed,
    /// The answer broke off.
    Truncated,
    /// The answer was cut.
    TooLarge,
    /// The answer, or its end, did not come in time.
    Timeout,
    /// Too many scrapes at once.
    Busy,
    /// The scraper went away.
    Abandoned,
}

impl ScrapeResult {
    pub(super) const ALL: [Self; 10] = [
        Self::Complete,
        Self::Unreachable,
        Self::Status,
        Self::Unsupported,
        Self::Malformed,
        Self::Truncated,
        Self::TooLarge,
        Self::Timeout,
        Self::Busy,
        Self::Abandoned,
    ];

    /// The value of the label `result`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Abandoned => "abandoned",
        }
    }
}
