//! The judge whose verdict counts: a real API server. Whatever pod it takes, it takes after the injection too, with every
//! field known to it; of the corpus, and of random changes of it.
//!
//! No webhook is called here; what is asked is validation and the admission plugins that are on by default.

use hyper::StatusCode;
use hyper::body::Bytes;
use injector::inject::Verdict;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::control_plane::{Client, ControlPlane, pods_path};

use crate::corpus::{UNSERVABLE, pods};
use crate::decided::{NAMESPACE, decision, patched};
use crate::mutations;

/// How many random pods are shown. Each takes two requests of some milliseconds.
const RANDOM: usize = 300;

async fn control_plane() -> ControlPlane {
    let control_plane = ControlPlane::start(&[]).await.unwrap();
    control_plane.create_namespace(NAMESPACE, &json!({})).await.unwrap();
    control_plane
}

/// What the API server would say to the creation of this pod: nothing, if it takes it.
async fn refusal(client: &mut Client, pod: &Value, fields: &str) -> Option<String> {
    let mut pod = pod.clone();
    // The generated suffix has to fit, and an object that is created has no uid and no past yet.
    let metadata = pod["metadata"].as_object_mut().unwrap();
    metadata.retain(|field, _| {
        !["uid", "creationTimestamp", "managedFields", "resourceVersion"].contains(&field.as_str())
    });
    let path = format!("{}?dryRun=All&fieldValidation={fields}", pods_path(NAMESPACE));
    let body = Some(("application/json", Bytes::from(pod.to_string())));
    let answer = client.send(hyper::Method::POST, &path, body).await.unwrap();
    (answer.status != StatusCode::CREATED).then(|| answer.object().err().unwrap().to_string())
}

/// I1, as Kubernetes sees it.
#[tokio::test]
async fn the_api_server_takes_every_injected_pod() {
    let control_plane = control_plane().await;
    let mut client = control_plane.client().unwrap();
    let (mut taken, mut unknown) = (0, Vec::new());
    for pod in pods() {
        let Some(refused) = refusal(&mut client, pod, "Strict").await else {
            let decision = decision(pod);
            if decision.verdict == Verdict::Inject {
                let refused = refusal(&mut client, &patched(pod, &decision), "Strict").await;
                assert_eq!(refused, None, "{}", pod["metadata"]);
                taken += 1;
            }
            continue;
        };
        if !pod["metadata"]["annotations"][UNSERVABLE].is_string() {
            unknown.push(format!("{}: {refused}", pod["metadata"]));
        }
    }
    assert!(unknown.is_empty(), "the corpus has pods that no API server takes: {unknown:#?}");
    assert!(taken > 70, "only {taken} pods were taken");
}

/// The same of random pods; those that the API server does not take say nothing about us.
#[tokio::test]
async fn the_api_server_takes_random_injected_pods() {
    let control_plane = control_plane().await;
    let mut client = control_plane.client().unwrap();
    let seed: [u8; 32] = std::array::from_fn(|_| rand());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut taken = 0;
    for _ in 0..RANDOM {
        let pod = mutations::pod().new_tree(&mut runner).unwrap().current();
        let decision = decision(&pod);
        if decision.verdict == Verdict::Inject && refusal(&mut client, &pod, "Warn").await.is_none() {
            let refused = refusal(&mut client, &patched(&pod, &decision), "Warn").await;
            assert_eq!(refused, None, "seed {seed:?}: {pod}");
            taken += 1;
        }
    }
    assert!(taken > RANDOM / 10, "only {taken} of {RANDOM} pods were taken; seed {seed:?}");
}

/// A byte that differs from run to run.
fn rand() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    let hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.finish().to_be_bytes()[0]
}
