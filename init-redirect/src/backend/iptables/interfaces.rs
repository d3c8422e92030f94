//! Several conditions on one interface as the one that iptables takes. Pure.

use super::ruleset::Word;

/// The same conditions with at most one on each interface; nothing where no packet could meet them. What one condition cannot
/// say stays as it is.
pub(super) fn merged(words: Vec<Word>) -> Option<Vec<Word>> {
    let mut kept: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        let other = kept.iter().position(|other| same_interface(other, &word));
        let Some(index) = other else {
            kept.push(word);
            continue;
        };
        let other = kept.swap_remove(index);
        match both(&other, &word) {
            Both::Never => return None,
            Both::First => kept.push(other),
            Both::Second => kept.push(word),
            Both::Unsayable => kept.extend([other, word]),
        }
    }
    Some(kept)
}

fn same_interface(one: &Word, other: &Word) -> bool {
    matches!((one, other), (Word::In { .. }, Word::In { .. }) | (Word::Out { .. }, Word::Out { .. }))
}

/// What two conditions on one interface come to.
enum Both {
    Never,
    First,
    Second,
    Unsayable,
}

fn both(one: &Word, other: &Word) -> Both {
    let (Some((not, name)), Some((other_not, other_name))) = (parts(one), parts(other)) else {
        return Both::Unsayable;
    };
    match (not, other_not) {
        (false, false) if covers(name, other_name) => Both::Second,
        (false, false) if covers(other_name, name) => Both::First,
        (false, false) => Both::Never,
        (false, true) => without(name, other_name, Both::First),
        (true, false) => without(other_name, name, Both::Second),
        (true, true) if covers(name, other_name) => Both::First,
        (true, true) if covers(other_name, name) => Both::Second,
        (true, true) => Both::Unsayable,
    }
}

/// `kept`, if what is wanted has nothing of what is not.
fn without(wanted: &str, unwanted: &str, kept: Both) -> Both {
    if covers(unwanted, wanted) {
        Both::Never
    } else if covers(wanted, unwanted) {
        Both::Unsayable
    } else {
        kept
    }
}

/// Whether every interface that `other` means is meant by `one` too.
fn covers(one: &str, other: &str) -> bool {
    match one.strip_suffix('+') {
        Some(beginning) => other.trim_end_matches('+').starts_with(beginning),
        None => one == other,
    }
}

fn parts(word: &Word) -> Option<(bool, &str)> {
    if let Word::In { not, interface } | Word::Out { not, interface } = word {
        Some((*not, interface))
    } else {
        None
    }
}
