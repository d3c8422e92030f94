//! The settings with which a command decides about pods: those of the manifests, a configuration file's, and flags.

use clap::Args;

use crate::configuration::{ConfigurationArgs, ConfigurationError};
use crate::inject::Settings;

/// Options about settings; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub configuration: ConfigurationArgs,
}

impl SettingsArgs {
    /// The settings of an installation in the usual namespace.
    pub(super) fn load(&self) -> Result<Settings, ConfigurationError> {
        self.load_in(api::control::NAMESPACE)
    }

    /// The settings of an installation in a namespace.
    pub(super) fn load_in(&self, own_namespace: &str) -> Result<Settings, ConfigurationError> {
        Ok(self.configuration.load(own_namespace)?.settings)
    }
}
