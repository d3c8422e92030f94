//! What the rules and the additions look at: the request, parsed once.

use super::options::{self, Options};
use super::pod::Pod;
use super::reason::Reason;
use super::status::Status;
use super::{Matched, Namespace, Request, Settings};

/// A parsed request.
pub(super) struct Facts<'a> {
    pub(super) pod: Pod<'a>,
    pub(super) matched: Matched,
    pub(super) namespace: Namespace<'a>,
    pub(super) workload: Option<&'a str>,
    pub(super) settings: &'a Settings,
    /// The annotations, or every one that is wrong.
    pub(super) options: Result<Options, Vec<Reason>>,
    /// What an earlier injection of ours wrote; absent where our containers are absent too.
    pub(super) previous: Option<Status>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(request: &Request<'a>, settings: &'a Settings) -> Result<Self, Reason> {
        let pod = Pod::new(request.pod)?;
        Ok(Self {
            pod,
            matched: request.matched,
            namespace: request.namespace,
            workload: request.workload,
            settings,
            options: options::parse(pod),
            previous: Status::of(pod),
            warnings: options::warnings(pod),
        })
    }
}
