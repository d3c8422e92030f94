//! Joins short frames of content that have come together, in place, before h2 sees them: it has work and a record for each frame,
//! which peers that write a few bytes at a time would make it pay for next to nothing.
//!
//! Pure. Where content is divided means nothing to anybody. Invariant: all else stays as it is and in its order; a frame that was
//! not read from its first byte to its last is not touched, nor is one that is padded.

use super::FRAME_SIZE;
use super::frame::HEAD;

/// A longer frame is worth its own head; to move what it carries would cost more.
const MOST: usize = 1024;

/// RFC 9113, section 6.1.
const DATA: u8 = 0;
const END_STREAM: u8 = 1;

/// The head of a frame in what was read.
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: [u8; 4],
}

impl Head {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [l1, l2, l3, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD>()?;
        let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
        Some(Self { length, kind, flags, stream })
    }

    fn is_joined(&self) -> bool {
        self.kind == DATA && self.flags & !END_STREAM == 0 && (1..=MOST).contains(&self.length)
    }

    fn bytes(&self) -> [u8; HEAD] {
        let [_, l1, l2, l3] = u32::try_from(self.length).unwrap_or(FRAME_SIZE).to_be_bytes();
        let [s1, s2, s3, s4] = self.stream;
        [l1, l2, l3, self.kind, self.flags, s1, s2, s3, s4]
    }
}

/// A frame to which others are joined, as it will be; and where it is now.
struct Whole {
    at: usize,
    head: Head,
}

impl Whole {
    fn takes(&self, head: &Head) -> bool {
        head.stream == self.head.stream
            && self.head.flags & END_STREAM == 0
            && self.head.length + head.length <= FRAME_SIZE as usize
    }

    /// Nothing more is joined to it.
    fn close(self, bytes: &mut [u8]) {
        if let Some(place) = bytes.get_mut(self.at..self.at + HEAD) {
            place.copy_from_slice(&self.head.bytes());
        }
    }
}

/// Joins what can be of `bytes`, in which a frame begins at `first`; how many bytes are left, at the front.
pub(super) fn join(bytes: &mut [u8], first: usize) -> usize {
    let (mut from, mut to) = (first, first);
    let mut last: Option<Whole> = None;
    while let Some(head) = bytes.get(from..).and_then(Head::of)
        && let begin = from
        && let end = begin + HEAD + head.length
        && end <= bytes.len()
    {
        from = end;
        if head.is_joined()
            && let Some(whole) = last.as_mut().filter(|whole| whole.takes(&head))
        {
            bytes.copy_within(begin + HEAD..end, to);
            to += head.length;
            whole.head.length += head.length;
            whole.head.flags |= head.flags;
            continue;
        }
        if let Some(whole) = last.take() {
            whole.close(bytes);
        }
        if to < begin {
            bytes.copy_within(begin..end, to);
        }
        last = head.is_joined().then_some(Whole { at: to, head });
        to += end - begin;
    }
    if let Some(whole) = last {
        whole.close(bytes);
    }
    if to < from {
        bytes.copy_within(from.., to);
    }
    bytes.len() - (from - to)
}

