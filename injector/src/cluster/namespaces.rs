//! What namespaces say about their pods: a watch of their metadata, kept as one small entry a namespace.
//!
//! It deliberately decides nothing: the API server's selectors say what is injected. It starts empty, lags behind, and is
//! the last that was known while the API server is away; a review asks it and never waits for it.
//!
//! Invariant: what is kept grows with the number of namespaces and with their labels, and with nothing else of theirs: of
//! the annotations only families that injection reads.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use api::annotations;
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client};

use super::chain;
use super::told::Told;
use crate::inject::NamespaceMetadata;

/// Prefixes of annotations that are kept.
const FAMILIES: [&str; 6] = [
    annotations::OWN_PREFIX,
    annotations::SIDECAR_PREFIX,
    annotations::TRAFFIC_PREFIX,
    annotations::PROXY_PREFIX,
    annotations::LINKERD_CONFIG_PREFIX,
    annotations::LINKERD_PREFIX,
];

type Known = HashMap<String, Arc<NamespaceMetadata>>;

/// What is known about namespaces; clones share it. Empty until [`Namespaces::watch`] runs.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(Arc<RwLock<Known>>);

impl Namespaces {
    /// What is known about a namespace; it may be old, and is absent where nothing was heard of it yet.
    pub fn get(&self, name: &str) -> Option<Arc<NamespaceMetadata>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// How many namespaces are known.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Learns what there is and what changes until the future is dropped. Failures are told and tried again.
    pub async fn watch(self, client: Client) {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(client);
        self.follow(watch(api, watcher::Config::default()).default_backoff()).await;
    }

    async fn follow(
        self,
        events: impl Stream<Item = Result<Event<PartialObjectMeta<Namespace>>, watcher::Error>>,
    ) {
        let (mut events, mut told) = (pin!(events), Told::default());
        // A list that has begun: whoever is not in it at its end is gone.
        let mut listed = Known::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed = Known::default(),
                Ok(Event::InitApply(namespace)) => {
                    listed.extend(entry(namespace));
                }
                Ok(Event::InitDone) => {
                    told.is_over();
                    self.change(|known| *known = std::mem::take(&mut listed));
                }
                Ok(Event::Apply(namespace)) => self.change(|known| known.extend(entry(namespace))),
                Ok(Event::Delete(namespace)) => self.change(|known| {
                    known.remove(namespace.metadata.name.as_deref().unwrap_or_default());
                }),
                Err(error) => {
                    let reason = chain(&error);
                    if told.is_news(&reason, Instant::now()) {
                        tracing::warn!(
                            reason,
                            "namespaces cannot be watched: what they say is not known, or old; \
                             apply manifests/rbac.yaml where it is forbidden"
                        );
                    }
                }
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn entry(namespace: PartialObjectMeta<Namespace>) -> Option<(String, Arc<NamespaceMetadata>)> {
    let metadata = namespace.metadata;
    let is_kept = |key: &str| FAMILIES.iter().any(|family| key.starts_with(family));
    let mut annotations: BTreeMap<_, _> = metadata.annotations.unwrap_or_default();
    annotations.retain(|key, _| is_kept(key));
    let kept = NamespaceMetadata { labels: metadata.labels.unwrap_or_default(), annotations };
    Some((metadata.name?, Arc::new(kept)))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use k8s_openapi::api::core::v1::Namespace;
    use kube::api::{ObjectMeta, PartialObjectMeta, PartialObjectMetaExt};
    use kube::runtime::watcher::Event;

    use super::Namespaces;

    fn namespace(name: &str, label: &str) -> PartialObjectMeta<Namespace> {
        let pairs = |list: &[(&str, &str)]| {
            Some(list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        ObjectMeta {
            name: Some(name.to_owned()),
            labels: pairs(&[("istio-injection", label)]),
            annotations: pairs(&[
                ("kubectl.kubernetes.io/last-applied-configuration", "long"),
                ("sidecar.istio.io/proxyCPU", "1"),
                ("config.linkerd.io/skip-inbound-ports", "25"),
            ]),
            ..ObjectMeta::default()
        }
        .into_response_partial()
    }

    async fn follow(namespaces: &Namespaces, events: Vec<Event<PartialObjectMeta<Namespace>>>) {
        namespaces.clone().follow(stream::iter(events.into_iter().map(Ok))).await;
    }

    fn label(namespaces: &Namespaces, name: &str) -> Option<String> {
        namespaces.get(name).and_then(|metadata| metadata.labels.get("istio-injection").cloned())
    }

    #[tokio::test]
    async fn changes_are_followed() {
        let known = Namespaces::default();
        assert!(known.is_empty() && known.get("shop").is_none());
        let shop = |label| namespace("shop", label);
        follow(&known, vec![Event::Init, Event::InitApply(shop("enabled")), Event::InitDone]).await;
        assert_eq!(label(&known, "shop").as_deref(), Some("enabled"));
        follow(&known, vec![Event::Apply(shop("disabled")), Event::Apply(namespace("bank", "x"))]).await;
        assert_eq!(label(&known, "shop").as_deref(), Some("disabled"));
        follow(&known, vec![Event::Delete(shop("disabled"))]).await;
        assert_eq!((label(&known, "shop"), known.len()), (None, 1));
    }

    /// While a list goes on, what was known stays known; at its end, who is not listed is gone.
    #[tokio::test]
    async fn a_new_list_replaces_what_is_known_at_its_end() {
        let known = Namespaces::default();
        follow(&known, vec![Event::Apply(namespace("gone", "enabled"))]).await;
        follow(&known, vec![Event::Init, Event::InitApply(namespace("shop", "enabled"))]).await;
        assert!(known.get("gone").is_some() && known.get("shop").is_none());
        let list = vec![Event::Init, Event::InitApply(namespace("shop", "enabled")), Event::InitDone];
        follow(&known, list).await;
        assert!(known.get("gone").is_none() && known.get("shop").is_some());
    }

    #[tokio::test]
    async fn annotations_of_others_take_no_memory() {
        let known = Namespaces::default();
        follow(&known, vec![Event::Apply(namespace("shop", "enabled"))]).await;
        let metadata = known.get("shop").unwrap();
        let kept: Vec<_> = metadata.annotations.keys().map(String::as_str).collect();
        assert_eq!(kept, ["config.linkerd.io/skip-inbound-ports", "sidecar.istio.io/proxyCPU"]);
    }
}
