//! Where a call goes: scheme, host and port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::http::uri::{Authority, PathAndQuery};

/// A server of the pod's application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// A host within the pod. Names are not resolved: what a name means to the kubelet, on its node, it need not mean here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Host {
    /// The pod's own address, which the kubelet and scrapers take.
    Pod,
    /// `localhost`: loopback of either family.
    Localhost,
    /// An address.
    Address(IpAddr),
}

/// Where a redirect leads.
pub(super) struct Redirected {
    pub(super) origin: Origin,
    pub(super) path: PathAndQuery,
    /// The redirect names a URL of its own, and so the host that is asked for.
    pub(super) named: bool,
}

/// A host or port that cannot be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OriginError {
    /// A name.
    #[error("host {0:?} is neither an address nor localhost; other hosts are not in the pod")]
    Host(String),
    /// A path that no request can carry.
    #[error("path {0:?} cannot be asked for")]
    Path(String),
}

impl Host {
    /// Empty is the pod itself, as it is for the kubelet.
    pub(crate) fn parse(text: &str) -> Result<Self, OriginError> {
        match text {
            "" => Ok(Self::Pod),
            "localhost" => Ok(Self::Localhost),
            _ => {
                let bare = text.trim_start_matches('[').trim_end_matches(']');
                bare.parse().map(Self::Address).map_err(|_| OriginError::Host(text.to_owned()))
            }
        }
    }

    /// In the order in which they are tried.
    pub(super) fn addresses(self, pod: Option<IpAddr>) -> Vec<IpAddr> {
        match self {
            Self::Pod => vec![pod.unwrap_or(Ipv4Addr::LOCALHOST.into())],
            Self::Localhost => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Self::Address(address) => vec![address],
        }
    }
}

