//! The corpus: manifests of many shapes, written for these tests. A pod's annotation [`EXPECT`] says what must come of it; a
//! pod with [`UNSERVABLE`] is one that today's API servers would not take, and says why.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// `inject` (also without it), `skip CODE` or `reject CODE`.
pub(crate) const EXPECT: &str = "test.remora.dev/expect";

/// Why no API server would take this pod.
pub(crate) const UNSERVABLE: &str = "test.remora.dev/unservable";

/// All pods: those of the fixtures and of `corpus/`, and those that are too large to be written down.
pub(crate) fn pods() -> &'static [Value] {
    static PODS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        // By a path that is also right where the fuzz targets include this file.
        let here = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../injector/tests/component"));
        let corpus = std::fs::read_dir(here.join("corpus")).expect("a directory");
        let mut files: Vec<_> = corpus.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files.insert(0, here.join("fixtures/pods.yaml"));
        files.iter().flat_map(|file| read(file)).chain(generated()).collect()
    });
    &PODS
}

/// The annotations that the contract has a name for, whoever added them.
pub(crate) fn annotation_keys() -> &'static [&'static str] {
    static KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let texts = include_str!("../../../api/src/annotations.rs").split('"').skip(1).step_by(2);
        let keys: Vec<_> = texts.filter(|key| key.contains('/') && !key.ends_with('/')).collect();
        assert!(keys.len() > 10, "api/src/annotations.rs is not understood: {keys:?}");
        keys
    });
    &KEYS
}

fn read(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a file");
    let pods: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    pods.into_iter().filter(Value::is_object).collect()
}

fn generated() -> [Value; 4] {
    let pod = |name: &str, annotations: Value, container: Value| {
        let metadata = json!({"name": name, "annotations": annotations});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    };
    let variables = |count| {
        let variables = (0..count).map(|number| {
            json!({"name": format!("VARIABLE_{number}"), "value": format!("value-of-{number}-{}", "x".repeat(number % 40))})
        });
        variables.collect::<Vec<_>>()
    };
    let mounts = |count| {
        let mounts = (0..count)
            .map(|number| json!({"name": format!("v{number}"), "mountPath": format!("/mnt/{number}")}));
        mounts.collect::<Vec<_>>()
    };
    let volumes: Vec<Value> =
        (0..64).map(|number| json!({"name": format!("v{number}"), "emptyDir": {}})).collect();
    let mut many_volumes = pod(
        "many-volumes",
        json!({}),
        json!({"name": "app", "image": "example.com/app", "volumeMounts": mounts(64)}),
    );
    many_volumes["spec"]["volumes"] = volumes.into();
    let containers: Vec<Value> = (0..40)
        .map(|number| {
            json!({
                "name": format!("app-{number}"), "image": "example.com/app",
                "ports": [{"name": "http", "containerPort": 8000 + number}],
                "readinessProbe": {"tcpSocket": {"port": "http"}},
            })
        })
        .collect();
    let mut many_containers = pod("many-containers", json!({}), Value::Null);
    many_containers["spec"]["containers"] = containers.into();
    [
        pod(
            "many-variables",
            json!({}),
            json!({"name": "app", "image": "example.com/app", "env": variables(1500)}),
        ),
        // The API server's own bound for all annotations of an object is 256 KiB.
        pod(
            "huge-annotation",
            json!({"example.com/blob": "{\"a\": \"\\\"\"}".repeat(16 * 1024)}),
            json!({"name": "app", "image": "example.com/app"}),
        ),
        many_volumes,
        many_containers,
    ]
}
