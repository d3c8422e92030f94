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

/// The original destination port of a probe.
pub const PORT: u16 = api::ports::READINESS_CAPTURED;

/// Probes that wait for the admin server; more than that are reset.
const WAITING: usize = 64;

/// The workers' end.
#[derive(Clone)]
pub struct Probes(mpsc::Sender<(std::net::TcpStream, SocketAddr)>);

/// The admin server's end, a listener like any other.
pub struct CapturedProbes(mpsc::Receiver<(std::net::TcpStream, SocketAddr)>);

/// A connected pair.
pub fn channel() -> (Probes, CapturedProbes) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Probes(sender), CapturedProbes(receiver))
}

impl Probes {
    /// Hands a probe over; what cannot be handed over is reset, and the kubelet asks again.
    pub(crate) fn answer(&self, client: Leg, peer: SocketAddr) {
        if let Ok(place) = self.0.try_reserve()
            && let Ok(stream) = client.into_stream().and_then(TcpStream::into_std)
        {
            place.send((stream, peer));
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
