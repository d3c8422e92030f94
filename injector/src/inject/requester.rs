//! Who creates a pod, as far as a review says.

use serde::Deserialize;

/// `userInfo` of a review.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Requester {
    /// The user's name.
    #[serde(default)]
    pub username: String,
    /// The groups that the user belongs to.
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Requester {
    /// Whether it is a kubelet, by what the node authorizer goes by.
    pub(super) fn is_node(&self) -> bool {
        self.username.starts_with(api::control::NODE_USER_PREFIX)
            && self.groups.iter().any(|group| group == api::control::NODE_GROUP)
    }
}
