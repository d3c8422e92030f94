//! A run leaves nothing but rules, and takes away what one that was killed left.

use std::process::Command;

use tests::lab::Lab;

use crate::verdict::Verdict;

/// The link that packets from outside come through.
const LINK: &str = "remora-verify";

fn links(lab: &Lab) -> String {
    lab.tool("ip -o link")
}

#[test]
fn a_run_leaves_no_link_no_route_and_no_neighbour() {
    let lab = Lab::new();
    // Puts the proxy's addresses on lo, which stay.
    lab.install(&["--no-verify"]);
    let state = || {
        ["ip -o link", "ip -o -4 address", "ip route show table all", "ip -6 route show table all"]
            .map(|line| lab.tool(line))
    };
    let before = state();
    assert_eq!(Verdict::of(&lab, &[]).unproven, [""; 0]);
    assert_eq!(state(), before);
    assert_eq!(lab.tool("ip neigh show dev lo"), "");
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    for arguments in [&[][..], &["--no-verify"]] {
        let lab = Lab::new();
        let mut found = 0;
        // The messages that make the link, give it addresses and take it away are among these.
        for number in 1..200 {
            let mut strace = Command::new("strace");
            strace.args(["-qq", "-o", "/dev/null", "-e", "trace=sendto"]);
            strace.arg("-e").arg(format!("inject=sendto:signal=KILL:when={number}"));
            let program = lab.command(&[]);
            let output = lab
                .pod
                .netns
                .output(strace.arg(program.get_program()))
                .expect("Debian's package strace has it");
            if !links(&lab).contains(LINK) {
                if output.status.success() {
                    break;
                }
                continue;
            }
            found += 1;
            let next = Verdict::of(&lab, arguments);
            assert_eq!((next.exit_code, &next.unproven[..]), (0, &[][..]), "killed at message {number}");
            assert!(!links(&lab).contains(LINK), "killed at message {number}");
        }
        assert!(found >= 5, "the link was left by {found} runs");
    }
}
