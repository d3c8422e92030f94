//! Numbers of the kernel's netlink interface to nftables, as in its headers `linux/netfilter/nfnetlink.h`, `linux/netfilter/nf_tables.h` and others below `linux/netfilter/`. Attributes of one kind of object share a module.

pub(super) use crate::netlink::sys::{NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLMSG_ERROR};

pub(super) const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
pub(super) const NFNL_MSG_BATCH_END: u16 = 0x11;
pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
pub(super) const NFNL_BATCH_GENID: u16 = 1;
/// How iptables' matches and targets are used in nftables' rules.
pub(super) const NFNL_SUBSYS_NFT_COMPAT: u16 = 11;

pub(super) const NFPROTO_UNSPEC: u8 = 0;
pub(super) const NFPROTO_INET: u8 = 1;
pub(super) const NFPROTO_IPV4: u8 = 2;
pub(super) const NFPROTO_IPV6: u8 = 10;

/// Bytes of a user's or group's id.
pub(super) const ID_LEN: u32 = 4;

pub(super) const NF_DROP: u32 = 0;
pub(super) const NF_ACCEPT: u32 = 1;

/// Message types, without the subsystem.
pub(super) mod msg {
    pub(in super::super) const NEWTABLE: u16 = 0;
    pub(in super::super) const GETTABLE: u16 = 1;
    pub(in super::super) const DELTABLE: u16 = 2;
    pub(in super::super) const NEWCHAIN: u16 = 3;
    pub(in super::super) const GETCHAIN: u16 = 4;
    pub(in super::super) const NEWRULE: u16 = 6;
    pub(in super::super) const GETRULE: u16 = 7;
    pub(in super::super) const NEWSET: u16 = 9;
    pub(in super::super) const GETSET: u16 = 10;
    pub(in super::super) const NEWSETELEM: u16 = 12;
    pub(in super::super) const GETSETELEM: u16 = 13;
    pub(in super::super) const GETGEN: u16 = 16;
}

pub(super) mod generation {
    pub(in super::super) const ID: u16 = 1;
}

pub(super) mod table {
    pub(in super::super) const NAME: u16 = 1;
    pub(in super::super) const FLAGS: u16 = 2;
}

pub(super) mod chain {
    pub(in super::super) const TABLE: u16 = 1;
    pub(in super::super) const NAME: u16 = 3;
    pub(in super::super) const HOOK: u16 = 4;
    pub(in super::super) const POLICY: u16 = 5;
    pub(in super::super) const TYPE: u16 = 7;
    pub(in super::super) const HOOK_NUM: u16 = 1;
    pub(in super::super) const HOOK_PRIORITY: u16 = 2;

    pub(in super::super) const NF_INET_PRE_ROUTING: u32 = 0;
    pub(in super::super) const NF_INET_LOCAL_IN: u32 = 1;
    pub(in super::super) const NF_INET_LOCAL_OUT: u32 = 3;
    /// Where destination NAT is expected to happen, in prerouting and output.
    pub(in super::super) const NF_IP_PRI_NAT_DST: i32 = -100;
    pub(in super::super) const NF_IP_PRI_FILTER: i32 = 0;
    /// Before connection tracking, which is at -200.
    pub(in super::super) const NF_IP_PRI_RAW: i32 = -300;
}

pub(super) mod rule {
    pub(in super::super) const TABLE: u16 = 1;
    pub(in super::super) const CHAIN: u16 = 2;
    pub(in super::super) const HANDLE: u16 = 3;
    pub(in super::super) const EXPRESSIONS: u16 = 4;
}

pub(super) mod set {
    pub(in super::super) const TABLE: u16 = 1;
    pub(in super::super) const NAME: u16 = 2;
    pub(in super::super) const FLAGS: u16 = 3;
    pub(in super::super) const KEY_TYPE: u16 = 4;
    pub(in super::super) const KEY_LEN: u16 = 5;
    pub(in super::super) const ID: u16 = 10;
    pub(in super::super) const INTERVAL: u32 = 4;
}

pub(super) mod elements {
    pub(in super::super) const TABLE: u16 = 1;
    pub(in super::super) const SET: u16 = 2;
    pub(in super::super) const LIST: u16 = 3;
    pub(in super::super) const ITEM: u16 = 1;
    pub(in super::super) const KEY: u16 = 1;
    pub(in super::super) const FLAGS: u16 = 3;
    pub(in super::super) const INTERVAL_END: u32 = 1;
}

pub(super) mod expr {
    pub(in super::super) const ITEM: u16 = 1;
    pub(in super::super) const NAME: u16 = 1;
    pub(in super::super) const DATA: u16 = 2;

    pub(in super::super) const REG_VERDICT: u32 = 0;
    pub(in super::super) const REG_1: u32 = 1;

    pub(in super::super) const DATA_VALUE: u16 = 1;
    pub(in super::super) const DATA_VERDICT: u16 = 2;
    pub(in super::super) const VERDICT_CODE: u16 = 1;
}

