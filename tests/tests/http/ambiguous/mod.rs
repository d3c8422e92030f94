//! Ambiguous messages, each followed by a request in the same segment: what would be smuggled. Through the mesh no server
//! gets the one or the other.

mod messages;
mod responses;

use std::sync::mpsc;

use self::messages::{Message, Wrong};
use crate::client::{self, Got};
use crate::message::{End, To, status};
use crate::origins::{self, Origin};
use crate::script::{Act, HOST, Shape, Step, ok, request};
use crate::server::{Sent, Server};
use crate::ways::{Way, Ways};

/// Each may have cost [`client::PATIENCE`].
const MOST_FAILURES: usize = 5;

/// A message, where it is on its connection, and what follows it.
struct Case<'a> {
    message: &'a Message,
    /// Behind a good request.
    is_second: bool,
    /// The target of the request that follows.
    marker: String,
}

impl<'a> Case<'a> {
    /// All positions of all messages; `label` is for the markers.
    fn all(messages: &'a [Message], label: &str) -> Vec<Self> {
        let case = |(number, message): (usize, &'a Message), is_second| {
            let marker = format!("/smuggled-{label}-{number}-{is_second}-");
            Self { message, is_second, marker }
        };
        let both = [false, true]
            .into_iter()
            .flat_map(|is_second| messages.iter().enumerate().map(move |message| case(message, is_second)));
        // At the beginning of a connection its first line says what protocol is spoken: none that is known.
        both.filter(|case| case.is_second || case.message.2 != Wrong::Line).collect()
    }

    /// The whole in one segment.
    fn shape(&self) -> Shape {
        let first = if self.is_second { request("GET /first", "", "") } else { Vec::new() };
        let marker = format!("GET {} HTTP/1.1\r\n{HOST}\r\n", self.marker).into_bytes();
        let bytes = [first, self.message.1.clone(), marker].concat();
        let mut shape = Shape::new(&self.message.0).step(Step::Send(bytes)).ends();
        for _ in 0..self.expected() {
            shape = shape.step(Step::Final(To::Get)).acts([Act::Rest, Act::Say(ok())]);
        }
        shape
    }

    /// Responses.
    fn expected(&self) -> usize {
        1 + usize::from(self.is_second)
    }

    /// Whose head a server may get.
    fn may_pass(&self) -> usize {
        let passes = matches!(self.message.2, Wrong::Content | Wrong::Nothing);
        usize::from(self.is_second) + usize::from(passes)
    }

    /// What is not right about what the client got.
    fn of_client(&self, got: &Got) -> Option<String> {
        let statuses: Vec<_> = got.messages.iter().map(|message| status(&message.head)).collect();
        let last = statuses.last().copied().unwrap_or_default();
        let is_right = match self.message.2 {
            Wrong::Head | Wrong::Line => last == 400,
            // The server may have answered the head.
            Wrong::Content | Wrong::Nothing => last > 0,
        };
        let is_all = statuses.len() == self.expected() && got.raw.is_empty() && got.end == End::Finished;
        (!is_right || !is_all).then(|| format!("the client got {got:?}"))
    }

    fn of_server(&self, sent: &Sent) -> Option<String> {
        let complete = sent.requests.iter().filter(|request| request.is_complete).count();
        let may_be_complete = usize::from(self.is_second) + usize::from(self.message.2 == Wrong::Nothing);
        let is_right = sent.requests.len() <= self.may_pass() && complete <= may_be_complete;
        (!is_right || !sent.complaints.is_empty()).then(|| format!("the server got {sent:?}"))
    }

    fn told(&self, way: Way, what: &str) -> String {
        let place = if self.is_second { "second" } else { "first" };
        format!("{} ({place}, {way:?}): {what}", self.message.0)
    }
}

fn converse(ways: &Ways, way: Way, port: u16, shape: &Shape) -> Got {
    let (signal, _signals) = mpsc::channel();
    ways.on(way, || client::converse(ways.address(port), shape, 0, &signal))
}

