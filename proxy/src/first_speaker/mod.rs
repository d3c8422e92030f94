//! Who speaks first on a connection, and what: `detect` on a pair of legs.
//!
//! Nothing is read and nothing is carried here. Invariant: nobody waits for this. The upstream connection is made meanwhile;
//! a server that speaks ends the matter, and so does a client's beginning that does not come to its end in time; and
//! where both are silent there is nothing that could be carried.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::detect::{Begun, Detected, Hint, Memory, Protocol, Reason, Settings, detect, is_http2_greeting};
use crate::direction::Direction;
use crate::net::leg::Leg;
use crate::net::peek::peek;
use crate::net::relay::Broken;

thread_local! {
    /// The worker's, once it has something to remember.
    static MEMORY: RefCell<Option<Memory<SocketAddr>>> = const { RefCell::new(None) };
}

/// For so many times the limit of a client's beginning a greeting of HTTP/2 waits for it.
const GREETED: u32 = 10;

/// How long a client may take to ask before a server is connected for it, at most.
const HEAD_START: Duration = Duration::from_millis(100);

/// What has been heard of one connection.
#[derive(Debug)]
pub(crate) struct FirstSpeaker {
    direction: Direction,
    destination: SocketAddr,
    hint: Option<Hint>,
    detected: Option<Detected>,
    /// How much of what the client has sent was looked at.
    seen: usize,
    /// Since when that is something, and not enough.
    since: Option<Instant>,
    /// Whether tokio takes the client's leg for empty, which it is not.
    is_hidden: bool,
    /// Whether the destination has responded by HTTP last, and nothing is declared.
    may_ask: bool,
    /// What it could become.
    begun: Begun,
}

/// How long a client's beginning may take, from its first byte to its last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Before it is carried as bytes of any protocol.
    pub(crate) any: Duration,
    /// Where it can be HTTP/2's, and the destination has responded by HTTP last. To no other reader it would make sense.
    pub(crate) preface: Duration,
}

impl FirstSpeaker {
    /// On a connection to `destination`, whose port is declared so.
    pub(crate) fn new(direction: Direction, destination: SocketAddr, hint: Option<Hint>) -> Self {
        let (detected, may_ask) = MEMORY.with_borrow_mut(|memory| match (hint, memory) {
            (None, Some(memory)) => (memory.recall(destination), memory.asks(destination)),
            (Some(_), _) | (_, None) => (None, false),
        });
        let mut new = Self {
            direction,
            destination,
            hint: None,
            detected,
            seen: 0,
            since: None,
            is_hidden: false,
            may_ask,
            begun: Begun::Other,
        };
        new.expect(hint);
        new
    }

    /// It has become known how the port is declared.
    pub(crate) fn expect(&mut self, hint: Option<Hint>) {
        self.hint = hint.or(self.hint);
        self.may_ask &= self.hint.is_none();
        match self.hint {
            Some(Hint::Opaque) => self.detected = Some(Detected::opaque(Reason::Hint)),
            Some(Hint::Tls | Hint::Http | Hint::Http2) => {
                self.detected.take_if(|detected| detected.reason == Reason::Memory);
            }
            None => {}
        }
    }

    /// Returns when the client has said enough, or has ended. What has been heard stays heard when this is given up.
    ///
    /// A beginning may take as long as `limits` say, where there are any.
    pub(crate) async fn client(&mut self, client: &Leg, limits: Option<Limits>) -> io::Result<()> {
        while self.detected.is_none() {
            let has_ended = match self.since.zip(limits) {
                None => client.readable_or_ended().await?,
                Some((since, limits)) => {
                    let end = since + if self.awaits_preface() { limits.preface } else { limits.any };
                    match timeout_at(end, client.readable_or_ended()).await {
                        Ok(has_ended) => has_ended?,
                        Err(_) => {
                            self.is_late();
                            break;
                        }
                    }
                }
            };
            self.look(client, has_ended)?;
        }
        Ok(())
    }

    fn awaits_preface(&self) -> bool {
        self.may_ask && self.begun == Begun::Preface
    }

    /// The client's beginning has not come to its end in time.
    fn is_late(&mut self) {
        // Where HTTP is spoken waiting is no way past what applies to it: its reader has limits of its own.
        let is_http = self.may_ask && self.begun != Begun::Hello;
        let late = if is_http { Detected::HTTP1_BY_MEMORY } else { Detected::opaque(Reason::Incomplete) };
        self.detected = Some(late);
    }

