//! AdmissionReview of `admission.k8s.io/v1`: read, decided, answered. Bytes in, bytes out.
//!
//! Invariant: an answer carries the request's uid, and a patch only for a pod that is being created.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::notice::notice;
use crate::cluster::{Events, Namespaces};
use crate::configuration::{Configuration, Current};
use crate::inject::{self, Decision, Matched, Namespace, Requester, Settings, Verdict};
use crate::strict;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The API server takes no more than this of one response.
const MOST_WARNINGS: usize = 16;

/// A body that is not a review which we can answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadReview {
    #[error("the body is not an AdmissionReview in JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the body is a {kind:?} of {api_version:?}; expected is {KIND:?} of {API_VERSION:?}")]
    NotAReview { kind: String, api_version: String },
    #[error(
        "the AdmissionReview is of {0:?}; only {API_VERSION} is spoken: set admissionReviewVersions to [\"v1\"] in the \
         webhook configuration"
    )]
    OldVersion(String),
    #[error("the AdmissionReview has no request")]
    NoRequest,
    #[error("the request has no uid")]
    NoUid,
    #[error(
        "the request is about a {0}; only pods are reviewed: mend the rules of the webhook configuration"
    )]
    NotAPod(String),
}

impl BadReview {
    /// For metrics.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not-json",
            Self::NotAReview { .. } => "not-a-review",
            Self::OldVersion(_) => "old-version",
            Self::NoRequest => "no-request",
            Self::NoUid => "no-uid",
            Self::NotAPod(_) => "not-a-pod",
        }
    }
}

/// An answer, and what is counted of it.
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) result: &'static str,
    pub(super) reason: &'static str,
    /// Length of the patch.
    pub(super) patch: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    sub_resource: String,
    #[serde(default, deserialize_with = "strict::value")]
    object: Value,
    user_info: Option<Requester>,
    dry_run: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    kind: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// What reviews are answered by; clones share it.
#[derive(Clone, Debug)]
pub struct Reviewer {
    /// The configuration that is in force.
    pub configuration: Current,
    /// What is known about namespaces.
    pub namespaces: Namespaces,
    /// Where owners of pods are told, if the configuration wants it.
    pub events: Option<Events>,
}

impl Reviewer {
    /// One whose settings never change, and that knows nothing about namespaces but their names.
    pub fn fixed(settings: Settings) -> Self {
        let configuration = Current::new(Configuration { settings });
        Self { configuration, namespaces: Namespaces::default(), events: None }
    }

    /// Answers one review.
    pub(super) fn answer(&self, body: &[u8], matched: Matched) -> Result<Answer, BadReview> {
        let request = parse(body)?;
        if request.operation != "CREATE" || !request.sub_resource.is_empty() {
            // Containers of a pod that exists cannot be changed; the rules do not send this.
            let body = written(&Response::allowed(&request.uid))?;
            return Ok(Answer { body, result: "skipped", reason: "not-a-creation", patch: None });
        }
        let metadata = self.namespaces.get(&request.namespace);
        let configuration = self.configuration.load();
        let decision = inject::decide(
            &inject::Request {
                pod: &request.object,
                matched,
                namespace: Namespace { name: &request.namespace, metadata: metadata.as_deref() },
                requester: request.user_info.as_ref(),
                workload: None,
            },
            &configuration.settings,
        );
        tracing::debug!(namespace = request.namespace, verdict = ?decision.verdict, "reviewed");
        if let Some(events) =
            self.events.as_ref().filter(|_| configuration.settings.events && request.dry_run != Some(true))
        {
            notice(&request.object, &request.namespace, &decision)
                .into_iter()
                .for_each(|notice| events.tell(notice));
        }
        let reason = decision.reasons.first().map_or("none", |reason| reason.code.as_str());
        let (body, patch) = decided(&request.uid, &decision)?;
        Ok(Answer { body, result: result(decision.verdict), reason, patch })
    }
}

fn parse(body: &[u8]) -> Result<Request, BadReview> {
    let review: Review = serde_json::from_slice(body)?;
    if review.kind != KIND {
        return Err(BadReview::NotAReview { kind: review.kind, api_version: review.api_version });
    }
    if review.api_version != API_VERSION {
        return Err(BadReview::OldVersion(review.api_version));
    }
    let request = review.request.ok_or(BadReview::NoRequest)?;
    if request.uid.is_empty() {
        return Err(BadReview::NoUid);
    }
    let Kind { group, version, kind } = &request.kind;
    if (group.as_str(), version.as_str(), kind.as_str()) != ("", "v1", "Pod") {
        return Err(BadReview::NotAPod(format!("{kind:?} of {group:?} {version:?}")));
    }
    Ok(request)
}

/// The answer, and the length of its patch.
fn decided(uid: &str, decision: &Decision) -> Result<(Vec<u8>, Option<usize>), serde_json::Error> {
    let mut length = None;
    let mut response = Response::allowed(uid);
    response.warnings = decision.warnings.get(..MOST_WARNINGS).unwrap_or(&decision.warnings);
    match decision.verdict {
        Verdict::Inject => {
            response.patch_type = Some("JSONPatch");
            let patch = serde_json::to_vec(&decision.operations)?;
            length = Some(patch.len());
            response.patch = Some(STANDARD.encode(patch));
        }
        Verdict::Unchanged | Verdict::Skip => {}
        Verdict::Reject => {
            let reasons: Vec<_> = decision.reasons.iter().map(ToString::to_string).collect();
            response.allowed = false;
            // The code of Kubernetes' own validation: who sends the same pod again gets the same answer.
            response.status = Some(Status { code: 422, reason: "Invalid", message: reasons.join("; ") });
        }
    }
    Ok((written(&response)?, length))
}

fn written(response: &Response<'_>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Answered { api_version: API_VERSION, kind: KIND, response })
}

impl<'a> Response<'a> {
    fn allowed(uid: &'a str) -> Self {
        Self { uid, allowed: true, status: None, patch_type: None, patch: None, warnings: &[] }
    }
}

fn result(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Inject => "injected",
        Verdict::Unchanged => "unchanged",
        Verdict::Skip => "skipped",
        Verdict::Reject => "rejected",
    }
}
