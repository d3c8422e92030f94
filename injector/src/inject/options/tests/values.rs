//! Values alone: what is taken, and what is refused.

use super::super::log::COMPONENTS;
use super::super::spans::{Collector, Protocol, Share};
use super::super::{Cidrs, Id, Ids, Image, Interfaces, Period, Ports, Tag};
use super::{Said, options, warning};

#[test]
fn lists_are_parsed_strictly() {
    for bad in ["x", "1,,2", "5-", "2-1", "+1", "4294967295", "-1", "1 2"] {
        assert!(Ids::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Ids::parse(" 0, 5-7 ").unwrap().to_string(), "0,5-7");
    for bad in ["a b", "sixteen-letters-", "+", "-i", "..", "a/b", "lo", "eth0,"] {
        assert!(Interfaces::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Interfaces::parse("net1, tap+").unwrap().to_string(), "net1,tap+");
    let long = "1,".repeat(256) + "1";
    assert!(Ports::parse(&long).is_err() && Ids::parse(&long).is_err() && Interfaces::parse(&long).is_err());
    assert!(Cidrs::parse(&long.replace('1', "10.0.0.0/8")).is_err());
    assert!(Ports::parse(&long[2..]).is_ok());
}

#[test]
fn single_values_are_parsed_strictly() {
    for bad in ["0", "-1", "2147483648", "root", "1.0", ""] {
        assert!(Id::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", "5", "-5s", "25h", "soon", "99999999999999999999h", &"1s ".repeat(50)] {
        assert!(Period::parse(bad).is_err(), "{bad}");
    }
    for (good, printed) in [("1m30s", "1m 30s"), ("500ms", "500ms"), ("24h", "1day"), ("0s", "0s")] {
        assert_eq!(Period::parse(good).unwrap().to_string(), printed);
    }
    assert!(
        Period::positive("0s").is_err()
            && Period::seconds("86401").is_err()
            && Period::seconds("1s").is_err()
    );
    for bad in ["", "a b", "a\nb", "-a", "a:", "https://a//b", "$(x)", &"a".repeat(513)] {
        assert!(Image::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", ".a", "-a", "a/b", "a:b", &"a".repeat(129)] {
        assert!(Tag::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_said_of_spans_is_parsed_strictly() {
    for good in
        ["http://otel", "http://otel.ops:4318", "http://[::1]:9411/api/v2/spans?a=b", "http://10.0.0.1/"]
    {
        assert_eq!(Collector::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "otel:4317",
        "https://otel",
        "http://",
        "http://:80",
        "http://otel:0",
        "http://otel:65536",
        "http://otel:+1",
        "http://u@otel",
        "http://[::1",
        "http://otel/a b",
        "http://otel/#a",
        "http://otel\n",
        &format!("http://otel/{}", "a".repeat(1024)),
    ] {
        assert!(Collector::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Collector::zipkin("[::1]:9411").unwrap().to_string(), "http://[::1]:9411");
    for bad in ["", "http://zipkin:9411", "zipkin:9411/api"] {
        assert!(Collector::zipkin(bad).is_err(), "{bad}");
    }
    for bad in ["", "otlp", "OTLP-HTTP"] {
        assert!(Protocol::parse(bad).is_err(), "{bad}");
    }
    for bad in ["", "-1", "100.1", "NaN", "inf", "1%"] {
        assert!(Share::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Share::parse("0.50").unwrap().to_string(), "0.5");
}

#[test]
fn a_version_takes_the_place_of_tag_and_digest() {
    let tag = Tag::parse("2.0").unwrap();
    for (image, tagged) in [
        ("proxy", "proxy:2.0"),
        ("registry:5000/proxy", "registry:5000/proxy:2.0"),
        ("registry:5000/proxy:1", "registry:5000/proxy:2.0"),
        ("proxy:1@sha256:00", "proxy:2.0"),
    ] {
        assert_eq!(tag.applied_to(image), tagged);
    }
}

#[test]
fn as_many_bytes_of_spans_may_wait_as_the_proxy_takes() {
    const KEY: &str = "remora.dev/trace-queue";
    for (text, bytes) in [("16Ki", "16384"), ("16384", "16384"), ("1.5Mi", "1572864"), ("256Mi", "268435456")]
    {
        let queue = options(&[(KEY, text)]).spans.queue.as_ref().map(ToString::to_string);
        assert_eq!(queue.as_deref(), Some(bytes), "{text}");
    }
    for bad in ["", "16383", "257Mi", "20000500m", "-1", "1MiB", "1E"] {
        assert!(Said { pod: &[(KEY, bad)], ..Said::default() }.read().0.is_err(), "{bad}");
    }
}

#[test]
fn further_variables_are_layered_by_name() {
    const KEY: &str = "config.linkerd.io/proxy-additional-env";
    let said = Said {
        mesh: &[(KEY, r#"[{"name":"A","value":"1"},{"name":"B","value":"2"}]"#)],
        namespace: &[(KEY, r#"[{"name":"A","value":"3"},{"name":"C"}]"#)],
        ..Said::default()
    };
    let options = said.read().0.unwrap();
    let found: Vec<_> = options.env.iter().map(|v| (v.name.as_str(), v.value.as_str())).collect();
    assert_eq!(found, [("B", "2"), ("A", "3"), ("C", "")]);
    for bad in [
        "A=1",
        "{}",
        r#"[{"value":"1"}]"#,
        r#"[{"name":"A-B"}]"#,
        r#"[{"name":"1A"}]"#,
        r#"[{"name":"REMORA_LOG"}]"#,
        r#"[{"name":"POD_NAME"}]"#,
        r#"[{"name":"A","valueFrom":{}}]"#,
        r#"[{"name":"A","value":1}]"#,
    ] {
        assert!(Said { mesh: &[(KEY, bad)], ..Said::default() }.read().0.is_err(), "{bad}");
    }
}

#[test]
fn log_levels_of_both_families_make_a_filter() {
    for (pod, filter) in [
        (&[("sidecar.istio.io/logLevel", "critical")][..], "error"),
        (
            &[("sidecar.istio.io/componentLogLevel", "inbound:debug, net:trace")],
            "info,proxy::inbound=debug,proxy::net=trace",
        ),
        (&[("config.linkerd.io/proxy-log-level", "warn,linkerd=info")], "warn,proxy=info"),
        (&[("config.linkerd.io/proxy-log-level", "debug,proxy::drain=trace")], "debug,proxy::drain=trace"),
    ] {
        assert_eq!(options(pod).log.filter().as_deref(), Some(filter));
    }
    assert_eq!(options(&[]).log.filter(), None);
    assert!(warning(&[("sidecar.istio.io/componentLogLevel", "misc:error")]).contains("\"misc\""));
    assert!(warning(&[("config.linkerd.io/proxy-log-level", "warn,hickory=error")]).contains("\"hickory\""));
    assert!(warning(&[("config.linkerd.io/access-log", "apache")]).contains("not in Apache's"));
}

/// The names are targets of the proxy's log.
#[test]
fn components_are_the_proxys_modules() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proxy/src/lib.rs");
    let text = std::fs::read_to_string(path).unwrap();
    let mut modules: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    modules.sort_unstable();
    assert_eq!(COMPONENTS, modules);
}
