//! What the kernel holds, as the program tells it: `diff` and `check` by every backend, and the addresses on lo.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use tests::lab::{APP, Lab, PROXY};
use tests::rules::BACKENDS;

/// Exit code and standard output of a subcommand.
#[track_caller]
fn asks(lab: &Lab, arguments: &[&str]) -> (Option<i32>, String) {
    let output = lab.run(arguments);
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

/// The lines of a difference, each with its sign.
fn changes(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with(['+', '-'])).collect()
}

#[test]
fn what_was_installed_does_not_differ() {
    let options = [
        &[][..],
        &[
            "--redirect-dns",
            "--dns-servers=10.96.0.10,2001:db8::53",
            "--hold-until-ready",
            "--virtual-interfaces=tap+",
            "--include-interfaces=eth0",
            "--exclude-uids=100,200-300",
            "--exclude-inbound-cidrs=192.0.2.0/24,2001:db8::/32",
        ],
    ];
    for backend in BACKENDS {
        for options in options {
            let lab = Lab::on(backend);
            lab.install(options);
            let ask = |subcommand| asks(&lab, &[options, &[subcommand]].concat());
            let same = "The kernel holds what is planned.\n".to_owned();
            assert_eq!(ask("diff"), (Some(0), same), "{} {options:?}", backend.name);
            assert_eq!(ask("check").0, Some(0), "{} {options:?}", backend.name);
        }
    }
}

#[test]
fn other_options_differ_by_their_rules_alone() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        lab.install(&["--exclude-outbound-ports=25"]);
        let (code, text) = asks(&lab, &["--exclude-outbound-ports=26", "diff"]);
        let families = if backend.runs_programs { 2 } else { 1 };
        assert_eq!((code, changes(&text).len()), (Some(40), 2 * families), "{}: {text}", backend.name);
        for (sign, port) in [('-', "25"), ('+', "26")] {
            let of_port = |line: &&&str| line.starts_with(sign) && line.contains(port);
            assert_eq!(changes(&text).iter().filter(of_port).count(), families, "{}: {text}", backend.name);
        }
        assert_eq!(asks(&lab, &["--exclude-outbound-ports=26", "check"]).0, Some(40), "{}", backend.name);
    }
}

#[test]
fn what_others_did_to_our_rules_is_shown() {
    let lab = Lab::on(BACKENDS[0]);
    lab.install(&[]);
    lab.nft(&["flush chain inet remora REMORA_OUTBOUND"]);
    lab.nft(&["add rule inet remora REMORA_OUTBOUND tcp dport 22 accept"]);
    let (code, text) = asks(&lab, &["diff"]);
    assert_eq!(code, Some(40), "{text}");
    for line in [
        "- REMORA_OUTBOUND: a rule that is not of our making (meta cmp payload cmp immediate)",
        "+ REMORA_OUTBOUND: of uid 1337 and gid 1337 -> leave",
        "+ REMORA_OUTBOUND: to lo -> leave",
        "+ REMORA_OUTBOUND: TCP SYN -> to port 15001",
    ] {
        assert!(changes(&text).contains(&line), "{line}\nin\n{text}");
    }
    assert_eq!(changes(&text).len(), 4, "{text}");
}

#[test]
fn without_rules_everything_is_missing() {
    let lab = Lab::new();
    let (code, text) = asks(&lab, &["diff"]);
    assert_eq!(code, Some(40));
    assert!(changes(&text).len() > 10 && changes(&text).iter().all(|line| line.starts_with('+')), "{text}");
}

/// How many addresses of lo there are for who asks for them alone.
fn sources(lab: &Lab) -> usize {
    lab.tool("ip -6 -o address show dev lo").lines().filter(|line| line.contains("deprecated")).count()
}

#[test]
fn lo_has_the_proxys_sources_as_long_as_there_are_rules_for_ipv6() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        lab.install(&[]);
        assert_eq!(sources(&lab), 10, "{}", backend.name);
        lab.pod.netns.ip(&["-6 addr del ::a/128 dev lo"]).expect("the address");
        assert_eq!(changes(&asks(&lab, &["diff"]).1), ["+ address ::a on lo"], "{}", backend.name);
        assert_eq!(lab.install(&[])["changed"], true, "{}", backend.name);
        assert_eq!((sources(&lab), &lab.install(&[])["changed"]), (10, &false.into()), "{}", backend.name);
        lab.install(&["--families=ipv4"]);
        assert_eq!(sources(&lab), 0, "{}", backend.name);
        lab.install(&[]);
        assert!(lab.run(&["cleanup"]).status.success(), "{}", backend.name);
        assert_eq!(sources(&lab), 0, "{}", backend.name);
    }
}

#[test]
fn nobody_calls_from_the_proxys_sources_without_asking_for_it() {
    let lab = Lab::new();
    lab.install(&[]);
    let pod = IpAddr::from(lab.pod.v6);
    let listener =
        lab.pod.netns.run(|| TcpListener::bind((pod, 7000))).expect("the namespace").expect("a listener");
    for (owner, source) in
        [(APP, None), (PROXY, Some(Ipv6Addr::from(6_u128))), (PROXY, Some(Ipv6Addr::from(15_u128)))]
    {
        let target = SocketAddr::new(pod, 7000);
        let call = || match source {
            None => TcpStream::connect(target),
            Some(source) => call_from(source, target),
        };
        let stream =
            lab.pod.netns.run_as(owner.0, owner.1, call).expect("the namespace").expect("a connection");
        let (_, peer) = listener.accept().expect("the connection");
        assert_eq!(peer.ip(), source.map_or(pod, IpAddr::from));
        drop(stream);
    }
    // Towards others it is the address of the interface.
    let remote = IpAddr::from(lab.remote.v6);
    let route = lab.pod.netns.run(|| {
        let socket = std::net::UdpSocket::bind("[::]:0")?;
        socket.connect((remote, 9))?;
        socket.local_addr()
    });
    assert_eq!(route.expect("the namespace").expect("an address").ip(), pod);
}

/// Binds, then connects, as the proxy does.
fn call_from(source: Ipv6Addr, target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source.into(), 0).into())?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}
