//! The bytes of INET_DIAG (sock_diag(7), `linux/inet_diag.h`): the question for TCP sockets of one family, and what of the
//! answers is of use here.
//!
//! Not a netlink library: those that there are keep every attribute of every socket on the heap, and a sidecar asks for
//! twenty thousand. Invariant: nothing is read beyond what came, whatever it says of its own length.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::telemetry::connections::Pair;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const IPPROTO_TCP: u8 = 6;

/// Lengths of `nlmsghdr`, `inet_diag_req_v2`, `inet_diag_msg` and `rtattr`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const SOCKET: usize = 72;
const ATTRIBUTE: usize = 4;

/// States (`net/tcp_states.h`) in which bytes of ours, or our FIN, can be on the way: ESTABLISHED, FIN_WAIT1, CLOSE_WAIT,
/// LAST_ACK, CLOSING.
const STATES: u32 = 1 << 1 | 1 << 4 | 1 << 8 | 1 << 9 | 1 << 11;

/// An address family that is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Family {
    V4 = 2,
    V6 = 10,
}

/// A socket as the kernel describes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Sighting {
    /// Its addresses, without scopes.
    pub(crate) pair: Pair,
    /// Segments that were sent and not acknowledged.
    pub(crate) unacked: u32,
    /// How long ago the last segment with data was sent, for the first time or again.
    pub(crate) last_sent: Duration,
    /// How long ago the peer was last heard.
    pub(crate) last_ack: Duration,
    /// Questions since the peer was last heard, where it takes no data now: probes of a closed window, or keep-alive.
    pub(crate) probes: u8,
    /// How long the kernel now waits before it sends again.
    pub(crate) rto: Duration,
}

/// A message of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Message {
    /// A socket; one about which the kernel does not tell enough is none.
    Socket(Option<Sighting>),
    /// The end; an error number other than 0 says that it is an early one.
    End(i32),
}

