//! Netlink's framing: messages, and attributes within them. It knows the form, not the meaning.
//!
//! Headers are in the machine's byte order, netfilter's own numbers in the network's.

use super::sys;

const MESSAGE_HEADER: usize = 16;
/// Length of netfilter's header of a message: family, version, resource.
const NETFILTER_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
const ALIGNMENT: usize = 4;

/// Flags in an attribute's type: NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

/// What a message says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// Message type, with the subsystem.
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// What the protocol puts before the attributes.
    pub(crate) header: &'a [u8],
}

/// Netfilter's header of a message. `resource` is the subsystem in a batch's begin and end, else 0.
pub(crate) const fn netfilter_header(family: u8, resource: u16) -> [u8; NETFILTER_HEADER] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// Bytes that are no netlink, or not what was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Writes messages.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A message with the attributes that `fill` writes.
    pub(crate) fn message(&mut self, head: Head<'_>, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 4]);
        self.0.extend(head.kind.to_ne_bytes());
        self.0.extend((head.flags | sys::NLM_F_REQUEST).to_ne_bytes());
        self.0.extend(head.sequence.to_ne_bytes());
        self.0.extend([0; 4]);
        self.0.extend(head.header);
        fill(self);
        let length = u32::try_from(self.0.len() - start).expect("long lists are split over several messages");
        self.patch(start, &length.to_ne_bytes());
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |writer| writer.0.extend(value));
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |writer| {
            writer.0.extend(value.as_bytes());
            writer.0.push(0);
        });
    }

    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        self.attribute(kind | NESTED, fill);
    }

    fn attribute(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend(kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).expect("long lists are split over several messages");
        self.patch(start, &length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
    }

    fn patch(&mut self, start: usize, bytes: &[u8]) {
        for (place, byte) in self.0.iter_mut().skip(start).zip(bytes) {
            *place = *byte;
        }
    }
}

/// A message that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// What follows netlink's header.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes of a message of netfilter's.
    pub(crate) fn attributes(&self) -> Result<Attributes<'a>, Malformed> {
        self.attributes_behind(NETFILTER_HEADER)
    }

    /// The attributes behind a header of this length.
    pub(crate) fn attributes_behind(&self, header: usize) -> Result<Attributes<'a>, Malformed> {
        Attributes::read(self.body.get(header..).ok_or(Malformed("a message is too short"))?)
    }
}

/// The messages in a buffer. It ends at the first that is broken.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let message = message(&mut bytes);
        if message.is_none() {
            bytes = &[];
        }
        Some(message.ok_or(Malformed("a message is truncated")))
    })
}

fn message<'a>(bytes: &mut &'a [u8]) -> Option<Message<'a>> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let flags = u16::from_ne_bytes(*bytes.get(6..)?.first_chunk()?);
    let sequence = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    let body = cut(bytes, usize::try_from(length).ok()?, MESSAGE_HEADER)?;
    Some(Message { kind, flags, sequence, body })
}

/// Attributes of one level.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Attributes<'a> {
    pub(crate) fn read(mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut attributes = Vec::new();
        while !bytes.is_empty() {
            attributes.push(attribute(&mut bytes).ok_or(Malformed("an attribute is truncated"))?);
        }
        Ok(Self(attributes))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        self.0.iter().copied()
    }

    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    pub(crate) fn bytes(&self, kind: u16) -> Result<&'a [u8], Malformed> {
        self.get(kind).ok_or(Malformed("an attribute is missing"))
    }

    /// 0 where it is absent, which is what the kernel means by leaving it out.
    pub(crate) fn number(&self, kind: u16) -> Result<u32, Malformed> {
        let value = self.get(kind).map(|bytes| bytes.try_into().map(u32::from_be_bytes));
        value.unwrap_or(Ok(0)).map_err(|_| Malformed("a number does not have four bytes"))
    }

    pub(crate) fn text(&self, kind: u16) -> Result<&'a str, Malformed> {
        let bytes = self.bytes(kind)?;
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        std::str::from_utf8(text).map_err(|_| Malformed("a name is not UTF-8"))
    }

    pub(crate) fn nested(&self, kind: u16) -> Result<Self, Malformed> {
        Self::read(self.bytes(kind)?)
    }
}

fn attribute<'a>(bytes: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let length = u16::from_ne_bytes(*bytes.first_chunk()?);
    let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
    Some((kind & TYPE_MASK, cut(bytes, length.into(), ATTRIBUTE_HEADER)?))
}

/// Takes `length` bytes and their padding off the front; gives them without their header.
fn cut<'a>(bytes: &mut &'a [u8], length: usize, header: usize) -> Option<&'a [u8]> {
    let content = bytes.get(header..length)?;
    *bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    Some(content)
}
