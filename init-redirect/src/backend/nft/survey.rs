//! What else lies in the kernel's nftables: tables of others that come before ours, and rules of ours that iptables put there.
//!
//! A base chain for NAT at our hooks with the same or a lower priority is asked before ours or may be, and the first that
//! translates a connection decides; accepting it is no decision. Rules are not understood here, but looked through for what
//! would take a connection.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::socket::SockProtocol;

use super::socket::Socket;
use super::sys::{self, chain, cmp, compat, expr, foreign, immediate, meta, msg, rule};
use super::{unopened, unreadable};
use crate::backend::{Conflict, Error};
use crate::netlink::wire::{Attributes, Malformed, Message, netfilter_header};
use crate::netlink::{self, Failure};

/// What the names of our chains begin with, where iptables keeps them.
const OWN_PREFIX: &str = "REMORA_";

/// How deep chains call each other at most: the kernel's own limit.
const DEPTH: u32 = 16;

const TAKES: &str = "it takes connections that ours would redirect";
const UNTRACKED: &str = "a connection that is not tracked is never redirected";

/// Targets of iptables that take a connection.
const TAKE: [&str; 4] = ["REDIRECT", "DNAT", "NETMAP", "TPROXY"];

/// What was found.
#[derive(Debug, Default)]
pub(in super::super) struct Survey {
    chains: Vec<Chain>,
}

#[derive(Debug)]
struct Chain {
    family: u8,
    table: String,
    name: String,
    /// Type, hook and priority.
    base: Option<(String, u32, i32)>,
    rules: Vec<Rule>,
}

#[derive(Debug, Default)]
struct Rule {
    handle: u64,
    expressions: Vec<String>,
    takes: bool,
    untracks: bool,
    calls: Vec<String>,
    /// It is about lo or another protocol, so that it does not matter.
    harmless: bool,
}

/// Looks through all tables.
pub(in super::super) fn survey() -> Result<Survey, Error> {
    let mut socket = Socket::open().map_err(unopened)?;
    for _ in 0..super::ATTEMPTS {
        match read(&mut socket) {
            Err(Failure::Interrupted) => {}
            other => return other.map_err(unreadable),
        }
    }
    Err(Error::Unsettled)
}

/// Whether nftables can use iptables' targets, which iptables-nft needs.
pub(in super::super) fn compat() -> bool {
    let kind = sys::NFNL_SUBSYS_NFT_COMPAT << 8 | compat::GET;
    let asked = netlink::Socket::open(SockProtocol::NetlinkNetFilter).map(|mut socket| {
        let fill = |w: &mut netlink::wire::Writer| {
            w.text(compat::NAME, "REDIRECT");
            w.number(compat::REVISION, 0);
            w.number(compat::TYPE, compat::TYPE_TARGET);
        };
        socket.ask((kind, 0), &netfilter_header(sys::NFPROTO_IPV4, 0), fill, |_| Ok(()))
    });
    matches!(asked, Ok(Ok(())))
}

impl Survey {
    /// Whether iptables-nft holds rules of ours.
    pub(in super::super) fn has_ours_by_iptables(&self) -> bool {
        self.of_iptables().any(|chain| chain.name.starts_with(OWN_PREFIX))
    }

    /// Whether our own table is there.
    pub(in super::super) fn has_our_table(&self) -> bool {
        self.chains.iter().any(Chain::is_in_our_table)
    }

    /// Whether iptables-nft holds nothing at all.
    pub(in super::super) fn iptables_is_empty(&self) -> bool {
        self.of_iptables().next().is_none()
    }

    fn of_iptables(&self) -> impl Iterator<Item = &Chain> {
        self.chains.iter().filter(|chain| chain.is_of_iptables())
    }