#[cfg(test)]
mod tests {
    use super::{DATA, END_STREAM, FRAME_SIZE, HEAD, Head, MOST, join};
    use crate::http::h2::meter::frame::Walker;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: u8 = 4;
    const PADDED: u8 = 8;

    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let head = Head { length: content.len(), kind, flags, stream: stream.to_be_bytes() };
        [&head.bytes()[..], content].concat()
    }

    /// What h2 gets of bytes that come in pieces.
    fn passed(bytes: &[u8], lengths: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let (mut walker, mut rest, mut passed) = (Walker::after_preface(), bytes, vec![]);
        for length in lengths {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            let mut piece = piece.to_vec();
            let first = walker.next_head(&piece);
            let length = join(&mut piece, first);
            piece.truncate(length);
            let mut left = &piece[..];
            while walker.next(&mut left).is_some() {}
            passed.extend(piece);
            rest = after;
        }
        assert!(rest.is_empty());
        passed
    }

    fn at_once(frames: &[Vec<u8>]) -> Vec<u8> {
        let bytes = [PREFACE, &frame(SETTINGS, 0, 0, b""), &frames.concat()].concat();
        passed(&bytes, [bytes.len()]).split_off(PREFACE.len() + HEAD)
    }

    #[test]
    fn content_of_one_stream_is_joined_up_to_its_end() {
        let data = |content: &[u8]| frame(DATA, 0, 1, content);
        let end = frame(DATA, END_STREAM, 1, b"c");
        assert_eq!(at_once(&[data(b"a"), data(b"b"), end.clone()]), frame(DATA, END_STREAM, 1, b"abc"));
        assert_eq!(at_once(&[end.clone(), end.clone()]), end.repeat(2), "that it goes on is for h2 to see");
        let other = frame(DATA, 0, 3, b"d");
        let apart = [vec![data(b"a"), other], vec![data(b"b")]].concat();
        assert_eq!(at_once(&apart), apart.concat());
        let full = data(&[b'x'; MOST]);
        let most = FRAME_SIZE as usize;
        assert_eq!(at_once(&vec![full.clone(); 17]), [data(&vec![b'x'; most]), full.clone()].concat());
    }

    #[test]
    fn nothing_else_is() {
        let data = frame(DATA, 0, 1, b"a");
        for other in [
            frame(DATA, 0, 1, b""),
            frame(DATA, 0, 1, &[b'x'; MOST + 1]),
            frame(DATA, PADDED, 1, &[0, b'x']),
            frame(DATA, 0x40, 1, b"x"),
            frame(8, 0, 1, &[0, 0, 0, 1]),
            frame(0xfa, 0, 1, b"x"),
        ] {
            for frames in [[data.clone(), other.clone()], [other, data.clone()]] {
                assert_eq!(at_once(&frames), frames.concat());
            }
        }
    }

    /// Frames, and neighbours of one stream's content as one however long they are: what was joined may be longer than what is.
    fn content(mut bytes: &[u8]) -> Vec<(u8, u8, [u8; 4], Vec<u8>)> {
        let mut all: Vec<(u8, u8, [u8; 4], Vec<u8>)> = vec![];
        while let Some(head) = Head::of(bytes) {
            let (frame, after) = bytes.split_at(HEAD + head.length);
            bytes = after;
            let plain = head.kind == DATA && head.flags & !END_STREAM == 0 && head.length > 0;
            match all.last_mut() {
                Some((DATA, flags @ 0, stream, content))
                    if plain && *stream == head.stream && !content.is_empty() =>
                {
                    *flags = head.flags;
                    content.extend_from_slice(&frame[HEAD..]);
                }
                _ => all.push((head.kind, head.flags, head.stream, frame[HEAD..].to_vec())),
            }
        }
        assert!(bytes.is_empty());
        all
    }

    #[test]
    fn whatever_comes_in_whatever_pieces_says_the_same() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let settings = frame(SETTINGS, 0, 0, &vec![0; 6 * random.usize(..4)]);
            let mut bytes = [PREFACE, &settings].concat();
            for _ in 0..random.usize(..60) {
                let kind = if random.u8(..8) == 0 { random.u8(..12) } else { DATA };
                let flags = if random.u8(..16) == 0 { random.u8(..) } else { 0 };
                let length = [random.usize(..4), random.usize(..3 * MOST)][usize::from(random.u8(..8) == 0)];
                // What could be taken for frames if another place were taken for their begin.
                let content =
                    frame(DATA, 0, 1, b"x").repeat(1 + length / HEAD).split_off(random.usize(..=HEAD));
                let content = content.get(..length).unwrap_or(&content);
                bytes.extend(frame(kind, flags, random.u32(0..3), content));
            }
            let longest = [4, 40, 4_000, 40_000][random.usize(..4)];
            let lengths = std::iter::from_fn(|| Some(random.usize(1..=longest))).take(bytes.len());
            let passed = passed(&bytes, lengths.collect::<Vec<_>>());
            assert!(passed.starts_with(PREFACE), "seed {seed}");
            assert!(
                content(&passed[PREFACE.len()..]) == content(&bytes[PREFACE.len()..]),
                "seed {seed}: {bytes:?}"
            );
        }
    }
}
