//! The truth about selection, asked of a real API server: for every namespace and every pod what it sends us, by which
//! entry, and what comes of the pod. Pods are created as a dry run.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tests::control_plane::{Answer, Client, ControlPlane, pods_path};
use tokio::task::JoinSet;

use crate::audit::Audit;
use crate::mesh::Mesh;
use crate::truth::cases::{self, Case};
use crate::truth::{Expected, Facts, Truth};

/// Connections, each with one request at a time.
const WORKERS: usize = 16;

/// A case, the name of its pod, and what the API server said.
struct Created {
    case: Case,
    name: String,
    answer: Answer,
}

#[tokio::test]
async fn the_api_server_sends_what_the_table_says() {
    let mut all = Vec::new();
    for namespace in cases::namespaces() {
        all.extend(cases::pods().into_iter().map(|pod| Case { namespace: namespace.clone(), pod }));
    }
    assert!(all.len() > 5000, "{}", all.len());
    hold(&Truth::selection(), all, &json!({})).await;
}

#[tokio::test]
async fn the_api_server_sends_what_a_configuration_says() {
    hold(&Truth::configured(), cases::configured(), &cases::selection()).await;
}

async fn hold(truth: &Truth, all: Vec<Case>, selection: &Value) {
    let audit = Audit::start().await;
    let mesh = Mesh::start(&json!({"selection": selection}), &audit.arguments()).await;
    prepare(&mesh.control_plane, &all).await;
    let created = create(&mesh.control_plane, all).await;
    let called = audit.called();
    let mut wrong = Vec::new();
    for Created { case, name, answer } in &created {
        let expected = truth.expected(case);
        let called = &called[&(case.namespace.name(), name.clone())];
        if let Err(problem) = compare(&expected, called, answer) {
            wrong.push(format!("{problem}, and expected is {expected:?}: {case:?}"));
        }
    }
    truth.assert_used();
    let first: Vec<_> = wrong.iter().take(10).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong: {first:#?}", wrong.len(), created.len());
}

fn compare(expected: &Expected, called: &[String], answer: &Answer) -> Result<(), String> {
    let entry = match called {
        [] => "-",
        [first, ..] => first.trim_end_matches(api::control::WEBHOOK_ENTRY_SUFFIX),
    };
    if entry != expected.entry || called.len() > 1 {
        return Err(format!("called are {called:?}"));
    }
    let told = answer.text();
    let outcome = if !answer.status.is_success() {
        "refused"
    } else if told.contains(api::pod::INIT_CONTAINER) {
        "injected"
    } else {
        "left"
    };
    if outcome != expected.outcome {
        return Err(format!("it is {outcome}: {told}"));
    }
    let shown = match outcome {
        "injected" => format!("\\\"{}\\\"", expected.reason),
        "refused" => format!("{}: ", expected.reason),
        _ => return Ok(()),
    };
    if told.contains(&shown) { Ok(()) } else { Err(format!("{shown} is not told in {told}")) }
}

/// Namespaces with their labels, and the rights of those who create pods.
async fn prepare(control_plane: &ControlPlane, all: &[Case]) {
    let mut client = control_plane.client().unwrap();
    // In a cluster the node authorizer sees to it.
    let (group, rbac) = ("rbac.authorization.k8s.io", "/apis/rbac.authorization.k8s.io/v1");
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "mirrors"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}],
    });
    client.create(&format!("{rbac}/clusterroles"), &role).await.unwrap();
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "mirrors"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "mirrors"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": api::control::NODE_GROUP}],
    });
    client.create(&format!("{rbac}/clusterrolebindings"), &binding).await.unwrap();
    let mut made = HashSet::new();
    for Case { namespace, .. } in all {
        let name = namespace.name();
        if !made.insert(name.clone()) {
            continue;
        }
        let labels = json!(namespace.labels());
        if control_plane.create_namespace(&name, &labels).await.is_err() {
            // The API server makes some itself; and our own is there.
            let (path, labelled) =
                (format!("/api/v1/namespaces/{name}"), json!({"metadata": {"labels": labels}}));
            client.merge(&path, &labelled).await.unwrap().object().unwrap();
            let account =
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
            let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
            let made = client.post(&accounts, &account).await.unwrap();
            assert!(made.status.is_success() || made.status.as_u16() == 409, "{}", made.text());
        }
    }
}

async fn create(control_plane: &ControlPlane, all: Vec<Case>) -> Vec<Created> {
    let all: Arc<Vec<Case>> = Arc::new(all);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let mut clients: Vec<(&str, Client)> = Vec::new();
        for by in ["admin", "controller", "node"] {
            let case = all.iter().find(|case| case.fact("by") == by);
            let Some(case) = case else { continue };
            let requester = case.pod.requester();
            let client = control_plane.client().unwrap();
            clients.push((by, client.impersonating(&requester.username, &requester.groups)));
        }
        let all = Arc::clone(&all);
        workers.spawn(async move {
            let mut created = Vec::new();
            for (index, case) in all.iter().enumerate().skip(worker).step_by(WORKERS) {
                let name = format!("pod-{index}");
                let (_, client) = clients.iter_mut().find(|(by, _)| *by == case.fact("by")).unwrap();
                let path = format!("{}?dryRun=All", pods_path(&case.namespace.name()));
                let answer = client.post(&path, &case.pod.object(&name)).await.unwrap();
                created.push(Created { case: case.clone(), name, answer });
            }
            created
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}
