//! From a table to the netlink messages that make it. Pure.
//!
//! The messages are one batch, which the kernel takes as a whole or not at all. It names the generation of the kernel's rules
//! on which it is based, so that it is refused if someone else changed them meanwhile. Nothing carries user data: what a
//! newer `nft` program writes there makes older ones crash.

use std::fmt;

use super::ruleset::{Chain, Expr, Ruleset, Set};
use super::sys::{self, bitwise, byteorder, chain, cmp, ct, elements, expr, immediate, lookup, meta, msg};
use super::sys::{payload, range, redir, reject, rule, set, table};
use crate::netlink::wire::{Head, Writer, netfilter_header};

/// Intervals in a message: an attribute, the list of elements, is shorter than 64 KiB, and two elements of 36 bytes make
/// the longest interval.
const INTERVALS: usize = 800;

/// Messages for the kernel, and what each is for.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Sequence numbers count from [`Batch::FIRST`].
    pub(super) steps: Vec<Step>,
}

/// What a message asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    RemoveTable,
    AddTable,
    AddChain { chain: String, kind: String },
    AddSet { set: String },
    AddElements { set: String },
    AddRule { chain: String, number: usize, expressions: Vec<&'static str> },
}

impl Batch {
    /// Sequence number of the message that begins the batch.
    pub(super) const BEGIN: u32 = 1;
    /// Sequence number of the first step.
    pub(super) const FIRST: u32 = 2;

    /// The batch that puts `ruleset` in the place of whatever our table held.
    pub(super) fn new(ruleset: &Ruleset, replace: bool, generation: u32) -> Self {
        let mut messages = Messages::begin(generation);
        if replace {
            messages.remove_table();
        }
        messages.step(Step::AddTable, msg::NEWTABLE, sys::NLM_F_CREATE, |w| {
            w.text(table::NAME, api::pod::NFT_TABLE);
            w.number(table::FLAGS, ruleset.flags);
        });
        ruleset.sets.iter().zip(1..).for_each(|(set, id)| messages.set(set, id));
        ruleset.chains.iter().for_each(|chain| messages.chain(chain));
        messages.end()
    }

    /// The batch that takes our table out.
    pub(super) fn removal(generation: u32) -> Self {
        let mut messages = Messages::begin(generation);
        messages.remove_table();
        messages.end()
    }
}

struct Messages {
    writer: Writer,
    steps: Vec<Step>,
}

impl Messages {
    fn begin(generation: u32) -> Self {
        let mut messages = Self { writer: Writer::default(), steps: Vec::new() };
        messages.boundary(sys::NFNL_MSG_BATCH_BEGIN, Batch::BEGIN, |w| {
            w.number(sys::NFNL_BATCH_GENID, generation)
        });
        messages
    }

    fn end(mut self) -> Batch {
        let end = self.sequence();
        self.boundary(sys::NFNL_MSG_BATCH_END, end, |_| ());
        Batch { bytes: self.writer.into_bytes(), steps: self.steps }
    }

    fn remove_table(&mut self) {
        self.step(Step::RemoveTable, msg::DELTABLE, 0, |w| w.text(table::NAME, api::pod::NFT_TABLE));
    }

    fn sequence(&self) -> u32 {
        Batch::FIRST + u32::try_from(self.steps.len()).expect("a batch has fewer than 2^32 messages")
    }

    fn boundary(&mut self, kind: u16, sequence: u32, fill: impl FnOnce(&mut Writer)) {
        let header = &netfilter_header(sys::NFPROTO_UNSPEC, sys::NFNL_SUBSYS_NFTABLES);
        self.writer.message(Head { kind, flags: 0, sequence, header }, fill);
    }

    fn step(&mut self, step: Step, kind: u16, flags: u16, fill: impl FnOnce(&mut Writer)) {
        let head = Head {
            kind: sys::NFNL_SUBSYS_NFTABLES << 8 | kind,
            flags: flags | sys::NLM_F_ACK,
            sequence: self.sequence(),
            header: &netfilter_header(sys::NFPROTO_INET, 0),
        };
        self.writer.message(head, fill);
        self.steps.push(step);
    }

    fn set(&mut self, set: &Set, id: u32) {
        self.step(Step::AddSet { set: set.name.clone() }, msg::NEWSET, sys::NLM_F_CREATE, |w| {
            w.text(set::TABLE, api::pod::NFT_TABLE);
            w.text(set::NAME, &set.name);
            w.number(set::FLAGS, set::INTERVAL);
            w.number(set::KEY_TYPE, set.key.type_number());
            w.number(set::KEY_LEN, set.key.len());
            w.number(set::ID, id);
        });
        for intervals in set.intervals.chunks(INTERVALS) {
            let step = Step::AddElements { set: set.name.clone() };
            self.step(step, msg::NEWSETELEM, sys::NLM_F_CREATE, |w| {
                w.text(elements::TABLE, api::pod::NFT_TABLE);
                w.text(elements::SET, &set.name);
                w.nested(elements::LIST, |w| {
                    intervals.iter().for_each(|interval| write_interval(w, set, *interval))
                });
            });
        }
    }

