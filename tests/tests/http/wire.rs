//! Every shape between a client and a server whose every byte is known.

use std::sync::mpsc;

use tests::scale;

use crate::client::{self, AFTERWARDS, Got};
use crate::differences::{self, Body, Side};
use crate::message::{End, Message, find};
use crate::script::{Act, Shape, Step};
use crate::server::{EARLY, Sent, Server};
use crate::shapes;
use crate::ways::{Way, Ways};

/// What cuts at random places are made of, and those of a soak begin with.
const SEED: u64 = 8;

/// Shapes, below which some must have been lost.
const LEAST: usize = 120;

/// A conversation, as both sides saw it.
struct Conversation {
    got: Got,
    sent: Sent,
}

fn converse(ways: &Ways, way: Way, shape: &Shape, seed: u64) -> Conversation {
    let (signal, signals) = mpsc::channel();
    let server = Server::start(ways.pod(), Ways::ANY, &shape.acts, seed, signals);
    let target = ways.address(server.address().port());
    let got = ways.on(way, || client::converse(target, shape, seed, &signal));
    Conversation { got, sent: server.finish() }
}

/// Without a proxy everything goes as it is written, or nothing would be compared.
fn check_script(shape: &Shape, direct: &Conversation) {
    let name = &shape.name;
    let Conversation { got, sent } = direct;
    // A client may be early where nobody holds it up.
    assert!(sent.complaints.iter().all(|complaint| complaint == EARLY), "{name}: {sent:?}");
    assert_eq!(requests(sent).count(), shape.acts.len(), "{name}: {sent:?}");
    let expected = shape.steps.iter().filter(|step| matches!(step, Step::Interim | Step::Final(_))).count();
    assert!(got.messages.len() >= expected, "{name}: {got:?}");
    let is_complete = got.messages.iter().all(|message| message.is_complete);
    assert!(is_complete || shape.is_cut_off, "{name}: {got:?}");
    let resets = shape.acts.iter().flatten().any(|act| matches!(act, Act::Reset));
    assert!(got.end == End::Finished || resets, "{name}: {got:?}");
}

/// Those of the shape.
fn requests(sent: &Sent) -> impl Iterator<Item = &Message> {
    sent.requests.iter().filter(|request| find(&request.head, AFTERWARDS.as_bytes()).is_none())
}

fn of_servers(left: &Sent, right: &Sent) -> Vec<String> {
    let mut all = right.complaints.clone();
    let (a, b) = (requests(left).count(), requests(right).count());
    if a != b {
        all.push(format!("requests: {a} became {b}"));
    }
    for (number, (a, b)) in requests(left).zip(requests(right)).enumerate() {
        let found = differences::of_messages(Side::Request, Body::Framed, a, b);
        all.extend(found.into_iter().map(|text| format!("request {number}: {text}")));
    }
    if left.raw != right.raw {
        all.push(format!("a tunnel: {} bytes became {} or other ones", left.raw.len(), right.raw.len()));
    }
    all
}

/// Where the ways differ.
fn compare(ways: &Ways, shape: &Shape, seed: u64) -> Vec<String> {
    let direct = converse(ways, Way::Direct, shape, seed);
    check_script(shape, &direct);
    let differences = |way| {
        let meshed = converse(ways, way, shape, seed);
        let server = of_servers(&direct.sent, &meshed.sent).into_iter().map(|text| format!("server: {text}"));
        let client = differences::of_clients(shape, Body::Framed, &direct.got, &meshed.got);
        let found: Vec<_> = server.chain(client.into_iter().map(|text| format!("client: {text}"))).collect();
        (!found.is_empty())
            .then(|| format!("{} ({way:?}, seed {seed}):\n  {}", shape.name, found.join("\n  ")))
    };
    Way::MESHED.into_iter().filter_map(differences).collect()
}

#[test]
fn both_sides_get_the_same_bytes_through_the_mesh() {
    let ways = Ways::paired();
    let shapes = shapes::all();
    assert!(shapes.len() >= LEAST, "{}", shapes.len());
    let failures: Vec<_> = shapes.iter().flat_map(|shape| compare(&ways, shape, SEED)).collect();
    println!("{} shapes, seed {SEED}", shapes.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    // It was no detour, and taken for what it is.
    for meshed in [&ways.server, &ways.client] {
        assert!(meshed.metric(&["istio_requests_total{"]) >= shapes.len() as u64);
    }
}

#[test]
fn sequences_of_requests_get_the_same_bytes() {
    let ways = Ways::paired();
    let shapes = shapes::all();
    let seeds = SEED..SEED + scale::of("seeds", 2_000, 100);
    let failures = seeds.clone().flat_map(|seed| compare(&ways, &shapes::sequence(&shapes, seed), seed));
    let failures: Vec<_> = failures.collect();
    println!("seeds {seeds:?}");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn wherever_messages_are_cut_both_sides_get_the_same_bytes() {
    let ways = Ways::paired();
    let mut shapes = shapes::all();
    shapes.retain(Shape::is_cut);
    let seeds = SEED..SEED + scale::of("seeds", 1_000, 20);
    let all = seeds.clone().flat_map(|seed| shapes.iter().map(move |shape| (shape, seed)));
    let failures: Vec<_> = all.flat_map(|(shape, seed)| compare(&ways, shape, seed)).collect();
    println!("{} shapes, seeds {seeds:?}", shapes.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
