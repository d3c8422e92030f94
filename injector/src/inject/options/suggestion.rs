//! What somebody meant who wrote a name that nobody knows.

/// The nearest name by its last part, whose case people mix up and whose family they forget.
pub(super) fn suggestion(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    /// Longer ones are no slip of the pen, and cost time.
    const LONGEST: usize = 80;
    let last = |name: &str| name.rsplit(['/', ' ', '.']).next().unwrap_or_default().to_ascii_lowercase();
    let wanted = last(name);
    if wanted.is_empty() || wanted.len() > LONGEST {
        return None;
    }
    let whole: String = name.chars().take(2 * LONGEST).collect();
    let distance = |known: &'static str| {
        (strsim::osa_distance(&last(known), &wanted), strsim::osa_distance(known, &whole), known)
    };
    let (slips, _, nearest) = known.map(distance).min()?;
    (slips * 3 <= wanted.len()).then_some(nearest)
}