    /// Rules that take connections from ours. Tables that we share with others are left out where `iptables` says that
    /// ours lie there; what iptables shows of them says more.
    pub(in super::super) fn conflicts(&self, iptables: bool) -> Vec<Conflict> {
        let mut found = Vec::new();
        for base in self.chains.iter().filter(|chain| !chain.is_in_our_table()) {
            if iptables && base.is_of_iptables() {
                continue;
            }
            let (test, effect): (fn(&Rule) -> bool, _) = match &base.base {
                Some((kind, hook, priority))
                    if kind == "nat" && ours(*hook) && *priority <= chain::NF_IP_PRI_NAT_DST =>
                {
                    (|rule| rule.takes, TAKES)
                }
                Some((kind, hook, _)) if kind != "nat" && ours(*hook) => (|rule| rule.untracks, UNTRACKED),
                _ => continue,
            };
            found.extend(self.reachable(base, test, 0).map(|(chain, rule)| chain.conflict(rule, effect)));
        }
        found
    }

    /// The first rule that passes the test, of the chain or of those that it calls.
    fn reachable<'a>(
        &'a self,
        chain: &'a Chain,
        test: fn(&Rule) -> bool,
        depth: u32,
    ) -> Option<(&'a Chain, &'a Rule)> {
        let relevant = || chain.rules.iter().filter(|rule| !rule.harmless);
        let called = || {
            let names = relevant().flat_map(|rule| &rule.calls).filter(|name| !name.starts_with(OWN_PREFIX));
            names.filter_map(|name| {
                let same = |other: &&Chain| {
                    (other.family, &other.table, &other.name) == (chain.family, &chain.table, name)
                };
                self.chains.iter().find(same)
            })
        };
        let own = relevant().find(|rule| test(rule)).map(|rule| (chain, rule));
        own.or_else(|| {
            called().filter(|_| depth < DEPTH).find_map(|chain| self.reachable(chain, test, depth + 1))
        })
    }
}

const fn ours(hook: u32) -> bool {
    matches!(hook, chain::NF_INET_PRE_ROUTING | chain::NF_INET_LOCAL_OUT)
}

impl Chain {
    fn is_in_our_table(&self) -> bool {
        self.family == sys::NFPROTO_INET && self.table == api::pod::NFT_TABLE
    }

    fn is_of_iptables(&self) -> bool {
        [sys::NFPROTO_IPV4, sys::NFPROTO_IPV6].contains(&self.family)
            && ["raw", "mangle", "filter", "nat"].contains(&self.table.as_str())
    }

    fn conflict(&self, rule: &Rule, effect: &'static str) -> Conflict {
        let family = match self.family {
            sys::NFPROTO_IPV4 => "ip",
            sys::NFPROTO_IPV6 => "ip6",
            sys::NFPROTO_INET => "inet",
            _ => "another family's",
        };
        Conflict {
            place: format!("nftables, table {family} {}, chain {}", self.table, self.name),
            rule: format!("the rule with handle {}: {}", rule.handle, rule.expressions.join(" ")),
            effect,
        }
    }
}

fn read(socket: &mut Socket) -> Result<Survey, Failure> {
    let mut chains = Vec::new();
    socket.ask_family(
        sys::NFPROTO_UNSPEC,
        (msg::GETCHAIN, sys::NLM_F_DUMP),
        |_| (),
        |message| {
            chains.push(read_chain(message)?);
            Ok(())
        },
    )?;
    let others = chains.iter().filter(|chain: &&Chain| !chain.is_in_our_table());
    let tables: BTreeSet<(u8, String)> = others.map(|chain| (chain.family, chain.table.clone())).collect();
    let mut rules: BTreeMap<(u8, String, String), Vec<Rule>> = BTreeMap::new();
    for (family, table) in tables {
        let of_table = |w: &mut netlink::wire::Writer| w.text(rule::TABLE, &table);
        socket.ask_family(family, (msg::GETRULE, sys::NLM_F_DUMP), of_table, |message| {
            let attributes = message.attributes()?;
            let chain = attributes.text(rule::CHAIN)?.to_owned();
            rules.entry((family, table.clone(), chain)).or_default().push(read_rule(&attributes)?);
            Ok(())
        })?;
    }
    for chain in &mut chains {
        let key = (chain.family, chain.table.clone(), chain.name.clone());
        chain.rules = rules.remove(&key).unwrap_or_default();
    }
    Ok(Survey { chains })
}