pub(super) mod meta {
    pub(in super::super) const DREG: u16 = 1;
    pub(in super::super) const KEY: u16 = 2;
    pub(in super::super) const IIF: u32 = 4;
    pub(in super::super) const OIF: u32 = 5;
    pub(in super::super) const IIFNAME: u32 = 6;
    pub(in super::super) const OIFNAME: u32 = 7;
    pub(in super::super) const SKUID: u32 = 10;
    pub(in super::super) const SKGID: u32 = 11;
    pub(in super::super) const NFPROTO: u32 = 15;
    pub(in super::super) const L4PROTO: u32 = 16;
    /// lo has this index in every namespace (the kernel's LOOPBACK_IFINDEX).
    pub(in super::super) const LOOPBACK: u32 = 1;
    pub(in super::super) const IPPROTO_TCP: u8 = 6;
    pub(in super::super) const IPPROTO_UDP: u8 = 17;
    /// Bytes of an interface's name with its final NULs (IFNAMSIZ).
    pub(in super::super) const NAME_LEN: usize = 16;
}

pub(super) mod ct {
    pub(in super::super) const DREG: u16 = 1;
    pub(in super::super) const KEY: u16 = 2;
    pub(in super::super) const DIRECTION: u16 = 3;
    pub(in super::super) const SREG: u16 = 4;
    pub(in super::super) const STATE: u32 = 0;
    pub(in super::super) const STATUS: u32 = 2;
    pub(in super::super) const PROTO_DST: u32 = 12;
    pub(in super::super) const ZONE: u32 = 17;
    pub(in super::super) const ORIGINAL: u8 = 0;
    /// NF_CT_STATE_INVALID_BIT.
    pub(in super::super) const INVALID: u32 = 1;
    /// IPS_DST_NAT.
    pub(in super::super) const DST_NAT: u32 = 1 << 5;
}

pub(super) mod payload {
    pub(in super::super) const DREG: u16 = 1;
    pub(in super::super) const BASE: u16 = 2;
    pub(in super::super) const OFFSET: u16 = 3;
    pub(in super::super) const LEN: u16 = 4;
    pub(in super::super) const NETWORK: u32 = 1;
    pub(in super::super) const TRANSPORT: u32 = 2;
}

pub(super) mod bitwise {
    pub(in super::super) const SREG: u16 = 1;
    pub(in super::super) const DREG: u16 = 2;
    pub(in super::super) const LEN: u16 = 3;
    pub(in super::super) const MASK: u16 = 4;
    pub(in super::super) const XOR: u16 = 5;
    pub(in super::super) const OP: u16 = 6;
}

/// The operations are those of `range` too.
pub(super) mod cmp {
    pub(in super::super) const SREG: u16 = 1;
    pub(in super::super) const OP: u16 = 2;
    pub(in super::super) const DATA: u16 = 3;
    pub(in super::super) const EQ: u32 = 0;
    pub(in super::super) const NEQ: u32 = 1;
}

pub(super) mod byteorder {
    pub(in super::super) const SREG: u16 = 1;
    pub(in super::super) const DREG: u16 = 2;
    pub(in super::super) const OP: u16 = 3;
    pub(in super::super) const LEN: u16 = 4;
    pub(in super::super) const SIZE: u16 = 5;
    pub(in super::super) const HTON: u32 = 1;
}

pub(super) mod range {
    pub(in super::super) const SREG: u16 = 1;
    pub(in super::super) const OP: u16 = 2;
    pub(in super::super) const FROM: u16 = 3;
    pub(in super::super) const TO: u16 = 4;
}

pub(super) mod lookup {
    pub(in super::super) const SET: u16 = 1;
    pub(in super::super) const SREG: u16 = 2;
    pub(in super::super) const FLAGS: u16 = 5;
    pub(in super::super) const INVERTED: u32 = 1;
}

pub(super) mod immediate {
    pub(in super::super) const DREG: u16 = 1;
    pub(in super::super) const DATA: u16 = 2;
}

pub(super) mod redir {
    pub(in super::super) const PROTO_MIN: u16 = 1;
    pub(in super::super) const PROTO_MAX: u16 = 2;
    pub(in super::super) const FLAGS: u16 = 3;
    /// NF_NAT_RANGE_PROTO_SPECIFIED: the kernel adds it where a port is given.
    pub(in super::super) const PROTO_SPECIFIED: u32 = 2;
}

pub(super) mod reject {
    pub(in super::super) const TYPE: u16 = 1;
    pub(in super::super) const TCP_RST: u32 = 1;
}

/// A question whether the kernel has a match or target of iptables.
pub(super) mod compat {
    pub(in super::super) const GET: u16 = 0;
    pub(in super::super) const NAME: u16 = 1;
    pub(in super::super) const REVISION: u16 = 2;
    pub(in super::super) const TYPE: u16 = 3;
    pub(in super::super) const TYPE_TARGET: u32 = 1;
}

/// What only rules of others contain.
pub(super) mod foreign {
    /// NFTA_TARGET_NAME, of a target of iptables.
    pub(in super::super) const TARGET_NAME: u16 = 1;
    /// NFTA_TARGET_INFO; that of CT begins with flags of two bytes, among them XT_CT_NOTRACK.
    pub(in super::super) const TARGET_INFO: u16 = 3;
    pub(in super::super) const CT_NOTRACK: u16 = 1;
    /// NFTA_NAT_TYPE, and NFT_NAT_DNAT.
    pub(in super::super) const NAT_TYPE: u16 = 1;
    pub(in super::super) const NAT_DNAT: u32 = 1;
    /// NFTA_VERDICT_CHAIN.
    pub(in super::super) const VERDICT_CHAIN: u16 = 2;
}
