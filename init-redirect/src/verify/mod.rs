//! Proof that the rules work: packets of our own, and where they land.
//!
//! Nothing here writes a rule or waits for nothing to happen. That a packet landed elsewhere is seen in what connection
//! tracking says of it; a listener's queue says the same for what comes to it. What cannot be shown is said to be unproven,
//! with the reason, and is no fault; only a packet that landed wrongly is one.
//!
//! One run verifies at a time. What it makes (a link and its addresses) goes when it ends; what a killed run left, the next
//! one removes.

mod call;
mod child;
mod claim;
mod frame;
mod inbound;
mod outbound;
mod packet;
mod tracker;
mod tunnel;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

use self::tracker::{Flow, Tracker};
use crate::netlink::{Failure, Route};
use crate::options::{Family, Options, Owner};
use crate::plan::{Plan, Rule};

pub use child::{COMMAND, call};
pub use claim::{Because, Claim, Kind, Unproven, Verdict, Wrong};

/// How long the packets of a family and direction may take, all together. They take less than a millisecond; it is for a
/// machine that is busy, and for one packet that is lost: TCP sends it again after a second (RFC 6298, 2).
const PATIENCE: Duration = Duration::from_millis(1500);

/// Abstract Unix sockets belong to a network namespace and end with their process, so one of this name is the namespace's lock.
const LOCK: &[u8] = b"remora-verify";

/// The lowest port that packets come from, and of how many above it chance chooses the first.
const SOURCE_PORTS: (u16, u16) = (20_000, 40_000);

/// What is to be verified.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The rules that follow.
    pub plan: &'a Plan,
}

/// Sends packets and looks where they land. `holds` says whether the kernel's rules are the plan's.
pub fn verify<E: ToString>(
    subject: Subject<'_>,
    holds: impl Fn() -> Result<bool, E>,
) -> (Verdict, Vec<(&'static str, Duration)>) {
    let (mut verdict, mut steps) = packets(subject);
    only_read_back(subject.options, &mut verdict);
    let begun = Instant::now();
    let rules = Claim::general(Kind::RulesAsPlanned, None);
    match holds() {
        Ok(true) => verdict.proven.insert(0, rules),
        other => {
            let because = match other {
                Err(error) => Because::new("not-read", error.to_string()),
                Ok(_) => Because::new("rules-changed", "another program changes the rules at the same time"),
            };
            // Packets then say something about other rules than the plan's.
            let wrong = std::mem::take(&mut verdict.wrong);
            let unproven =
                wrong.into_iter().map(|wrong| Unproven { claim: wrong.claim, because: because.clone() });
            verdict.unproven.extend(unproven);
            verdict.unproven(rules, because);
        }
    }
    steps.push(("verify-rules", begun.elapsed()));
    (verdict, steps)
}

/// Removes what a killed run left. Does nothing while another run verifies.
pub fn remove_leftovers() {
    if let Ok(_lock) = lock() {
        // The next run tries again.
        let _ = tunnel::remove_leftover();
    }
}

fn packets(subject: Subject<'_>) -> (Verdict, Vec<(&'static str, Duration)>) {
    let mut families = vec![Family::V4, Family::V6];
    families.retain(|family| subject.options.families.contains(*family));
    let mut verdict = Verdict::default();
    let verifier = lock().and_then(|lock| Ok((Verifier::new(subject, &mut verdict)?, lock)));
    let (mut verifier, _lock) = match verifier {
        Ok(made) => made,
        Err(because) => {
            for kind in [Kind::OutboundCaptured, Kind::OutboundPortReset, Kind::ProxyExempt]
                .into_iter()
                .chain([Kind::InboundCaptured, Kind::InboundPortReset])
            {
                verdict.unproven(Claim::general(kind, None), because.clone());
            }
            return (verdict, Vec::new());
        }
    };
    let mut steps = Vec::new();
    let begun = Instant::now();
    families.iter().for_each(|family| outbound::verify(&mut verifier, *family));
    steps.push(("verify-outbound", begun.elapsed()));
    let begun = Instant::now();
    inbound::verify(&mut verifier, &families);
    verifier.forget();
    steps.push(("verify-inbound", begun.elapsed()));
    (verdict, steps)
}

/// What no packet of ours shows.
fn only_read_back(options: &Options, verdict: &mut Verdict) {
    for (asked, kind) in [
        (options.dns.is_some(), Kind::DnsCaptured),
        (!options.virtual_interfaces.is_empty(), Kind::VirtualCaptured),
    ] {
        if asked {
            let because =
                Because::new("not-probed", "no packet of ours shows it: its rules were only read back");
            verdict.unproven(Claim::general(kind, None), because);
        }
    }
}

fn lock() -> Result<UnixListener, Because> {
    let address = std::os::unix::net::SocketAddr::from_abstract_name(LOCK);
    let lock = address.and_then(|address| UnixListener::bind_addr(&address));
    lock.map_err(|error| {
        Because::new("busy", format!("another run verifies in this network namespace: {error}"))
    })
}

