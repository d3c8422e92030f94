//! Fields in, fields out.

use proptest::prelude::*;
use proptest::string::string_regex;

use super::{Decision, Given, Place, SpanId, TraceId};

const LONG: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SHORT: &str = "a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const OURS: &str = "0123456789abcdef";

type Fields = Vec<(String, String)>;

fn given(fields: &[(&str, &str)]) -> Given {
    Given::read(fields.iter().map(|(name, value)| (*name, value.as_bytes())))
}

/// What the next hop gets, by name; our span is `OURS`.
fn forwarded(fields: &[(&str, &str)]) -> Fields {
    let given = given(fields);
    let trace = given.parent().map_or(TraceId::long(LONG.as_bytes()).unwrap(), |parent| parent.trace);
    let decision = given.decision().unwrap_or(Decision::Accept);
    let edits = given.edits(&Place { trace, span: SpanId::parse(OURS.as_bytes()).unwrap(), decision });
    let kept = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned()));
    let kept = kept.filter(|(name, _)| !edits.replaced.contains(&name.as_str()));
    let mut fields: Fields =
        kept.chain(edits.added.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

fn told(fields: &[(&str, &str)]) -> (Option<(String, String)>, Option<Decision>) {
    let given = given(fields);
    (given.parent().map(|parent| (parent.trace.to_string(), parent.span.to_string())), given.decision())
}

#[test]
fn each_format_is_read() {
    let ids = |trace: &str| Some((trace.to_owned(), SPAN.to_owned()));
    let (parent, single) = (format!("00-{LONG}-{SPAN}-01"), format!("{LONG}-{SPAN}"));
    let short = format!("{SHORT}-{SPAN}-1-{OURS}");
    for (fields, expected) in [
        (vec![("traceparent", &*parent)], (ids(LONG), Some(Decision::Accept))),
        (vec![("TraceParent", &parent.replace("-01", "-00"))], (ids(LONG), Some(Decision::Deny))),
        // Flags that are not known say nothing.
        (vec![("traceparent", &parent.replace("-01", "-fe"))], (ids(LONG), Some(Decision::Deny))),
        // A version to come, with and without more.
        (vec![("traceparent", &parent.replacen("00", "cc", 1))], (ids(LONG), Some(Decision::Accept))),
        (
            vec![("traceparent", &format!("cc{}-what-comes", &parent[2..]))],
            (ids(LONG), Some(Decision::Accept)),
        ),
        (vec![("b3", &*single)], (ids(LONG), None)),
        (vec![("B3", &format!("{single}-0"))], (ids(LONG), Some(Decision::Deny))),
        (vec![("b3", &format!("{single}-d"))], (ids(LONG), Some(Decision::Debug))),
        (vec![("b3", &short)], (ids(SHORT), Some(Decision::Accept))),
        (vec![("b3", "0")], (None, Some(Decision::Deny))),
        (vec![("b3", "d")], (None, Some(Decision::Debug))),
        (vec![("X-B3-TraceId", SHORT), ("X-B3-SpanId", SPAN)], (ids(SHORT), None)),
        (
            vec![("x-b3-traceid", LONG), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")],
            (ids(LONG), Some(Decision::Deny)),
        ),
        (
            vec![("x-b3-traceid", LONG), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0"), ("x-b3-flags", "1")],
            (ids(LONG), Some(Decision::Debug)),
        ),
        (vec![("x-b3-sampled", "true")], (None, Some(Decision::Accept))),
        (vec![("x-b3-sampled", "yes"), ("x-b3-flags", "2")], (None, None)),
        // The order of formats.
        (vec![("b3", "0"), ("traceparent", &parent)], (ids(LONG), Some(Decision::Accept))),
        (
            vec![("x-b3-traceid", LONG), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0"), ("b3", &short)],
            (ids(SHORT), Some(Decision::Accept)),
        ),
    ] {
        assert_eq!(told(&fields), expected, "{fields:?}");
    }
}

#[test]
fn malformed_fields_tell_nothing() {
    let parent = format!("00-{LONG}-{SPAN}-01");
    let upper = LONG.to_ascii_uppercase();
    let zero = "0".repeat(32);
    for value in [
        String::new(),
        "00".to_owned(),
        parent.replacen("00", "ff", 1),
        parent.replacen("00", "0", 1),
        parent.replace(LONG, &upper),
        parent.replace(LONG, &zero),
        parent.replace(LONG, SHORT),
        parent.replace(SPAN, &zero[..16]),
        parent.replace(SPAN, &SPAN[1..]),
        parent.replace("-01", "-1"),
        parent.replace("-01", "-0x"),
        parent.replace("-01", ""),
        format!("{parent}-"),
        format!("{parent}-00"),
        format!("cc{}0", &parent[2..]),
        format!(" {parent}"),
    ] {
        assert_eq!(told(&[("traceparent", &value)]), (None, None), "{value:?}");
    }
    assert_eq!(told(&[("traceparent", &parent), ("Traceparent", &parent)]), (None, None), "twice");
    for value in [
        String::new(),
        "2".to_owned(),
        LONG.to_owned(),
        format!("{upper}-{SPAN}"),
        format!("{zero}-{SPAN}"),
        format!("{LONG}-{}", &zero[..16]),
        format!("{LONG}-{SPAN}-"),
        format!("{LONG}-{SPAN}-true"),
        format!("{LONG}-{SPAN}-1-{}", &SPAN[1..]),
        format!("{LONG}-{SPAN}-1-{SPAN}-1"),
        format!("{}-{SPAN}", &LONG[1..]),
    ] {
        assert_eq!(told(&[("b3", &value)]), (None, None), "{value:?}");
    }
    for (trace, span) in [(&*upper, SPAN), (LONG, ""), (&LONG[1..], SPAN), (&zero, SPAN), (LONG, LONG)] {
        assert_eq!(told(&[("x-b3-traceid", trace), ("x-b3-spanid", span)]), (None, None), "{trace} {span}");
    }
    // Bytes that are no text.
    let given = Given::read(
        [("traceparent", &b"\xff\xfe"[..]), ("b3", b"\x80"), ("tracestate", b"\xff=1")].into_iter(),
    );
    assert_eq!((given.parent(), given.decision(), given.state()), (None, None, None));
}

#[track_caller]
fn is_told(came: &[(&str, &str)], goes: &[(&str, &str)]) {
    let goes: Fields = goes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(forwarded(came), goes, "{came:?}");
}

#[test]
fn the_next_hop_of_a_trace_that_starts_here_is_told_in_two_formats() {
    let ours = format!("00-{LONG}-{OURS}-01");
    let b3 = [("x-b3-sampled", "1"), ("x-b3-spanid", OURS), ("x-b3-traceid", LONG)];
    is_told(&[("host", "cart")], &[&[("host", "cart"), ("traceparent", &*ours)], &b3[..]].concat());
    // What is malformed is replaced, and the state of the former trace goes.
    let malformed = [("traceparent", "00-nonsense"), ("tracestate", "a=1"), ("x-b3-traceid", "1")];
    is_told(&malformed, &[&[("traceparent", &*ours)], &b3[..]].concat());
}

#[test]
fn the_next_hop_is_told_in_the_formats_that_were_seen() {
    let (parent, ours) = (format!("00-{LONG}-{SPAN}-01"), format!("00-{LONG}-{OURS}-01"));
    for (came, goes) in [
        (
            vec![("tracestate", "a=1"), ("Traceparent", &*parent)],
            vec![("traceparent", &*ours), ("tracestate", "a=1")],
        ),
        // A random id stays known as one; flags that are not known go, as does a version that is not.
        (
            vec![("traceparent", &*format!("cc{}-more", &parent[2..].replace("-01", "-ff")))],
            vec![("traceparent", &*format!("00-{LONG}-{OURS}-03"))],
        ),
        (vec![("b3", &*format!("{SHORT}-{SPAN}"))], vec![("b3", &*format!("{SHORT}-{OURS}-1-{SPAN}"))]),
        (
            vec![("b3", &*format!("{LONG}-{SPAN}-d-{SHORT}"))],
            vec![("b3", &*format!("{LONG}-{OURS}-d-{SPAN}"))],
        ),
        (vec![("b3", "1")], vec![("b3", &*format!("{LONG}-{OURS}-1"))]),
        (
            vec![
                ("X-B3-TraceId", SHORT),
                ("X-B3-SpanId", SPAN),
                ("X-B3-ParentSpanId", SHORT),
                ("X-B3-Flags", "1"),
            ],
            vec![
                ("x-b3-flags", "1"),
                ("x-b3-parentspanid", SPAN),
                ("x-b3-spanid", OURS),
                ("x-b3-traceid", SHORT),
            ],
        ),
        (
            vec![("x-b3-sampled", "0")],
            vec![("x-b3-sampled", "0"), ("x-b3-spanid", OURS), ("x-b3-traceid", LONG)],
        ),
        // The same trace twice: each as it has named it. Another one: left alone.
        (
            vec![("b3", &*format!("{SHORT}-{SPAN}-1")), ("traceparent", &*parent)],
            vec![("b3", &*format!("{SHORT}-{OURS}-1-{SPAN}")), ("traceparent", &*ours)],
        ),
        (
            vec![("b3", &*format!("{SPAN}-{SPAN}-1")), ("traceparent", &*parent)],
            vec![("b3", &*format!("{SPAN}-{SPAN}-1")), ("traceparent", &*ours)],
        ),
    ] {
        is_told(&came, &goes);
    }
}

#[test]
fn states_in_several_fields_are_one_list() {
    let parent = format!("00-{LONG}-{SPAN}-01");
    let given = given(&[
        ("tracestate", "a=1"),
        ("traceparent", &parent),
        ("tracestate", ""),
        ("Tracestate", "b=2,c=3"),
    ]);
    assert_eq!(given.state(), Some("a=1,b=2,c=3"));
}

/// A field as one of those who do not know the specification, and some of those who do, might send it.
fn fields() -> impl Strategy<Value = Fields> {
    let id = |length| {
        let digits = string_regex(&format!("[0-9a-f]{{{length}}}")).unwrap();
        prop_oneof![5 => digits, 1 => "[0-9a-fA-F]{0,40}", 1 => Just("0".repeat(length))]
    };
    let trace = || prop_oneof![id(32), id(16), Just(LONG.to_owned()), Just(SHORT.to_owned())];
    let decision = || prop_oneof![Just(""), Just("-0"), Just("-1"), Just("-d"), Just("-x")];
    let field = prop_oneof![
        ("(00|01|ff)", trace(), id(16), "-[0-9a-f]{2}").prop_map(|(version, trace, span, flags)| (
            "traceparent",
            format!("{version}-{trace}-{span}{flags}")
        )),
        "[ -~]{0,60}".prop_map(|text| ("traceparent", text)),
        "[a-z]=[0-9]{1,4}".prop_map(|text| ("tracestate", text)),
        (trace(), id(16), decision())
            .prop_map(|(trace, span, decision)| ("b3", format!("{trace}-{span}{decision}"))),
        "[01d]".prop_map(|text| ("b3", text)),
        trace().prop_map(|trace| ("x-b3-traceid", trace)),
        id(16).prop_map(|span| ("x-b3-spanid", span)),
        id(16).prop_map(|span| ("x-b3-parentspanid", span)),
        "[01x]".prop_map(|text| ("x-b3-sampled", text)),
        "[01]".prop_map(|text| ("x-b3-flags", text)),
        "[ -~]{0,9}".prop_map(|text| ("x-request-id", text)),
    ];
    prop::collection::vec(field.prop_map(|(name, value)| (name.to_owned(), value)), 0..8)
}

proptest! {
    #[test]
    fn the_next_hop_reads_the_same_trace_and_our_span(came in fields()) {
        let came: Vec<_> = came.iter().map(|(name, value)| (&**name, &**value)).collect();
        let before = given(&came);
        let goes = forwarded(&came);
        let goes: Vec<_> = goes.iter().map(|(name, value)| (&**name, &**value)).collect();
        let after = given(&goes);
        let parent = after.parent().expect("there is a trace now");
        prop_assert_eq!(parent.span.to_string(), OURS);
        if let Some(given) = before.parent() {
            prop_assert_eq!(parent.trace, given.trace);
        }
        prop_assert_eq!(after.decision(), Some(before.decision().unwrap_or(Decision::Accept)));
        prop_assert_eq!(after.state(), before.state());
        // All other fields are there as they were.
        let others = |fields: &[(&str, &str)]| fields.iter().filter(|(name, _)| *name == "x-request-id").count();
        prop_assert_eq!(others(&came), others(&goes));
    }
}