impl Origin {
    /// `HOST:PORT`, as in the Host header and in messages.
    pub(crate) fn authority(&self, pod: Option<IpAddr>) -> String {
        match (self.host, self.host.addresses(pod).first()) {
            (Host::Localhost, _) | (_, None) => format!("localhost:{}", self.port),
            (_, Some(ip)) => SocketAddr::new(*ip, self.port).to_string(),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Where a redirect leads, as far as it is followed: on the same host, whatever the port. The kubelet takes the
    /// redirect itself for the answer otherwise.
    pub(super) fn follow(
        &self,
        pod: Option<IpAddr>,
        from: &PathAndQuery,
        location: &str,
    ) -> Option<Redirected> {
        let location = location.split('#').next().unwrap_or_default();
        let (scheme, rest) = split_scheme(location);
        let Some(hierarchy) = rest.strip_prefix("//") else {
            // `mailto:` and the like have no host that could be the same.
            let path = scheme.is_none().then(|| resolved(from, rest))?;
            return Some(Redirected { origin: self.clone(), path: target(&path).ok()?, named: false });
        };
        let end = hierarchy.find(['/', '?']).unwrap_or(hierarchy.len());
        let (authority, path) = hierarchy.split_at_checked(end)?;
        let tls = match scheme.unwrap_or(self.scheme()).to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority: Authority = authority.parse().ok()?;
        if !self.is_host(pod, authority.host()) {
            return None;
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let origin = Self { tls, port, ..self.clone() };
        Some(Redirected { origin, path: target(&without_dots(path)).ok()?, named: scheme.is_some() })
    }

    fn is_host(&self, pod: Option<IpAddr>, host: &str) -> bool {
        match Host::parse(host) {
            Ok(Host::Address(address)) => self.host.addresses(pod).contains(&address),
            Ok(host) => host == self.host,
            Err(_) => false,
        }
    }
}

/// `SCHEME:` and the rest; a colon behind a slash or a question mark ends no scheme (RFC 3986, section 3.1).
fn split_scheme(location: &str) -> (Option<&str>, &str) {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    match location.split_once(':') {
        Some((scheme, rest))
            if scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(part) =>
        {
            (Some(scheme), rest)
        }
        _ => (None, location),
    }
}

/// A reference without scheme and host, as seen `from` (RFC 3986, section 5.2.2).
fn resolved(from: &PathAndQuery, reference: &str) -> String {
    match reference.bytes().next() {
        None => from.to_string(),
        Some(b'?') => format!("{}{reference}", from.path()),
        Some(b'/') => without_dots(reference),
        Some(_) => {
            let directory = from.path().rfind('/').and_then(|end| from.path().get(..=end));
            without_dots(&format!("{}{reference}", directory.unwrap_or("/")))
        }
    }
}

/// Path and query without `.` and `..` in the path (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at_checked(path.find('?').unwrap_or(path.len())).unwrap_or((path, ""));
    let mut kept = Vec::new();
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    // What ends in dots is a directory.
    let slash = if (path.ends_with("/.") || path.ends_with("/..")) && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}{query}", kept.join("/"))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("the pod's address"),
            Self::Localhost => f.write_str("localhost"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Path and query as a request carries them: with a slash in front, without a fragment, and with what a URI cannot hold
/// percent-encoded (RFC 3986, section 2.1), as Go's client does it for the kubelet.
pub(crate) fn target(path: &str) -> Result<PathAndQuery, OriginError> {
    use std::fmt::Write as _;
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.split('#').next().unwrap_or_default().bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            target.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(target, "%{byte:02X}");
        }
    }
    target.parse().map_err(|_| OriginError::Path(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Host, Origin, target};

    const POD: Option<std::net::IpAddr> = Some(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));

    fn followed(location: &str) -> Option<String> {
        let origin = Origin { tls: false, host: Host::Pod, port: 8080 };
        let to = origin.follow(POD, &target("/a/b?c=d").unwrap(), location)?;
        let host = if to.named { "" } else { " as before" };
        Some(format!("{}://{}{}{host}", to.origin.scheme(), to.origin.authority(POD), to.path))
    }

    #[test]
    fn hosts_are_in_the_pod() {
        assert_eq!(Host::parse("").unwrap(), Host::Pod);
        assert_eq!(Host::parse("localhost").unwrap(), Host::Localhost);
        assert_eq!(Host::parse("[::1]").unwrap(), Host::parse("::1").unwrap());
        let error = Host::parse("db.example.com").unwrap_err().to_string();
        assert!(error.contains("db.example.com") && error.contains("localhost"), "{error}");
    }

    #[test]
    fn paths_are_sent_as_the_kubelet_sends_them() {
        for (given, sent) in
            [("", "/"), ("healthz", "/healthz"), ("/a?b=c#d", "/a?b=c"), ("/a b\n/ü", "/a%20b%0A/%C3%BC")]
        {
            assert_eq!(target(given).unwrap().as_str(), sent);
        }
    }

    #[test]
    fn redirects_are_followed_on_the_same_host_only() {
        for (location, to) in [
            ("/x", Some("http://192.0.2.7:8080/x as before")),
            ("x?y", Some("http://192.0.2.7:8080/a/x?y as before")),
            ("?y", Some("http://192.0.2.7:8080/a/b?y as before")),
            ("#f", Some("http://192.0.2.7:8080/a/b?c=d as before")),
            ("../x/./y/..", Some("http://192.0.2.7:8080/x/ as before")),
            ("/../..?y=/../", Some("http://192.0.2.7:8080/?y=/../ as before")),
            (
                "/login?next=http://192.0.2.8/",
                Some("http://192.0.2.7:8080/login?next=http://192.0.2.8/ as before"),
            ),
            ("HTTP://192.0.2.7/ü|", Some("http://192.0.2.7:80/%C3%BC%7C")),
            ("http://192.0.2.7?y", Some("http://192.0.2.7:80/?y")),
            ("mailto:192.0.2.7", None),
            ("http://", None),
            ("https://192.0.2.7:8443/x#f", Some("https://192.0.2.7:8443/x")),
            ("http://192.0.2.7", Some("http://192.0.2.7:80/")),
            ("//192.0.2.7:81/x", Some("http://192.0.2.7:81/x as before")),
            ("http://192.0.2.8:8080/x", None),
            ("http://localhost:8080/x", None),
            ("https://login.example.com/", None),
            ("ftp://192.0.2.7/", None),
        ] {
            assert_eq!(followed(location).as_deref(), to, "{location}");
        }
    }
}
