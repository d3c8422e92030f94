//! Rules that are replaced while connections are opened: none of them slips through in between.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::lab::{APP, Lab, captured};
use tests::rules::each_backend;

/// Two plans, both of which capture what the test sends.
const PLANS: [&[&str]; 2] =
    [&["--verify=off"], &["--verify=off", "--exclude-inbound-ports=22", "--proxy-uid=2000"]];

#[test]
fn every_connection_is_captured_by_the_old_rules_or_by_the_new() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.install(PLANS[0]);
        lab.serve();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let calls = scope.spawn(|| {
                let mut called = 0;
                while !done.load(Ordering::SeqCst) {
                    for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
                        let place = format!("{} after {called}", backend.name);
                        let outbound = captured("outbound", SocketAddr::new(remote, 80));
                        assert_eq!(lab.pod_calls(APP, remote, 80), outbound, "{place}");
                        let inbound = captured("inbound", SocketAddr::new(pod, 8080));
                        assert_eq!(lab.remote_calls(pod, 8080), inbound, "{place}");
                        called += 1;
                    }
                }
                called
            });
            for plan in PLANS.iter().rev().cycle().take(30) {
                let output = lab.run(plan);
                if !output.status.success() || calls.is_finished() {
                    done.store(true, Ordering::SeqCst);
                }
                assert!(output.status.success(), "{output:?}");
            }
            done.store(true, Ordering::SeqCst);
            assert!(calls.join().expect("the calls") > 0);
        });
    });
}
