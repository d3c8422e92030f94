//! A segment that connection tracking cannot place is not translated: it must not reach the pod, which would answer it with a
//! reset of the proxy's connection.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};

use tests::lab::{APP, Lab, Open};

#[test]
fn an_invalid_segment_of_a_captured_connection_is_dropped() {
    let lab = Lab::new();
    lab.install(&[]);
    count_resets(&lab);
    for (pod, inbound) in lab.pod.addresses().into_iter().zip(["0.0.0.0:15006", "[::]:15006"]) {
        let listener = lab.pod.netns.run(|| TcpListener::bind(inbound)).unwrap().unwrap();
        let target = SocketAddr::new(pod, 8080);
        let open = Open::new(&lab.remote.netns, APP, target, &listener);
        let before = dropped(&lab);
        send_invalid(&lab, open.client().local_addr().unwrap(), target);
        // What the pod answered to the segment comes before what it answers to this.
        open.works();
        assert_eq!((dropped(&lab), resets(&lab)), (before + 1, 0), "{target}");
    }
}

#[test]
fn on_a_port_that_is_not_captured_it_is_the_pods_business() {
    let lab = Lab::new();
    lab.install(&["--exclude-inbound-ports=8080"]);
    count_resets(&lab);
    for (number, pod) in (1..).zip(lab.pod.addresses()) {
        send_invalid(
            &lab,
            SocketAddr::new(lab.remote.addresses()[number - 1], 50_000),
            SocketAddr::new(pod, 8080),
        );
        // The kernel answers a segment to a closed port in the call that sends it.
        assert_eq!((dropped(&lab), resets(&lab)), (0, number), "{pod}");
    }
}

/// Counts the resets that leave the pod, in a table of the test's own.
fn count_resets(lab: &Lab) {
    lab.nft(&[
        "add table inet probe; add chain inet probe resets { type filter hook output priority -400; }",
    ]);
    lab.nft(&["add rule inet probe resets tcp flags & rst == rst counter"]);
}

fn resets(lab: &Lab) -> usize {
    packets(&lab.nft(&["list chain inet probe resets"]))
}

fn dropped(lab: &Lab) -> usize {
    let guard = lab.nft(&["list chain inet remora REMORA_GUARD"]);
    packets(guard.lines().find(|line| line.contains("drop")).expect("the rule"))
}

/// The only counter in a text of the nft program.
fn packets(text: &str) -> usize {
    let (_, rest) = text.split_once("packets ").expect("a counter");
    rest.split(' ').next().expect("a number").parse().expect("a number")
}

/// Sends a TCP segment without any flag, which no connection ever has.
fn send_invalid(lab: &Lab, from: SocketAddr, to: SocketAddr) {
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    let header = |sum: u16| [&ports, &[0; 8][..], &[5 << 4, 0, 0, 0], &sum.to_be_bytes(), &[0; 2]].concat();
    let segment = header(checksum(from.ip(), to.ip(), &header(0)));
    let send = |family, send: &(dyn Fn(i32) -> nix::Result<usize> + Sync)| {
        lab.remote
            .netns
            .run(|| {
                let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)
                    .expect("root's raw socket");
                assert_eq!(send(fd.as_raw_fd()), Ok(segment.len()));
            })
            .expect("the namespace");
    };
    match to {
        SocketAddr::V4(mut to) => {
            to.set_port(0);
            let to = SockaddrIn::from(to);
            send(AddressFamily::Inet, &|fd| sendto(fd, &segment, &to, MsgFlags::empty()));
        }
        SocketAddr::V6(mut to) => {
            to.set_port(0);
            let to = SockaddrIn6::from(to);
            send(AddressFamily::Inet6, &|fd| sendto(fd, &segment, &to, MsgFlags::empty()));
        }
    }
}

/// TCP's checksum with the pseudo header of RFC 9293, 3.1, and RFC 8200, 8.1; their fields sum up to the same.
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let length = u16::try_from(segment.len()).expect("a short segment");
    let bytes =
        [octets(from), octets(to), vec![0, 6], length.to_be_bytes().to_vec(), segment.to_vec()].concat();
    let (words, _) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded")
}
