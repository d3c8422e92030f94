//! Judges what came of HTTP/2, by the frames of both sides: each is read whole, a stream of a server has content that one of its
//! client's has, and ends where that has ended. What fields say is the business of `conformance`.

use std::collections::BTreeMap;

use conformance::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PREFACE, SETTINGS, frame, get,
    goaway, headers, ping, post, reset, settings, window_update,
};

use super::{ESCAPE, Ended, Outcome, Seen};

/// What was sent of a stream.
#[derive(Debug, Default)]
struct Stream {
    content: Vec<u8>,
    has_ended: bool,
}

struct Frame<'b> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'b [u8],
}

/// All that are whole, and what is left behind them.
fn frames(mut bytes: &[u8]) -> (Vec<Frame<'_>>, &[u8]) {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, s1, s2, s3, s4, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((payload, behind)) = rest.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([*s1, *s2, *s3, *s4]) & (u32::MAX >> 1);
        frames.push(Frame { kind: *kind, flags: *flags, stream, payload });
        bytes = behind;
    }
    (frames, bytes)
}

impl Frame<'_> {
    /// Of DATA, without padding; nothing, if there is more padding than frame.
    fn content(&self) -> Option<&[u8]> {
        if self.flags & PADDED == 0 {
            return Some(self.payload);
        }
        let (padding, content) = self.payload.split_first()?;
        content.get(..content.len().checked_sub(usize::from(*padding))?)
    }
}

/// By their numbers. `is_strict` is for frames that the proxy has made.
fn streams(frames: &[Frame<'_>], is_strict: bool) -> BTreeMap<u32, Stream> {
    let mut streams = BTreeMap::<u32, Stream>::new();
    let mut goes_on = None;
    for frame in frames {
        let Frame { kind, flags, stream, .. } = *frame;
        if is_strict {
            assert_eq!(kind == CONTINUATION, goes_on == Some(stream), "another frame within a head");
        }
        match kind {
            HEADERS => {
                let known = streams.entry(stream).or_default();
                assert!(!is_strict || !known.has_ended, "a head after the end of stream {stream}");
                known.has_ended |= flags & END_STREAM != 0;
                goes_on = (flags & END_HEADERS == 0).then_some(stream);
            }
            CONTINUATION => goes_on = (flags & END_HEADERS == 0).then_some(stream),
            DATA => {
                let known = streams.get_mut(&stream).filter(|known| !known.has_ended);
                assert!(!is_strict || known.is_some(), "content of no stream {stream}");
                if let (Some(known), Some(content)) = (known, frame.content()) {
                    known.content.extend_from_slice(content);
                    known.has_ended = flags & END_STREAM != 0;
                }
            }
            _ => {}
        }
    }
    streams
}

/// All that it has sent, as far as it is frames.
fn said(seen: &Seen) -> BTreeMap<u32, Stream> {
    let frames = frames(seen.said.strip_prefix(PREFACE).unwrap_or(&seen.said)).0;
    streams(&frames, false)
}

/// All that it has got, which has to be frames.
fn got(seen: &Seen, bytes: &[u8]) -> BTreeMap<u32, Stream> {
    let (frames, rest) = frames(bytes);
    let is_cut = seen.ended != Ended::Fin;
    assert!(rest.is_empty() || is_cut, "no frame: {}", rest.escape_ascii());
    // Who breaks the rules before it was greeted is left at once.
    let is_greeting = |frame: &Frame<'_>| frame.kind == SETTINGS && frame.flags & ACK == 0;
    let is_left = matches!(frames[..], [Frame { kind: GOAWAY, .. }]);
    assert!(is_left || frames.first().is_none_or(is_greeting), "no SETTINGS: {seen:?}");
    streams(&frames, true)
}

/// See the module.
pub(super) fn judge(outcome: &Outcome) {
    let Outcome { client, servers } = outcome;
    let asked = said(client);
    let mut passed_on = 0;
    for server in servers {
        let Some(bytes) = server.got.strip_prefix(PREFACE) else {
            let is_beginning = PREFACE.starts_with(&server.got) && server.ended != Ended::Fin;
            assert!(server.got.is_empty() || is_beginning, "{outcome:?}");
            continue;
        };
        let streams = got(server, bytes);
        passed_on += streams.len();
        for (id, stream) in &streams {
            assert!(id % 2 == 1, "{id} is no client's stream: {outcome:?}");
            let is_of = |asked: &Stream| is_part(stream, asked);
            assert!(asked.values().any(is_of), "{stream:?} was never asked: {outcome:?}");
        }
    }
    // Once, and up to twice again.
    assert!(passed_on <= 3 * asked.len(), "{passed_on} streams of {}: {outcome:?}", asked.len());
    let answers: Vec<_> = servers.iter().flat_map(|server| said(server).into_values()).collect();
    for (id, stream) in got(client, &client.got) {
        assert!(asked.contains_key(&id), "stream {id} was never opened: {outcome:?}");
        let is_own = stream.content.is_empty();
        let is_of = |answer: &Stream| is_part(&stream, answer);
        assert!(is_own || answers.iter().any(is_of), "{stream:?} was never answered: {outcome:?}");
    }
}

/// Whether what was passed on is of what was sent, and has ended only where that has.
fn is_part(passed_on: &Stream, sent: &Stream) -> bool {
    let is_whole = sent.has_ended && sent.content == passed_on.content;
    sent.content.starts_with(&passed_on.content) && (is_whole || !passed_on.has_ended)
}

/// Conversations to begin with, as `composition` reads them.
pub(super) fn conversations() -> impl Iterator<Item = Vec<u8>> {
    let greeting = [PREFACE, &settings(&[])].concat();
    let welcome = [settings(&[]), frame(SETTINGS, ACK, 0, "")].concat();
    let status = |stream, flags| headers(stream, flags, [0x88]);
    let (ok, done) = (END_HEADERS, END_HEADERS | END_STREAM);
    let said = |mark: u8, bytes: Vec<u8>| [vec![ESCAPE, mark], bytes].concat();
    let conversations = [
        vec![
            get(1),
            said(b's', [welcome.clone(), status(1, ok), frame(DATA, END_STREAM, 1, "hello")].concat()),
        ],
        vec![
            post(1),
            frame(DATA, 0, 1, "bo"),
            said(b's', welcome.clone()),
            said(b'c', frame(DATA, END_STREAM | PADDED, 1, b"\x02dy\0\0")),
            said(b's', [status(1, ok), frame(DATA, 0, 1, "an")].concat()),
            said(b's', [frame(DATA, 0, 1, "swer"), headers(1, done, [0x40, 1, b't', 1, b'v'])].concat()),
        ],
        vec![
            get(1),
            get(3),
            post(5),
            said(b's', [welcome.clone(), status(3, done), reset(1, 7)].concat()),
            said(b'c', [reset(5, 8), ping(b"01234567"), window_update(0, 1000), get(7)].concat()),
            said(b's', [goaway(3, 0), status(7, done)].concat()),
            said(b'S', get(9)),
        ],
        vec![
            headers(1, 0, [0x82]),
            frame(CONTINUATION, END_HEADERS, 1, b"\x86\x84\x41\x03web"),
            said(b's', welcome.clone()),
            said(b'y', frame(DATA, END_STREAM, 1, "more")),
        ],
        vec![
            post(1),
            frame(DATA, 0, 1, "x"),
            said(b's', [welcome, status(1, done)].concat()),
            said(b'x', vec![]),
        ],
    ];
    conversations.map(|parts| [greeting.clone(), parts.concat()].concat()).into_iter()
}
