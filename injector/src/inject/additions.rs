//! What injection adds to one pod: two containers and their places, their volumes, labels and annotations; and what it
//! changes of the user's own.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Volume};

use super::cautions::cautions;
use super::edit::Edit;
use super::facts::Facts;
use super::metadata::{self, Names};
use super::options::{Mode, Options};
use super::pod::{Part, name_of};
use super::resources::Requirements;
use super::{init, probes, prometheus, proxy, volumes};

/// Everything that is added.
pub(super) struct Additions {
    pub(super) mode: Mode,
    pub(super) containers: Vec<Placed>,
    pub(super) volumes: Vec<Volume>,
    /// Names of pull secrets that the pod has not yet.
    pub(super) pull_secrets: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    /// With the new values of those that change, and with the status.
    pub(super) annotations: BTreeMap<String, String>,
    /// What changes of the user's own.
    pub(super) edits: Vec<Edit>,
}

/// A container and its place.
pub(super) struct Placed {
    pub(super) name: &'static str,
    pub(super) list: Part,
    pub(super) position: Position,
    pub(super) container: Container,
}

/// A place in a list of containers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Position {
    /// So many from the front.
    Front(usize),
    /// After all others.
    Last,
}

impl Additions {
    /// What is added to this pod, but for the status that tells of it.
    pub(super) fn new(facts: &Facts<'_>, options: &Options, warnings: &mut Vec<String>) -> Self {
        let names = Names::of(facts);
        warnings.extend(cautions(options, facts.pod));
        let probes = probes::plan(facts.pod, options, warnings);
        let scrape = prometheus::plan(facts.pod, options, warnings);
        let resources = Requirements::new(&options.resources, facts.pod, warnings);
        let host = proxy::Host { pod: facts.pod, options, names: &names, settings: facts.settings };
        let mut proxy = proxy::container(&host, resources.proxy);
        tell(&mut proxy, api::env::APP_PROBERS, probes.table);
        tell(&mut proxy, api::env::PROMETHEUS_ANNOTATIONS, scrape.application);
        let mut annotations = metadata::annotations(facts.pod);
        annotations.extend(scrape.annotations);
        let init = init::container(options, resources.init, facts.settings);
        Self {
            mode: *options.mode,
            containers: placed(options, init, proxy),
            volumes: volumes::volumes().into_iter().chain(options.volumes.iter().cloned()).collect(),
            pull_secrets: pull_secrets(facts),
            labels: names.labels(facts.pod),
            annotations: annotations.added,
            edits: probes.edits.into_iter().chain(annotations.edits).collect(),
        }
    }

    /// Whether anything is added to this part.
    pub(super) fn adds_to(&self, part: Part) -> bool {
        match part {
            Part::Labels => !self.labels.is_empty(),
            // The status is always added.
            Part::Annotations => true,
            Part::InitContainers | Part::Containers => {
                self.containers.iter().any(|placed| placed.list == part)
            }
            Part::Volumes => !self.volumes.is_empty(),
            Part::ImagePullSecrets => !self.pull_secrets.is_empty(),
        }
    }
}

fn placed(options: &Options, init: Option<Container>, proxy: Container) -> Vec<Placed> {
    let (init_position, proxy_list, proxy_position) = match *options.mode {
        // Redirect first, then the proxy, then the user's init containers, which thus have a network already.
        Mode::Native => (Position::Front(0), Part::InitContainers, Position::Front(init.iter().count())),
        // The user's init containers have to run before anything is redirected to a proxy that is not there yet. The
        // kubelet starts containers in the order of the list, and waits for the hook of each.
        Mode::Legacy if *options.hold => (Position::Last, Part::Containers, Position::Front(0)),
        Mode::Legacy => (Position::Last, Part::Containers, Position::Last),
    };
    let (name, list) = (api::pod::INIT_CONTAINER, Part::InitContainers);
    let init = init.map(|container| Placed { name, list, position: init_position, container });
    let (name, list) = (api::pod::PROXY_CONTAINER, proxy_list);
    init.into_iter().chain([Placed { name, list, position: proxy_position, container: proxy }]).collect()
}

/// What the proxy learns of this pod alone.
fn tell(proxy: &mut Container, name: &str, value: Option<String>) {
    // The kubelet expands $(NAME) in values; a doubled dollar is a dollar.
    let variable = |value: String| EnvVar {
        name: name.to_owned(),
        value: Some(value.replace('$', "$$")),
        ..EnvVar::default()
    };
    proxy.env.get_or_insert_default().extend(value.map(variable));
}

/// The mesh's pull secrets that the pod has not yet.
fn pull_secrets(facts: &Facts<'_>) -> Vec<String> {
    let present = |name: &String| facts.pod.list(Part::ImagePullSecrets).iter().any(|s| name_of(s) == name);
    facts.settings.images.pull_secrets.iter().filter(|name| !present(name)).cloned().collect()
}
