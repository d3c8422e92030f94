//! Networks without IPv6, in each of the ways in which a node can be without it, and with an IPv6 that leads nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tests::lab::{APP, Lab, captured, direct};
use tests::rules::{Backend, each_backend};

/// Installs into a lab that `prepare` took IPv6 from, and calls by IPv4.
fn ipv4_works(prepare: impl Fn(&Lab) + Sync) {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        prepare(&lab);
        let [outbound, inbound] = api::ports::LISTENERS;
        lab.listen(|lab| &lab.pod, "outbound", (Ipv4Addr::LOCALHOST, outbound).into());
        lab.listen(|lab| &lab.pod, "inbound", (Ipv4Addr::UNSPECIFIED, inbound).into());
        lab.install(&["--exclude-outbound-cidrs=2001:db8::/32"]);
        assert_works(&lab, backend);
        let again = lab.install(&["--exclude-outbound-cidrs=2001:db8::/32"]);
        assert_eq!(again.get("changed"), Some(&false.into()), "{again}");
    });
}

fn assert_works(lab: &Lab, backend: Backend) {
    let (remote, pod) = (lab.remote.v4, lab.pod.v4);
    let outbound = captured("outbound", (remote, 80).into());
    assert_eq!(lab.pod_calls(APP, remote.into(), 80), outbound, "{}", backend.name);
    let inbound = captured("inbound", (pod, 8080).into());
    assert_eq!(lab.remote_calls(pod.into(), 8080), inbound, "{}", backend.name);
}

#[test]
fn ipv6_is_disabled_everywhere() {
    ipv4_works(|lab| lab.pod.netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1").unwrap());
}

#[test]
fn ipv6_is_disabled_on_loopback_and_new_interfaces() {
    ipv4_works(|lab| {
        for scope in ["default", "lo"] {
            lab.pod.netns.set_sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
        }
    });
}

#[test]
fn ipv6_has_no_address() {
    ipv4_works(|lab| lab.pod.netns.ip(&["-6 addr flush dev eth0", "-6 addr flush dev lo"]).unwrap());
}

#[test]
fn ipv6_has_no_route() {
    ipv4_works(|lab| lab.pod.netns.ip(&["-6 route flush dev eth0"]).unwrap());
}

#[test]
fn a_family_without_a_way_out_is_captured_as_soon_as_it_has_one() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.pod.netns.ip(&["-6 addr flush dev eth0"]).unwrap();
        lab.install(&[]);
        lab.serve();
        lab.pod.netns.ip(&[&format!("addr add {}/64 dev eth0 nodad", lab.pod.v6)]).unwrap();
        let remote: IpAddr = Ipv6Addr::into(lab.remote.v6);
        let outbound = captured("outbound", (lab.remote.v6, 80).into());
        assert_eq!(lab.pod_calls(APP, remote, 80), outbound, "{}", backend.name);
    });
}

#[test]
fn a_family_that_is_not_asked_for_is_left_alone() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.serve();
        lab.install(&["--families=ipv4"]);
        assert_works(&lab, backend);
        assert_eq!(lab.pod_calls(APP, lab.remote.v6.into(), 80), direct("remote"), "{}", backend.name);
        assert_eq!(lab.remote_calls(lab.pod.v6.into(), 8080), direct("app"), "{}", backend.name);
        lab.install(&["--families=ipv6"]);
        let outbound = captured("outbound", (lab.remote.v6, 80).into());
        assert_eq!(lab.pod_calls(APP, lab.remote.v6.into(), 80), outbound, "{}", backend.name);
        assert_eq!(lab.pod_calls(APP, lab.remote.v4.into(), 80), direct("remote"), "{}", backend.name);
    });
}
