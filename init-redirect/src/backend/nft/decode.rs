//! From netlink messages back to a table. The kernel describes what it holds by the messages that would make it, so this reads
//! its answers as well as our own batches. Pure.
//!
//! Whatever `encode` would not have written is an error: a table with it is not ours as we made it.

use super::ruleset::{Base, Chain, Expr, Key, Ruleset, Set};
use super::sys::{self, bitwise, byteorder, chain, cmp, ct, elements, expr, immediate, lookup, meta, msg};
use super::sys::{payload, range, redir, reject, rule, set, table};
use crate::netlink::wire::{Attributes, Malformed, Message};

/// A table while it is read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    flags: u32,
    chains: Vec<Chain>,
    sets: Vec<(String, Key, Vec<Element>)>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Element {
    value: u128,
    /// False, the end of an interval, sorts before the beginning of the next at the same value.
    begins: bool,
}

impl Decoder {
    /// Takes a message in. Objects of other tables are passed over.
    pub(super) fn message(&mut self, message: &Message<'_>) -> Result<(), Malformed> {
        if message.kind >> 8 != sys::NFNL_SUBSYS_NFTABLES {
            return Ok(());
        }
        let family = message.body.first().copied();
        let attributes = message.attributes()?;
        // An object's table is the first attribute of all of them, and a table's name its own.
        let ours = family == Some(sys::NFPROTO_INET) && attributes.text(table::NAME)? == api::pod::NFT_TABLE;
        match message.kind & 0xff {
            _ if !ours => Ok(()),
            msg::NEWTABLE => attributes.number(table::FLAGS).map(|flags| self.flags = flags),
            msg::NEWCHAIN => self.chain(&attributes),
            msg::NEWRULE => self.rule(&attributes),
            msg::NEWSET => self.set(&attributes),
            msg::NEWSETELEM => self.elements(&attributes),
            msg::DELTABLE => {
                *self = Self::default();
                Ok(())
            }
            _ => Err(Malformed("a message is of a type that we did not ask for")),
        }
    }

    /// The names of the sets that were seen.
    pub(super) fn set_names(&self) -> Vec<String> {
        self.sets.iter().map(|(name, ..)| name.clone()).collect()
    }

    /// The table.
    pub(super) fn finish(self) -> Result<Ruleset, Malformed> {
        let set = |(name, key, elements)| Ok(Set { name, key, intervals: intervals(key, elements)? });
        let sets = self.sets.into_iter().map(set).collect::<Result<_, Malformed>>()?;
        Ok(Ruleset { flags: self.flags, chains: self.chains, sets })
    }

    fn chain(&mut self, attributes: &Attributes<'_>) -> Result<(), Malformed> {
        let name = attributes.text(chain::NAME)?.to_owned();
        let base = match attributes.get(chain::HOOK) {
            None => None,
            Some(hook) => {
                let hook = Attributes::read(hook)?;
                Some(Base {
                    kind: attributes.text(chain::TYPE)?.to_owned(),
                    hook: hook.number(chain::HOOK_NUM)?,
                    priority: hook.number(chain::HOOK_PRIORITY)?.cast_signed(),
                    policy: attributes.number(chain::POLICY)?,
                })
            }
        };
        self.chains.push(Chain { name, base, rules: Vec::new() });
        Ok(())
    }

    fn rule(&mut self, attributes: &Attributes<'_>) -> Result<(), Malformed> {
        let name = attributes.text(rule::CHAIN)?;
        let chain = self.chains.iter_mut().find(|chain| chain.name == name);
        let chain = chain.ok_or(Malformed("a rule is of a chain that was not seen"))?;
        let exprs = attributes.nested(rule::EXPRESSIONS)?;
        chain.rules.push(exprs.iter().map(|(_, bytes)| read_expr(bytes)).collect::<Result<_, _>>()?);
        Ok(())
    }

    fn set(&mut self, attributes: &Attributes<'_>) -> Result<(), Malformed> {
        let (kind, len) = (attributes.number(set::KEY_TYPE)?, attributes.number(set::KEY_LEN)?);
        let key = Key::ALL.into_iter().find(|key| key.type_number() == kind && key.len() == len);
        let key = key.ok_or(Malformed("a set has keys of a foreign type"))?;
        if attributes.number(set::FLAGS)? != set::INTERVAL {
            return Err(Malformed("a set is not one of intervals"));
        }
        self.sets.push((attributes.text(set::NAME)?.to_owned(), key, Vec::new()));
        Ok(())
    }

    fn elements(&mut self, attributes: &Attributes<'_>) -> Result<(), Malformed> {
        let name = attributes.text(elements::SET)?;
        let set = self.sets.iter_mut().find(|(found, ..)| found == name);
        let (_, key, found) = set.ok_or(Malformed("elements are of a set that was not seen"))?;
        // A set without elements is described by a message without a list.
        let list = attributes.get(elements::LIST).map(Attributes::read).transpose()?;
        for (_, element) in list.iter().flat_map(Attributes::iter) {
            let element = Attributes::read(element)?;
            let value = read_element(*key, element.nested(elements::KEY)?.bytes(expr::DATA_VALUE)?)?;
            let begins = match element.number(elements::FLAGS)? {
                0 => true,
                elements::INTERVAL_END => false,
                _ => return Err(Malformed("an element has a foreign flag")),
            };
            found.push(Element { value, begins });
        }
        Ok(())
    }
}

fn read_element(key: Key, bytes: &[u8]) -> Result<u128, Malformed> {
    if bytes.len() != key.len() as usize {
        return Err(Malformed("an element has the wrong length"));
    }
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | u128::from(*byte)))
}

