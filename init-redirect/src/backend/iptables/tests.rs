//! What is written can be read again, and what makes the difference between two states makes just that.

use proptest::prelude::*;

use super::change::{to_plan, to_saved};
use super::lower::lower;
use super::parse::Malformed;
use super::ruleset::{Rule, Ruleset, TableName, Target, Word};
use super::saved::Saved;
use super::{foreign, interfaces, parse};
use crate::options::Family;
use crate::options::arbitrary::{any_options, default_options};
use crate::plan::Plan;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

fn saved(text: &str) -> Saved {
    Saved::parse(text).expect(text)
}

/// What is ours in it, in our terms.
fn typed(saved: &Saved) -> Result<Ruleset, Malformed> {
    let tables = TableName::ALL.into_iter().filter_map(|name| saved.table(name));
    let tables = tables.map(super::saved::SavedTable::typed).collect::<Result<Vec<_>, _>>()?;
    Ok(Ruleset { tables: tables.into_iter().filter(|table| !table.chains.is_empty()).collect() })
}

/// The rules of the default options, as `iptables-save` prints them among others'.
fn installed() -> (Saved, Ruleset) {
    let wanted = lower(&Plan::new(&default_options()), Family::V4);
    (saved(&to_plan(&Saved::default(), &wanted).expect("rules")), wanted)
}

proptest! {
    #[test]
    fn what_is_written_for_any_options_is_read_as_the_same_rules(options in any_options()) {
        for family in FAMILIES {
            let wanted = lower(&Plan::new(&options), family);
            let Some(text) = to_plan(&Saved::default(), &wanted) else {
                prop_assert!(wanted.tables.is_empty());
                continue;
            };
            let saved = saved(&text);
            prop_assert_eq!(typed(&saved), Ok(wanted.clone()));
            prop_assert_eq!(to_plan(&saved, &wanted), None);
            prop_assert_eq!(to_saved(&saved, &saved), None);
        }
    }

    #[test]
    fn multiport_never_takes_more_than_fifteen_ports(options in any_options()) {
        let wanted = lower(&Plan::new(&options), Family::V4);
        let text = to_plan(&Saved::default(), &wanted).unwrap_or_default();
        for list in text.split("ports ").skip(1).filter_map(|rest| rest.split_whitespace().next()) {
            prop_assert!(list.split([',', ':']).count() <= 15, "{}", list);
        }
    }

    #[test]
    fn whatever_is_read_is_no_reason_to_panic(text in ".{0,200}") {
        for text in [text.clone(), format!("*nat\n-A OUTPUT {text}"), format!("*nat\n{text}")] {
            if let Ok(saved) = Saved::parse(&text) {
                let _ = (typed(&saved), to_saved(&saved, &Saved::default()));
            }
        }
        let _ = parse::rule(&text);
    }
}

#[test]
fn a_rule_that_we_would_not_write_is_not_ours() {
    for text in [
        "",
        "-p tcp",
        "-j ACCEPT",
        "-j RETURN -m comment",
        "-p tcp -m comment --comment \"-j RETURN\" -j RETURN",
        "-p icmp -j RETURN",
        "-m tcp -j",
        "! -p tcp -j RETURN",
        "-p tcp --dport 80 -j RETURN",
        "-p tcp -m tcp --dport 0 -j RETURN",
        "-p tcp -m tcp --dport 90:80 -j RETURN",
        "-p tcp -m tcp --tcp-flags SYN,XYZ SYN -j RETURN",
        "-d 10.0.0.0/33 -j RETURN",
        "-m owner --uid-owner root -j RETURN",
        "-p tcp -j REDIRECT --to-ports 80-90",
        "-p tcp -j REJECT --reject-with icmp-port-unreachable",
        "-m conntrack --ctstate NEW -j RETURN",
    ] {
        assert!(parse::rule(text).is_err(), "{text}");
    }
}

#[test]
fn the_order_of_conditions_does_not_matter() {
    let one =
        parse::rule("-p tcp -m tcp --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j REDIRECT --to-ports 15006");
    let other = parse::rule(
        "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m tcp --dport 80 -j REDIRECT --to-ports 15006",
    );
    assert!(one.is_ok());
    assert_eq!(one, other);
}

