//! The settings with which a command decides about pods: those of the manifests, a configuration file's, and flags.

use std::path::PathBuf;

use clap::Args;

use crate::inject::{InjectArgs, Settings};

/// Options about settings; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    /// The mesh's configuration file; without it the defaults hold
    #[arg(long, env = "REMORA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub inject: InjectArgs,
}

impl SettingsArgs {
    /// The settings.
    pub(super) fn load(&self) -> Result<Settings, std::convert::Infallible> {
        Ok(Settings::new(&self.inject, api::control::NAMESPACE))
    }
}