/// Everything that the parts share.
struct Verifier<'a> {
    options: &'a Options,
    plan: &'a Plan,
    /// Who we are.
    owner: Owner,
    tracker: Tracker,
    route: Route,
    /// Everything that was sent.
    flows: Vec<Flow>,
    deadline: Instant,
    source_port: u16,
    verdict: &'a mut Verdict,
}

/// Where a call is to land.
enum Expected {
    /// Where it was sent to.
    Direct,
    /// At this port of one of these addresses.
    At(Vec<IpAddr>, u16),
}

impl<'a> Verifier<'a> {
    fn new(Subject { options, plan }: Subject<'a>, verdict: &'a mut Verdict) -> Result<Self, Because> {
        let tracker = match Tracker::open() {
            Err(Failure::Refused(errno)) => {
                let message = "the kernel does not tell of connections, for want of nf_conntrack_netlink";
                return Err(Because::new("no-conntrack-events", format!("{message}: {errno}")));
            }
            other => other.map_err(|failure| because("watching connections", &failure))?,
        };
        let route = Route::open().map_err(|errno| {
            because("asking for routes", &Failure::Socket("opening a netlink socket", errno))
        })?;
        let _ = tunnel::remove_leftover();
        let (first, count) = SOURCE_PORTS;
        let offset = RandomState::new().build_hasher().finish() % u64::from(count);
        Ok(Self {
            options,
            plan,
            owner: Owner { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() },
            tracker,
            route,
            flows: Vec::new(),
            deadline: Instant::now() + PATIENCE,
            source_port: first + u16::try_from(offset).unwrap_or_default(),
            verdict,
        })
    }

    /// The packets that follow have all the time that there is.
    fn begin(&mut self) {
        self.deadline = Instant::now() + PATIENCE;
    }

    /// The link through which packets for an address leave, if there is a route.
    fn way(&mut self, to: IpAddr) -> Option<String> {
        self.route.way(to).ok().flatten()
    }

    /// A connection that is about to be opened, from the address that the kernel would choose.
    fn flow(&mut self, destination: SocketAddr) -> Result<Flow, Errno> {
        let any: IpAddr = match destination {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket sends nothing.
        let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(destination)?;
            socket.local_addr()
        });
        let chosen = chosen.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
        Ok(self.flow_from(chosen.ip(), destination))
    }

    /// The same from this address. A run that was killed may have left the kernel a memory of the same connection, which would
    /// spare the rules a packet.
    fn flow_from(&mut self, address: IpAddr, destination: SocketAddr) -> Flow {
        self.source_port += 1;
        let flow = Flow { source: SocketAddr::new(address, self.source_port), destination };
        self.tracker.forget(flow);
        self.flows.push(flow);
        flow
    }

    /// Begins to call, from a port that nobody uses.
    fn call(&mut self, destination: SocketAddr) -> Result<(OwnedFd, Flow), Errno> {
        loop {
            let flow = self.flow(destination)?;
            match call::begin(flow) {
                Err(Errno::EADDRINUSE) if self.source_port < u16::MAX => {}
                other => return other.map(|client| (client, flow)),
            }
        }
    }

    fn forget(&mut self) {
        for flow in std::mem::take(&mut self.flows) {
            self.tracker.forget(flow);
        }
    }

    /// Whether a call lands as it is to; what else is so is noted.
    fn landed(&mut self, claim: &Claim, flow: Flow, expected: &Expected) -> bool {
        match self.tracker.await_landing(flow, self.deadline) {
            Ok(Some(landing)) if expected.is(flow, landing) => return true,
            Ok(Some(landing)) => self.verdict.wrong(claim.clone(), format!("it lands at {landing}")),
            Ok(None) => {
                let because = Because::new("lost", "something drops it before it lands anywhere");
                self.verdict.unproven(claim.clone(), because);
            }
            Err(failure) => {
                self.verdict.unproven(claim.clone(), because("watching connections", &failure));
            }
        }
        false
    }

    fn judge(&mut self, claim: Claim, flow: Flow, expected: Expected) {
        if self.landed(&claim, flow, &expected) {
            self.verdict.proven(claim);
        }
    }

    /// No packet of ours could be decided about by this rule.
    fn not_probed(&mut self, kind: Kind, family: Family, (rule, number): (&Rule, usize)) {
        let message =
            format!("no packet of ours shows rule {number} ({}): it was only read back", rule.reason);
        self.verdict.unproven(Claim::general(kind, Some(family)), Because::new("not-probed", message));
    }
}

impl Expected {
    fn is(&self, flow: Flow, landing: SocketAddr) -> bool {
        match self {
            Self::Direct => landing == flow.destination,
            Self::At(addresses, port) => addresses.contains(&landing.ip()) && landing.port() == *port,
        }
    }
}

/// A step of ours failed.
fn because(step: &str, failure: &Failure) -> Because {
    let message = match failure {
        Failure::Refused(errno) | Failure::Socket(_, errno) => format!("{step}: {errno}"),
        Failure::Interrupted => format!("{step}: interrupted"),
        Failure::Answer(what) => format!("{step}: the kernel's answer is not understood: {what}"),
    };
    Because::new("netlink", message)
}
