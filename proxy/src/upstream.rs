//! The way to the other end of a connection: what the stories know, and who carries a connection asks for.

use crate::detect::Hint;
use crate::net::leg::Leg;
use crate::net::original_dst::OriginalDst;
use crate::telemetry::session::{End, Session};

/// The way to the other end of a connection.
pub(crate) trait Upstream {
    /// How the port is declared, as far as that is known: all of it when [`dial`](Self::dial) has returned.
    fn hint(&self) -> Option<Hint>;

    /// Makes the upstream connection, and tells the account where it goes and that it is [`connected`]. What the way has
    /// to keep while the connection lasts, it keeps in itself. The error is how the connection ends then.
    fn dial(&mut self, session: &Session) -> impl Future<Output = Result<Leg, End>> + Send;
}

/// Tells the account of a connection that was made to `to`. The kernel need not be asked for that address; it knows the
/// other one alone.
pub(crate) fn connected(session: &Session, server: &Leg, to: OriginalDst) {
    if let Ok(local) = server.stream().local_addr() {
        session.connected(local, to.address());
    }
}