/// Elements come in any order: the kernel walks a tree.
fn intervals(key: Key, mut elements: Vec<Element>) -> Result<Vec<(u128, u128)>, Malformed> {
    const UNPAIRED: Malformed = Malformed("an interval's beginning or end is missing");
    elements.sort_unstable();
    let mut elements = elements.into_iter().peekable();
    let mut intervals = Vec::new();
    while let Some(element) = elements.next() {
        if !element.begins {
            return Err(UNPAIRED);
        }
        let last = match elements.next() {
            None => key.max(),
            Some(Element { value, begins: false }) => value - 1,
            Some(_) => return Err(UNPAIRED),
        };
        intervals.push((element.value, last));
    }
    Ok(intervals)
}

const FOREIGN: Malformed = Malformed("an expression has a foreign detail");

fn read_expr(bytes: &[u8]) -> Result<Expr, Malformed> {
    let attributes = Attributes::read(bytes)?;
    let data = attributes.get(expr::DATA).map(Attributes::read).unwrap_or_else(|| Attributes::read(&[]))?;
    let is = |kind, expected| is(&data, kind, expected);
    match attributes.text(expr::NAME)? {
        "meta" => {
            is(meta::DREG, expr::REG_1)?;
            Ok(Expr::Meta(data.number(meta::KEY)?))
        }
        "ct" if data.get(ct::SREG).is_some() => {
            is(ct::SREG, expr::REG_1)?;
            is(ct::KEY, ct::ZONE).map(|()| Expr::SetZone)
        }
        "ct" => {
            is(ct::DREG, expr::REG_1)?;
            let direction = data.get(ct::DIRECTION).and_then(|bytes| bytes.first().copied());
            Ok(Expr::Ct { key: data.number(ct::KEY)?, direction })
        }
        "payload" => {
            is(payload::DREG, expr::REG_1)?;
            let (base, offset) = (data.number(payload::BASE)?, data.number(payload::OFFSET)?);
            Ok(Expr::Payload { base, offset, len: data.number(payload::LEN)? })
        }
        "bitwise" => read_and(&data),
        "cmp" => read_compare(&data),
        "byteorder" => read_network_order(&data),
        "range" => read_range(&data),
        "lookup" => {
            is(lookup::SREG, expr::REG_1)?;
            let inverted = data.number(lookup::FLAGS)? == lookup::INVERTED;
            Ok(Expr::Lookup { set: data.text(lookup::SET)?.to_owned(), inverted })
        }
        "counter" => Ok(Expr::Counter),
        "immediate" => read_immediate(&data),
        "redir" => {
            is(redir::PROTO_MIN, expr::REG_1)?;
            is(redir::PROTO_MAX, expr::REG_1).or_else(|_| is(redir::PROTO_MAX, 0))?;
            is(redir::FLAGS, redir::PROTO_SPECIFIED).or_else(|_| is(redir::FLAGS, 0))?;
            Ok(Expr::Redirect)
        }
        "reject" => is(reject::TYPE, reject::TCP_RST).map(|()| Expr::Reset),
        _ => Err(Malformed("an expression is none of ours")),
    }
}

fn is(data: &Attributes<'_>, kind: u16, expected: u32) -> Result<(), Malformed> {
    if data.number(kind)? == expected { Ok(()) } else { Err(FOREIGN) }
}

fn value(data: &Attributes<'_>, kind: u16) -> Result<Vec<u8>, Malformed> {
    data.nested(kind)?.bytes(expr::DATA_VALUE).map(<[u8]>::to_vec)
}

/// Whether an operation is "equal" (0) or "not equal" (1).
fn equal(data: &Attributes<'_>, kind: u16) -> Result<bool, Malformed> {
    match data.number(kind)? {
        cmp::EQ => Ok(true),
        cmp::NEQ => Ok(false),
        _ => Err(FOREIGN),
    }
}

fn read_and(data: &Attributes<'_>) -> Result<Expr, Malformed> {
    is(data, bitwise::SREG, expr::REG_1)?;
    is(data, bitwise::DREG, expr::REG_1)?;
    is(data, bitwise::OP, 0)?;
    let mask = value(data, bitwise::MASK)?;
    let same = value(data, bitwise::XOR)? == vec![0; mask.len()];
    if same { Ok(Expr::And(mask)) } else { Err(FOREIGN) }
}

fn read_compare(data: &Attributes<'_>) -> Result<Expr, Malformed> {
    is(data, cmp::SREG, expr::REG_1)?;
    Ok(Expr::Compare { equal: equal(data, cmp::OP)?, value: value(data, cmp::DATA)? })
}

fn read_network_order(data: &Attributes<'_>) -> Result<Expr, Malformed> {
    is(data, byteorder::SREG, expr::REG_1)?;
    is(data, byteorder::DREG, expr::REG_1)?;
    is(data, byteorder::OP, byteorder::HTON)?;
    is(data, byteorder::LEN, sys::ID_LEN)?;
    is(data, byteorder::SIZE, sys::ID_LEN).map(|()| Expr::NetworkOrder)
}

fn read_range(data: &Attributes<'_>) -> Result<Expr, Malformed> {
    is(data, range::SREG, expr::REG_1)?;
    let (first, last) = (value(data, range::FROM)?, value(data, range::TO)?);
    Ok(Expr::Range { equal: equal(data, range::OP)?, first, last })
}

fn read_immediate(data: &Attributes<'_>) -> Result<Expr, Malformed> {
    let value = data.nested(immediate::DATA)?;
    match data.number(immediate::DREG)? {
        expr::REG_VERDICT => Ok(Expr::Verdict(value.nested(expr::DATA_VERDICT)?.number(expr::VERDICT_CODE)?)),
        expr::REG_1 => Ok(Expr::Constant(value.bytes(expr::DATA_VALUE)?.to_vec())),
        _ => Err(Malformed("a constant goes into a foreign register")),
    }
}
