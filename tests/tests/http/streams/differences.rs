//! What may differ behind a proxy of HTTP/2, and why: the whole list, which is the README's. Everything else is to be the same.

use conformance::frames::{Field, PROTOCOL_ERROR};

use super::cases::{Case, FRAGMENT, NO_AUTHORITY, NO_URI, PSEUDO_TRAILER};
use super::client::{Got, Stream};

/// A difference that is right, and how it is taken out of what came directly and of what came through the mesh.
pub(super) struct Difference {
    pub(super) what: &'static str,
    pub(super) reason: &'static str,
    /// In the cases alone that are made for it.
    is_special: bool,
    forgive: fn(&mut Got, &mut Got),
}

pub(super) const DIFFERENCES: [Difference; 8] = [
    Difference {
        what: "the order of fields of different names",
        reason: "the library keeps fields by their names; RFC 9110, 5.3, gives their order no meaning",
        is_special: false,
        forgive: |direct, meshed| {
            for got in [direct, meshed] {
                order(got);
            }
        },
    },
    Difference {
        what: "an x-request-id",
        reason: "by it the lines of several proxies' logs are one request's; a client's own is kept",
        is_special: false,
        forgive: |direct, meshed| {
            for (direct, meshed) in direct.streams.iter().zip(&mut meshed.streams) {
                let is_id = |field: &Field| field.name == b"x-request-id";
                if !direct.head.iter().any(is_id) {
                    meshed.head.retain(|field| !is_id(field));
                }
            }
        },
    },
    Difference {
        what: "never-indexed marks",
        reason: "the library does not tell of them",
        is_special: false,
        forgive: |direct, meshed| {
            for got in [direct, meshed] {
                for stream in &mut got.streams {
                    let heads = stream.interim.iter_mut().chain([&mut stream.head, &mut stream.trailers]);
                    heads.flatten().for_each(|field| field.is_never_indexed = false);
                    lines(&mut stream.content, |lines| lines.retain(|line| !line.starts_with(MARKED)));
                }
            }
        },
    },
    Difference {
        what: "pushes",
        reason: "a server is told that nobody takes them",
        is_special: false,
        forgive: |direct, meshed| {
            for (direct, meshed) in direct.streams.iter_mut().zip(&meshed.streams) {
                if meshed.promised.is_empty() {
                    direct.promised.clear();
                }
            }
        },
    },
    Difference {
        what: NO_URI,
        reason: "the library takes no path that RFC 3986 does not have, but for some that are common",
        is_special: true,
        forgive: |direct, meshed| {
            let refused = Stream { reset: Some(PROTOCOL_ERROR), ..Stream::default() };
            first(direct, meshed, |direct, meshed| {
                if *meshed == refused {
                    *direct = refused;
                }
            });
        },
    },
    Difference {
        what: FRAGMENT,
        reason: "the library leaves it out: it is no part of a path (RFC 9113, 8.3.1)",
        is_special: true,
        forgive: |direct, meshed| {
            first(direct, meshed, |direct, meshed| {
                lines(&mut direct.content, |lines| {
                    lines.iter_mut().for_each(|line| line.retain(|byte| *byte != b'#'));
                });
                for stream in [direct, meshed] {
                    stream.head.retain(|field| field.name != b"content-length");
                }
            });
        },
    },
    Difference {
        what: NO_AUTHORITY,
        reason: "the library does not tell of the scheme then",
        is_special: true,
        forgive: |direct, meshed| {
            first(direct, meshed, |direct, meshed| {
                for stream in [direct, meshed] {
                    lines(&mut stream.content, |lines| lines.retain(|line| !line.starts_with(b":scheme: ")));
                    stream.head.retain(|field| field.name != b"content-length");
                }
            });
        },
    },
    Difference {
        what: PSEUDO_TRAILER,
        reason: "the library leaves them out",
        is_special: true,
        forgive: |direct, meshed| {
            first(direct, meshed, |direct, meshed| {
                if *direct == (Stream { reset: Some(PROTOCOL_ERROR), ..Stream::default() }) {
                    direct.clone_from(meshed);
                }
            });
        },
    },
];

/// By what an application's content tells of the marks.
const MARKED: &[u8] = b"never indexed: ";

/// Of the servers' applications, that tell what they were asked.
const LONGEST_TEXT: usize = 100_000;

/// Of the case's first stream.
fn first(direct: &mut Got, meshed: &mut Got, forgive: impl FnOnce(&mut Stream, &mut Stream)) {
    if let (Some(direct), Some(meshed)) = (direct.streams.first_mut(), meshed.streams.first_mut()) {
        forgive(direct, meshed);
    }
}

/// Within a name the order stays.
fn order(got: &mut Got) {
    let name = |field: &Field| field.name.clone();
    for stream in &mut got.streams {
        for head in stream.interim.iter_mut().chain([&mut stream.head, &mut stream.trailers]) {
            head.sort_by_key(name);
        }
        let name = |line: &Vec<u8>| {
            let end = line.windows(2).position(|two| two == b": ").unwrap_or(line.len());
            line.get(..end).map(<[u8]>::to_vec)
        };
        lines(&mut stream.content, |lines| lines.sort_by_key(name));
    }
}

fn lines(content: &mut Vec<u8>, edit: impl FnOnce(&mut Vec<Vec<u8>>)) {
    if content.len() <= LONGEST_TEXT {
        let mut lines: Vec<_> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        edit(&mut lines);
        *content = lines.join(&b'\n');
    }
}

/// The numbers of the differences without which these two would not be the same, or where they differ otherwise.
pub(super) fn between(case: &Case, direct: &Got, meshed: &Got) -> Result<Vec<usize>, String> {
    let forgiven = |but: Option<usize>| {
        let (mut direct, mut meshed) = (direct.clone(), meshed.clone());
        for (number, Difference { what, is_special, forgive, .. }) in DIFFERENCES.iter().enumerate() {
            if but != Some(number) && (!is_special || case.differs == Some(*what)) {
                forgive(&mut direct, &mut meshed);
            }
        }
        (direct, meshed)
    };
    let (a, b) = forgiven(None);
    if a != b {
        return Err(told(&a, &b));
    }
    let is_needed = |number: &usize| {
        let (a, b) = forgiven(Some(*number));
        a != b
    };
    Ok((0..DIFFERENCES.len()).filter(is_needed).collect())
}

fn told(direct: &Got, meshed: &Got) -> String {
    let mut all = Vec::new();
    if (direct.goaway, &direct.stopped) != (meshed.goaway, &meshed.stopped) {
        let of = |got: &Got| format!("GOAWAY {:?}, stopped {:?}", got.goaway, got.stopped);
        all.push(format!("{} became {}", of(direct), of(meshed)));
    }
    for (number, (a, b)) in direct.streams.iter().zip(&meshed.streams).enumerate() {
        if a != b {
            all.push(format!("stream {number}: {a:?}\n  became {b:?}"));
        }
    }
    all.join("\n  ")
}
