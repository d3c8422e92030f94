//! What is refused of a client besides requests that were handed out: those that h2 refuses by itself, and the connection.
//!
//! Invariant: the access log says of it what the metric counts. It may have one line for many that were refused at once and for the
//! same reason, since whoever sends them pays less for each than a line costs.

use super::super::ended_by;
use super::Connection;
use crate::http::h2::Refusal;
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::{Exchange, Request, Timer};
use crate::telemetry::session::End;

impl Connection<'_> {
    /// Tells what was refused since the last time.
    pub(super) fn tell_refused(&mut self) {
        let seen = &self.shared.client.seen;
        if let Some(code) = seen.untold() {
            self.session.refused(Side::Client, code);
        }
        let mut refused = seen.refused_by_h2(self.has_all);
        refused.iter().for_each(|refusal| self.session.refused(Side::Client, refusal.code()));
        refused.sort_by_key(|refusal| refusal.code().name());
        refused.dedup();
        for refusal in refused {
            let exchange = self.unread();
            if refusal == Refusal::HeadTooLong {
                exchange.answered(431);
            }
            exchange.close(End::refused(Side::Client, refusal.code()));
        }
    }

    /// A head of the client's has not ended in time.
    pub(super) fn is_late(&mut self) {
        self.session.timed_out(Timer::Head);
        let seen = &self.shared.client.seen;
        seen.leave(Timer::Head.code());
        // It has been counted.
        seen.untold();
    }

    /// The client's connection has ended, or was made to. Its streams say why; where there is none, it does so itself.
    pub(super) fn ended(&mut self, error: Option<&::h2::Error>) -> End {
        self.has_all = true;
        let seen = &self.shared.client.seen;
        let end = match (error, seen.left()) {
            (Some(error), _) => ended_by(error, seen, Side::Client),
            (None, Some(code)) => End::refused(Side::Client, code),
            (None, None) => End::COMPLETE,
        };
        if self.streams.is_empty() && seen.left().is_some() {
            self.unread().close(end.clone());
        }
        end
    }

    /// The account of a request of which nothing is known.
    fn unread(&self) -> Exchange {
        self.session.begin(&Request { protocol: "HTTP/2", ..Request::default() })
    }
}
