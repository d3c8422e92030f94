//! An explanation for people.

use super::super::output::{Style, Table, Tone, line};
use super::effects::Effects;
use super::{Explanation, live};

pub(super) fn print(items: &[Explanation], style: Style) -> String {
    if items.is_empty() {
        return "no object with pods is known in the input\n".to_owned();
    }
    let all: Vec<String> = items.iter().map(|item| one(item, style)).collect();
    all.join("\n")
}

fn one(item: &Explanation, style: Style) -> String {
    let mut text = String::new();
    let place = item.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    let title = format!("{} in namespace {}{place}", item.object, item.namespace);
    line(&mut text, format_args!("{}", style.paint(Tone::Title, &title)));
    if let Some(running) = &item.running {
        text.push_str(&now(running, style));
    }
    decided(&mut text, item, style);
    section(&mut text, "Rules", style);
    text.push_str(&rules(item).print(style));
    section(&mut text, "Values", style);
    text.push_str(&values(item).print(style));
    if let Some(effects) = &item.effects {
        text.push_str(&affected(effects, style));
    }
    text
}

fn section(text: &mut String, name: &str, style: Style) {
    line(text, format_args!("\n{}", style.paint(Tone::Title, name)));
}

fn decided(text: &mut String, item: &Explanation, style: Style) {
    let tone = tone(item.verdict);
    let mut table = Table::indented(2);
    let intro = if item.running.is_some() {
        format!("created now: {}", item.verdict)
    } else {
        item.verdict.to_owned()
    };
    for (position, reason) in item.reasons.iter().enumerate() {
        let first = if position == 0 { intro.clone() } else { String::new() };
        table.row([(tone, first), (Tone::Plain, reason.to_string())]);
    }
    if let Some(sent) = &item.sent {
        let by = format!("by entry {} to {}", sent.entry, sent.path);
        table.row([(Tone::Quiet, "sent".to_owned()), (Tone::Plain, by)]);
    }
    for warning in &item.warnings {
        table.row([(Tone::Doubtful, "warning".to_owned()), (Tone::Plain, warning.clone())]);
    }
    text.push_str(&table.print(style));
}

fn tone(verdict: &str) -> Tone {
    match verdict {
        "inject" | "unchanged" => Tone::Good,
        "skip" | "warn" => Tone::Doubtful,
        "silent" | "note" => Tone::Quiet,
        _ => Tone::Bad,
    }
}

fn rules(item: &Explanation) -> Table {
    let mut table = Table::indented(2);
    for rule in &item.rules {
        let tone = tone(rule.outcome);
        let reasons = if rule.reasons.is_empty() { vec![String::new()] } else { texts(&rule.reasons) };
        for (position, reason) in reasons.into_iter().enumerate() {
            let (name, outcome) = if position == 0 { (rule.rule, rule.outcome) } else { ("", "") };
            table.row([(Tone::Plain, name.to_owned()), (tone, outcome.to_owned()), (Tone::Plain, reason)]);
        }
    }
    table
}

fn texts(reasons: &[super::Why]) -> Vec<String> {
    reasons.iter().map(ToString::to_string).collect()
}

fn values(item: &Explanation) -> Table {
    let mut table = Table::indented(2);
    table.head(["NAME", "VALUE", "SOURCE", "KEY"]);
    for value in &item.values {
        let tone = if value.source == "default" { Tone::Quiet } else { Tone::Good };
        let key = value.key.clone().unwrap_or_default();
        table.row([
            (Tone::Plain, value.name.to_owned()),
            (Tone::Plain, value.value.clone()),
            (tone, value.source.to_owned()),
            (Tone::Quiet, key),
        ]);
    }
    table
}

fn affected(effects: &Effects, style: Style) -> String {
    let mut text = String::new();
    section(&mut text, "Containers, in the order of their start", style);
    let mut table = Table::indented(2);
    for (number, container) in (1..).zip(&effects.containers) {
        let (tone, added) = if container.added { (Tone::Good, "added") } else { (Tone::Plain, "") };
        table.row([
            (Tone::Quiet, number.to_string()),
            (Tone::Plain, container.name.clone()),
            (Tone::Plain, container.kind.to_owned()),
            (tone, added.to_owned()),
        ]);
    }
    text.push_str(&table.print(style));
    security(&mut text, effects, style);
    probes(&mut text, effects, style);
    section(&mut text, "Notes", style);
    for note in &effects.notes {
        line(&mut text, format_args!("  {}", style.paint(Tone::Plain, note)));
    }
    text
}

fn security(text: &mut String, effects: &Effects, style: Style) {
    section(text, "Pod Security and Quality of Service", style);
    let change = |before: &str, after: &str| {
        if before == after {
            format!("{after}, as before")
        } else {
            format!("{before} before, {after} after")
        }
    };
    let security = &effects.pod_security;
    let mut table = Table::indented(2);
    let levels = change(security.before.as_str(), security.after.as_str());
    table.row([(Tone::Quiet, "level".to_owned()), (Tone::Plain, levels)]);
    for added in &security.added {
        let what = format!("{} (not allowed by {})", added.what, added.level.as_str());
        table.row([(Tone::Quiet, String::new()), (Tone::Plain, what)]);
    }
    if let Some(enforced) = security.enforced {
        let fits = security.after >= enforced;
        let (tone, what) =
            if fits { (Tone::Good, "allows it") } else { (Tone::Bad, "refuses the injected pod") };
        let enforced = format!("the namespace enforces {}, which {what}", enforced.as_str());
        table.row([(Tone::Quiet, "enforced".to_owned()), (tone, enforced)]);
    }
    let classes = change(effects.qos.before.as_str(), effects.qos.after.as_str());
    table.row([(Tone::Quiet, "class".to_owned()), (Tone::Plain, classes)]);
    text.push_str(&table.print(style));
}

fn probes(text: &mut String, effects: &Effects, style: Style) {
    if effects.probes.is_empty() {
        return;
    }
    section(text, "Probes and lifecycle handlers", style);
    let mut table = Table::indented(2);
    table.head(["CONTAINER", "PROBE", "HANDLER", "BECOMES"]);
    for probe in &effects.probes {
        let (tone, after) = match &probe.after {
            Some(after) => (Tone::Good, after.clone()),
            None => (Tone::Quiet, "stays".to_owned()),
        };
        table.row([
            (Tone::Plain, probe.container.clone()),
            (Tone::Plain, probe.probe.to_owned()),
            (Tone::Plain, probe.before.clone()),
            (tone, after),
        ]);
    }
    text.push_str(&table.print(style));
}

fn now(running: &live::Running, style: Style) -> String {
    let mut table = Table::indented(2);
    let (tone, state) =
        if running.injected { (Tone::Good, "injected") } else { (Tone::Doubtful, "not injected") };
    let mut first = state.to_owned();
    for finding in &running.findings {
        table.row([(tone, std::mem::take(&mut first)), (Tone::Plain, finding.clone())]);
    }
    table.row([(Tone::Quiet, first), (Tone::Plain, format!("created at {}", running.created))]);
    if let Some(remedy) = &running.remedy {
        table.row([(Tone::Quiet, "remedy".to_owned()), (Tone::Plain, remedy.clone())]);
    }
    table.print(style)
}
