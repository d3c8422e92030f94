//! The plan as a text that `iptables-restore --noflush` and `ip6tables-restore --noflush` both take: a line for one family
//! alone begins with `-4` or `-6`, and the other family's program passes it over.

use std::fmt::Write;

use super::lower::{built_in, lower_rule, table};
use super::ruleset::TableName;
use crate::options::Family;
use crate::plan::{Chain, Plan, Rule};

/// The text, for a network namespace that holds nothing of ours.
pub(in super::super) fn text(plan: &Plan) -> String {
    let mut text =
        String::from("# For IPv4 and IPv6: iptables-restore --noflush, ip6tables-restore --noflush\n");
    for name in TableName::ALL {
        let chains: Vec<&Chain> = plan.chains.iter().filter(|chain| table(chain.hook) == name).collect();
        if !chains.is_empty() {
            section(&mut text, name, &chains);
        }
    }
    text
}

fn section(text: &mut String, name: TableName, chains: &[&Chain]) {
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(format!("*{}", name.as_str()));
    chains.iter().for_each(|chain| line(format!(":{} - [0:0]", chain.name.as_str())));
    for chain in chains {
        let name = chain.name.as_str();
        line(format!("-I {} 1 -j {name}", built_in(chain.hook)));
        for (rule, number) in chain.rules.iter().zip(1..) {
            line(format!("# {name} {number}: {}", rule.reason));
            lines(name, rule).into_iter().for_each(&mut line);
        }
    }
    line("COMMIT".to_owned());
}

fn lines(chain: &str, rule: &Rule) -> Vec<String> {
    let [v4, v6] = [Family::V4, Family::V6].map(|family| lower_rule(rule, family));
    let print = |prefix: &str, rules: &[super::ruleset::Rule]| {
        rules.iter().map(|rule| format!("{prefix}-A {chain} {rule}")).collect::<Vec<_>>()
    };
    if v4 == v6 { print("", &v4) } else { [print("-4 ", &v4), print("-6 ", &v6)].concat() }
}
