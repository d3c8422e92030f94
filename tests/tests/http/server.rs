//! A server that knows what it will be asked, answers byte for byte what it is told to, and keeps what it was sent.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;
use tests::meshed::as_app;
use tests::netns::Netns;

use crate::client::{AFTERWARDS, PATIENCE, write_cut};
use crate::message::{Message, Reader, find, has_option, lines};
use crate::script::{Act, ok};

/// The complaint of [`Act::Quiet`].
pub(crate) const EARLY: &str = "bytes came that should not have come yet";

/// What a server was sent, over all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// Requests in the order in which their heads came.
    pub(crate) requests: Vec<Message>,
    /// What came outside of them: of a tunnel.
    pub(crate) raw: Vec<u8>,
    /// What went otherwise than the script says.
    pub(crate) complaints: Vec<String>,
}

/// The script, and what comes.
struct Shared {
    acts: Mutex<Vec<Vec<Act>>>,
    signal: Mutex<mpsc::Receiver<()>>,
    sent: Mutex<Sent>,
    seed: u64,
}

/// A listener that plays the server's part of one conversation.
pub(crate) struct Server {
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    accepting: JoinHandle<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Listens in the namespace. What each request gets comes from `acts`, in order; `seed` is what cuts are made of.
    pub(crate) fn start(
        netns: &Netns,
        address: SocketAddr,
        acts: &[Vec<Act>],
        seed: u64,
        signal: mpsc::Receiver<()>,
    ) -> Self {
        let listener = as_app(netns, || tests::peer::again(|| TcpListener::bind(address)));
        let listener = Arc::new(listener.expect("a free port"));
        let acts = Mutex::new(acts.iter().rev().cloned().collect());
        let shared = Arc::new(Shared { acts, signal: Mutex::new(signal), sent: Mutex::default(), seed });
        let (acceptor, conversation) = (Arc::clone(&listener), Arc::clone(&shared));
        let accepting = std::thread::spawn(move || {
            let mut all = Vec::new();
            while let Ok((stream, _)) = acceptor.accept() {
                let conversation = Arc::clone(&conversation);
                all.push(std::thread::spawn(move || drop(conversation.serve(stream))));
            }
            all
        });
        Self { listener, shared, accepting }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("its address")
    }

    /// Waits until all connections have ended; no new one is accepted.
    pub(crate) fn finish(self) -> Sent {
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        for connection in self.accepting.join().expect("it accepts without a panic") {
            connection.join().expect("it serves without a panic");
        }
        lock(&self.shared.sent).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// An error is the client's business: it is who tells the test.
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = Reader::new(stream.try_clone()?);
        while let Some(head) = reader.head() {
            let is_afterwards = find(&head, AFTERWARDS.as_bytes()).is_some();
            let acts = if is_afterwards { None } else { lock(&self.acts).pop() };
            let acts = acts.unwrap_or_else(|| {
                if !is_afterwards {
                    let line = lines(&head).next().unwrap_or_default().to_vec();
                    self.complain(format!("nobody expects {:?}", String::from_utf8_lossy(&line)));
                }
                vec![Act::Rest, Act::Say(ok())]
            });
            let closes = has_option(&head, "close");
            let number = {
                let mut sent = lock(&self.sent);
                sent.requests.push(Message { head: head.clone(), ..Message::default() });
                sent.requests.len() - 1
            };
            let mut request = Request { shared: self, number, head: Some(head) };
            for act in &acts {
                if !request.act(act, &stream, &mut reader)? {
                    return Ok(());
                }
            }
            request.rest(&mut reader);
            if closes {
                // The client has everything, whatever else it has sent.
                stream.shutdown(Shutdown::Write)?;
                reader.all();
                return Ok(());
            }
        }
        Ok(())
    }

    fn complain(&self, complaint: String) {
        lock(&self.sent).complaints.push(complaint);
    }
}

/// A request that is being answered.
struct Request<'a> {
    shared: &'a Shared,
    number: usize,
    /// As long as the rest was not read.
    head: Option<Vec<u8>>,
}

impl Request<'_> {
    /// Whether the connection goes on.
    fn act(&mut self, act: &Act, mut stream: &TcpStream, reader: &mut Reader) -> std::io::Result<bool> {
        match act {
            Act::Rest => self.rest(reader),
            Act::Say(bytes) => stream.write_all(bytes)?,
            Act::Cut(bytes) => {
                let seed = self.shared.seed.wrapping_add(self.number as u64);
                write_cut(stream, bytes, &mut fastrand::Rng::with_seed(seed));
            }
            Act::Await => {
                if lock(&self.shared.signal).recv_timeout(PATIENCE).is_err() {
                    self.shared.complain("no signal came".to_owned());
                }
            }
            Act::Quiet => {
                if reader.has_more() {
                    self.shared.complain(EARLY.to_owned());
                }
            }
            Act::Bytes(count) => {
                let bytes = reader.bytes(*count);
                lock(&self.shared.sent).raw.extend_from_slice(&bytes);
            }
            Act::Finish | Act::FinishTunnel => {
                stream.shutdown(Shutdown::Write)?;
                let rest = reader.all();
                if matches!(act, Act::FinishTunnel) {
                    lock(&self.shared.sent).raw.extend_from_slice(&rest);
                }
                return Ok(false);
            }
            Act::Reset => {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn rest(&mut self, reader: &mut Reader) {
        if let Some(head) = self.head.take() {
            let message = reader.rest_of_request(head);
            if let Some(request) = lock(&self.shared.sent).requests.get_mut(self.number) {
                *request = message;
            }
        }
    }
}
