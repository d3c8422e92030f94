//! What a port is declared to speak, before anybody has said a word.

use super::{Detected, Protocol, Reason};

/// A declared protocol. It wins over what is seen: a client cannot talk, or wait, itself out of what applies to the port.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Hint {
    /// Not to be looked at.
    Opaque,
    /// TLS.
    Tls,
    /// HTTP of either version.
    Http,
    /// HTTP/2 with prior knowledge.
    Http2,
}

impl Hint {
    /// What a Service says of its port, in the words of Kubernetes' `appProtocol`, or of Istio's convention that a port's
    /// name begins with its protocol. None where it says nothing that is known.
    pub fn declared(app_protocol: Option<&str>, port_name: Option<&str>) -> Option<Self> {
        let named = || {
            // `grpc-web` is the one protocol with a dash in it.
            let name = port_name?;
            let is_grpc_web = name == "grpc-web" || name.starts_with("grpc-web-");
            Self::of(if is_grpc_web { "grpc-web" } else { name.split('-').next().unwrap_or(name) })
        };
        app_protocol.and_then(Self::of).or_else(named)
    }

    fn of(protocol: &str) -> Option<Self> {
        Some(match protocol.to_ascii_lowercase().as_str() {
            "http" | "grpc-web" | "kubernetes.io/ws" => Self::Http,
            "http2" | "grpc" | "kubernetes.io/h2c" => Self::Http2,
            "https" | "tls" | "kubernetes.io/wss" => Self::Tls,
            "tcp" | "mongo" | "mysql" | "redis" => Self::Opaque,
            _ => return None,
        })
    }

    /// Whether it is HTTP's, of any version.
    pub(crate) fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Http2 => true,
            Self::Opaque | Self::Tls => false,
        }
    }

    /// What is taken to be spoken, after this was seen of a client. On a port that is declared HTTP a beginning that is another protocol's
    /// counts, and everything else is HTTP's: its readers refuse what is none, which a lenient server might not.
    pub(crate) fn settle(self, seen: Detected) -> Detected {
        match (self, seen.protocol) {
            (Self::Tls, Protocol::Tls) => seen,
            _ if self.is_http() && seen.reason == Reason::FirstBytes => seen,
            _ => Detected { protocol: self.protocol(), reason: Reason::Hint, hello: None },
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::Opaque => Protocol::Opaque,
            Self::Tls => Protocol::Tls,
            // A beginning that is none yet is looked at by a reader that can answer it.
            Self::Http | Self::Http2 => Protocol::Http1,
        }
    }
}
