//! Rules of others that would disable ours are shown, and neither they nor ours are touched.

use tests::lab::Lab;
use tests::rules::{BACKENDS, Backend};

fn everything(lab: &Lab) -> String {
    BACKENDS.iter().map(|backend| backend.saved(&lab.pod.netns)).collect()
}

/// A run is refused, and its message has these parts.
fn refused(lab: &Lab, backend: Backend, parts: &[&str]) {
    let before = everything(lab);
    let output = lab.run(&[]);
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(22), "{}: {log}", backend.name);
    for part in parts {
        assert!(log.contains(part), "{}: {part}: {log}", backend.name);
    }
    assert_eq!(everything(lab), before, "{}", backend.name);
}

#[test]
fn a_table_of_others_that_takes_connections_first_is_shown() {
    for backend in BACKENDS {
        for priority in [-150, -100] {
            let lab = Lab::on(backend);
            lab.tool("nft add table inet theirs");
            lab.tool("nft add chain inet theirs called");
            let hook = format!("{{ type nat hook output priority {priority}; }}");
            lab.tool(&format!("nft add chain inet theirs early {hook}"));
            lab.tool("nft add rule inet theirs early jump called");
            lab.tool("nft add rule inet theirs called tcp dport 80 redirect to :99");
            refused(&lab, backend, &["inet theirs", "called", "redir", "handle"]);
        }
    }
}

#[test]
fn tables_that_come_later_or_concern_other_traffic_are_no_conflict() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        for line in [
            "nft add table inet theirs",
            "nft add chain inet theirs late { type nat hook output priority -90; }",
            "nft add rule inet theirs late tcp dport 80 redirect to :99",
            "nft add chain inet theirs early { type nat hook output priority -150; }",
            "nft add rule inet theirs early udp dport 80 redirect to :99",
            "nft add rule inet theirs early oif lo tcp dport 80 redirect to :99",
            "nft add rule inet theirs early tcp dport 80 accept",
        ] {
            lab.tool(line);
        }
        lab.install(&["--no-verify"]);
    }
}

#[test]
fn what_is_not_tracked_is_not_redirected_and_so_is_a_conflict() {
    for backend in BACKENDS {
        for line in [
            "nft add rule inet theirs raw tcp dport 80 notrack",
            "iptables-nft -t raw -A OUTPUT -p tcp -j CT --notrack",
            "iptables-legacy -t raw -A PREROUTING -p tcp -j CT --notrack",
        ] {
            let lab = Lab::on(backend);
            lab.tool("nft add table inet theirs");
            lab.tool("nft add chain inet theirs raw { type filter hook prerouting priority -300; }");
            lab.tool(line);
            refused(&lab, backend, &["not tracked"]);
        }
    }
}

#[test]
fn a_redirect_of_others_in_the_other_world_of_iptables_is_shown() {
    for (ours, theirs) in [("nft", "legacy"), ("iptables-nft", "legacy"), ("iptables-legacy", "nft")] {
        let backend = BACKENDS.into_iter().find(|backend| backend.name == ours).expect("a backend");
        let lab = Lab::on(backend);
        lab.tool(&format!(
            "iptables-{theirs} -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 99"
        ));
        refused(&lab, backend, &["PREROUTING", "REDIRECT"]);
    }
}

#[test]
fn an_accept_that_was_put_before_ours_is_shown_and_one_that_was_there_is_preceded() {
    for backend in BACKENDS.into_iter().filter(|backend| backend.runs_programs) {
        for program in [backend.name.to_owned(), backend.name.replacen("iptables", "ip6tables", 1)] {
            let lab = Lab::on(backend);
            lab.tool(&format!("{program} -t nat -A OUTPUT -p tcp -j ACCEPT"));
            lab.install(&[]);
            lab.tool(&format!("{program} -t nat -I OUTPUT -d 10.0.0.0/8 -p tcp -j ACCEPT").replace(
                "-d 10.0.0.0/8",
                if program.starts_with("ip6") { "-d 2001:db8::/32" } else { "-d 10.0.0.0/8" },
            ));
            refused(&lab, backend, &[&program, "nat", "OUTPUT", "-p tcp -j ACCEPT"]);
        }
    }
}

#[test]
fn rules_of_ours_stay_with_the_backend_that_holds_them() {
    for holder in BACKENDS {
        let lab = Lab::new();
        lab.install(&["--no-verify", &format!("--backend={}", holder.name)]);
        let again = lab.install(&["--no-verify"]);
        assert_eq!((&again["backend"], &again["changed"]), (&holder.name.into(), &false.into()), "{again}");
        for other in BACKENDS.into_iter().filter(|other| other.name != holder.name) {
            let before = everything(&lab);
            let output = lab.run(&[&format!("--backend={}", other.name)]);
            let log = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!(output.status.code(), Some(22), "{log}");
            assert!(log.contains(holder.name) && log.contains("init-redirect cleanup"), "{log}");
            assert_eq!(everything(&lab), before);
        }
    }
}
