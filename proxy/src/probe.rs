//! Readiness probes that came through capture: a worker hands them to the admin server, which answers them as it answers
//! those on the readiness port.
//!
//! Nobody listens on [`PORT`], so an answer proves that the redirect rules work. A probe is no carried connection: it is
//! neither counted nor logged.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::serve::Listener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::net::leg::Leg;
use crate::telemetry::metrics::Metrics;

/// The original destination port of a probe.
pub const PORT: u16 = api::ports::READINESS_CAPTURED;

/// Probes that wait for the admin server; more than that are reset.
pub(crate) const WAITING: usize = 64;

/// The workers' end.
#[derive(Clone)]
pub struct Probes {
    waiting: mpsc::Sender<(std::net::TcpStream, SocketAddr)>,
    metrics: Metrics,
}

/// The admin server's end, a listener like any other.
pub struct CapturedProbes(mpsc::Receiver<(std::net::TcpStream, SocketAddr)>);

/// A connected pair; `metrics` will tell what was not handed over.
pub fn channel(metrics: Metrics) -> (Probes, CapturedProbes) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Probes { waiting: sender, metrics }, CapturedProbes(receiver))
}

impl Probes {
    /// Hands a probe over; what cannot be handed over is reset, and the kubelet asks again.
    pub(crate) fn answer(&self, client: Leg, peer: SocketAddr) {
        if let Ok(place) = self.waiting.try_reserve()
            && let Ok(stream) = client.into_stream().and_then(TcpStream::into_std)
        {
            place.send((stream, peer));
        } else {
            self.metrics.probe_refused();
        }
    }
}

impl Listener for CapturedProbes {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.0.recv().await {
                Some((stream, peer)) => {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        return (stream, peer);
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::UNSPECIFIED, PORT).into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::{Leg, Metrics, WAITING, channel};

    #[tokio::test(flavor = "current_thread")]
    async fn more_probes_than_can_wait_are_reset_and_counted() {
        let (metrics, registry) = (Metrics::default(), runtime::metrics::Metrics::default());
        metrics.register(&registry);
        let (probes, _admin) = channel(metrics);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..=WAITING {
            clients.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
            let (server, peer) = listener.accept().await.unwrap();
            probes.answer(Leg::of(server).unwrap(), peer);
        }
        let error = clients.pop().unwrap().read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let text = registry.text();
        assert!(text.contains("remora_captured_probes_refused_total 1\n"), "{text}");
    }
}
