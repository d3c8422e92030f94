//! What HTTP/1 clients and servers say, however unusual, as long as RFC 9110 and RFC 9112 allow it.

mod bodies;
mod connections;
mod interim;
mod requests;
mod responses;
mod tunnels;

use crate::script::Shape;

/// All of them, with a name each.
pub(crate) fn all() -> Vec<Shape> {
    let parts = [
        requests::all(),
        responses::all(),
        bodies::all(),
        interim::all(),
        connections::all(),
        tunnels::all(),
    ];
    parts.into_iter().flatten().collect()
}