fn read_chain(message: &Message<'_>) -> Result<Chain, Malformed> {
    let attributes = message.attributes()?;
    let base = attributes.get(chain::HOOK).map(|hook| {
        let hook = Attributes::read(hook)?;
        let (number, priority) = (hook.number(chain::HOOK_NUM)?, hook.number(chain::HOOK_PRIORITY)?);
        Ok((attributes.text(chain::TYPE)?.to_owned(), number, priority.cast_signed()))
    });
    Ok(Chain {
        family: message.body.first().copied().unwrap_or_default(),
        table: attributes.text(chain::TABLE)?.to_owned(),
        name: attributes.text(chain::NAME)?.to_owned(),
        base: base.transpose()?,
        rules: Vec::new(),
    })
}

fn read_rule(attributes: &Attributes<'_>) -> Result<Rule, Malformed> {
    let handle = attributes.get(rule::HANDLE).and_then(|bytes| bytes.try_into().ok());
    let mut rule = Rule { handle: handle.map(u64::from_be_bytes).unwrap_or_default(), ..Rule::default() };
    let Some(expressions) = attributes.get(rule::EXPRESSIONS) else { return Ok(rule) };
    let mut loaded = None;
    for (_, expression) in Attributes::read(expressions)?.iter() {
        let expression = Attributes::read(expression)?;
        let data = expression.get(expr::DATA).map(Attributes::read).transpose()?;
        let name = expression.text(expr::NAME)?;
        let shown = match &data {
            Some(data) => rule.look(name, data, &mut loaded)?,
            None => None,
        };
        rule.untracks |= name == "notrack";
        rule.expressions.push(shown.unwrap_or_else(|| name.to_owned()));
    }
    Ok(rule)
}

impl Rule {
    /// Notes what an expression means to us; gives a better name for it where there is one.
    fn look(
        &mut self,
        name: &str,
        data: &Attributes<'_>,
        loaded: &mut Option<u32>,
    ) -> Result<Option<String>, Malformed> {
        match name {
            "meta" => *loaded = Some(data.number(meta::KEY)?),
            "cmp" => {
                let equal = data.number(cmp::OP)? == cmp::EQ;
                let value = data.nested(cmp::DATA)?.get(expr::DATA_VALUE).unwrap_or_default();
                self.harmless |= equal && loaded.take().is_some_and(|key| is_harmless(key, value));
            }
            "redir" | "tproxy" => self.takes = true,
            "nat" => self.takes |= data.number(foreign::NAT_TYPE)? == foreign::NAT_DNAT,
            "target" => {
                let target = data.text(foreign::TARGET_NAME)?;
                self.takes |= TAKE.contains(&target);
                let flags = data.get(foreign::TARGET_INFO).and_then(<[u8]>::first_chunk);
                let flags = flags.map(|bytes| u16::from_ne_bytes(*bytes)).unwrap_or_default();
                self.untracks |= target == "NOTRACK" || target == "CT" && flags & foreign::CT_NOTRACK != 0;
                return Ok(Some(target.to_owned()));
            }
            "immediate" => {
                let verdict = data.nested(immediate::DATA)?.get(expr::DATA_VERDICT).map(Attributes::read);
                let chain =
                    verdict.transpose()?.and_then(|v| v.text(foreign::VERDICT_CHAIN).ok().map(str::to_owned));
                self.calls.extend(chain.clone());
                return Ok(chain.map(|chain| format!("jump {chain}")));
            }
            _ => *loaded = None,
        }
        Ok(None)
    }
}

/// Traffic over lo, and of protocols other than TCP.
fn is_harmless(key: u32, value: &[u8]) -> bool {
    match key {
        meta::IIF | meta::OIF => value == meta::LOOPBACK.to_ne_bytes(),
        meta::IIFNAME | meta::OIFNAME => value.starts_with(b"lo\0"),
        meta::L4PROTO => value != [meta::IPPROTO_TCP],
        _ => false,
    }
}
