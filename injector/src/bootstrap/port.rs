//! Whether our own TLS port is well, from probe to probe.
//!
//! On a machine that is busy a single probe may come to nothing, and a replica that is unready for it would push its load to
//! others that are just as busy. A certificate that is definitely wrong needs no second look.

use crate::webhook::ProbeError;

/// Failures in a row that count.
const FAILURES: u32 = 3;

/// The last probes.
#[derive(Debug, Default)]
pub(super) struct Port {
    /// It answered once.
    was_well: bool,
    failures: u32,
}

impl Port {
    /// Takes a probe's result; an error is a port that is not well.
    pub(super) fn probed(&mut self, probed: Result<(), ProbeError>) -> Result<(), ProbeError> {
        let Err(error) = probed else {
            *self = Self { was_well: true, failures: 0 };
            return Ok(());
        };
        self.failures = self.failures.saturating_add(1);
        if self.was_well && !error.is_definite() && self.failures < FAILURES {
            return Ok(());
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::Port;
    use crate::webhook::ProbeError;

    fn timeout() -> Result<(), ProbeError> {
        Err(ProbeError::Timeout { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)) })
    }

    fn wrong() -> Result<(), ProbeError> {
        Err(ProbeError::Certificate { reason: "unknown issuer".to_owned() })
    }

    #[test]
    fn one_timeout_says_nothing_and_three_do() {
        let mut port = Port::default();
        port.probed(Ok(())).unwrap();
        for _ in 0..5 {
            assert!(port.probed(timeout()).is_ok() && port.probed(timeout()).is_ok());
            port.probed(Ok(())).unwrap();
        }
        assert!(port.probed(timeout()).is_ok() && port.probed(timeout()).is_ok());
        assert!(port.probed(timeout()).is_err() && port.probed(timeout()).is_err());
        assert!(port.probed(Ok(())).is_ok() && port.probed(timeout()).is_ok());
    }

    #[test]
    fn a_wrong_certificate_and_a_port_that_never_answered_are_told_at_once() {
        let mut port = Port::default();
        assert!(port.probed(timeout()).is_err());
        port.probed(Ok(())).unwrap();
        assert!(port.probed(wrong()).is_err());
    }
}
