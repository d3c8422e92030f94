//! The netlink socket: the only I/O of this backend.
//!
//! The kernel answers within the call that asks, so an answer that is not there at once will never come: nothing waits.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};

use super::encode::Batch;
use super::sys;
use super::wire::{Head, Malformed, Message, Writer, messages};

/// One datagram of answers: a dump's are at most 32 KiB, and a refusal quotes the message that was refused, up to 64 KiB.
const DATAGRAM: usize = 128 * 1024;

/// All answers to a batch wait in the socket at once, among them quotes of everything refused.
const RECEIVE: usize = 4 * 1024 * 1024;

/// What the kernel needs of a send buffer besides the message.
const SEND_OVERHEAD: usize = 64 * 1024;

/// A question could not be asked or answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The kernel refuses it.
    Refused(Errno),
    /// The rules changed while they were listed.
    Interrupted,
    /// Reading or writing the socket failed.
    Socket(&'static str, Errno),
    /// The answer is none.
    Answer(&'static str),
}

/// What became of a batch.
pub(super) enum Outcome {
    /// The kernel took it as a whole.
    Done,
    /// Nothing was changed: the rules are not those any more that the batch was based on.
    Stale,
    /// Nothing was changed: the kernel refuses the step of this index, or the batch as such.
    Refused(Option<usize>, Errno),
}

pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    pub(super) fn open() -> Result<Self, Errno> {
        let (family, protocol) = (AddressFamily::Netlink, SockProtocol::NetlinkNetFilter);
        let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        // The forced forms are not bound by the node's limits, but need NET_ADMIN in the first user namespace on older kernels.
        setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE)
            .or_else(|_| setsockopt(&fd, sockopt::RcvBuf, &RECEIVE))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Asks a question and gives each part of the answer to `each`.
    pub(super) fn ask(
        &mut self,
        (kind, flags): (u16, u16),
        fill: impl FnOnce(&mut Writer),
        mut each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        self.sequence += 1;
        let sequence = self.sequence;
        let head = Head {
            kind: sys::NFNL_SUBSYS_NFTABLES << 8 | kind,
            flags: flags | sys::NLM_F_ACK,
            sequence,
            family: sys::NFPROTO_INET,
            resource: 0,
        };
        let mut writer = Writer::default();
        writer.message(head, fill);
        self.send(&writer.into_bytes())?;
        let mut read = Ok(());
        loop {
            for message in messages(self.receive()?) {
                let message = message.map_err(|Malformed(what)| Failure::Answer(what))?;
                if message.sequence != sequence {
                    return Err(Failure::Answer("it answers another question"));
                }
                if message.flags & sys::NLM_F_DUMP_INTR != 0 {
                    read = Err(Failure::Interrupted);
                }
                match message.kind {
                    sys::NLMSG_DONE => return read,
                    sys::NLMSG_ERROR => {
                        return acknowledgement(&message)?.map_err(Failure::Refused).and(read);
                    }
                    _ if read.is_ok() => {
                        read = each(&message).map_err(|Malformed(what)| Failure::Answer(what))
                    }
                    _ => {}
                }
            }
        }
    }

    /// Hands the batch to the kernel.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<Outcome, Failure> {
        self.raise_send_buffer(batch.bytes.len() + SEND_OVERHEAD);
        self.send(&batch.bytes)?;
        let mut done = 0;
        loop {
            for message in messages(self.receive()?) {
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

    /// A batch is one datagram, so it has to fit. Where the limit cannot be raised, sending says that it is too long.
    fn raise_send_buffer(&self, bytes: usize) {
        let _ = setsockopt(&self.fd, sockopt::SndBufForce, &bytes)
            .or_else(|_| setsockopt(&self.fd, sockopt::SndBuf, &bytes));
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = send(self.fd.as_raw_fd(), bytes, MsgFlags::empty());
        sent.map(|_| ()).map_err(|errno| Failure::Socket("sending rules to the kernel", errno))
    }

    fn receive(&mut self) -> Result<&[u8], Failure> {
        let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT);
        let length = length.map_err(|errno| Failure::Socket("reading the kernel's answer", errno))?;
        self.buffer.get(..length).filter(|bytes| !bytes.is_empty()).ok_or(Failure::Answer("it is empty"))
    }
}

/// An NLMSG_ERROR message says how a request ended: 0 or a negative error number.
fn acknowledgement(message: &Message<'_>) -> Result<Result<(), Errno>, Failure> {
    let code = message.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    match code.ok_or(Failure::Answer("an acknowledgement is too short"))? {
        0 => Ok(Ok(())),
        code => Ok(Err(Errno::from_raw(code.wrapping_neg()))),
    }
}
