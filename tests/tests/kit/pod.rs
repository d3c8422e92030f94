//! The pod runner and pod-exec: what a container's process is given, and in which order things happen.

use serde_json::{Value, json};
use tests::netns::{Node, Switch};
use tests::pod::{Failed, Image, Kubelet};
use tests::{binaries, leftovers};

/// A node with one image, `app`, and a network for one pod.
fn node() -> (Switch, Node) {
    let mut switch = Switch::new("switch").expect("a switch");
    let pod = switch.attach("pod").expect("a namespace");
    (switch, pod)
}

fn kubelet(switch: &Switch) -> Kubelet<'_> {
    let image = Image::of(binaries::peer().expect("the peer"), "/app");
    Kubelet::new(switch, [("app".to_owned(), image)])
}

fn pod(spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "uid": "u-1", "labels": {"app": "web"}},
        "spec": spec,
    })
}

/// A container that serves on port 8080.
fn server(name: &str) -> Value {
    json!({"name": name, "image": "app", "args": ["serve", "--http", "8080"],
        "readinessProbe": {"httpGet": {"port": 8080}}})
}

/// A container that prints what it is given and ends.
fn show(name: &str, what: &str) -> Value {
    json!({"name": name, "image": "app", "args": ["show", what]})
}

fn with(mut container: Value, key: &str, value: Value) -> Value {
    container.as_object_mut().expect("a container").insert(key.to_owned(), value);
    container
}

fn status(text: &str, key: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(key)).expect("a field of /proc/PID/status");
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_non_root_process_has_the_listed_capabilities_as_a_bound_and_none_of_them() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let security = json!({"runAsUser": 65534, "runAsGroup": 65533, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}});
    let init = with(show("init", "/proc/self/status"), "securityContext", security);
    let spec = json!({"securityContext": {"fsGroup": 4711}, "initContainers": [init], "containers": [server("web")]});
    let running = kubelet.run(&pod(spec), &network).unwrap();
    let shown = &running.finished()[0].output.stdout;
    let net_admin = format!("{:016x}", 1_u64 << 12);
    assert_eq!(status(shown, "CapBnd:"), net_admin);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(status(shown, set), "0000000000000000", "{set}");
    }
    assert_eq!(status(shown, "NoNewPrivs:"), "1");
    assert_eq!(status(shown, "Uid:"), "65534 65534 65534 65534");
    assert_eq!(status(shown, "Gid:"), "65533 65533 65533 65533");
    assert_eq!(status(shown, "Groups:"), "4711");
}

#[test]
fn file_capabilities_give_a_non_root_process_what_was_granted_and_no_more() {
    let (switch, network) = node();
    let directory = leftovers::directory("files").unwrap();
    let binary = binaries::with_file_capabilities(
        &binaries::peer().unwrap(),
        &["cap_net_admin", "cap_setuid"],
        directory.path(),
    );
    let image = Image::of(binary.unwrap(), "/app");
    let kubelet = Kubelet::new(&switch, [("app".to_owned(), image)]);
    let security = json!({"runAsUser": 65534, "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}});
    let init = with(show("init", "/proc/thread-self/status"), "securityContext", security);
    let spec = json!({"initContainers": [init], "containers": [server("web")]});
    let running = kubelet.run(&pod(spec), &network).unwrap();
    let shown = &running.finished()[0].output.stdout;
    assert_eq!(status(shown, "CapPrm:"), format!("{:016x}", 1_u64 << 12));
    assert_eq!(status(shown, "CapEff:"), "0000000000000000");
}

#[test]
fn a_root_process_has_what_is_listed_and_no_more() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let security = json!({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}});
    let init = with(show("init", "/proc/self/status"), "securityContext", security);
    let spec = json!({"initContainers": [init], "containers": [server("web")]});
    let running = kubelet.run(&pod(spec), &network).unwrap();
    let shown = &running.finished()[0].output.stdout;
    for set in ["CapBnd:", "CapPrm:", "CapEff:"] {
        assert_eq!(status(shown, set), format!("{:016x}", 3_u64 << 12), "{set}");
    }
    assert_eq!(status(shown, "NoNewPrivs:"), "0");
}

