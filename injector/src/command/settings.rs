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
    /// The settings.
    pub(super) fn load(&self) -> Result<Settings, ConfigurationError> {
        Ok(self.configuration.load(api::control::NAMESPACE)?.settings)
    }
}
