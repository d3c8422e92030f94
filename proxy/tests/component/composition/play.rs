//! Plays a conversation: one thread for both sides, which waits for what the kernel tells of their sockets and for nothing else.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use super::{Act, Ended, Outcome, Seen, Side};
use crate::support::{OUTBOUND, PATIENCE, Proxy, Way};

/// A connection through the proxy's one worker, which carries what is ready in its order: what was done before a byte has come
/// through here was noticed.
pub(super) struct Tick {
    client: TcpStream,
    server: TcpStream,
}

impl Tick {
    pub(super) fn new(proxy: &Proxy) -> Self {
        let (client, server) = proxy.pair(OUTBOUND);
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let mut new = Self { client, server };
        // This is no HTTP from the first byte on.
        new.tick();
        new
    }

    fn tick(&mut self) {
        self.client.write_all(b"\0").expect("the proxy runs");
        self.server.read_exact(&mut [0]).expect("the proxy carries");
    }
}

/// A side's end of a connection.
struct End {
    stream: Option<TcpStream>,
    seen: Seen,
    has_ended: bool,
    /// It says nothing more.
    is_finished: bool,
}

impl End {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let seen = Seen { said: Vec::new(), got: Vec::new(), ended: Ended::Unknown, has_reset: false };
        Self { stream: Some(stream), seen, has_ended: false, is_finished: false }
    }

    /// Says as much as the kernel takes: all, unless the proxy has left or does not read.
    fn say(&mut self, bytes: &[u8]) {
        if self.is_finished {
            return;
        }
        let Some(mut stream) = self.stream.as_ref() else { return };
        let taken = stream.write(bytes).unwrap_or(0);
        self.is_finished = taken < bytes.len();
        self.seen.said.extend_from_slice(&bytes[..taken]);
    }

    fn finish(&mut self) {
        self.is_finished = true;
        if let Some(stream) = &self.stream {
            // It may have ended before.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            (self.has_ended, self.seen.has_reset) = (true, true);
        }
    }

    /// Reads what is there.
    fn read(&mut self) {
        let mut piece = [0; 16 * 1024];
        while let (Some(mut stream), false) = (self.stream.as_ref(), self.has_ended) {
            match stream.read(&mut piece) {
                Ok(0) => (self.has_ended, self.seen.ended) = (true, Ended::Fin),
                Ok(length) => self.seen.got.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => (self.has_ended, self.seen.ended) = (true, Ended::Reset),
            }
        }
    }
}

/// Where conversations are played: the way to a server.
pub(super) struct Stage<'a> {
    proxy: &'a Proxy,
    tick: &'a mut Tick,
    way: Way,
    listener: TcpListener,
}

impl<'a> Stage<'a> {
    pub(super) fn new(proxy: &'a Proxy, tick: &'a mut Tick, way: Way) -> Self {
        let listener = way.listener();
        listener.set_nonblocking(true).unwrap();
        Self { proxy, tick, way, listener }
    }

    /// Plays all acts, and then both sides end, until the client has seen an end; who it was, and what was seen. A server's
    /// connection that is made later says what is left.
    pub(super) fn play(&mut self, acts: &[Act<'_>]) -> (SocketAddr, Ends<'_>) {
        let Self { proxy, tick, way, listener } = self;
        let client = proxy.connect(*way, listener.local_addr().unwrap());
        let address = client.local_addr().unwrap();
        let mut ends = Ends { client: End::new(client), listener, servers: Vec::new() };
        tick.tick();
        for act in acts {
            ends.act(act);
            tick.tick();
            ends.look();
        }
        ends.client.finish();
        ends.wait_until(|ends| ends.client.has_ended);
        (address, ends)
    }
}

/// Of one client, and its servers.
pub(super) struct Ends<'a> {
    client: End,
    listener: &'a TcpListener,
    servers: Vec<End>,
}

impl Ends<'_> {
    fn act(&mut self, act: &Act<'_>) {
        self.look();
        match act {
            Act::Say(side, bytes) => self.of(*side, |end| end.say(bytes)),
            Act::End(side) => self.of(*side, End::finish),
            Act::Reset(side) => self.of(*side, End::reset),
        }
    }

    /// Does something with a side: of the server with its newest connection, if there is one.
    fn of(&mut self, side: Side, act: impl FnOnce(&mut End)) {
        let end = match side {
            Side::Client => Some(&mut self.client),
            Side::Server => self.servers.last_mut(),
        };
        end.map(act);
    }

    /// Accepts and reads what is there.
    fn look(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.servers.push(End::new(stream));
        }
        self.servers.iter_mut().chain([&mut self.client]).for_each(End::read);
    }

    /// All servers see an end as well, but for those whose connections may be kept: nobody looks at them at once.
    pub(super) fn end(mut self, may_be_kept: impl Fn(&Seen) -> bool) -> Outcome {
        self.wait_until(|ends| {
            ends.servers.iter().all(|server| server.has_ended || may_be_kept(&server.seen))
        });
        let Self { client, servers, .. } = self;
        let servers = servers.into_iter().map(|mut server| {
            // Nobody waits for the end of one that is kept.
            if !server.has_ended {
                server.reset();
            }
            server.seen
        });
        Outcome { client: client.seen, servers: servers.collect() }
    }

    /// Meanwhile no server says anything more.
    fn wait_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            self.look();
            self.servers.iter_mut().for_each(End::finish);
            if is_over(self) {
                return;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            let open: Vec<_> = self.servers.iter().map(|server| &server.seen).collect();
            assert!(!left.is_zero(), "no end: {:?}, {open:?}", self.client.seen);
            self.wait(left);
        }
    }

    fn wait(&self, most: Duration) {
        let ends = self.servers.iter().chain([&self.client]).filter(|end| !end.has_ended);
        let streams = ends.filter_map(|end| end.stream.as_ref()).map(AsFd::as_fd);
        let all = streams.chain([self.listener.as_fd()]);
        let mut all: Vec<_> = all.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
        // A signal ends it early.
        let _ = poll(&mut all, PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX));
    }
}
