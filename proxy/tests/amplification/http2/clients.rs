//! Hostile clients.

use super::*;

/// To a server that listens.
fn says(name: &'static str, says: Vec<u8>) -> Case {
    case(name, client(&[], says), listens())
}

/// To one that does not, and that remembers no fields.
fn deaf(name: &'static str, says: Vec<u8>) -> Case {
    case(name, client(&[], says), server(1, &[(HEADER_TABLE_SIZE, 0)], []).deaf())
}

/// A request as a block of fields.
fn request(block: &[u8]) -> impl Fn(u32) -> Vec<u8> {
    move |stream| headers(END_HEADERS | END_STREAM, stream, block)
}

#[test]
fn heads() {
    let alone = crate::alone();
    let remembered = [asks("GET"), field(REMEMBERED, "x", &"v".repeat(4000))].concat();
    let byte_by_byte: Vec<_> = asks("GET").iter().map(|byte| frame(CONTINUATION, 0, 1, &[*byte])).collect();
    measure(
        &alone,
        &[
            says("many fields", endless(&asks("GET"), &field(ONCE, "a", ""), 1_000_000)),
            // Of a length that has no end.
            says("one long field", endless(&[ONCE, 0x7f], &[0xff], 1_000_000)),
            says(
                "a long value",
                endless(&[&field(ONCE, "x", "")[..3], &[0x7f, 0x80, 0x80, 0x40]].concat(), b"v", 1_000_000),
            ),
            says("CONTINUATION without fields", endless_without_fields()),
            says("CONTINUATION with a byte", [headers(0, 1, b""), byte_by_byte.concat()].concat()),
            says("a bomb", endless(&remembered, &[LATEST], 100_000)),
        ],
    );
}

#[test]
fn streams_with_heads() {
    let alone = crate::alone();
    let many_fields = [asks("GET"), field(ONCE, "a", "").repeat(190)].concat();
    let long_field = [asks("GET"), field(ONCE, "x", &"v".repeat(16_000))].concat();
    let bombs = |name| bombs(name, &asks("GET"), END_HEADERS | END_STREAM, STREAMS);
    let fields = |fields: usize, case: Case| Case { fields: fields * STREAMS as usize, ..case };
    let reset = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    measure(
        &alone,
        &[
            says("many streams", on_each(STREAMS, get)),
            deaf("many streams to a deaf server", on_each(STREAMS, get)),
            says(
                "many streams, reset at once",
                on_each(20_000, |stream| [get(stream), reset(stream)].concat()),
            ),
            fields(190, deaf("many fields on many streams", on_each(STREAMS, request(&many_fields)))),
            deaf("long fields on many streams", on_each(STREAMS, request(&long_field))),
            fields(15, says("bombs", bombs("x"))),
            fields(15, deaf("bombs to a deaf server", bombs("x"))),
            fields(15, deaf("bombs of cookies", bombs("cookie"))),
        ],
    );
}

#[test]
fn content() {
    let alone = crate::alone();
    let padded = frame(DATA, PADDED, 1, &[&[200][..], &[0; 200]].concat());
    let empty = frame(DATA, 0, 1, b"");
    let with_trailers = |block: &[u8]| [post(1), request(block)(1)].concat();
    let remembered = field(REMEMBERED, "x", &"v".repeat(4000));
    let narrow = server(1, &[(INITIAL_WINDOW_SIZE, 0)], []);
    measure(
        &alone,
        &[
            says("content", [post(1), full(1, 600)].concat()),
            deaf("content to a deaf server", [post(1), full(1, 600)].concat()),
            case("content to a server without a window", client(&[], [post(1), full(1, 4)].concat()), narrow),
            deaf("padding", [post(1), padded.repeat(300)].concat()),
            says("empty content", [post(1), empty.repeat(20_000)].concat()),
            says("trailers", with_trailers(&field(ONCE, "a", "").repeat(190))),
            deaf("a bomb of trailers", with_trailers(&[&remembered[..], &[LATEST; 15]].concat())),
        ],
    );
}

/// For each frame there is a record, however little it carries.
#[test]
fn content_in_short_frames() {
    let alone = crate::alone();
    let one = || [post(1), bytes(1, 60_000)].concat();
    let each = |count| on_each(STREAMS, |stream| bytes(stream, count));
    let closed = || server(1, &[(INITIAL_WINDOW_SIZE, 0)], []);
    measure(
        &alone,
        &[
            says("bytes", one()),
            deaf("bytes to a deaf server", one()),
            case("bytes to a server without a window", client(&[], one()), closed()),
            deaf("bytes on many streams", [on_each(STREAMS, post), each(60)].concat()),
            case(
                "a byte at a time on many streams",
                client(&[], [on_each(STREAMS, post), each(1).repeat(60)].concat()),
                closed(),
            ),
            case("byte after byte", client(&[], [post(1), bytes(1, 1000)].concat()).in_pieces(1), listens()),
        ],
    );
}

#[test]
fn windows() {
    let alone = crate::alone();
    let page = |stream| [headers(END_HEADERS, stream, &answers()), full(stream, 4)].concat();
    let pages = server(100, &[], on_each(100, page));
    let wide = client(&[(INITIAL_WINDOW_SIZE, WIDE)], [window(0, WIDE - 65_535), on_each(100, get)].concat());
    let closed = &[(INITIAL_WINDOW_SIZE, 0)];
    let slowly = [get(1), window(1, 1).repeat(50)].concat();
    measure(
        &alone,
        &[
            case("a deaf client of many answers", wide.deaf(), pages.clone()),
            case("a client without a window", client(closed, on_each(100, get)), pages),
            case("a window byte by byte", client(closed, slowly), server(1, &[], page(1))),
        ],
    );
}
