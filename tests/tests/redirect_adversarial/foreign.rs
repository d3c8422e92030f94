//! Rules of others in the same namespace, before and after ours, in both worlds of iptables.

use std::net::SocketAddr;

use tests::lab::{APP, Lab, captured};
use tests::rules::{BACKENDS, Backend, each_backend};

/// Rules that do not concern ours, one line for each program.
const FOREIGN: [&str; 8] = [
    "iptables-nft -t nat -A OUTPUT -p udp --dport 53 -d 192.0.2.1 -j DNAT --to-destination 192.0.2.2",
    "ip6tables-nft -t filter -A INPUT -p tcp --dport 9 -j DROP",
    "iptables-legacy -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE",
    "iptables-legacy -t filter -A INPUT -p tcp --dport 9 -j DROP",
    "ip6tables-legacy -t mangle -A PREROUTING -m conntrack --ctstate INVALID -p udp -j DROP",
    "nft add table inet theirs",
    "nft add chain inet theirs early { type nat hook output priority -150; }",
    "nft add rule inet theirs early udp dport 9 counter",
];

/// What all programs together show.
fn everything(lab: &Lab) -> String {
    BACKENDS.iter().map(|backend| backend.saved(&lab.pod.netns)).collect()
}

fn lands(lab: &Lab, backend: Backend) {
    for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
        let outbound = captured("outbound", SocketAddr::new(remote, 80));
        assert_eq!(lab.pod_calls(APP, remote, 80), outbound, "{}", backend.name);
        let inbound = captured("inbound", SocketAddr::new(pod, 8080));
        assert_eq!(lab.remote_calls(pod, 8080), inbound, "{}", backend.name);
    }
}

#[test]
fn rules_of_others_from_before_stay_and_do_no_harm() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.serve();
        for line in FOREIGN {
            lab.tool(line);
        }
        let before = everything(&lab);
        lab.install(&[]);
        lands(&lab, backend);
        let after = everything(&lab);
        let kept: Vec<&str> =
            before.lines().filter(|line| after.lines().any(|other| other == *line)).collect();
        assert_eq!(kept, before.lines().collect::<Vec<_>>(), "{}\n{after}", backend.name);
    });
}

#[test]
fn rules_of_others_from_afterwards_stay_and_do_no_harm() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.serve();
        lab.install(&[]);
        for line in FOREIGN {
            lab.tool(line);
        }
        let before = everything(&lab);
        assert_eq!(lab.install(&[])["changed"], false, "{}", backend.name);
        assert_eq!(everything(&lab), before, "{}", backend.name);
        lands(&lab, backend);
    });
}
