//! What hostile peers make the proxy hold: at no time more than four times what was sent to it, and 64 KiB; of HTTP/2 more, since the
//! library has tables and records for each connection and stream ([`http2`] says how much).
//!
//! The proxy runs in this process, whose allocator counts; a binary of its own, since one that ran other tests beside would
//! count those too. Peers are sockets without a thread ([`peers`]), and say what was made before they are measured, so that what
//! is counted meanwhile is the proxy's. Bytes of both peers count as sent: whoever wants a proxy to hold what a server sends has to
//! find one that sends it. Scrapers send nothing worth mentioning, and are worth a piece of their answer each. `cfg(test)` tells clippy that helpers are test code too.

#[cfg(test)]
mod http1;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod scrape;
#[cfg(test)]
#[path = "../component/support.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod support;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Tests run beside each other, and what is measured must not.
#[cfg(test)]
type Alone = std::sync::MutexGuard<'static, ()>;

/// Before anything is made for a test.
#[cfg(test)]
fn alone() -> Alone {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What is held of metrics and such when a case is over.
#[cfg(test)]
const SLACK: usize = 64 * 1024;

/// A peer on each side of the proxy, and what they do.
#[cfg(test)]
struct Case {
    name: &'static str,
    client: peers::Part,
    server: peers::Part,
    /// In heads, beyond a few in each.
    fields: usize,
}

/// Whether each of `cases`, on a connection of its own, makes the proxy hold no more than it may by what was sent; after `ordinary`,
/// for which the proxy makes what it has once for all.
#[cfg(test)]
fn measure(_: &Alone, (ordinary, cases): (&Case, &[Case]), may_hold: fn(&Case, usize) -> usize) {
    let proxy = support::Proxy::start(&["--http-request-id", "keep", "--access-log", "off"]);
    for _ in 0..2 {
        let sent = peers::play(&proxy, ordinary);
        assert!(sent.by_client > 0 && sent.by_server > 0, "{}: {sent:?}", ordinary.name);
    }
    let mut failures = Vec::with_capacity(cases.len());
    let at_rest = MEMORY.current_usage();
    for case in cases {
        support::eventually("what was held is given back", || MEMORY.current_usage() < at_rest + SLACK);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let sent = peers::play(&proxy, case);
        let held = MEMORY.peak_usage().saturating_sub(before);
        let told = format!("{}: {held} bytes were held, {sent:?}", case.name);
        println!("{told}");
        // Whoever has said nothing has tested nothing.
        let is_played = (case.client.says.is_empty() || sent.by_client > 0)
            && (case.server.says.is_empty() || sent.by_server > case.server.greets.len());
        if !is_played || held > may_hold(case, sent.by_client + sent.by_server) {
            failures.push(told);
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
