//! What a request says, as a line of the log keeps it.
//!
//! Invariant: whatever a peer sends, a line keeps no more than 3 KiB of it, in one piece of memory.

use crate::telemetry::request::Request;

/// A text of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::telemetry) enum Field {
    Method,
    Path,
    Authority,
    UserAgent,
    ForwardedFor,
    RequestId,
}

impl Field {
    const ALL: [Self; 6] =
        [Self::Method, Self::Path, Self::Authority, Self::UserAgent, Self::ForwardedFor, Self::RequestId];

    /// The bytes that are kept of it; what is cut has [`CUT`] behind. Paths are long by nature, all others by mistake.
    const fn most(self) -> usize {
        match self {
            Self::Method => 32,
            Self::Path => LONGEST_PATH,
            Self::Authority | Self::UserAgent | Self::ForwardedFor | Self::RequestId => 256,
        }
    }

    fn of<'a>(self, request: &Request<'a>) -> Option<&'a [u8]> {
        let known = |bytes: &'a [u8]| Some(bytes).filter(|bytes| !bytes.is_empty());
        match self {
            Self::Method => known(request.method),
            Self::Path => known(request.path),
            Self::Authority => request.authority,
            Self::UserAgent => request.user_agent,
            Self::ForwardedFor => request.x_forwarded_for,
            Self::RequestId => request.request_id,
        }
    }
}

/// The bytes that are kept of a path.
pub(crate) const LONGEST_PATH: usize = 1024;

/// Behind what was cut.
const CUT: char = '…';

/// The texts of a request.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Texts {
    text: Box<str>,
    /// Of each field, in the order of the text; none of those that the request does not have.
    lengths: [Option<u16>; Field::ALL.len()],
}

impl Texts {
    /// The most that is kept of a request.
    #[cfg(test)]
    pub(super) const MOST: usize = {
        let (mut sum, mut n) = (0, 0);
        while n < Field::ALL.len() {
            sum += Field::ALL[n].most() + CUT.len_utf8();
            n += 1;
        }
        sum
    };

    /// What is not UTF-8 is replaced.
    pub(in crate::telemetry) fn of(request: &Request<'_>) -> Self {
        let fields = Field::ALL.map(|field| field.of(request).map(|bytes| (bytes, field.most())));
        let capacity = fields.iter().flatten().map(|(bytes, most)| bytes.len().min(*most)).sum();
        let mut text = String::with_capacity(capacity);
        let lengths = fields.map(|field| {
            let begin = text.len();
            let (bytes, most) = field?;
            append(&mut text, bytes, most);
            u16::try_from(text.len() - begin).ok()
        });
        Self { text: text.into_boxed_str(), lengths }
    }

    pub(in crate::telemetry) fn get(&self, field: Field) -> Option<&str> {
        let mut begin = 0;
        for (known, length) in Field::ALL.iter().zip(self.lengths) {
            let end = begin + usize::from(length.unwrap_or_default());
            if *known == field {
                return length.and_then(|_| self.text.get(begin..end));
            }
            begin = end;
        }
        None
    }
}

/// Appends `bytes`, but no more than `most` before the mark.
fn append(text: &mut String, bytes: &[u8], most: usize) {
    let full = text.len() + most;
    // A character that this cuts is too much in any case.
    let looked_at = bytes.get(..most + char::MAX_LEN_UTF8).unwrap_or(bytes);
    for chunk in looked_at.utf8_chunks() {
        let (valid, room) = (chunk.valid(), full - text.len());
        if valid.len() > room {
            text.extend(valid.get(..valid.floor_char_boundary(room)));
            return text.push(CUT);
        }
        text.push_str(valid);
        if chunk.invalid().is_empty() {
            continue;
        }
        if char::REPLACEMENT_CHARACTER.len_utf8() > room - valid.len() {
            return text.push(CUT);
        }
        text.push(char::REPLACEMENT_CHARACTER);
    }
}

#[cfg(test)]
mod tests {
    use super::{CUT, Field, Request, Texts};
    use proptest::prelude::*;

    fn kept(path: &[u8]) -> String {
        let request = Request { method: b"GET", path, request_id: Some(b"7"), ..Request::default() };
        let texts = Texts::of(&request);
        assert_eq!((texts.get(Field::Method), texts.get(Field::RequestId)), (Some("GET"), Some("7")));
        assert_eq!(texts.get(Field::UserAgent), None);
        texts.get(Field::Path).unwrap_or_default().to_owned()
    }

    #[test]
    fn long_texts_are_cut_between_characters_and_marked() {
        let most = Field::Path.most();
        let (fits, long) = ("a".repeat(most), "a".repeat(64 * 1024));
        assert_eq!(kept(fits.as_bytes()), fits);
        assert_eq!(kept(long.as_bytes()), format!("{fits}{CUT}"));
        // Of two bytes, so one of them begins at the last byte that there is room for.
        let odd = format!("a{}", "é".repeat(most));
        assert_eq!(kept(odd.as_bytes()), format!("a{}{CUT}", "é".repeat((most - 1) / 2)));
        let wrong = vec![0xff; most];
        assert_eq!(kept(&wrong), format!("{}{CUT}", "\u{fffd}".repeat(most / 3)));
    }

    #[test]
    fn what_is_absent_is_not_empty() {
        let texts = Texts::of(&Request { user_agent: Some(b""), ..Request::default() });
        assert_eq!((texts.get(Field::UserAgent), texts.get(Field::Authority)), (Some(""), None));
        assert_eq!((texts.get(Field::Method), texts.get(Field::Path)), (None, None), "they were not read");
    }

    proptest! {
        #[test]
        fn any_bytes_are_kept_as_others_show_them(path in prop::collection::vec(any::<u8>(), 1..3000), text in "\\PC{1,900}") {
            for bytes in [&path[..], text.as_bytes()] {
                let (kept, whole) = (kept(bytes), String::from_utf8_lossy(bytes));
                prop_assert!(kept.len() <= Field::Path.most() + CUT.len_utf8());
                if whole.len() <= Field::Path.most() {
                    prop_assert_eq!(&kept, &whole);
                } else {
                    let cut = kept.strip_suffix(CUT).unwrap();
                    prop_assert!(whole.starts_with(cut) && cut.len() + char::MAX_LEN_UTF8 > Field::Path.most(), "{cut}");
                }
            }
        }
    }
}