#[test]
fn the_environment_has_the_downward_api_and_nothing_of_ours() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let env = json!([
        field("NAME", "metadata.name"), field("NS", "metadata.namespace"), field("UID_", "metadata.uid"),
        field("IP", "status.podIP"), field("IPS", "status.podIPs"), field("NODE", "spec.nodeName"),
        field("HOST", "status.hostIP"), field("SA", "spec.serviceAccountName"), field("APP", "metadata.labels['app']"),
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "URL", "value": "http://$(IP):80"},
    ]);
    let init = with(show("init", "/proc/self/environ"), "env", env);
    let init = with(init, "resources", json!({"limits": {"cpu": "1500m", "memory": "64Mi"}}));
    let spec = json!({"initContainers": [init], "containers": [server("web")]});
    let running = kubelet.run(&pod(spec), &network).unwrap();
    let shown = running.finished()[0].output.stdout.replace('\0', "\n");
    let (v4, v6, host) = (network.v4, network.v6, Switch::ADDRESSES.0);
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut expected = vec![
        format!("PATH={path}"),
        "HOSTNAME=web-0".into(),
        "NAME=web-0".into(),
        "NS=shop".into(),
        "UID_=u-1".into(),
        format!("IP={v4}"),
        format!("IPS={v4},{v6}"),
        "NODE=node-1".into(),
        format!("HOST={host}"),
        "SA=default".into(),
        "APP=web".into(),
        "CPU=2".into(),
        format!("MEM={}", 64 << 20),
        format!("URL=http://{v4}:80"),
    ];
    expected.sort();
    let mut lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn a_container_sees_its_image_and_volumes_and_nothing_of_the_machine() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let security = json!({"runAsUser": 1000, "readOnlyRootFilesystem": true});
    let mounts = json!([
        {"name": "state", "mountPath": "/state"},
        {"name": "state", "mountPath": "/var/run/empty", "subPath": "none", "readOnly": true},
        {"name": "token", "mountPath": "/token", "readOnly": true},
    ]);
    let container = with(with(server("web"), "securityContext", security), "volumeMounts", mounts);
    let spec = json!({
        "volumes": [
            {"name": "state", "emptyDir": {"medium": "Memory"}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "a"}},
                {"configMap": {"name": "absent", "optional": true}}]}},
        ],
        "containers": [container],
    });
    let running = kubelet.run(&pod(spec), &network).unwrap();
    let list = |path: &str| {
        let output = running.exec("web", &["/app", "show", path]).unwrap();
        assert_eq!(output.exit, Some(0), "{output}");
        output.stdout
    };
    assert_eq!(list("/"), "app\ndev\netc\nproc\nstate\nsys\ntoken\nvar\n");
    assert_eq!(list("/var/run/empty"), "");
    assert_eq!(list("/token"), "t\n");
    assert!(list("/token/t").contains("audience=a"));
    assert!(list("/proc/self/mounts").lines().count() < 20, "{}", list("/proc/self/mounts"));
    let write = |path: &str| running.exec("web", &["/app", "write", path]).unwrap();
    assert_eq!(write("/state/file").exit, Some(0), "{}", write("/state/file"));
    for refused in ["/file", "/token/file", "/var/run/empty/file", "/proc/sys/net/ipv4/ip_forward"] {
        assert_ne!(write(refused).exit, Some(0), "{refused}");
    }
    assert_eq!(list("/state"), "file\nnone\n");
}

