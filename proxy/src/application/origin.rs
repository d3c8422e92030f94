//! Where a call goes: scheme, host and port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::Uri;
use hyper::http::uri::PathAndQuery;

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
    ) -> Option<(Self, PathAndQuery)> {
        let location = location.split('#').next().unwrap_or_default();
        let absolute = if location.starts_with("//") {
            format!("{}:{location}", self.scheme())
        } else if location.contains("://") {
            location.to_owned()
        } else {
            let path = match location.bytes().next() {
                Some(b'/') => location.to_owned(),
                Some(b'?') => format!("{}{location}", from.path()),
                _ => {
                    let directory = from.path().rfind('/').and_then(|end| from.path().get(..=end));
                    format!("{}{location}", directory.unwrap_or("/"))
                }
            };
            return Some((self.clone(), target(&path).ok()?));
        };
        let uri: Uri = absolute.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        if !self.is_host(pod, uri.host()?) {
            return None;
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        Some((Self { tls, port, ..self.clone() }, path))
    }

    fn is_host(&self, pod: Option<IpAddr>, host: &str) -> bool {
        match Host::parse(host) {
            Ok(Host::Address(address)) => self.host.addresses(pod).contains(&address),
            Ok(host) => host == self.host,
            Err(_) => false,
        }
    }
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
        let (origin, path) = origin.follow(POD, &target("/a/b?c=d").unwrap(), location)?;
        Some(format!("{}://{}{path}", origin.scheme(), origin.authority(POD)))
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
            ("/x", Some("http://192.0.2.7:8080/x")),
            ("x?y", Some("http://192.0.2.7:8080/a/x?y")),
            ("?y", Some("http://192.0.2.7:8080/a/b?y")),
            ("https://192.0.2.7:8443/x#f", Some("https://192.0.2.7:8443/x")),
            ("http://192.0.2.7", Some("http://192.0.2.7:80/")),
            ("//192.0.2.7:81/x", Some("http://192.0.2.7:81/x")),
            ("http://192.0.2.8:8080/x", None),
            ("http://localhost:8080/x", None),
            ("https://login.example.com/", None),
            ("ftp://192.0.2.7/", None),
        ] {
            assert_eq!(followed(location).as_deref(), to, "{location}");
        }
    }
}