#[test]
fn what_cannot_be_taken_apart_is_named() {
    for bad in [
        "*nat\n-A",
        "*nat\n-X OUTPUT",
        "*nat\n:OUTPUT",
        "*nat\n-I OUTPUT 0 -j RETURN",
        "*nat\n[1:2]-A OUTPUT",
    ] {
        assert!(Saved::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn counters_comments_and_tables_of_no_interest_are_passed_over() {
    let text = "# Generated\n*security\n:INPUT ACCEPT [0:0]\nnonsense\nCOMMIT\n*nat\n:OUTPUT ACCEPT [1:2]\n\
                [3:4] -A OUTPUT -m comment --comment \"it \\\"says\\\"\" -j RETURN\nCOMMIT\n\
                # Table `mangle' is incompatible, use 'nft' tool.\n";
    let saved = saved(text);
    assert_eq!(saved.tables.len(), 1);
    assert_eq!(saved.unreadable, ["mangle"]);
    let rules = &saved.table(TableName::Nat).and_then(|nat| nat.chain("OUTPUT")).expect("the chain").rules;
    assert_eq!(rules, &["-m comment --comment \"it \\\"says\\\"\" -j RETURN"]);
    assert!(!saved.has_ours());
}

#[test]
fn conditions_on_one_interface_become_one() {
    let merged = |texts: &[&str]| {
        let words = texts.iter().map(|text| {
            let (not, interface) = text.strip_prefix('!').map_or((false, *text), |name| (true, name));
            Word::In { not, interface: interface.to_owned() }
        });
        interfaces::merged(words.collect()).map(|words| Rule::new(words, Target::Return).to_string())
    };
    for (texts, expected) in [
        (&["!lo", "eth0"][..], Some("-i eth0 -j RETURN")),
        (&["eth0", "!lo"], Some("-i eth0 -j RETURN")),
        (&["net+", "!lo"], Some("-i net+ -j RETURN")),
        (&["net+", "net1"], Some("-i net1 -j RETURN")),
        (&["lo", "!lo"], None),
        (&["eth0", "net1"], None),
        (&["!lo", "!l+"], Some("! -i l+ -j RETURN")),
        // Every interface that begins with l but lo.
        (&["!lo", "l+"], Some("! -i lo -i l+ -j RETURN")),
    ] {
        let found = merged(texts);
        let same = match (&found, expected) {
            (Some(found), Some(expected)) => parse::rule(found) == parse::rule(expected),
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(same, "{texts:?}: {found:?}");
    }
    let unsayable = parse::rule("! -i lo -i l+ -j RETURN").expect("words of ours");
    assert!(!unsayable.can_be_said());
}

#[test]
fn a_change_writes_only_tables_that_differ_and_keeps_jumps() {
    let (held, wanted) = installed();
    let mut other = wanted.clone();
    let nat = other.tables.iter_mut().find(|table| table.name == TableName::Nat).expect("nat");
    nat.chains.first_mut().expect("a chain").rules.pop();
    let text = to_plan(&held, &other).expect("a difference");
    assert!(text.starts_with("*nat\n") && text.matches("COMMIT").count() == 1, "{text}");
    assert!(!text.contains("-I ") && !text.contains("-D "), "{text}");
}

#[test]
fn damage_is_repaired() {
    let (held, wanted) = installed();
    let text = to_plan(&Saved::default(), &wanted).expect("rules");
    for (from, to) in [
        ("-I OUTPUT 1 -j REMORA_OUTBOUND\n", ""),
        (
            "-I OUTPUT 1 -j REMORA_OUTBOUND\n",
            "-I OUTPUT 1 -j REMORA_OUTBOUND\n-I OUTPUT 1 -j REMORA_OUTBOUND\n",
        ),
        ("-I OUTPUT 1 -j REMORA_OUTBOUND\n", "-I OUTPUT 1 -p tcp -j REMORA_OUTBOUND\n"),
        ("-I OUTPUT 1 -j REMORA_OUTBOUND\n", "-I INPUT 1 -j REMORA_OUTBOUND\n"),
        ("-A REMORA_INBOUND -i lo -j RETURN\n", ""),
        ("-A REMORA_INBOUND -i lo -j RETURN\n", "-A REMORA_INBOUND -i lo -j ACCEPT\n"),
        (":REMORA_INBOUND - [0:0]\n", ":REMORA_INBOUND - [0:0]\n:REMORA_OLD - [0:0]\n"),
    ] {
        let damaged = saved(&text.replacen(from, to, 1));
        assert_ne!(damaged, held, "{from}");
        let repair = to_plan(&damaged, &wanted).expect(to);
        assert_eq!(repair.contains("-X REMORA_OLD"), to.contains("REMORA_OLD"), "{repair}");
    }
}

#[test]
fn rules_of_others_are_neither_written_nor_removed() {
    let text = "*nat\n:OUTPUT ACCEPT [0:0]\n:THEIRS - [0:0]\n:REMORA_OUTBOUND - [0:0]\n-A OUTPUT -j THEIRS\n\
                -A OUTPUT -p tcp -j REMORA_OUTBOUND\n-A THEIRS -j RETURN\n-A REMORA_OUTBOUND -j RETURN\nCOMMIT\n";
    let removal = to_saved(&saved(text), &Saved::default()).expect("something is ours");
    assert_eq!(
        removal,
        "*nat\n-D OUTPUT -p tcp -j REMORA_OUTBOUND\n-F REMORA_OUTBOUND\n-X REMORA_OUTBOUND\nCOMMIT\n"
    );
    let back = to_saved(&Saved::default(), &saved(text)).expect("something was ours");
    assert_eq!(
        back,
        "*nat\n:REMORA_OUTBOUND - [0:0]\n-I OUTPUT 2 -p tcp -j REMORA_OUTBOUND\n-A REMORA_OUTBOUND -j RETURN\nCOMMIT\n"
    );
}

/// Conflicts of the default rules with one foreign rule ahead of the jump of a built-in chain.
fn with_ahead(table: &str, chain: &str, rule: &str) -> usize {
    let (_, wanted) = installed();
    let text = to_plan(&Saved::default(), &wanted).expect("rules");
    let section = format!("*{table}\n");
    assert!(text.contains(&section), "{text}");
    // What is inserted last is first.
    let foreign = format!("-I {chain} 1 {rule}\nCOMMIT\n");
    let (before, after) = text.split_once(&section).expect("the table");
    let text = format!(
        "{before}{section}:THEIRS - [0:0]\n-A THEIRS -p tcp -j DNAT --to-destination 192.0.2.1\n{}",
        after.replacen("COMMIT\n", &foreign, 1)
    );
    foreign::conflicts("iptables", &saved(&text), &wanted).len()
}

#[test]
fn a_rule_ahead_of_ours_is_a_conflict_if_it_decides() {
    for (chain, rule) in [
        ("OUTPUT", "-p tcp -j ACCEPT"),
        ("OUTPUT", "-j RETURN"),
        ("OUTPUT", "-d 192.0.2.0/24 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.1"),
        ("OUTPUT", "! -o lo -j REDIRECT --to-ports 1"),
        ("OUTPUT", "! -p udp -j ACCEPT"),
        ("OUTPUT", "-j THEIRS"),
        ("OUTPUT", "-p tcp -g THEIRS"),
        ("PREROUTING", "-i eth0 -j ACCEPT"),
    ] {
        assert_eq!(with_ahead("nat", chain, rule), 1, "{chain} {rule}");
    }
    for (chain, rule) in [
        ("OUTPUT", "-p udp -j ACCEPT"),
        ("OUTPUT", "-p udp -j THEIRS"),
        ("OUTPUT", "-o lo -j ACCEPT"),
        ("OUTPUT", "-p tcp -j LOG"),
        ("OUTPUT", "-p tcp -m tcp --dport 25 -j DROP"),
        ("OUTPUT", "-p tcp"),
        ("POSTROUTING", "-j ACCEPT"),
    ] {
        assert_eq!(with_ahead("nat", chain, rule), 0, "{chain} {rule}");
    }
    assert_eq!(with_ahead("filter", "INPUT", "-i lo -j ACCEPT"), 1);
    assert_eq!(with_ahead("filter", "INPUT", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"), 0);
}

#[test]
fn a_rule_behind_ours_is_no_conflict_and_neither_is_one_that_ours_will_precede() {
    let (_, wanted) = installed();
    let ours = to_plan(&Saved::default(), &wanted)
        .expect("rules")
        .replace("COMMIT\n", "-A OUTPUT -p tcp -j ACCEPT\nCOMMIT\n");
    let nothing = "*nat\n-A OUTPUT -p tcp -j ACCEPT\nCOMMIT\n";
    for text in [ours.as_str(), nothing] {
        assert_eq!(foreign::conflicts("iptables", &saved(text), &wanted), []);
    }
}

#[test]
fn what_keeps_connections_from_being_translated_is_a_conflict_wherever_it_is() {
    let (_, wanted) = installed();
    for text in [
        "*raw\n-A OUTPUT -p tcp -j CT --notrack\nCOMMIT\n",
        "*raw\n-A PREROUTING -j NOTRACK\nCOMMIT\n",
        "*mangle\n-A PREROUTING -p tcp -j TPROXY --on-port 1\nCOMMIT\n",
        "# Table `nat' is incompatible, use 'nft' tool.\n",
    ] {
        assert_eq!(foreign::conflicts("iptables", &saved(text), &wanted).len(), 1, "{text}");
    }
    for text in [
        "*raw\n-A OUTPUT -o lo -j CT --notrack\n-A OUTPUT -p udp -j CT --notrack\nCOMMIT\n",
        "*raw\n-A OUTPUT -p tcp -j CT --zone 1\nCOMMIT\n",
        "# Table `security' is incompatible, use 'nft' tool.\n",
    ] {
        assert_eq!(foreign::conflicts("iptables", &saved(text), &wanted), [], "{text}");
    }
}

#[test]
fn chains_that_call_each_other_end() {
    let text = "*nat\n:A - [0:0]\n:B - [0:0]\n-A OUTPUT -j A\n-A A -j B\n-A B -j A\nCOMMIT\n";
    assert_eq!(foreign::takers("iptables", &saved(text)), []);
}
