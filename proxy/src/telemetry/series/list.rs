//! A list that only grows, for few values that are looked for at each request.
//!
//! Invariant: whoever looks takes no lock. Two who add at the same time wait for each other as long as an allocation takes.

use std::sync::OnceLock;

/// The list.
pub(in crate::telemetry) struct List<T>(Place<T>);

type Place<T> = OnceLock<Box<Node<T>>>;

struct Node<T> {
    value: T,
    next: Place<T>,
}

impl<T> List<T> {
    pub(in crate::telemetry) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The first value that is `wanted`, else a `new` one; none where there are `most` others.
    pub(in crate::telemetry) fn get_or_add(
        &self,
        most: usize,
        wanted: impl Fn(&T) -> bool,
        new: impl Fn() -> T,
    ) -> Option<&T> {
        let mut place = &self.0;
        for _ in 0..most {
            // Where somebody else was faster, it is theirs, and the next place is tried.
            let node = place.get_or_init(|| Box::new(Node { value: new(), next: OnceLock::new() }));
            if wanted(&node.value) {
                return Some(&node.value);
            }
            place = &node.next;
        }
        None
    }

    /// The value at this place, where what is missing up to it is `new`.
    pub(super) fn at(&self, place: usize, new: impl Fn() -> T) -> &T {
        let node = || Box::new(Node { value: new(), next: OnceLock::new() });
        let mut found = self.0.get_or_init(node);
        for _ in 0..place {
            found = found.next.get_or_init(node);
        }
        &found.value
    }

    /// All values, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut place = &self.0;
        std::iter::from_fn(move || {
            let node = place.get()?;
            place = &node.next;
            Some(&node.value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::List;

    fn add(list: &List<u32>, most: usize, value: u32) -> Option<u32> {
        list.get_or_add(most, |known| *known == value, || value).copied()
    }

    #[test]
    fn each_value_is_once_in_it_and_no_more_than_so_many() {
        let list = List::new();
        for value in [3, 1, 3, 2, 1] {
            assert_eq!(add(&list, 3, value), Some(value));
        }
        assert_eq!(add(&list, 3, 4), None, "full");
        assert_eq!(add(&list, 3, 2), Some(2), "what is in it is found nevertheless");
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [3, 1, 2]);
    }

    #[test]
    fn a_place_is_filled_with_all_before_it() {
        let (list, made) = (List::new(), std::cell::Cell::new(0));
        let new = || made.replace(made.get() + 1);
        for (place, value) in [(2, 2), (0, 0), (1, 1), (3, 3), (2, 2)] {
            assert_eq!(*list.at(place, new), value);
        }
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn threads_that_add_at_once_lose_nothing() {
        let list = List::new();
        std::thread::scope(|scope| {
            for first in 0..4 {
                let list = &list;
                scope.spawn(move || {
                    for value in 0..100 {
                        assert!(add(list, 100, (value + first * 25) % 100).is_some());
                    }
                });
            }
        });
        let mut all: Vec<_> = list.iter().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
