//! What a person's commands look at in a cluster, with that person's own rights: raw JSON, so that what is newer than this
//! program is not lost.
//!
//! It deliberately changes nothing: it reads, and the pods that it creates are dry runs. Whatever it may not see is told as
//! such and ends nothing else.

use axum::http::{Method, Request};
use kube::Client;
use serde_json::Value;

use super::chain;

/// Objects of a list that are asked for at once.
const PAGE: usize = 500;

/// Something that could not be looked at.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SurveyError {
    /// Not allowed to see it.
    #[error("could not look at {what}: {reason}; ask for the right to do so, or use another kubeconfig")]
    Denied {
        /// The object.
        what: String,
        /// What the API server said.
        reason: String,
    },
    /// The API server refused the request itself, or could not do it.
    #[error("{what}: {reason}")]
    Failed {
        /// The object.
        what: String,
        /// What the API server said.
        reason: String,
    },
    /// No answer.
    #[error("could not look at {what}: the API server does not answer: {reason}")]
    Unreachable {
        /// The object.
        what: String,
        /// What the network said.
        reason: String,
    },
}

/// Eyes on a cluster.
pub struct Survey {
    client: Client,
}

impl Survey {
    /// By this client's rights.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The API server's version.
    pub async fn version(&self) -> Result<Value, SurveyError> {
        let version = self.get("/version").await?;
        Ok(version.unwrap_or_default())
    }

    /// All namespaces.
    pub async fn namespaces(&self) -> Result<Vec<Value>, SurveyError> {
        self.list("/api/v1/namespaces").await
    }

    /// A namespace.
    pub async fn namespace(&self, name: &str) -> Result<Option<Value>, SurveyError> {
        self.get(&format!("/api/v1/namespaces/{name}")).await
    }

    /// The pods of a namespace.
    pub async fn pods(&self, namespace: &str) -> Result<Vec<Value>, SurveyError> {
        self.list(&format!("/api/v1/namespaces/{namespace}/pods")).await
    }

    /// A pod.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Value>, SurveyError> {
        self.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<Vec<Value>, SurveyError> {
        self.list("/api/v1/nodes").await
    }

    /// A Secret.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Value>, SurveyError> {
        self.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await
    }

    /// A ConfigMap.
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>, SurveyError> {
        self.get(&format!("/api/v1/namespaces/{namespace}/configmaps/{name}")).await
    }

    /// A Deployment.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<Value>, SurveyError> {
        self.get(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")).await
    }

    /// All MutatingWebhookConfigurations.
    pub async fn mutating_webhooks(&self) -> Result<Vec<Value>, SurveyError> {
        self.list("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations").await
    }

    /// All ValidatingWebhookConfigurations.
    pub async fn validating_webhooks(&self) -> Result<Vec<Value>, SurveyError> {
        self.list("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations").await
    }

    /// A pod as it would be created: every webhook and every rule of the cluster has seen it, and nothing is stored.
    pub async fn dry_run(&self, namespace: &str, pod: &Value) -> Result<Value, SurveyError> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        // A Value always serializes.
        let body = serde_json::to_vec(pod).unwrap_or_default();
        Ok(self.request(Method::POST, &path, body).await?)
    }

    async fn get(&self, path: &str) -> Result<Option<Value>, SurveyError> {
        match self.request(Method::GET, path, Vec::new()).await {
            Ok(object) => Ok(Some(object)),
            Err(Refusal { code: 404, .. }) => Ok(None),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// Page by page; items of a list name neither version nor kind, which it says once.
    async fn list(&self, path: &str) -> Result<Vec<Value>, SurveyError> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.request(Method::GET, &format!("{path}?limit={PAGE}{next}"), Vec::new()).await?;
            items.extend(page.get("items").and_then(Value::as_array).into_iter().flatten().cloned());
            match page.pointer("/metadata/continue").and_then(Value::as_str).filter(|token| !token.is_empty())
            {
                // The token is base64 without padding, of letters that a query may have.
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(items),
            }
        }
    }

    async fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, Refusal> {
        let what = path.split('?').next().unwrap_or(path).to_owned();
        let failed = |reason| Refusal { code: 0, error: SurveyError::Failed { what: what.clone(), reason } };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Content-Type", "application/json")
            .body(body)
            .map_err(|error| failed(error.to_string()))?;
        self.client.request(request).await.map_err(|error| Refusal::new(what, &error))
    }
}

/// An answer that is none, with its HTTP status.
struct Refusal {
    code: u16,
    error: SurveyError,
}

impl From<Refusal> for SurveyError {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl Refusal {
    fn new(what: String, error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self { code: 0, error: SurveyError::Unreachable { what, reason: chain(error) } };
        };
        let reason = status.message.clone();
        // Admission forbids things too, and says what is wrong with them; authorization says who cannot do what.
        let unauthorized = status.code == 401 || status.code == 403 && reason.contains(" cannot ");
        let error = if unauthorized {
            SurveyError::Denied { what, reason }
        } else {
            SurveyError::Failed { what, reason }
        };
        Self { code: status.code, error }
    }
}