    fn chain(&mut self, chain: &Chain) {
        let kind = chain.base.as_ref().map(|base| base.kind.clone()).unwrap_or_default();
        let step = Step::AddChain { chain: chain.name.clone(), kind };
        self.step(step, msg::NEWCHAIN, sys::NLM_F_CREATE, |w| {
            w.text(chain::TABLE, api::pod::NFT_TABLE);
            w.text(chain::NAME, &chain.name);
            if let Some(base) = &chain.base {
                w.nested(chain::HOOK, |w| {
                    w.number(chain::HOOK_NUM, base.hook);
                    w.bytes(chain::HOOK_PRIORITY, &base.priority.to_be_bytes());
                });
                w.number(chain::POLICY, base.policy);
                w.text(chain::TYPE, &base.kind);
            }
        });
        for (exprs, number) in chain.rules.iter().zip(1..) {
            let expressions = exprs.iter().map(Expr::name).collect();
            let step = Step::AddRule { chain: chain.name.clone(), number, expressions };
            self.step(step, msg::NEWRULE, sys::NLM_F_CREATE | sys::NLM_F_APPEND, |w| {
                w.text(rule::TABLE, api::pod::NFT_TABLE);
                w.text(rule::CHAIN, &chain.name);
                w.nested(rule::EXPRESSIONS, |w| exprs.iter().for_each(|expr| write_expr(w, expr)));
            });
        }
    }
}

/// An interval is two elements, its beginning and what follows its end. Nothing follows the highest element.
fn write_interval(w: &mut Writer, set: &Set, (first, last): (u128, u128)) {
    let mut element = |value, flags| {
        w.nested(elements::ITEM, |w| {
            w.nested(elements::KEY, |w| w.bytes(expr::DATA_VALUE, &set.key.bytes(value)));
            if flags != 0 {
                w.number(elements::FLAGS, flags);
            }
        });
    };
    element(first, 0);
    if last < set.key.max() {
        element(last + 1, elements::INTERVAL_END);
    }
}

fn write_expr(w: &mut Writer, expr: &Expr) {
    w.nested(expr::ITEM, |w| {
        w.text(expr::NAME, expr.name());
        w.nested(expr::DATA, |w| write_expr_data(w, expr));
    });
}

fn write_expr_data(w: &mut Writer, expr: &Expr) {
    match expr {
        Expr::Meta(key) => {
            w.number(meta::KEY, *key);
            w.number(meta::DREG, expr::REG_1);
        }
        Expr::Ct { key, direction } => {
            w.number(ct::KEY, *key);
            w.number(ct::DREG, expr::REG_1);
            direction.iter().for_each(|direction| w.bytes(ct::DIRECTION, &[*direction]));
        }
        Expr::Payload { base, offset, len } => {
            w.number(payload::DREG, expr::REG_1);
            w.number(payload::BASE, *base);
            w.number(payload::OFFSET, *offset);
            w.number(payload::LEN, *len);
        }
        Expr::And(mask) => write_and(w, mask),
        Expr::Compare { equal, value } => {
            w.number(cmp::SREG, expr::REG_1);
            w.number(cmp::OP, if *equal { cmp::EQ } else { cmp::NEQ });
            w.nested(cmp::DATA, |w| w.bytes(expr::DATA_VALUE, value));
        }
        Expr::NetworkOrder => write_network_order(w),
        Expr::Range { equal, first, last } => {
            w.number(range::SREG, expr::REG_1);
            w.number(range::OP, if *equal { cmp::EQ } else { cmp::NEQ });
            w.nested(range::FROM, |w| w.bytes(expr::DATA_VALUE, first));
            w.nested(range::TO, |w| w.bytes(expr::DATA_VALUE, last));
        }
        Expr::Lookup { set, inverted } => {
            w.text(lookup::SET, set);
            w.number(lookup::SREG, expr::REG_1);
            w.number(lookup::FLAGS, if *inverted { lookup::INVERTED } else { 0 });
        }
        Expr::Counter => {}
        Expr::Constant(value) => {
            w.number(immediate::DREG, expr::REG_1);
            w.nested(immediate::DATA, |w| w.bytes(expr::DATA_VALUE, value));
        }
        Expr::SetZone => {
            w.number(ct::KEY, ct::ZONE);
            w.number(ct::SREG, expr::REG_1);
        }
        Expr::Redirect => w.number(redir::PROTO_MIN, expr::REG_1),
        Expr::Reset => w.number(reject::TYPE, reject::TCP_RST),
        Expr::Verdict(code) => {
            w.number(immediate::DREG, expr::REG_VERDICT);
            w.nested(immediate::DATA, |w| {
                w.nested(expr::DATA_VERDICT, |w| w.number(expr::VERDICT_CODE, *code))
            });
        }
    }
}

fn write_and(w: &mut Writer, mask: &[u8]) {
    w.number(bitwise::SREG, expr::REG_1);
    w.number(bitwise::DREG, expr::REG_1);
    w.number(bitwise::LEN, u32::try_from(mask.len()).expect("a mask has at most 16 bytes"));
    w.nested(bitwise::MASK, |w| w.bytes(expr::DATA_VALUE, mask));
    w.nested(bitwise::XOR, |w| w.bytes(expr::DATA_VALUE, &vec![0; mask.len()]));
}

fn write_network_order(w: &mut Writer) {
    w.number(byteorder::SREG, expr::REG_1);
    w.number(byteorder::DREG, expr::REG_1);
    w.number(byteorder::OP, byteorder::HTON);
    w.number(byteorder::LEN, sys::ID_LEN);
    w.number(byteorder::SIZE, sys::ID_LEN);
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = api::pod::NFT_TABLE;
        match self {
            Self::RemoveTable => write!(f, "removing the old table inet {table}"),
            Self::AddTable => write!(f, "adding table inet {table}"),
            Self::AddChain { chain, kind } => write!(f, "adding {kind} chain {chain}"),
            Self::AddSet { set } => write!(f, "adding set {set}"),
            Self::AddElements { set } => write!(f, "adding elements to set {set}"),
            Self::AddRule { chain, number, .. } => write!(f, "adding rule {number} of chain {chain}"),
        }
    }
}