/// An answer that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// The question for all TCP sockets of `family`.
pub(super) fn question(family: Family, sequence: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend([family as u8, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    bytes.extend(STATES.to_ne_bytes());
    // No socket in particular.
    bytes.resize(HEADER + REQUEST, 0);
    bytes
}

/// The messages of a datagram that answer the question with this number.
pub(super) fn messages(
    datagram: &[u8],
    sequence: u32,
) -> impl Iterator<Item = Result<Message, Malformed>> + '_ {
    let mut rest = Some(datagram).filter(|bytes| !bytes.is_empty());
    std::iter::from_fn(move || {
        let (message, following) = match split(rest.take()?) {
            Some(split) => split,
            None => return Some(Err(Malformed)),
        };
        rest = Some(following).filter(|bytes| !bytes.is_empty());
        Some(read(message, sequence).ok_or(Malformed))
    })
}

/// The first message, and the rest, which begins at a multiple of four.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let message = bytes.get(..length).filter(|message| message.len() >= HEADER)?;
    Some((message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn read(message: &[u8], sequence: u32) -> Option<Message> {
    if u32_at(message, 8)? != sequence {
        return None;
    }
    match u16_at(message, 4)? {
        SOCK_DIAG_BY_FAMILY => Some(Message::Socket(sighting(message.get(HEADER..)?)?)),
        // Both begin with an error number, 0 or negative.
        NLMSG_DONE | NLMSG_ERROR => Some(Message::End(u32_at(message, HEADER)?.cast_signed())),
        _ => None,
    }
}

/// The outer nothing is a message that is too short, the inner one a socket without `tcp_info`.
fn sighting(body: &[u8]) -> Option<Option<Sighting>> {
    let family = *body.first()?;
    let ip = |at: usize| match family {
        family if family == Family::V4 as u8 => {
            Some(IpAddr::from(Ipv4Addr::from(*body.get(at..)?.first_chunk::<4>()?)))
        }
        _ => Some(Ipv6Addr::from(*body.get(at..)?.first_chunk::<16>()?).into()),
    };
    let [local, remote] =
        [(ip(8)?, u16_at_be(body, 4)?), (ip(24)?, u16_at_be(body, 6)?)].map(SocketAddr::from);
    let mut attributes = body.get(SOCKET..)?;
    while !attributes.is_empty() {
        let length = usize::from(u16_at(attributes, 0)?);
        let attribute = attributes.get(ATTRIBUTE..length)?;
        if u16_at(attributes, 2)? == INET_DIAG_INFO {
            return Some(info(attribute, Pair { local, remote }));
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(None)
}

/// Offsets are those of `struct tcp_info` (`linux/tcp.h`), which only ever grows at its end.
fn info(tcp_info: &[u8], pair: Pair) -> Option<Sighting> {
    let milliseconds = |at| u32_at(tcp_info, at).map(|value| Duration::from_millis(value.into()));
    Some(Sighting {
        pair,
        probes: *tcp_info.get(3)?,
        rto: Duration::from_micros(u32_at(tcp_info, 8)?.into()),
        unacked: u32_at(tcp_info, 24)?,
        last_sent: milliseconds(44)?,
        last_ack: milliseconds(56)?,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u16_at_be(bytes: &[u8], at: usize) -> Option<u16> {
    u16_at(bytes, at).map(u16::from_be)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::{
        ATTRIBUTE, Duration, Family, HEADER, INET_DIAG_INFO, Malformed, Message, NLMSG_DONE, NLMSG_ERROR,
        Pair, SOCK_DIAG_BY_FAMILY, SOCKET, Sighting, messages, question,
    };
    use proptest::prelude::*;

    fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let length = (HEADER + body.len()) as u32;
        let mut bytes =
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 2], &sequence.to_ne_bytes()].concat();
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn socket(attribute: u16) -> Vec<u8> {
        let mut body = vec![0; SOCKET];
        body[0] = Family::V4 as u8;
        body[4..8].copy_from_slice(&[0x3a, 0x9e, 0x9c, 0x40]);
        body[8..12].copy_from_slice(&[192, 0, 2, 1]);
        body[24..28].copy_from_slice(&[198, 51, 100, 2]);
        // An attribute of another kind, whose length is no multiple of four, and then the wanted one.
        body.extend([&5_u16.to_ne_bytes()[..], &8_u16.to_ne_bytes(), &[0; 4]].concat());
        let mut info = [0; 60];
        info[3] = 2;
        for (at, value) in [(8, 400_000_u32), (24, 3), (44, 25), (56, 21_000)] {
            info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let length = (ATTRIBUTE + info.len()) as u16;
        body.extend([&length.to_ne_bytes()[..], &attribute.to_ne_bytes(), &info].concat());
        body
    }

    fn read(bytes: &[u8]) -> Vec<Result<Message, Malformed>> {
        messages(bytes, 7).collect()
    }

    #[test]
    fn sockets_and_the_end_are_read() {
        let datagram = [
            message(SOCK_DIAG_BY_FAMILY, 7, &socket(INET_DIAG_INFO)),
            message(SOCK_DIAG_BY_FAMILY, 7, &socket(99)),
            message(NLMSG_DONE, 7, &[0; 4]),
        ];
        let sighting = Sighting {
            probes: 2,
            pair: Pair {
                local: "192.0.2.1:15006".parse().unwrap(),
                remote: "198.51.100.2:40000".parse().unwrap(),
            },
            unacked: 3,
            last_sent: Duration::from_millis(25),
            last_ack: Duration::from_secs(21),
            rto: Duration::from_millis(400),
        };
        let expected = [Message::Socket(Some(sighting)), Message::Socket(None), Message::End(0)].map(Ok);
        assert_eq!(read(&datagram.concat()), expected);
        let refused = message(NLMSG_ERROR, 7, &(-2_i32).to_ne_bytes());
        assert_eq!(read(&refused), [Ok(Message::End(-2))]);
    }

    #[test]
    fn what_is_cut_or_answers_another_question_is_no_answer() {
        let whole = message(SOCK_DIAG_BY_FAMILY, 7, &socket(INET_DIAG_INFO));
        for length in 1..whole.len() {
            assert!(read(&whole[..length]).contains(&Err(Malformed)), "{length} of {} bytes", whole.len());
        }
        assert_eq!(read(&message(NLMSG_DONE, 8, &[0; 4])), [Err(Malformed)]);
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn the_question_is_as_long_as_it_says() {
        for family in [Family::V4, Family::V6] {
            let bytes = question(family, 7);
            assert_eq!((bytes.len(), bytes[0]), (72, 72));
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_read_beyond_or_for_ever(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            (at, value) in (0_usize..200, any::<u8>()),
        ) {
            prop_assert!(read(&bytes).len() <= bytes.len() / HEADER + 1);
            let mut bent = message(SOCK_DIAG_BY_FAMILY, 7, &socket(INET_DIAG_INFO));
            if let Some(byte) = bent.get_mut(at) {
                *byte = value;
            }
            prop_assert!(read(&bent).len() <= bent.len() / HEADER + 1);
        }
    }
}