/// What is not right with a server whose every byte is known.
fn failures_of_wire(ways: &Ways, way: Way, case: &Case<'_>) -> Vec<String> {
    let shape = case.shape();
    let (_signal, signals) = mpsc::channel();
    let server = Server::start(ways.pod(), Ways::ANY, &shape.acts, 0, signals);
    let got = converse(ways, way, server.address().port(), &shape);
    let found = [case.of_client(&got), case.of_server(&server.finish())];
    found.iter().flatten().map(|what| case.told(way, what)).collect()
}

#[test]
fn nothing_of_an_ambiguous_message_reaches_a_server() {
    let ways = Ways::paired();
    let messages = messages::all();
    let cases = Case::all(&messages, "wire");
    let all = Way::MESHED.into_iter().flat_map(|way| cases.iter().map(move |case| (way, case)));
    let failures = all.flat_map(|(way, case)| failures_of_wire(&ways, way, case));
    let failures: Vec<_> = failures.take(MOST_FAILURES).collect();
    println!("{} messages, {} cases on each way", messages.len(), cases.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    // The first proxy on the way has said why.
    let refused = cases.iter().filter(|case| case.message.2 != Wrong::Nothing).count() as u64;
    for meshed in [&ways.server, &ways.client] {
        assert_eq!(meshed.metric(&["remora_http_refused_messages_total{"]), refused);
    }
}

/// Which markers a server was asked for, without the mesh.
fn smuggled_without_a_mesh(ways: &Ways, origin: &Origin, messages: &[Message]) -> usize {
    let cases = Case::all(messages, "direct");
    let ambiguous: Vec<_> = cases.iter().filter(|case| case.message.2 != Wrong::Nothing).collect();
    for case in &ambiguous {
        // It waits for nothing more, whatever it has understood.
        let mut shape = case.shape();
        shape.steps.truncate(1);
        converse(ways, Way::Direct, origin.port, &shape.steps([Step::Finish, Step::End]));
    }
    settle(ways, origin, "direct");
    ambiguous.iter().filter(|case| origin.has_written(&case.marker)).count()
}

/// Waits until all that was asked before is in the log.
fn settle(ways: &Ways, origin: &Origin, label: &str) {
    let target = format!("/settled-{label}");
    let shape =
        Shape::new("").step(Step::Send(request(&format!("GET {target}"), "", ""))).step(Step::Final(To::Get));
    converse(ways, Way::Direct, origin.port, &shape);
    origin.wait_until_it_has_written(&target);
}

fn failures_of_origin(ways: &Ways, origin: &Origin, messages: &[Message]) -> Vec<String> {
    let mut failures = Vec::new();
    for way in Way::MESHED {
        let label = format!("{way:?}");
        let cases = Case::all(messages, &label);
        let wrong = cases.iter().filter_map(|case| {
            let got = converse(ways, way, origin.port, &case.shape());
            case.of_client(&got).map(|what| case.told(way, &what))
        });
        failures.extend(wrong.take(MOST_FAILURES));
        settle(ways, origin, &label);
        let smuggled = cases.iter().filter(|case| origin.has_written(&case.marker));
        failures.extend(smuggled.map(|case| case.told(way, "smuggled")));
    }
    failures.iter().map(|failure| format!("{}: {failure}", origin.name)).collect()
}

#[test]
fn nothing_is_smuggled_past_the_mesh_to_servers_that_people_use() {
    let ways = Ways::new();
    let origins = origins::start(&ways);
    let messages = messages::all();
    let without =
        origins.iter().map(|origin| (origin.name, smuggled_without_a_mesh(&ways, origin, &messages)));
    let without: Vec<_> = without.collect();
    println!("requests that get through without a mesh: {without:?}");
    assert!(without.iter().all(|(_, count)| *count > 0), "for some the test proves nothing");
    let failures = origins.iter().flat_map(|origin| failures_of_origin(&ways, origin, &messages));
    let failures: Vec<_> = failures.take(MOST_FAILURES).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
