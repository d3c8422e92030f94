//! A netlink socket that asks one question at a time.
//!
//! The kernel answers within the call that asks, so an answer that is not there at once will never come: no question waits.
//! What happens by itself, which a socket hears of by joining a group, has to be waited for.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt,
};

use super::sys;
use super::wire::{Head, Malformed, Message, Writer, messages};

/// One datagram of answers: a dump's are at most 32 KiB, and a refusal quotes the message that was refused, up to 64 KiB.
const DATAGRAM: usize = 128 * 1024;

/// A question could not be asked or answered.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The kernel refuses it.
    Refused(Errno),
    /// What is listed changed meanwhile.
    Interrupted,
    /// Reading or writing the socket failed.
    Socket(&'static str, Errno),
    /// The answer is none.
    Answer(&'static str),
}

/// A socket of one of netlink's protocols.
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    pub(crate) fn open(protocol: SockProtocol) -> Result<Self, Errno> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Also hears what is told to these groups, a bit each.
    pub(crate) fn join(&self, groups: u32) -> Result<(), Errno> {
        bind(self.fd.as_raw_fd(), &NetlinkAddr::new(0, groups))
    }

    /// The kernel is to keep up to this many bytes for us. The forced form is not bound by the node's limits, but needs
    /// NET_ADMIN in the first user namespace on older kernels.
    pub(crate) fn raise_receive_buffer(&self, bytes: usize) -> Result<(), Errno> {
        setsockopt(&self.fd, sockopt::RcvBufForce, &bytes)
            .or_else(|_| setsockopt(&self.fd, sockopt::RcvBuf, &bytes))
    }

    /// A message is one datagram, so it has to fit. Where the limit cannot be raised, sending says that it is too long.
    pub(crate) fn raise_send_buffer(&self, bytes: usize) {
        let _ = setsockopt(&self.fd, sockopt::SndBufForce, &bytes)
            .or_else(|_| setsockopt(&self.fd, sockopt::SndBuf, &bytes));
    }

    /// Asks a question, a message of this type and flags, and gives each part of the answer to `each`.
    pub(crate) fn ask(
        &mut self,
        (kind, flags): (u16, u16),
        header: &[u8],
        fill: impl FnOnce(&mut Writer),
        mut each: impl FnMut(&Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Failure> {
        self.sequence += 1;
        let sequence = self.sequence;
        let mut writer = Writer::default();
        writer.message(Head { kind, flags: flags | sys::NLM_F_ACK, sequence, header }, fill);
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

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = send(self.fd.as_raw_fd(), bytes, MsgFlags::empty());
        sent.map(|_| ()).map_err(|errno| Failure::Socket("asking the kernel", errno))
    }

    /// The next datagram, which has to be there.
    pub(crate) fn receive(&mut self) -> Result<&[u8], Failure> {
        let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT);
        let length = length.map_err(|errno| Failure::Socket("reading the kernel's answer", errno))?;
        self.buffer.get(..length).filter(|bytes| !bytes.is_empty()).ok_or(Failure::Answer("it is empty"))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Until something can be read; false when the time is over.
pub(crate) fn wait(source: &impl AsFd, deadline: Instant) -> bool {
    wait_for(source, PollFlags::POLLIN, deadline)
}

/// Until one of these or an error has happened; false when the time is over.
pub(crate) fn wait_for(source: &impl AsFd, events: PollFlags, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    // Rounded up, so that the deadline has passed when poll says so.
    let timeout = PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(source.as_fd(), events)], timeout).is_ok_and(|ready| ready > 0)
}

/// An NLMSG_ERROR message says how a request ended: 0 or a negative error number.
pub(crate) fn acknowledgement(message: &Message<'_>) -> Result<Result<(), Errno>, Failure> {
    let code = message.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
    match code.ok_or(Failure::Answer("an acknowledgement is too short"))? {
        0 => Ok(Ok(())),
        code => Ok(Err(Errno::from_raw(code.wrapping_neg()))),
    }
}
