//! The application behind all proxies: one thread that serves every listener of every pod, and of the endpoints that pods call.
//!
//! It does as little as an application can, so that the proxy is what is slow.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use tests::netns::Netns;

use crate::events::Events;
use crate::protocol::{Answering, Protocol};

/// Where it speaks HTTP/1.1, behind a proxy.
pub(crate) const HTTP1_PORT: u16 = 8082;
/// And HTTP/2.
pub(crate) const HTTP2_PORT: u16 = 8083;
/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// How a listener treats connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Service {
    /// An answer to each request, and the end when it comes.
    Exchange(Protocol),
    /// Takes everything, and ends when the client does.
    Sink,
}

impl Service {
    pub(crate) const ALL: [Self; 4] = [
        Self::Exchange(Protocol::Opaque),
        Self::Exchange(Protocol::Http1),
        Self::Exchange(Protocol::Http2),
        Self::Sink,
    ];

    /// Its port: one that is captured, or one that is left alone.
    pub(crate) fn port(self, left_alone: bool) -> u16 {
        let captured = match self {
            Self::Exchange(Protocol::Opaque) => 8080,
            Self::Sink => 8081,
            Self::Exchange(Protocol::Http1) => HTTP1_PORT,
            Self::Exchange(Protocol::Http2) => HTTP2_PORT,
        };
        if left_alone { captured + 1000 } else { captured }
    }
}

enum Socket {
    Listener(TcpListener, Service),
    Exchange(Server),
    Sink(TcpStream),
}

/// A connection on which one request at a time is answered.
struct Server {
    stream: TcpStream,
    answering: Answering,
}

/// Listeners in a namespace, on captured ports and on those that are left alone.
pub(crate) fn listeners(netns: &Netns) -> Result<Vec<(TcpListener, Service)>> {
    let mut listeners = Vec::new();
    for service in Service::ALL {
        for left_alone in [false, true] {
            let address = (Ipv4Addr::UNSPECIFIED, service.port(left_alone));
            let listener = netns.run(|| TcpListener::bind(address))?;
            listeners.push((listener.with_context(|| format!("listening on {address:?}"))?, service));
        }
    }
    Ok(listeners)
}

/// Serves until the process ends.
pub(crate) fn start(listeners: Vec<(TcpListener, Service)>) -> Result<()> {
    let mut backend = Backend { events: Events::new()?, sockets: Vec::new(), buffer: vec![0; CHUNK] };
    for (listener, service) in listeners {
        listener.set_nonblocking(true)?;
        let number = number(&listener);
        backend.events.on_input(&listener, number)?;
        backend.put(number, Socket::Listener(listener, service));
    }
    // Clients miss their answers if it fails, and say so.
    std::thread::Builder::new().name("backend".to_owned()).spawn(move || backend.serve())?;
    Ok(())
}

struct Backend {
    events: Events,
    /// By descriptor.
    sockets: Vec<Option<Socket>>,
    buffer: Vec<u8>,
}

impl Backend {
    fn serve(mut self) -> Result<()> {
        let mut ready = Vec::new();
        loop {
            self.events.wait(&mut ready)?;
            for number in &ready {
                self.attend(*number);
            }
        }
    }

    /// A connection that fails is closed; its client says so.
    fn attend(&mut self, number: usize) {
        let Some(slot) = self.sockets.get_mut(number) else { return };
        let lives = match slot {
            None => return,
            Some(Socket::Listener(listener, service)) => {
                let accepted: Vec<_> = std::iter::from_fn(|| listener.accept().ok()).collect();
                let service = *service;
                return accepted.into_iter().for_each(|(stream, _)| self.accepted(stream, service));
            }
            Some(Socket::Exchange(server)) => server.answer(&mut self.buffer),
            Some(Socket::Sink(stream)) => lives(&stream.read(&mut self.buffer)),
        };
        if !lives {
            *slot = None;
        }
    }

    fn accepted(&mut self, stream: TcpStream, service: Service) {
        let number = number(&stream);
        if stream.set_nonblocking(true).is_err() || self.events.on_input(&stream, number).is_err() {
            return;
        }
        let socket = match service {
            Service::Exchange(protocol) => {
                Socket::Exchange(Server { stream, answering: Answering::new(protocol) })
            }
            Service::Sink => Socket::Sink(stream),
        };
        self.put(number, socket);
    }

    fn put(&mut self, number: usize, socket: Socket) {
        if self.sockets.len() <= number {
            self.sockets.resize_with(number + 1, || None);
        }
        if let Some(slot) = self.sockets.get_mut(number) {
            *slot = Some(socket);
        }
    }
}

fn number(socket: &impl AsRawFd) -> usize {
    usize::try_from(socket.as_raw_fd()).expect("an open descriptor is not negative")
}

impl Server {
    /// Reads what is there and answers when the request is complete; false when the connection is over, or what came is no
    /// request. Nobody asks again before the answer has come, so there is always room for it.
    fn answer(&mut self, buffer: &mut [u8]) -> bool {
        let Self { stream, answering } = self;
        let read = stream.read(buffer);
        let Some(came @ [_, ..]) = read.as_ref().ok().and_then(|length| buffer.get(..*length)) else {
            return lives(&read);
        };
        answering.take(came).is_ok_and(|said| said.is_empty() || stream.write_all(&said).is_ok())
    }
}

/// Whether a connection goes on after this.
fn lives(read: &std::io::Result<usize>) -> bool {
    match read {
        Ok(length) => *length > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
