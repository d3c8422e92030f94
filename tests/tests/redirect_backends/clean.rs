//! `cleanup` takes out what is ours and leaves the rest.

use tests::lab::Lab;
use tests::rules::BACKENDS;

use crate::failures::Programs;

/// Rules of others, beside ours in each of the backends' worlds.
const FOREIGN: [&str; 6] = [
    "iptables-nft -t nat -A OUTPUT -p udp --dport 53 -j ACCEPT",
    "ip6tables-nft -t filter -A INPUT -p tcp --dport 9 -j DROP",
    "iptables-legacy -t nat -N REMORAS_THEIRS",
    "iptables-legacy -t filter -A INPUT -p tcp --dport 9 -j DROP",
    "ip6tables-legacy -t nat -A POSTROUTING -p udp -j RETURN",
    "nft add table inet theirs",
];

/// Rules in every table that we use.
const OPTIONS: [&str; 4] = ["--redirect-dns", "--dns-servers=*", "--hold-until-ready", "--no-verify"];

/// What all programs show, without chains of the kernel that are empty: iptables makes these when it writes a table, and never
/// removes them.
fn rules(lab: &Lab) -> Vec<String> {
    let texts = BACKENDS.map(|backend| backend.saved(&lab.pod.netns)).concat();
    let lines =
        texts.lines().map(str::trim).filter(|line| !line.starts_with([':', '*']) && *line != "COMMIT");
    lines.map(str::to_owned).collect()
}

#[test]
fn everything_of_ours_goes_and_nothing_else() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        // The tables that ours will be in, so that nft shows the same before and after.
        lab.install(&OPTIONS);
        assert!(lab.run(&["cleanup"]).status.success());
        for line in FOREIGN {
            lab.tool(line);
        }
        let (before, links) = (rules(&lab), lab.links());
        lab.install(&OPTIONS);
        assert_ne!(rules(&lab), before, "{}", backend.name);
        for run in 0..3 {
            let output = lab.run(&["cleanup"]);
            assert!(output.status.success(), "{} {run}: {output:?}", backend.name);
            assert_eq!(rules(&lab), before, "{} {run}", backend.name);
        }
        assert_eq!(lab.links(), links, "{}", backend.name);
    }
}

#[test]
fn where_one_family_fails_the_other_is_clean() {
    for backend in BACKENDS.into_iter().filter(|backend| backend.runs_programs) {
        let lab = Lab::on(backend);
        lab.install(&["--no-verify"]);
        let programs = Programs::new();
        programs.replace(&format!("{}-restore", backend.name), "echo broken >&2; exit 1");
        let output = programs.run(&lab, &["cleanup"]);
        assert_eq!(output.status.code(), Some(30), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("broken"), "{output:?}");
        let v6 = lab.tool(&format!("{}-save", backend.name.replacen("iptables", "ip6tables", 1)));
        assert!(!v6.contains("REMORA"), "{v6}");
        assert!(lab.tool(&format!("{}-save", backend.name)).contains("REMORA"));
        assert!(lab.run(&["cleanup"]).status.success());
        assert!(!lab.tool(&format!("{}-save", backend.name)).contains("REMORA"));
    }
}
