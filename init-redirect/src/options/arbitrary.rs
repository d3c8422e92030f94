//! Options of every kind, for properties that have to hold whatever is asked for.

use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::{
    BackendChoice, Cidrs, Dns, Families, Family, Filter, IdRange, Ids, Inbound, Interfaces, Options,
    Outbound, Owner, Port, PortRange, Ports, Selection,
};

/// Any options at all.
pub(crate) fn any_options() -> impl Strategy<Value = Options> {
    let families = prop_oneof![4 => Just(Families::Both), 1 => Just(Families::Only(Family::V4)), 1 => Just(Families::Only(Family::V6))];
    let owner = (any_id(), any_id()).prop_map(|(uid, gid)| Owner { uid, gid });
    let dns = (any_port(), any_selection(any_cidrs())).prop_map(|(port, servers)| Dns { port, servers });
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    let interfaces = (any_filter(any_interfaces()), any_interfaces());
    (families, owner, interfaces, any_inbound(), any_outbound(), proptest::option::of(dns), switches)
        .prop_map(|(families, proxy, (interfaces, virtual_interfaces), inbound, outbound, dns, switches)| {
            Options {
                families,
                proxy,
                interfaces,
                virtual_interfaces,
                inbound,
                outbound,
                dns,
                drop_invalid: switches.0,
                capture_established: switches.1,
                hold_until_ready: switches.2,
                backend: BackendChoice::Nft,
            }
        })
}

prop_compose! {
    fn any_inbound()(
        port in any_port(), ports in any_filter(any_ports()), cidrs in any_filter(any_cidrs()),
    ) -> Inbound {
        Inbound { port, ports, cidrs }
    }
}

prop_compose! {
    fn any_outbound()(
        port in any_port(), include_ports in any_ports(), exclude_ports in any_ports(),
        cidrs in any_filter(any_cidrs()), uids in any_filter(any_ids()), gids in any_filter(any_ids()),
    ) -> Outbound {
        Outbound { port, include_ports, exclude_ports, cidrs, uids, gids }
    }
}

/// The defaults of the command line.
pub(crate) fn default_options() -> Options {
    let port = |number| Port::new(number).expect("a port");
    Options {
        families: Families::Both,
        proxy: Owner { uid: api::pod::PROXY_UID, gid: api::pod::PROXY_GID },
        interfaces: Filter::default(),
        virtual_interfaces: Interfaces::default(),
        inbound: Inbound {
            port: port(api::ports::INBOUND),
            ports: Filter::default(),
            cidrs: Filter::default(),
        },
        outbound: Outbound {
            port: port(api::ports::OUTBOUND),
            include_ports: Ports::default(),
            exclude_ports: Ports::default(),
            cidrs: Filter::default(),
            uids: Filter::default(),
            gids: Filter::default(),
        },
        dns: None,
        drop_invalid: true,
        capture_established: false,
        hold_until_ready: false,
        backend: BackendChoice::Auto,
    }
}

fn any_port() -> impl Strategy<Value = Port> + Clone {
    prop_oneof![1..300_u16, 65_000..=u16::MAX, 1..=u16::MAX].prop_map(|n| Port::new(n).expect("not 0"))
}

fn any_ports() -> impl Strategy<Value = Ports> + Clone {
    let range = (any_port(), any_port()).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) });
    let single = any_port().prop_map(|port| PortRange { first: port, last: port });
    proptest::collection::vec(prop_oneof![4 => single, 1 => range], 0..12)
        .prop_map(|v| v.into_iter().collect())
}

fn any_id() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![0..3_u32, 1000..1010_u32, (u32::MAX - 3)..u32::MAX]
}

fn any_ids() -> impl Strategy<Value = Ids> + Clone {
    let range = (any_id(), any_id()).prop_map(|(a, b)| IdRange::new(a.min(b), a.max(b)).expect("ordered"));
    let single = any_id().prop_map(|id| IdRange::new(id, id).expect("an id"));
    proptest::collection::vec(prop_oneof![3 => single, 1 => range], 0..4)
        .prop_map(|v| v.into_iter().collect())
}

fn any_interfaces() -> impl Strategy<Value = Interfaces> + Clone {
    let name =
        prop_oneof![Just("eth0"), Just("tap+"), Just("net1"), Just("fifteen-letters"), Just("vlan.5@2")];
    proptest::collection::vec(name.prop_map(|name| name.parse().expect("a name")), 0..3)
        .prop_map(|v| v.into_iter().collect())
}

/// Networks that often touch each other and the ends of the address space.
fn any_cidrs() -> impl Strategy<Value = Cidrs> + Clone {
    let near = |bits: u32| {
        prop_oneof![0..20_u32, (u32::MAX - 20)..=u32::MAX, any::<u32>()]
            .prop_map(move |n| n.rotate_right(bits))
    };
    let v4 = (near(0), 0..=32_u8)
        .prop_map(|(n, len)| Ipv4Net::new_assert(Ipv4Addr::from_bits(n), len).trunc().into());
    let v6 = (near(0), 0..=128_u8, any::<bool>()).prop_map(|(n, len, high)| {
        let bits = if high { u128::MAX - u128::from(n) } else { u128::from(n) };
        Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), len).trunc().into()
    });
    let network = prop_oneof![v4, v6];
    proptest::collection::vec(network, 0..12).prop_map(|networks: Vec<IpNet>| networks.into_iter().collect())
}

fn any_selection<T: Clone + Debug + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Selection<T>> {
    prop_oneof![1 => Just(Selection::All), 2 => some.prop_map(Selection::Only)]
}

fn any_filter<T: Clone + Debug + 'static>(
    some: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Filter<T>> {
    (any_selection(some.clone()), some).prop_map(|(include, exclude)| Filter { include, exclude })
}