#[test]
fn containers_start_in_order_and_a_sidecar_stops_after_the_application() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let sidecar = json!({"name": "sidecar", "image": "app", "args": ["serve", "--http", "9090"],
        "restartPolicy": "Always", "startupProbe": {"httpGet": {"port": 9090, "path": "/"}},
        "lifecycle": {"preStop": {"exec": {"command": ["/app", "write", "/state/hook"]}}},
        "volumeMounts": [{"name": "state", "mountPath": "/state"}]});
    let spec = json!({
        "volumes": [{"name": "state", "emptyDir": {}}],
        "initContainers": [show("first", "/proc/self/status"), sidecar, show("second", "/proc/self/status")],
        "containers": [server("web")],
    });
    let mut running = kubelet.run(&pod(spec), &network).unwrap();
    running.wait_ready().unwrap();
    let events: Vec<String> =
        running.timeline().iter().map(|(_, what)| what.split(" after").next().unwrap().to_owned()).collect();
    let expected = [
        "first ended with code 0",
        "sidecar started",
        "sidecar passed its startup probe",
        "second ended with code 0",
        "web started",
        "ready",
    ];
    assert_eq!(events, expected);
    let ended = running.stop();
    let names: Vec<&str> = ended.iter().map(|end| end.name.as_str()).collect();
    assert_eq!(names, ["web", "sidecar"]);
    assert!(
        ended.iter().all(|end| end.code == 128 + 15 && !end.killed && end.hook_failure.is_none()),
        "{ended:?}"
    );
    assert!(ended[1].terminated >= ended[0].gone, "{ended:?}");
}

#[test]
fn a_failing_init_container_is_reported_and_nothing_else_starts() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let failing = json!({"name": "init", "image": "app", "args": ["fail", "--code", "21", "no permission"]});
    let spec = json!({"initContainers": [failing], "containers": [server("web")]});
    let error = kubelet.run(&pod(spec), &network).err().expect("a failure");
    let failed: &Failed = error.downcast_ref().expect("a container's failure");
    assert_eq!((failed.name.as_str(), failed.code), ("init", 21));
    assert_eq!(
        (failed.termination.as_str(), failed.output.stderr.as_str()),
        ("no permission", "no permission\n")
    );
}

#[test]
fn a_sidecar_that_ends_fails_the_pod_at_once() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let sidecar = json!({"name": "sidecar", "image": "app", "args": ["fail", "--code", "3", "broken"],
        "restartPolicy": "Always", "startupProbe": {"httpGet": {"port": 9090}}});
    let spec = json!({"initContainers": [sidecar], "containers": [server("web")]});
    let error = format!("{:#}", kubelet.run(&pod(spec), &network).err().expect("a failure"));
    assert!(error.contains("code 3") && error.contains("broken"), "{error}");
}

#[test]
fn what_a_kubelet_would_refuse_is_refused() {
    let (switch, network) = node();
    let kubelet = kubelet(&switch);
    let cases = [
        (json!({"containers": [with(server("web"), "image", json!("other"))]}), "no image \"other\""),
        (json!({"containers": [server("web")], "securityContext": {"runAsNonRoot": true}}), "runAsNonRoot"),
        (
            json!({"containers": [with(server("web"), "command", json!(["/absent"]))]}),
            "cannot execute /absent",
        ),
        (
            json!({"containers": [with(server("web"), "securityContext", json!({"privileged": true}))]}),
            "privileged",
        ),
        (
            json!({"containers": [with(server("web"), "securityContext", json!({"capabilities": {"add": ["X"]}}))]}),
            "unknown capability CAP_X",
        ),
        (
            json!({"containers": [with(server("web"), "volumeMounts", json!([{"name": "v", "mountPath": "/v"}]))]}),
            "volume v",
        ),
        (
            json!({"containers": [server("web")], "volumes": [{"name": "v", "configMap": {"name": "c"}}]}),
            "optional",
        ),
        (json!({"containers": [server("web")], "hostNetwork": true}), "hostNetwork"),
        (
            json!({"containers": [with(server("web"), "readinessProbe", json!({"grpc": {"port": 1}}))]}),
            "not a Pod",
        ),
        (json!({"containers": "none"}), "not a Pod"),
    ];
    for (spec, expected) in cases {
        let result = kubelet.run(&pod(spec.clone()), &network).and_then(|mut running| running.wait_ready());
        let error = format!("{:#}", result.expect_err("a refusal"));
        assert!(error.contains(expected), "{spec}: {error}");
    }
}
