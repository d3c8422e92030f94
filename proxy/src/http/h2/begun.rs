//! Which streams of a client h2 has handed out. Others it has refused by itself, which it tells nobody but the client: they are
//! found by what it has sent on them.
//!
//! Pure. Invariant: no stream is told that somebody has been handed, who tells it himself, and none twice.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::Refusal;

/// Of one connection. Streams are handed out in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Begun {
    last: u32,
    /// Numbers before the last one that were not handed out, the first ones first.
    skipped: VecDeque<RangeInclusive<u32>>,
    /// What h2 has ended and had not handed out then.
    ended: Vec<(u32, Refusal)>,
    /// Of those, the last ones that were told.
    told: VecDeque<u32>,
}

/// How many of each are remembered. What a client leaves out, and h2 does, is as soon forgotten as it is seen what it was.
const REMEMBERED: usize = 64;

impl Begun {
    /// A stream was handed out.
    pub(super) fn begin(&mut self, stream: u32) {
        // Clients have the odd numbers.
        let next = if self.last == 0 { 1 } else { self.last.saturating_add(2) };
        if stream > next {
            remember(&mut self.skipped, next..=stream - 1);
        }
        self.last = self.last.max(stream);
        // Whoever has it tells of it.
        self.ended.retain(|(ended, _)| *ended != stream);
    }

    /// A stream was ended by a frame that, if it is h2's own, means this.
    pub(super) fn end(&mut self, stream: u32, refusal: Refusal) {
        let is_known = |(ended, _): &(u32, Refusal)| *ended == stream;
        // An answer may be followed by a reset.
        if !self.has(stream) && !self.ended.iter().any(is_known) && !self.told.contains(&stream) {
            self.ended.push((stream, refusal));
        }
    }

    /// What h2 has refused by itself, and was not told yet; `has_all` if no stream waits to be handed out.
    pub(super) fn refused(&mut self, has_all: bool) -> Vec<Refusal> {
        let ended = std::mem::take(&mut self.ended);
        let (refused, waiting): (Vec<_>, _) =
            ended.into_iter().partition(|(stream, _)| has_all || *stream <= self.last);
        self.ended = waiting;
        refused.iter().for_each(|(stream, _)| remember(&mut self.told, *stream));
        refused.into_iter().map(|(_, refusal)| refusal).collect()
    }

    fn has(&self, stream: u32) -> bool {
        stream <= self.last && !self.skipped.iter().any(|skipped| skipped.contains(&stream))
    }
}

fn remember<T>(known: &mut VecDeque<T>, new: T) {
    if known.len() == REMEMBERED {
        known.pop_front();
    }
    known.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::{Begun, REMEMBERED, Refusal};

    const REFUSALS: [Refusal; 2] = [Refusal::HeadTooLong, Refusal::Malformed];

    #[test]
    fn what_was_handed_out_is_told_by_others() {
        let mut begun = Begun::default();
        begun.begin(1);
        begun.begin(3);
        [1, 3].into_iter().for_each(|stream| begun.end(stream, Refusal::Malformed));
        assert_eq!(begun.refused(true), []);
        // It is only handed out afterwards.
        begun.end(5, Refusal::Malformed);
        assert_eq!(begun.refused(false), []);
        begun.begin(5);
        assert_eq!(begun.refused(true), []);
    }

    #[test]
    fn what_was_not_is_told_once() {
        let [long, malformed] = REFUSALS;
        let mut begun = Begun::default();
        begun.end(1, long);
        begun.end(1, malformed);
        assert_eq!(begun.refused(true), [long]);
        begun.end(1, malformed);
        // Also those that come before one that is handed out, and without waiting for more.
        begun.begin(9);
        [3, 5, 11].into_iter().for_each(|stream| begun.end(stream, malformed));
        assert_eq!(begun.refused(false), [malformed; 2]);
        assert_eq!(begun.refused(true), [malformed]);
        assert_eq!(begun.refused(true), []);
    }

    #[test]
    fn what_was_not_is_told_however_many_were_handed_out_meanwhile() {
        let mut begun = Begun::default();
        let good = |number: u32| 4 * number + 1;
        (0..200).for_each(|number| begun.end(good(number) + 2, Refusal::Malformed));
        (0..200).for_each(|number| begun.begin(good(number)));
        assert_eq!(begun.refused(true).len(), 200);
        assert_eq!(begun.refused(true), []);
    }

    #[test]
    fn little_is_remembered() {
        let mut begun = Begun::default();
        for stream in (1..20_000).step_by(4) {
            begun.begin(stream);
            begun.end(stream + 2, Refusal::TooManyStreams);
            begun.refused(true);
        }
        assert_eq!((begun.skipped.len(), begun.told.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(begun.ended.capacity(), 0);
    }
}
