//! A table in nftables' own terms, as far as we use them. What was asked for and what the kernel holds are both of this
//! type, so that they can be compared.
//!
//! All expressions use register 1; nftables' other registers and expressions are not representable.

/// Our table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ruleset {
    /// The table's flags; a dormant table has one.
    pub(super) flags: u32,
    pub(super) chains: Vec<Chain>,
    pub(super) sets: Vec<Set>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Chain {
    pub(super) name: String,
    /// Where the kernel calls it; nothing when only other chains do.
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Vec<Expr>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Base {
    /// `nat` or `filter`.
    pub(super) kind: String,
    /// NF_INET_PRE_ROUTING and so on.
    pub(super) hook: u32,
    pub(super) priority: i32,
    /// NF_ACCEPT or NF_DROP: the verdict on what no rule decides.
    pub(super) policy: u32,
}

/// A set of intervals.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) key: Key,
    /// Sorted, disjoint and not adjacent, both ends included.
    pub(super) intervals: Vec<(u128, u128)>,
}

/// What a set's elements are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Port,
    V4,
    V6,
}

/// A step in the evaluation of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expr {
    /// Loads packet metadata: one of `sys::meta`.
    Meta(u32),
    /// Loads a property of the packet's connection: one of `sys::ct`, which may depend on a direction.
    Ct { key: u32, direction: Option<u8> },
    /// Loads bytes of the packet: `sys::payload`.
    Payload { base: u32, offset: u32, len: u32 },
    /// Keeps only the bits of the mask.
    And(Vec<u8>),
    /// Goes on if the register is this, or is not.
    Compare { equal: bool, value: Vec<u8> },
    /// Turns a number of four bytes into the network's byte order.
    NetworkOrder,
    /// Goes on if the register, in the network's byte order, is in the range, both ends included, or is not.
    Range { equal: bool, first: Vec<u8>, last: Vec<u8> },
    /// Goes on if the register is in the set, or is not.
    Lookup { set: String, inverted: bool },
    /// Counts packets and bytes.
    Counter,
    /// Loads a constant.
    Constant(Vec<u8>),
    /// Has the packet tracked in the conntrack zone in the register.
    SetZone,
    /// Redirects to the port in the register.
    Redirect,
    /// Answers with a TCP reset.
    Reset,
    /// NF_ACCEPT or NF_DROP.
    Verdict(u32),
}

impl Key {
    pub(super) const ALL: [Self; 3] = [Self::Port, Self::V4, Self::V6];

    /// Bytes of an element.
    pub(super) const fn len(self) -> u32 {
        match self {
            Self::Port => 2,
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    /// What the `nft` program calls the type; the kernel only keeps it.
    pub(super) const fn type_number(self) -> u32 {
        match self {
            Self::Port => 13,
            Self::V4 => 7,
            Self::V6 => 8,
        }
    }

    /// The highest element.
    pub(super) const fn max(self) -> u128 {
        u128::MAX >> (128 - 8 * self.len())
    }

    /// An element in the network's byte order.
    pub(super) fn bytes(self, element: u128) -> Vec<u8> {
        let skip = 16 - self.len();
        element.to_be_bytes().into_iter().skip(skip as usize).collect()
    }
}

impl Expr {
    /// The name by which the kernel knows the expression, and looks for a module `nft_NAME` or `nft-expr-NAME`.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Meta(_) => "meta",
            Self::Ct { .. } | Self::SetZone => "ct",
            Self::Payload { .. } => "payload",
            Self::And(_) => "bitwise",
            Self::Compare { .. } => "cmp",
            Self::NetworkOrder => "byteorder",
            Self::Range { .. } => "range",
            Self::Lookup { .. } => "lookup",
            Self::Counter => "counter",
            Self::Constant(_) | Self::Verdict(_) => "immediate",
            Self::Redirect => "redir",
            Self::Reset => "reject",
        }
    }
}
