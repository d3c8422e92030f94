//! What HTTP/1 clients and servers say, however unusual, as long as RFC 9110 and RFC 9112 allow it.

mod bodies;
mod connections;
mod interim;
pub(crate) mod requests;
mod responses;
mod tunnels;

use crate::message::{To, find, has_option};
use crate::script::{Act, Afterwards, Shape, Step};

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

/// Up to eight exchanges of `shapes`, chosen by chance: all requests are sent at once, and both directions are cut by chance.
pub(crate) fn sequence(shapes: &[Shape], seed: u64) -> Shape {
    let mut random = fastrand::Rng::with_seed(seed);
    let exchanges: Vec<_> = shapes.iter().filter_map(exchange).collect();
    let chosen: Vec<_> = (0..random.usize(2..=8)).filter_map(|_| random.choice(&exchanges)).collect();
    let requests: Vec<_> = chosen.iter().map(|(request, ..)| *request).collect();
    let mut shape = Shape::new(&format!("{} of them", chosen.len())).step(Step::Cut(requests.concat()));
    for (_, to, response) in chosen {
        shape = shape.step(Step::Final(*to)).acts([Act::Rest, Act::Cut(response.to_vec())]);
    }
    shape
}

/// A request, what its response is to, and the response, of a shape that is nothing else and leaves its connection open.
fn exchange(shape: &Shape) -> Option<(&[u8], To, &[u8])> {
    const LONG: usize = 100_000;
    let ([Step::Send(request), Step::Final(to)], [acts]) = (&*shape.steps, &*shape.acts) else { return None };
    let [Act::Rest, Act::Say(response)] = &**acts else { return None };
    let is_open = [request, response].into_iter().all(|message| {
        let head = message.split_at(find(message, b"\r\n\r\n").unwrap_or(0)).0;
        // What comes behind an offer to speak something else could be that, and the proxy takes it for no request.
        let goes_on = !has_option(head, "close") && !has_option(head, "upgrade");
        goes_on && find(head, b"HTTP/1.0").is_none() && message.len() < LONG
    });
    (shape.afterwards == Afterwards::Asks && is_open).then_some((request, *to, response))
}
