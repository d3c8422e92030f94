//! SIGTERM to a proxy that carries requests of each protocol in both directions. Each is answered in full, or its client was told
//! before that the connection takes no more; what is open is seen through, then the process ends by itself; and its log has all of
//! this. Nobody takes the proxy's place: of a replacement, see [`crate::replaced`].

mod load;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::exec::{Process, Progress};
use tests::meshed::{Meshed, PATIENCE};
use tests::netns::{Node, Switch};
use tokio::sync::watch;

use crate::application::Application;
use load::{Load, PROTOCOLS};

/// Requests by direction, protocol, and whether it is gRPC.
type Account = BTreeMap<(String, String, bool), usize>;

/// What its log tells of requests, all of which were answered well.
fn logged(progress: &Progress) -> Account {
    let mut account = Account::new();
    for line in progress.stdout.lines() {
        let line = serde_json::from_str::<Value>(line).expect("JSON");
        assert_eq!((&line["response_code"], &line["response_flags"]), (&200.into(), &"-".into()), "{line}");
        let text = |key| line[key].as_str().expect("a text").to_owned();
        let is_grpc = line["grpc_status"] == 0;
        *account.entry((text("reporter"), text("protocol"), is_grpc)).or_default() += 1;
    }
    account
}

/// What clients have seen of it.
fn seen(loads: &[(&str, Load)]) -> Account {
    let mut account = Account::new();
    for (reporter, load) in loads {
        let answered = load.answered.each_ref().map(|answered| answered.load(Ordering::Relaxed));
        let protocols = [("HTTP/1.1", false), ("HTTP/2", false), ("HTTP/2", true)];
        for ((protocol, is_grpc), answered) in protocols.into_iter().zip(answered) {
            account.insert(((*reporter).to_owned(), protocol.to_owned(), is_grpc), answered);
        }
    }
    account
}

/// Asks it to end; what it says until its clients are told.
fn terminate(proxy: &Process) -> anyhow::Result<String> {
    proxy.signal(Signal::SIGTERM);
    let closed = |progress: &Progress| progress.stderr.matches("listeners close").count();
    let both_closed = |progress: &Progress| (closed(progress) == 2).then(|| progress.stderr.clone());
    proxy.wait_for("its listeners close", PATIENCE, both_closed)
}

/// Ends the proxy when clients of each protocol have been answered so often; how many requests were answered, and how many came
/// too late. What is open then may end at once, or later than all that is not.
fn ends_under_load(meshed: &Meshed, plain: &Node, (wanted, at_once): (usize, bool)) -> (usize, usize) {
    let (ending, is_ending) = watch::channel(None);
    let (events, told) = mpsc::channel();
    let all = Arc::default();
    let loads = ["destination", "source"].map(|reporter| {
        let (all, events, is_ending) = (Arc::clone(&all), events.clone(), is_ending.clone());
        let (may_end, (answered, late)) = (watch::Sender::new(at_once), Default::default());
        (reporter, Load { all, wanted, events, is_ending, may_end, answered, late })
    });
    let counts = loads.each_ref().map(|(_, load)| load.counts());
    let [(_, inbound), (_, outbound)] = &loads;
    // What fails in between is told after it, since clients end with the proxy.
    let (is_under_way, heard) = std::thread::scope(|scope| {
        inbound.run(scope, &plain.netns, IpAddr::V4(meshed.node.v4));
        outbound.run(scope, &meshed.node.netns, IpAddr::V4(plain.v4));
        let events = PROTOCOLS + counts.iter().map(|(_, events)| events).sum::<usize>();
        let mut all_told = (0..events).map(|_| told.recv_timeout(PATIENCE));
        let (is_under_way, since) = (all_told.all(|told| told.is_ok()), Instant::now());
        let heard = terminate(&meshed.proxy);
        if heard.is_err() {
            meshed.proxy.signal(Signal::SIGKILL);
        }
        ending.send_replace(Some(since));
        (is_under_way, heard)
    });
    let stderr = heard.expect("the signal was heard");
    assert!(is_under_way, "{stderr}");
    let connections = counts.iter().map(|(connections, _)| connections).sum::<usize>();
    let line = format!("ending signal=\"SIGTERM\" connections={connections}\n");
    assert!(stderr.contains(&line), "{stderr}");
    assert_eq!(meshed.proxy.wait_exit(PATIENCE), Some(0), "{}", meshed.proxy.progress());
    let progress = meshed.proxy.progress();
    // Not since the deadline has passed.
    assert!(progress.stderr.contains("proxy ends exit=Idle"), "{}", progress.stderr);
    let seen = seen(&loads);
    assert_eq!(logged(&progress), seen);
    let late = loads.iter().map(|(_, load)| load.late.load(Ordering::Relaxed));
    (seen.values().sum(), late.sum())
}

/// Few requests are open at any moment, so it ends several times.
#[test]
fn no_request_is_lost_when_a_proxy_ends_under_load() {
    const ENDS: usize = 10;
    const REQUESTS: usize = 60_000;
    let mut switch = Switch::new("switch").expect("a switch");
    let mut meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _applications = [&meshed.node, &plain].map(|node| Application::start(&node.netns));
    let (mut answered, mut late) = (0, 0);
    for end in 0..ENDS {
        if end > 0 {
            meshed.start_again();
        }
        let ended = ends_under_load(&meshed, &plain, (REQUESTS / PROTOCOLS / ENDS, end > 0));
        (answered, late) = (answered + ended.0, late + ended.1);
    }
    println!("{answered} requests while the proxy ended {ENDS} times, and {late} that came too late");
    assert!(answered >= REQUESTS);
    // Those that were on their way when their connection was said to take no more.
    assert!(late * 500 < answered, "{late} of {answered} came too late");
}
