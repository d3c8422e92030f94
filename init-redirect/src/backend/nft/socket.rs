//! The netlink socket of nftables: questions, and batches that the kernel takes as a whole. The only I/O of this backend.

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::encode::Batch;
use super::sys;
use crate::netlink::wire::{Malformed, Message, Writer, messages, netfilter_header};
use crate::netlink::{self, Failure, acknowledgement};

/// All answers to a batch wait in the socket at once, among them quotes of everything refused.
const RECEIVE: usize = 4 * 1024 * 1024;

/// What the kernel needs of a send buffer besides the message.
const SEND_OVERHEAD: usize = 64 * 1024;

/// What became of a batch.
pub(super) enum Outcome {
    /// The kernel took it as a whole.
    Done,
    /// Nothing was changed: the rules are not those any more that the batch was based on.
    Stale,
    /// Nothing was changed: the kernel refuses the step of this index, or the batch as such.
    Refused(Option<usize>, Errno),
}

pub(super) struct Socket(netlink::Socket);

impl Socket {
    pub(super) fn open() -> Result<Self, Errno> {
        let socket = netlink::Socket::open(SockProtocol::NetlinkNetFilter)?;
        socket.raise_receive_buffer(RECEIVE)?;
        Ok(Self(socket))
    }

    /// Asks a question and gives each part of the answer to `each`.
    pub(super) fn ask(
        &mut self,
        question: (u16, u16),
        fill: impl FnOnce(&mut Writer),
        each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        self.ask_family(sys::NFPROTO_INET, question, fill, each)
    }

    /// Asks it about tables of a family.
    pub(super) fn ask_family(
        &mut self,
        family: u8,
        (kind, flags): (u16, u16),
        fill: impl FnOnce(&mut Writer),
        each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        let kind = sys::NFNL_SUBSYS_NFTABLES << 8 | kind;
        self.0.ask((kind, flags), &netfilter_header(family, 0), fill, each)
    }

    /// Hands the batch to the kernel.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<Outcome, Failure> {
        self.0.raise_send_buffer(batch.bytes.len() + SEND_OVERHEAD);
        self.0.send(&batch.bytes)?;
        let mut done = 0;
        loop {
            for message in messages(self.0.receive()?) {
                let message = message.map_err(|Malformed(what)| Failure::Answer(what))?;
                if message.kind != sys::NLMSG_ERROR {
                    return Err(Failure::Answer("it acknowledges nothing"));
                }
                // An error is final: the kernel undoes the batch, and the first error is the cause of any other.
                match acknowledgement(&message)? {
                    Ok(()) => done += 1,
                    Err(Errno::ERESTART) if message.sequence == Batch::BEGIN => return Ok(Outcome::Stale),
                    Err(errno) => {
                        let index = message.sequence.checked_sub(Batch::FIRST).map(|index| index as usize);
                        return Ok(Outcome::Refused(index, errno));
                    }
                }
            }
            if done == batch.steps.len() {
                return Ok(Outcome::Done);
            }
        }
    }
}
