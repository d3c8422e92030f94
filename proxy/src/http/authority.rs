//! Which hosts may be asked for, with their ports: the same by HTTP/1 and by HTTP/2.

/// Whether it is a host that is not empty, perhaps with a port (RFC 3986, sections 3.2.2 and 3.2.3); without userinfo, which RFC 9110,
/// section 4.2.4, has abolished, and without a comma, by which some readers take one field for several.
pub(super) fn is_host_and_port(authority: &[u8]) -> bool {
    let (host, port) = match port(authority) {
        Some(port) => (authority.get(..authority.len() - port.len() - 1).unwrap_or_default(), port),
        None => (authority, &b""[..]),
    };
    let is_host = match host {
        [b'[', address @ .., b']'] => {
            str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte)),
    };
    !host.is_empty() && is_host && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// What follows the last colon that is not within brackets.
pub(super) fn port(authority: &[u8]) -> Option<&[u8]> {
    let colon = authority.iter().rposition(|byte| *byte == b':')?;
    let port = authority.get(colon + 1..)?;
    (!port.contains(&b']')).then_some(port)
}
