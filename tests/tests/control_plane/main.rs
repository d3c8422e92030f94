//! The control plane of the kit is a real one: it validates, authorizes, and calls nobody by itself.

use hyper::StatusCode;
use serde_json::{Value, json};
use tests::control_plane::{ControlPlane, pods_path};
use tests::leftovers;

fn pod(name: &str, image: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": image}]},
    })
}

#[tokio::test]
async fn objects_are_created_validated_and_authorized() {
    let control_plane = ControlPlane::start(&[]).await.unwrap();
    control_plane.create_namespace("shop", &json!({"team": "a"})).await.unwrap();
    let mut admin = control_plane.client().unwrap();
    let pods = pods_path("shop");

    let created = admin.create(&pods, &pod("good", &json!("example.com/app:1"))).await.unwrap();
    assert_eq!(created["spec"]["containers"][0]["terminationMessagePath"], "/dev/termination-log");
    assert!(created["spec"]["volumes"][0]["name"].as_str().unwrap().starts_with("kube-api-access-"));

    let refused = admin.post(&pods, &pod("bad", &Value::Null)).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("spec.containers[0].image"), "{}", refused.text());
    let mut unknown = pod("unknown", &json!("example.com/app:1"));
    unknown["spec"]["colour"] = json!("red");
    let warned = admin.post(&format!("{pods}?fieldValidation=Warn"), &unknown).await.unwrap();
    assert_eq!(warned.warnings, ["unknown field \"spec.colour\""]);

    let account = "/api/v1/namespaces/shop/serviceaccounts/default/token";
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = admin.create(account, &request).await.unwrap();
    let mut tenant = control_plane.client_with(token["status"]["token"].as_str().unwrap()).unwrap();
    assert_eq!(tenant.get(&pods).await.unwrap().status, StatusCode::FORBIDDEN);

    let listed = control_plane.kubectl().unwrap().args(["get", "pods", "-n", "shop", "-o", "name"]).output();
    assert_eq!(String::from_utf8(listed.unwrap().stdout).unwrap(), "pod/good\npod/unknown\n");
}

/// By a Service's name and certificate, as in a cluster; what listens here need not know that it is one.
#[tokio::test]
async fn a_webhook_is_called_by_its_service() {
    let control_plane = ControlPlane::start(&[]).await.unwrap();
    control_plane.create_namespace("shop", &json!({})).await.unwrap();
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    control_plane.create_service("shop", "hook", port).await.unwrap();
    let service = json!({"namespace": "shop", "name": "hook", "port": port, "path": "/here"});
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "hook"},
        "webhooks": [{
            "name": "hook.example.com", "clientConfig": {"service": service}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 5,
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    let mut admin = control_plane.client().unwrap();
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    admin.create(path, &configuration).await.unwrap();
    let called = tokio::spawn(async move { listener.accept().await.unwrap().1 });
    // API servers learn of a configuration a moment after they have taken it.
    let refused = loop {
        let answer = admin.post(&pods_path("shop"), &pod("p", &json!("example.com/app"))).await.unwrap();
        if !answer.status.is_success() {
            break answer;
        }
        assert!(
            admin
                .delete(&format!("{}/p?gracePeriodSeconds=0", pods_path("shop")))
                .await
                .unwrap()
                .status
                .is_success()
        );
    };
    assert!(refused.text().contains("https://hook.shop.svc:"), "{}", refused.text());
    assert!(called.await.unwrap().ip().is_loopback());
}

#[tokio::test]
async fn nothing_is_left_of_a_control_plane() {
    let control_plane = ControlPlane::start(&[]).await.unwrap();
    let (address, kubeconfig) = (control_plane.address(), control_plane.kubeconfig_path());
    assert!(kubeconfig.exists());
    drop(control_plane);
    assert!(!kubeconfig.exists());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let directory = kubeconfig.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(!leftovers::of(std::process::id()).contains(&directory));
}

#[tokio::test]
async fn an_argument_that_is_unknown_is_shown() {
    let error = ControlPlane::start(&["--colour=red"]).await.err().unwrap();
    assert!(format!("{error:#}").contains("--colour"), "{error:#}");
}
