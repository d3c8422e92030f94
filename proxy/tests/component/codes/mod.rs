//! What is refused, and who is left, has one code: it is the same in the access log and in the metric that counts it.
//!
//! Of each kind one is played, and then nothing else may have been told anywhere.

mod http1;
mod http2;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use proxy::telemetry::Code;

use crate::support::{INBOUND, Proxy, accept, eventually};

/// What one end does.
#[derive(Clone, Default)]
struct Part {
    /// At once.
    first: Vec<u8>,
    /// When a head has come.
    then: Vec<u8>,
    /// Whether it ends its stream after that.
    ends: bool,
}

impl Part {
    fn says(first: impl Into<Vec<u8>>) -> Self {
        Self { first: first.into(), ..Self::default() }
    }

    fn answers(then: impl Into<Vec<u8>>) -> Self {
        Self { then: then.into(), ..Self::default() }
    }

    fn and_ends(self) -> Self {
        Self { ends: true, ..self }
    }

    /// Plays it until the other side has ended, however it does.
    fn play(&self, mut stream: &TcpStream, is_head: fn(&[u8]) -> bool) {
        // Who is left need not have taken all.
        let _ = stream.write_all(&self.first);
        let (mut heard, mut buffer) = (Vec::new(), [0; 16_384]);
        let mut has_answered = self.then.is_empty();
        if has_answered && self.ends {
            let _ = stream.shutdown(Shutdown::Write);
        }
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            heard.extend_from_slice(&buffer[..length]);
            if !has_answered && is_head(&heard) {
                has_answered = true;
                let _ = stream.write_all(&self.then);
                if self.ends {
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
        }
    }
}

/// Something that must not be.
struct Case {
    name: &'static str,
    options: &'static [&'static str],
    client: Part,
    server: Part,
    /// Who is to blame; nobody, where a time limit was met.
    side: &'static str,
    code: &'static str,
    /// How often at once.
    times: u64,
}

/// Cases of one kind.
type Group = fn() -> Vec<Case>;

/// Nothing that is refused has no case.
fn assert_all_are_played(groups: &[Group], codes: &[Code]) {
    let played: Vec<_> = groups.iter().flat_map(|group| group()).map(|case| case.code).collect();
    let left_out: Vec<_> =
        codes.iter().map(|code| code.name()).filter(|code| !played.contains(code)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
}

const CLIENT: &str = "client";
const SERVER: &str = "server";

impl Case {
    fn with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    fn at_once(self, times: u64) -> Self {
        Self { times, ..self }
    }

    /// A time limit is met.
    fn late(self) -> Self {
        Self { side: "", ..self }
    }

    /// Of connections on which the end of a head is told by `is_head`.
    fn is_told(&self, is_head: fn(&[u8]) -> bool) {
        let proxy = Proxy::start(&[&["--http-pool-size=0"], self.options].concat());
        let listener = INBOUND.listener();
        let client = proxy.connect(INBOUND, listener.local_addr().unwrap());
        let server = accept(&listener);
        let [client, server] = [(client, &self.client), (server, &self.server)];
        std::thread::scope(|scope| {
            let [client, server] = [client, server].map(|(stream, part)| {
                let playing = stream.try_clone().unwrap();
                scope.spawn(move || part.play(&playing, is_head));
                stream
            });
            let what = format!("{}, of a {}", self.name, self.side);
            eventually(&what, || logged(&proxy).iter().any(|told| told == self.code));
            eventually(&what, || counted(&proxy).iter().any(|(.., times)| *times >= self.times));
            // Whoever is still there goes, the client first.
            for stream in [client, server] {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        let counted = counted(&proxy);
        assert_eq!(counted, [(self.side.to_owned(), self.code.to_owned(), self.times)], "{}", self.name);
        let log = proxy.log.clone();
        proxy.stop();
        let lines = log.lines();
        let told: Vec<_> = lines.iter().flat_map(details).collect();
        assert!(told.iter().all(|details| details == self.code), "{}: {told:?} in {lines:?}", self.name);
        assert!((1..=self.times).contains(&(told.len() as u64)), "{}: {told:?}", self.name);
    }
}

/// What the log has told so far besides what servers have answered.
fn logged(proxy: &Proxy) -> Vec<String> {
    proxy.log.lines().iter().flat_map(details).collect()
}

fn details(line: &serde_json::Value) -> Vec<String> {
    let keys = ["response_code_details", "connection_termination_details"];
    let told = keys.iter().filter_map(|key| line[key].as_str());
    told.filter(|details| *details != "via_upstream").map(str::to_owned).collect()
}

/// What was refused and what was too late: who did it, its name, and how often.
fn counted(proxy: &Proxy) -> Vec<(String, String, u64)> {
    let text = proxy.get(&proxy.addresses.metrics, "/metrics");
    let families = ["remora_http_refused_messages_total{", "remora_http_timeouts_total{"];
    let lines = text.lines().filter(|line| families.iter().any(|family| line.starts_with(family)));
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let told = lines.filter_map(|line| {
        let times = line.rsplit(' ').next()?.parse().ok()?;
        let name = label(line, "reason").or_else(|| label(line, "timer"))?;
        Some((label(line, "side").unwrap_or_default(), name, times))
    });
    told.filter(|(_, _, times)| *times > 0).collect()
}
