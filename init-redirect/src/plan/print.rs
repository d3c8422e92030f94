//! The plan for people: a table for each chain.

use std::fmt;

use super::rule::{Action, ChainName, Match, Point, Purpose, Rule};
use super::{Chain, Plan};

const HEADINGS: [&str; 5] = ["#", "packet", "action", "reason", "option"];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "For IPv4 and IPv6. In each chain the first rule that matches decides; the rest is left alone."
        )?;
        self.chains.iter().try_for_each(|chain| table(f, chain))?;
        match (self.sources.first(), self.sources.last()) {
            (Some(first), Some(last)) => {
                writeln!(
                    f,
                    "\nlo gets the addresses {first} to {last}, from which the proxy calls the application."
                )
            }
            _ => Ok(()),
        }
    }
}

fn table(f: &mut fmt::Formatter<'_>, Chain { name, hook, rules }: &Chain) -> fmt::Result {
    let rows: Vec<Row> = rules.iter().zip(1..).map(|(rule, number)| row(number, rule)).collect();
    let widths = widths(&rows);
    writeln!(f, "\n{}: {} ({}, {})\n", name.as_str(), name.meaning(), hook.purpose, hook.point)?;
    line(f, &HEADINGS.map(str::to_owned), widths)?;
    rows.iter().try_for_each(|row| line(f, row, widths))
}

type Row = [String; HEADINGS.len()];

fn row(number: u32, rule: &Rule) -> Row {
    let action = rule.action.to_string();
    [number.to_string(), conditions(&rule.matches), action, rule.reason.to_owned(), options(rule)]
}

/// What a packet has to be for a rule to match.
pub(crate) fn conditions(matches: &[Match]) -> String {
    let matches: Vec<_> = matches.iter().map(ToString::to_string).collect();
    if matches.is_empty() { "anything".to_owned() } else { matches.join(", ") }
}

/// What caused the rule.
pub(super) fn options(rule: &Rule) -> String {
    let options: Vec<_> = rule.options.iter().map(ToString::to_string).collect();
    if options.is_empty() { "always".to_owned() } else { options.join(", ") }
}

/// The widest cell of each column.
fn widths(rows: &[Row]) -> [usize; HEADINGS.len()] {
    rows.iter().fold(HEADINGS.map(str::len), |mut widths, row| {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
        widths
    })
}

/// Cells two blanks apart; nothing pads the end of a line.
fn line(f: &mut fmt::Formatter<'_>, row: &Row, widths: [usize; HEADINGS.len()]) -> fmt::Result {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(&format!("  {cell:width$}"));
    }
    writeln!(f, "{}", line.trim_end())
}

impl ChainName {
    const fn meaning(self) -> &'static str {
        match self {
            Self::Inbound => "what others send to the pod",
            Self::Outbound => "what the pod's processes send",
            Self::Guard => "what must not reach a socket of the pod",
            Self::Hold => "what tells a client that the proxy is not there yet",
            Self::ZoneIn => "how arriving answers of DNS are tracked",
            Self::ZoneOut => "how DNS of the pod's processes is tracked",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nat => "nat",
            Self::Filter => "filter",
            Self::Raw => "raw",
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(family) => family.fmt(f),
            Self::FromLoopback(true) => f.write_str("from lo"),
            Self::FromLoopback(false) => f.write_str("not from lo"),
            Self::ToLoopback => f.write_str("to lo"),
            Self::Owner(owner) => write!(f, "of uid {} and gid {}", owner.uid, owner.gid),
            Self::FromInterface(interface) => write!(f, "from interface {interface}"),
            Self::ToInterface(interface) => write!(f, "to interface {interface}"),
            Self::Uid(ids) => write!(f, "of uid {ids}"),
            Self::UidNot(ids) => write!(f, "not of uid {ids}"),
            Self::Gid(ids) => write!(f, "of gid {ids}"),
            Self::GidNot(ids) => write!(f, "not of gid {ids}"),
            Self::Udp => f.write_str("UDP"),
            Self::Tcp => f.write_str("TCP"),
            Self::TcpSyn => f.write_str("TCP SYN"),
            Self::TcpRefusal => f.write_str("TCP RST of a port without a listener"),
            Self::DestinationPort(ports) => write!(f, "port {ports}"),
            Self::DestinationPortNot(ports) => write!(f, "any port but {ports}"),
            Self::SourcePort(ports) => write!(f, "from port {ports}"),
            Self::SourceV4(networks) => write!(f, "from {}", List(networks)),
            Self::SourceV6(networks) => write!(f, "from {}", List(networks)),
            Self::DestinationV4(networks) => write!(f, "to {}", List(networks)),
            Self::DestinationV6(networks) => write!(f, "to {}", List(networks)),
            Self::OriginalDestinationPort(ports) => write!(f, "sent to port {ports}"),
            Self::Translated(true) => f.write_str("redirected"),
            Self::Translated(false) => f.write_str("not redirected"),
            Self::Invalid => f.write_str("of no known connection"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leave => f.write_str("leave"),
            Self::Redirect(port) => write!(f, "to port {port}"),
            Self::Reset => f.write_str("reset"),
            Self::Drop => f.write_str("drop"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
        }
    }
}

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
