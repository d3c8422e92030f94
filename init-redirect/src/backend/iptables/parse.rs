//! One rule of ours, from the text that `iptables-save` prints. What we never write is not understood.

use std::str::FromStr;

use super::ruleset::{Protocol, Rule, Side, State, TCP_FLAGS, Target, Word};
use crate::options::{IdRange, Port, PortRange};

/// A text is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not understood")]
pub(super) struct Malformed(pub(super) String);

/// The rule that follows `-A CHAIN`.
pub(super) fn rule(text: &str) -> Result<Rule, Malformed> {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: tokens.iter().map(String::as_str), protocol: None };
    reader.rule().ok_or_else(|| Malformed(text.to_owned()))
}

/// The target or the chain that a rule leads to.
pub(super) fn target_name(rule: &str) -> Option<String> {
    let mut tokens = tokens(rule).into_iter().skip_while(|token| token != "-j" && token != "-g");
    tokens.nth(1)
}

/// The built-in chains that we know.
pub(super) fn built_in(name: &str) -> Option<&'static str> {
    ["PREROUTING", "INPUT", "OUTPUT"].into_iter().find(|known| *known == name)
}

/// Words; one may be in quotes, in which a backslash takes the next character as it is.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut token, mut quoted) = (Vec::new(), None::<String>, false);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                token.get_or_insert_default();
            }
            '\\' if quoted => token.get_or_insert_default().extend(characters.next()),
            ' ' if !quoted => tokens.extend(token.take()),
            other => token.get_or_insert_default().push(other),
        }
    }
    tokens.extend(token);
    tokens
}

struct Reader<I> {
    tokens: I,
    /// Of the module whose options are read.
    protocol: Option<Protocol>,
}

impl<'a, I: Iterator<Item = &'a str>> Reader<I> {
    fn rule(&mut self) -> Option<Rule> {
        let mut words = Vec::new();
        loop {
            let token = self.tokens.next()?;
            let (not, token) = if token == "!" { (true, self.tokens.next()?) } else { (false, token) };
            match token {
                "-j" if !not => {
                    let target = self.target()?;
                    return self.tokens.next().is_none().then(|| Rule::new(words, target));
                }
                "-m" if !not => self.protocol = protocol(self.tokens.next()?),
                _ => words.push(self.word(not, token)?),
            }
        }
    }

    fn word(&mut self, not: bool, option: &str) -> Option<Word> {
        let value = self.tokens.next()?;
        Some(match (option, not) {
            ("-s", _) => Word::Source { not, network: value.parse().ok()? },
            ("-d", _) => Word::Destination { not, network: value.parse().ok()? },
            ("-i", _) => Word::In { not, interface: value.to_owned() },
            ("-o", _) => Word::Out { not, interface: value.to_owned() },
            ("-p", false) => Word::Protocol(protocol(value)?),
            ("--sport", _) => self.port(Side::Source, not, value)?,
            ("--dport", _) => self.port(Side::Destination, not, value)?,
            ("--sports", _) => Word::Ports { side: Side::Source, not, ranges: port_ranges(value)? },
            ("--dports", _) => Word::Ports { side: Side::Destination, not, ranges: port_ranges(value)? },
            ("--tcp-flags", false) => {
                Word::TcpFlags { mask: flags(value)?, set: flags(self.tokens.next()?)? }
            }
            ("--uid-owner", _) => Word::Uid { not, range: IdRange::from_str(value).ok()? },
            ("--gid-owner", _) => Word::Gid { not, range: IdRange::from_str(value).ok()? },
            ("--ctstate", _) => Word::State { not, state: state(value)? },
            ("--ctorigdstport", false) => Word::OriginalPort(port_range(value)?),
            ("--u32", false) => Word::Bytes(value.to_owned()),
            _ => return None,
        })
    }

    fn port(&self, side: Side, not: bool, value: &str) -> Option<Word> {
        Some(Word::Port { protocol: self.protocol?, side, not, range: port_range(value)? })
    }

    fn target(&mut self) -> Option<Target> {
        let name = self.tokens.next()?;
        let mut argument = |option| (self.tokens.next()? == option).then(|| self.tokens.next())?;
        match name {
            "RETURN" => Some(Target::Return),
            "DROP" => Some(Target::Drop),
            "REJECT" => (argument("--reject-with")? == "tcp-reset").then_some(Target::Reset),
            "REDIRECT" => argument("--to-ports")?.parse().ok().map(Target::Redirect),
            "CT" => argument("--zone")?.parse().ok().map(Target::Zone),
            _ => None,
        }
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp].into_iter().find(|protocol| protocol.as_str() == text)
}

fn state(text: &str) -> Option<State> {
    [State::Invalid, State::Dnat].into_iter().find(|state| state.as_str() == text)
}

fn port_range(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    PortRange::new(Port::from_str(first).ok()?, Port::from_str(last).ok()?)
}

fn port_ranges(text: &str) -> Option<Vec<PortRange>> {
    text.split(',').map(port_range).collect()
}

fn flags(text: &str) -> Option<u8> {
    if text == "NONE" {
        return Some(0);
    }
    let flag = |name| TCP_FLAGS.iter().find(|(known, _)| *known == name).map(|(_, flag)| flag);
    text.split(',').try_fold(0, |flags, name| Some(flags | flag(name)?))
}
