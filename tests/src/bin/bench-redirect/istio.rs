//! The processes that Istio's init container runs with its default options, replayed: it finds out which iptables to use by
//! trying, of each family, the legacy one and then the nft one; it looks for rules of its own, restores, and looks again.
//!
//! The rules are those that its injection template asks for, for a pod with both families.

use std::io::{Seek, Write};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use tests::netns::Netns;

use crate::measure::{self, Times};

/// How many processes that are.
pub(crate) const PROCESSES: usize = 22;

/// A rule that no packet matches.
const PROBE: [&str; 6] = ["INPUT", "-p", "255", "-j", "DROP", "--wait"];

pub(crate) fn times(runs: usize) -> Result<Times> {
    measure::times(runs, |pod| {
        let mut outputs = family(pod, "iptables", &rules("127.0.0.6/32", "127.0.0.1/32"))?;
        outputs.extend(family(pod, "ip6tables", &rules("::6/128", "::1/128"))?);
        Ok(outputs)
    })
}

fn family(pod: &Netns, program: &str, rules: &str) -> Result<Vec<Output>> {
    let mut outputs = Vec::new();
    for kind in ["legacy", "nft"] {
        let name = format!("{program}-{kind}");
        outputs.push(run(pod, Command::new(format!("{name}-save")))?);
        outputs.push(run(pod, with(&name, &["--version"]))?);
        for action in ["-A", "-D"] {
            outputs.push(run(pod, with(&name, &[&["-t", "filter", action], &PROBE[..]].concat()))?);
        }
    }
    let name = format!("{program}-nft");
    outputs.push(run(pod, Command::new(format!("{name}-save")))?);
    let mut input = tempfile::tempfile().context("a file for rules")?;
    input.write_all(rules.as_bytes()).and_then(|()| input.rewind()).context("writing rules")?;
    let mut restore = with(&format!("{name}-restore"), &["--noflush"]);
    restore.stdin(input);
    outputs.push(run(pod, restore)?);
    outputs.push(run(pod, Command::new(format!("{name}-save")))?);
    Ok(outputs)
}

fn with(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn run(pod: &Netns, mut command: Command) -> Result<Output> {
    pod.output(&mut command).context("Debian's package iptables has these programs")
}

fn rules(passthrough: &str, loopback: &str) -> String {
    let mut text = "*nat\n".to_owned();
    for chain in ["ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT"] {
        text += &format!(":{chain} - [0:0]\n");
    }
    text += "-A PREROUTING -p tcp -j ISTIO_INBOUND\n-A OUTPUT -j ISTIO_OUTPUT\n";
    for port in [15008, 15090, 15021, 15020] {
        text += &format!("-A ISTIO_INBOUND -p tcp --dport {port} -j RETURN\n");
    }
    text += "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT\n";
    text += "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n";
    text += "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n";
    text += &format!("-A ISTIO_OUTPUT -o lo -s {passthrough} -j RETURN\n");
    for owner in ["--uid-owner 1337", "--gid-owner 1337"] {
        text += &format!(
            "-A ISTIO_OUTPUT -o lo ! -d {loopback} -p tcp ! --dport 15008 -m owner {owner} -j ISTIO_IN_REDIRECT\n\
             -A ISTIO_OUTPUT -o lo -m owner ! {owner} -j RETURN\n\
             -A ISTIO_OUTPUT -m owner {owner} -j RETURN\n"
        );
    }
    text += &format!("-A ISTIO_OUTPUT -d {loopback} -j RETURN\n-A ISTIO_OUTPUT -j ISTIO_REDIRECT\nCOMMIT\n");
    text
}
