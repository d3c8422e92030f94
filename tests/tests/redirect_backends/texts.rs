//! The texts of `plan`, given to the programs that they are for, are the rules that a run makes.

use std::io::Write;
use std::process::{Command, Stdio};

use tests::lab::Lab;
use tests::rules::BACKENDS;

const SETS: [&[&str]; 4] = [
    &[],
    &[
        "--include-inbound-ports=80,8000-8100,65535",
        "--exclude-inbound-ports=1,3,5,7,9,11,13,15,17,19,21,23,25,27,29-30,8050",
        "--exclude-outbound-cidrs=10.0.0.1,10.0.0.2,255.0.0.0/8,2001:db8::/32,ffff::/16",
        "--include-outbound-cidrs=0.0.0.0/0,::/0",
        "--include-outbound-ports=1-65535",
    ],
    &[
        "--redirect-dns",
        "--dns-servers=10.96.0.53,2001:db8:53::53",
        "--hold-until-ready",
        "--include-interfaces=eth0,net+",
        "--virtual-interfaces=tap0",
        "--exclude-uids=100,200-300",
        "--exclude-inbound-cidrs=192.0.2.0/24,2001:db8:2::/48",
    ],
    &["--families=ipv6", "--capture-established"],
];

fn plan(lab: &Lab, arguments: &[&str], output: &str) -> String {
    let arguments = [arguments, &["plan", "--output", output]].concat();
    let output = lab.run(&arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a program of the pod with a text as its input.
fn feed(lab: &Lab, line: &str, text: &str) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).stdin(Stdio::piped()).stderr(Stdio::piped());
    let run = || {
        let mut child = command.spawn().expect("Debian's packages iptables and nftables have it");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    let output = lab.pod.netns.run(run).expect("the namespace");
    assert!(output.status.success(), "{line}: {output:?}\n{text}");
}

#[test]
fn what_iptables_restore_makes_of_the_text_is_the_plan() {
    for backend in BACKENDS.into_iter().filter(|backend| backend.runs_programs) {
        for arguments in SETS {
            let lab = Lab::on(backend);
            let text = plan(&lab, arguments, "iptables");
            for family in ["iptables", "ip6tables"] {
                feed(
                    &lab,
                    &format!("{}-restore --noflush", backend.name.replacen("iptables", family, 1)),
                    &text,
                );
            }
            let saved = backend.saved(&lab.pod.netns);
            // What is never asked is not installed: of one family's plan the other has only a rule that leaves all alone.
            let expected = arguments.contains(&"--families=ipv6");
            lab.install(&[arguments, &["--no-verify"]].concat());
            assert_eq!(backend.saved(&lab.pod.netns) != saved, expected, "{} {arguments:?}", backend.name);
        }
    }
}

#[test]
fn what_nft_makes_of_the_text_is_the_plan() {
    for arguments in SETS {
        let [by_nft, by_us] = [Lab::new(), Lab::new()];
        feed(&by_nft, "nft -f -", &plan(&by_nft, arguments, "nft"));
        by_us.install(&[arguments, &["--backend=nft", "--no-verify"]].concat());
        let [by_nft, by_us] = [by_nft, by_us].map(|lab| lab.nft(&["-s", "list", "ruleset"]));
        assert_eq!(by_nft, by_us, "{arguments:?}");
    }
}
