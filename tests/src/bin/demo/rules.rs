//! The rules: what `init-redirect plan` says of them, in short, and what it reports to have installed.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{binaries, tool};

use crate::calls::Party;
use crate::pods;
use crate::report::{fact, item, say};

/// The plan that comes of the patched pod's own arguments and environment.
pub(crate) fn explain(pod: &Value) -> Result<()> {
    let containers = pod.pointer("/spec/initContainers").and_then(Value::as_array).into_iter().flatten();
    let mut containers = containers.filter(|container| pods::name(container) == api::pod::INIT_CONTAINER);
    let init = containers.next().context("the pod has no init container of ours")?;
    let mut plan = Command::new(binaries::init_redirect()?);
    plan.env_clear().arg("plan");
    for argument in init.get("args").and_then(Value::as_array).into_iter().flatten() {
        plan.arg(argument.as_str().unwrap_or_default());
    }
    for variable in init.get("env").and_then(Value::as_array).into_iter().flatten() {
        plan.env(pods::name(variable), variable.get("value").and_then(Value::as_str).unwrap_or_default());
    }
    let output = tool::run("init-redirect", &mut plan)?;
    let text = String::from_utf8(output.stdout).context("the plan is not text")?;
    text.lines().for_each(show);
    println!("\n   Installed by the init containers, as they report:\n");
    Ok(())
}

/// What the names of chains begin with.
const CHAINS: &str = "REMORA_";

/// A row of the plan's tables has cells two blanks apart: number, packet, action, reason, option. Any other line is text.
fn show(line: &str) {
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    match cells.as_slice() {
        ["#", ..] | [] => {}
        [number, packet, action, reason, ..] => item(number, &format!("{packet} -> {action}: {reason}")),
        _ if line.starts_with(CHAINS) => {
            println!();
            say(line);
        }
        _ => say(line),
    }
}

/// What the init containers left in their pods' state directories.
pub(crate) fn prove(parties: &[&Party<'_>]) -> Result<()> {
    for party in parties {
        let proxy = party.pod.container(api::pod::PROXY_CONTAINER)?;
        let path = format!("/proc/{}/root{}", proxy.pid(), api::pod::REDIRECT_REPORT);
        let report =
            std::fs::read_to_string(&path).with_context(|| format!("pod {}: no report", party.name))?;
        let report: Value = serde_json::from_str(&report).context("the report is not JSON")?;
        ensure!(report.get("result") == Some(&"applied".into()), "pod {}: not applied: {report}", party.name);
        let text = |key: &str| report.get(key).map(ToString::to_string).unwrap_or_default().replace('"', "");
        let steps = report.get("steps").and_then(Value::as_array).into_iter().flatten();
        let microseconds: u64 = steps.filter_map(|step| step.get("microseconds")?.as_u64()).sum();
        let what = format!(
            "{} by backend {}, {}, in {:.1} ms",
            text("result"),
            text("backend"),
            text("counts").trim_matches(['{', '}']).replace(',', ", ").replace(':', ": "),
            std::time::Duration::from_micros(microseconds).as_secs_f32() * 1000.0,
        );
        fact(party.name, &what);
    }
    Ok(())
}
