//! What the rules and the additions look at: the request, parsed once.

use super::options::{self, Options};
use super::pod::Pod;
use super::reason::Reason;
use super::status::Status;
use super::{Matched, Namespace, Request, Requester, Settings};

/// A parsed request.
pub(super) struct Facts<'a> {
    /// The pod without an earlier injection of ours.
    pub(super) pod: Pod<'a>,
    pub(super) matched: Matched,
    pub(super) namespace: Namespace<'a>,
    pub(super) requester: Option<&'a Requester>,
    pub(super) workload: Option<&'a str>,
    pub(super) settings: &'a Settings,
    /// The annotations, or every one that is wrong.
    pub(super) options: Result<Options, Vec<Reason>>,
    /// What an earlier injection of ours wrote, with the same version and settings.
    pub(super) previous: Option<Status>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        request: &Request<'a>,
        settings: &'a Settings,
        previous: Option<Status>,
    ) -> Result<Self, Reason> {
        let pod = Pod::new(request.pod)?;
        let read = options::read(pod, request.namespace, settings);
        Ok(Self {
            pod,
            matched: request.matched,
            namespace: request.namespace,
            requester: request.requester,
            workload: request.workload,
            settings,
            options: read.options,
            previous,
            warnings: read.warnings,
        })
    }

    /// A label of the pod's, or one that an earlier injection added.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let added = || self.previous.as_ref().and_then(|previous| previous.labels.value(key));
        self.pod.label(key).or_else(added)
    }
}
