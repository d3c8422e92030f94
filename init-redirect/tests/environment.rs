//! Environment variables, ours and Istio's: only a process of its own has some.

use std::process::{Command, Output};

fn plan(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_init-redirect"));
    command.env_clear().envs(variables.iter().copied()).arg("plan");
    command.output().expect("the program runs")
}

#[track_caller]
fn printed(variables: &[(&str, &str)]) -> String {
    let output = plan(variables);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn istios_variables_mean_ours() {
    let istio = printed(&[
        ("ISTIO_SERVICE_CIDR", "10.0.0.0/8"),
        ("ISTIO_INBOUND_PORTS", "80"),
        ("ISTIO_META_DNS_CAPTURE", "true"),
        ("CAPTURE_ALL_DNS", "true"),
        ("PROXY_UID", "2000"),
        ("INVALID_DROP", "true"),
    ]);
    let ours = printed(&[
        ("REMORA_INCLUDE_OUTBOUND_CIDRS", "10.0.0.0/8"),
        ("REMORA_INCLUDE_INBOUND_PORTS", "80"),
        ("REMORA_REDIRECT_DNS", "true"),
        ("REMORA_DNS_SERVERS", "*"),
        ("REMORA_PROXY_UID", "2000"),
        ("REMORA_PROXY_GID", "2000"),
    ]);
    assert_eq!(istio, ours);
    assert_ne!(istio, printed(&[]));
}

#[test]
fn an_empty_variable_of_istios_is_none() {
    let empty =
        printed(&[("ISTIO_SERVICE_CIDR", ""), ("ENVOY_PORT", ""), ("PROXY_UID", ""), ("DRY_RUN", "")]);
    assert_eq!(empty, printed(&[]));
}

#[test]
fn all_bad_ones_are_named_at_once() {
    let output = plan(&[
        ("REMORA_OUTBOUND_PORT", "x"),
        ("ISTIO_INBOUND_INTERCEPTION_MODE", "TPROXY"),
        ("REMORA_EXCLUDE_UIDS", "root"),
    ]);
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    for name in ["REMORA_OUTBOUND_PORT", "ISTIO_INBOUND_INTERCEPTION_MODE", "REMORA_EXCLUDE_UIDS"] {
        assert!(
            said.lines().any(|line| line.starts_with("init-redirect: ") && line.contains(name)),
            "{said}"
        );
    }
    assert_eq!(said.lines().count(), 3, "{said}");
}
