//! I15: an annotation's value never changes anything but its own field, and I9: what it says is what our containers are told.

use std::collections::BTreeSet;

use injector::inject::Verdict;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::mutations::annotation_value;
use crate::common::{decision, list, patched, pod};
use crate::corpus::annotation_keys;
use crate::judge;

/// Found nowhere in what we write.
const MARK: &str = "xqzjmark";

fn hostile() -> Vec<String> {
    let mut values: Vec<String> = [
        "\n- name: xqzjmark\n  image: evil",
        "\",\"xqzjmark\":\"",
        "'xqzjmark'\"`$(xqzjmark)${xqzjmark}",
        "{{ xqzjmark }}{{- end }}",
        "--> <xqzjmark> <!--",
        "--xqzjmark=1 --proxy-uid=0",
        "80 --xqzjmark",
        "80,xqzjmark",
        "80;xqzjmark",
        "xqzjmark/8",
        "10.0.0.0/8,xqzjmark",
        "\u{0}xqzjmark",
        "\u{202e}xqzjmark\u{2066}",
        "\u{1b}[31mxqzjmark",
        "%s%n%xxqzjmark",
        "../../xqzjmark",
        "{\"xqzjmark\": 1}",
        "[\"xqzjmark\"]",
        "xqzjmark: {a: &a [*a]}",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push(MARK.repeat(8 * 1024));
    values.push(format!("{}xqzjmark", "80,".repeat(20 * 1024)));
    values.push(format!("{}xqzjmark", "[".repeat(64 * 1024)));
    values
}

/// The pod without what was set, and without what tells of it, so that it can be put back: what the value must not reach.
fn beyond(patched: &Value, key: &str) -> String {
    let mut rest = patched.clone();
    let annotations = rest["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove(key);
    if let Some(status) = annotations.get_mut(api::annotations::STATUS) {
        let mut told: Value = serde_json::from_str(status.as_str().unwrap()).unwrap();
        for entries in ["annotations", "replaced"] {
            told[entries].as_object_mut().map(|entries| entries.remove(key));
        }
        *status = json!(told.to_string());
    }
    rest.to_string()
}

#[test]
fn a_hostile_value_reaches_nothing() {
    for name in ["bare", "inits", "legacy", "http-probes"] {
        for key in annotation_keys() {
            for value in hostile() {
                let mut pod = pod(name);
                pod["metadata"]["annotations"][*key] = json!(value);
                let decision = decision(&pod);
                let shown: String = value.chars().take(40).collect();
                match decision.verdict {
                    Verdict::Inject => {
                        let patched = patched(&pod, &decision);
                        assert_eq!(
                            judge::injection(&pod, &patched),
                            Vec::<String>::new(),
                            "{name}: {key}: {shown:?}"
                        );
                        assert!(!beyond(&patched, key).contains(MARK), "{name}: {key}: {shown:?}");
                    }
                    Verdict::Reject | Verdict::Skip | Verdict::Unchanged => {
                        assert!(decision.operations.is_empty());
                    }
                }
                // Whoever reads a message on a terminal or in a log is not led astray by what it quotes, and not flooded.
                let reasons = decision.reasons.iter().map(|reason| reason.text.clone());
                for text in reasons.chain(decision.warnings) {
                    assert!(
                        text.len() < 2048 && !text.contains(['\n', '\0', '\u{1b}', '\u{202e}']),
                        "{key}: {text:?}"
                    );
                }
            }
        }
    }
}

/// The numbers that a list of ports and ranges names.
fn ports(text: &str) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bound = |text: &str| text.trim().parse::<u16>().unwrap();
        found.extend(bound(first)..=bound(last));
    }
    found
}

fn argument(pod: &Value, name: &str) -> Option<String> {
    let redirect =
        list(pod, "initContainers").iter().find(|container| container["name"] == api::pod::INIT_CONTAINER);
    let arguments = redirect.unwrap()["args"].as_array().unwrap().iter().filter_map(Value::as_str);
    let prefix = format!("--{name}=");
    let found: Vec<_> = arguments.filter_map(|argument| argument.strip_prefix(&prefix)).collect();
    assert!(found.len() <= 1, "{name} twice: {found:?}");
    found.first().map(|&found| found.to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ports are told to the init container as they were given, however they were written.
    #[test]
    fn arguments_equal_the_annotations(
        (key, name) in select(vec![
            (api::annotations::EXCLUDE_INBOUND_PORTS, "exclude-inbound-ports"),
            (api::annotations::INCLUDE_INBOUND_PORTS, "include-inbound-ports"),
            (api::annotations::EXCLUDE_OUTBOUND_PORTS, "exclude-outbound-ports"),
            (api::annotations::INCLUDE_OUTBOUND_PORTS, "include-outbound-ports"),
        ]),
        ranges in prop::collection::vec((1..=65_535_u16, 0..40_u16), 1..12),
        space in any::<bool>(),
    ) {
        let parts = ranges.iter().map(|&(first, more)| match first.saturating_add(more) {
            last if last == first => first.to_string(),
            last => format!("{first}-{last}"),
        });
        let text = parts.collect::<Vec<_>>().join(if space { ", " } else { "," });
        let mut pod = pod("bare");
        pod["metadata"]["annotations"] = json!({key: text});
        let decision = decision(&pod);
        prop_assert_eq!(decision.verdict, Verdict::Inject);
        let found = argument(&patched(&pod, &decision), name).unwrap();
        prop_assert_eq!(ports(&found), ports(&text));
    }

    /// Any value of any annotation: a right pod, or a refusal that names the key.
    #[test]
    fn every_refusal_names_the_annotation(key in select(annotation_keys()), value in annotation_value()) {
        let mut pod = pod("bare");
        pod["metadata"]["annotations"] = json!({key: value});
        let decision = decision(&pod);
        match decision.verdict {
            Verdict::Inject => prop_assert_eq!(judge::injection(&pod, &patched(&pod, &decision)), Vec::<String>::new()),
            Verdict::Reject => {
                let names = decision.reasons.iter().all(|reason| reason.text.contains(key));
                prop_assert!(names, "{:?}", decision.reasons);
            }
            Verdict::Skip | Verdict::Unchanged => {}
        }
    }
}
