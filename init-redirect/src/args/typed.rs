//! What was typed, as texts: each option's own and Istio's for it, with the name under which the user knows it.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::istio::{self, ALIASES, Alias, Meaning};
use super::problem::BadOption;
use super::table::{ROWS, Row};
use crate::options::Flag;

/// The options, as typed.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Our own.
    own: Vec<(Flag, String)>,
    /// Istio's that were typed, by their number among [`ALIASES`].
    istio: Vec<(usize, String)>,
}

/// An option's text, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) name: String,
    pub(super) value: String,
}

/// The texts of the options that were typed; each is here once.
pub(super) struct Texts(Vec<(Flag, Text)>);

impl Texts {
    /// What was typed, or else what holds by default.
    pub(super) fn get(&self, flag: Flag) -> Text {
        self.find(flag).cloned().unwrap_or_else(|| {
            let row = ROWS.iter().find(|row| row.flag == flag);
            Text { name: own_name(flag), value: row.map(Row::default).unwrap_or_default() }
        })
    }

    fn find(&self, flag: Flag) -> Option<&Text> {
        self.0.iter().find(|(of, _)| *of == flag).map(|(_, text)| text)
    }

    /// Two names for one option have to agree.
    fn add(&mut self, flag: Flag, text: Text, bad: &mut Vec<BadOption>) {
        match self.find(flag) {
            None => self.0.push((flag, text)),
            Some(before) if before.value.trim() == text.value.trim() => {}
            Some(before) => bad.push(BadOption {
                problem: format!("{} says {:?}", before.name, before.value),
                option: text.name,
                value: text.value,
                allowed: "the same value, or one of the two alone".to_owned(),
            }),
        }
    }
}

fn own_name(flag: Flag) -> String {
    format!("{flag} ({})", flag.env())
}

impl Typed {
    /// Each option's text, and the further inbound ports that Istio's options leave alone.
    pub(super) fn texts(&self, bad: &mut Vec<BadOption>) -> (Texts, Vec<Text>) {
        let own =
            |(flag, value): &(Flag, String)| (*flag, Text { name: own_name(*flag), value: value.clone() });
        let mut texts = Texts(self.own.iter().map(own).collect());
        let mut tunnels = Vec::new();
        for (index, value) in &self.istio {
            let Some(alias) = ALIASES.get(*index) else { continue };
            let text = Text { name: alias.name(), value: value.clone() };
            match alias.meaning {
                Meaning::Is(flag) => texts.add(flag, text, bad),
                Meaning::On(flag, value) if on(&text.value) => {
                    texts.add(flag, Text { value: value.to_owned(), ..text }, bad);
                }
                Meaning::Binary if ["nft", "legacy"].contains(&text.value.trim()) => {
                    let value = format!("iptables-{}", text.value.trim());
                    texts.add(Flag::Backend, Text { value, ..text }, bad);
                }
                Meaning::Tunnel => tunnels.push(text),
                Meaning::Nothing | Meaning::On(..) => {}
                Meaning::Binary | Meaning::Mode | Meaning::User | Meaning::Never(_) => {
                    bad.extend(refused(alias.meaning, text));
                }
            }
        }
        // Istio's proxy has the group of its user's number where no group is given.
        let uid = texts.find(Flag::ProxyUid).filter(|uid| uid.name != own_name(Flag::ProxyUid)).cloned();
        if let (Some(uid), None) = (uid, texts.find(Flag::ProxyGid)) {
            texts.0.push((Flag::ProxyGid, uid));
        }
        (texts, tunnels)
    }
}

/// What is wrong with an argument that we only honour where it asks for what we do anyway.
fn refused(meaning: Meaning, Text { name: option, value }: Text) -> Option<BadOption> {
    let bad = |problem: &str, allowed: &str| {
        Some(BadOption {
            option,
            problem: problem.to_owned(),
            allowed: allowed.to_owned(),
            value: value.clone(),
        })
    };
    let is = |accepted: &[&str]| accepted.iter().any(|accepted| value.trim().eq_ignore_ascii_case(accepted));
    match meaning {
        Meaning::Mode if is(&["tproxy"]) => {
            bad("TPROXY is not supported: only REDIRECT is proven to fail closed", "REDIRECT")
        }
        Meaning::Mode if is(&["none"]) => bad(
            "without redirection there is nothing to install",
            "REDIRECT, or a pod without this container",
        ),
        Meaning::Mode if !is(&["", "redirect"]) => bad("not a mode", "REDIRECT"),
        Meaning::User if !is(&["", "istio-proxy"]) => bad(
            "names of users are not looked up",
            "istio-proxy; the proxy's number belongs into --proxy-uid",
        ),
        Meaning::Binary if !is(&[""]) => bad("not a kind of iptables", "nft or legacy"),
        Meaning::Never(remedy) if on(&value) => bad("not supported here", remedy),
        Meaning::Mode
        | Meaning::User
        | Meaning::Binary
        | Meaning::Never(_)
        | Meaning::Is(_)
        | Meaning::On(..)
        | Meaning::Tunnel
        | Meaning::Nothing => None,
    }
}

fn on(value: &str) -> bool {
    !value.trim().is_empty() && switch(value.trim()) != Some(false)
}

/// What Go programs take as a switch, in any case of letters.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let own = ROWS.iter().map(|row| row.flag);
        let own = own.filter_map(|flag| Some((flag, matches.get_one::<String>(flag.long())?.clone())));
        let istio = ALIASES.iter().enumerate();
        let istio = istio.filter_map(|(index, alias): (usize, &Alias)| Some((index, alias.typed(matches)?)));
        Ok(Self { own: own.collect(), istio: istio.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Typed {
    fn augment_args(command: Command) -> Command {
        istio::augment(command.args(ROWS.iter().map(Row::arg)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