    /// Returns when it is known what is spoken, with both legs there, and gives the client's back, from which the relay can
    /// read. `head` is the time that a head of HTTP has.
    pub(crate) async fn either(
        mut self,
        client: Leg,
        server: &Leg,
        settings: &Settings,
        head: Duration,
    ) -> Result<(Leg, Detected), Broken> {
        let any = settings.detection_timeout;
        let is_http = self.hint.is_some_and(Hint::is_http);
        let preface = head.max(any);
        // Who begins slowly on a port of HTTP is somebody for its readers.
        let limits = Limits { any: if is_http { preface } else { any }, preface };
        let greeted = if self.may_ask || is_http { preface } else { GREETED * any };
        let by_server = tokio::select! {
            biased;
            heard = self.client(&client, Some(limits)) => heard.map(|()| None).map_err(Broken::Client)?,
            heard = by_server(server, greeted) => heard.map(Some).map_err(Broken::Server)?,
        };
        let detected = match (self.detected, &by_server) {
            (Some(detected), _) => detected,
            (None, Some(Said::Http | Said::Other)) => Detected::opaque(Reason::ServerFirst),
            (None, Some(Said::Nothing) | None) => Detected::opaque(Reason::Ended),
        };
        let client = if self.is_hidden { client.registered_anew().map_err(Broken::Client)? } else { client };
        if let Some(hint) = self.hint {
            // What the application itself says first, to a silent client, tells more than what others declare.
            let is_settled = is_http && self.seen == 0 && by_server.is_some();
            return Ok((client, if is_settled { detected } else { hint.settle(detected) }));
        }
        let most = usize::try_from(settings.detection_memory).unwrap_or(usize::MAX);
        // What one stranger says is no reason to treat the next one otherwise: the server has to say it, or the pod itself.
        // Nor is his silence, to which a server of HTTP has said that it is one.
        let is_told = match by_server {
            Some(Said::Other) => true,
            Some(Said::Http) => false,
            Some(Said::Nothing) | None => self.direction == Direction::Outbound,
        };
        MEMORY.with_borrow_mut(|memory| {
            let memory = memory.get_or_insert_with(|| Memory::new(most));
            if is_told {
                memory.learn(self.destination, &detected);
            }
        });
        Ok((client, detected))
    }

    /// Whether the client asks by HTTP right away, where one before it was answered so: then a connection is not made before it is
    /// known for which request.
    pub(crate) async fn asks(&mut self, client: &Leg, limit: Duration) -> io::Result<bool> {
        if !self.may_ask {
            return Ok(false);
        }
        match timeout(limit.min(HEAD_START), self.client(client, None)).await {
            Ok(heard) => heard?,
            Err(_) => return Ok(false),
        }
        let protocol = self.detected.as_ref().map(|detected| detected.protocol);
        Ok(matches!(protocol, Some(Protocol::Http1 | Protocol::Http2)))
    }

    /// Returns when the client has said enough, where nobody else will say anything; nothing if it has ended without a word.
    pub(crate) async fn declared(mut self, client: &Leg, limit: Duration) -> io::Result<Option<Self>> {
        self.client(client, Some(Limits { any: limit, preface: limit })).await?;
        Ok((self.seen > 0).then_some(self))
    }

    /// What has been heard so far, where the server will say nothing, and the client's leg as after [`either`](Self::either).
    pub(crate) fn alone(self, client: Leg) -> io::Result<(Leg, Option<Detected>)> {
        let client = if self.is_hidden { client.registered_anew()? } else { client };
        let detected = match (self.hint, self.detected) {
            (Some(hint), Some(detected)) => Some(hint.settle(detected)),
            (None, detected) => detected,
            (Some(_), None) => None,
        };
        Ok((client, detected))
    }

    fn look(&mut self, client: &Leg, has_ended: bool) -> io::Result<()> {
        match peek(client, self.seen, |bytes| (bytes.len(), Begun::of(bytes), detect(bytes))) {
            Ok((0, ..)) => self.detected = Some(Detected::opaque(Reason::Ended)),
            Ok((length, begun, detected)) => {
                self.is_hidden = false;
                self.begun = begun;
                self.seen = length;
                if detected.is_none() {
                    self.since.get_or_insert_with(Instant::now);
                }
                self.detected = detected;
            }
            // Tokio keeps a leg that has ended readable for ever.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && has_ended => {
                self.detected = Some(Detected::opaque(Reason::Ended));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_hidden = self.seen > 0,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// The server at `destination` has responded by HTTP, which is remembered where it is looked for what is spoken.
pub(crate) fn speaks_http(destination: SocketAddr) {
    MEMORY.with_borrow_mut(|memory| {
        if let Some(memory) = memory {
            memory.speaks_http(destination);
        }
    });
}

/// What a server has said before its client.
enum Said {
    /// It has ended.
    Nothing,
    /// What servers of HTTP say to a silent client: HTTP/2's greeting, or HTTP/1's 408.
    Http,
    /// Anything else.
    Other,
}

/// What the server says, or that it has ended. A server of HTTP/2 may greet before its client does, for which that does not wait
/// (RFC 9113, section 3.4): only a client that is silent for as long as `greeted`, from then on, speaks something else.
async fn by_server(server: &Leg, greeted: Duration) -> io::Result<Said> {
    loop {
        server.readable_or_ended().await?;
        let look = |bytes: &[u8]| (bytes.len(), is_http2_greeting(bytes), bytes.starts_with(b"HTTP/1."));
        match peek(server, 0, look) {
            Ok((0, ..)) => return Ok(Said::Nothing),
            Ok((_, true, _)) => {
                sleep(greeted).await;
                return Ok(Said::Http);
            }
            Ok((_, false, is_response)) => return Ok(if is_response { Said::Http } else { Said::Other }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
