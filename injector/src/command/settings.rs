//! The settings with which a command decides about pods: a configuration file's, those that an installation has in its
//! cluster, or the defaults; flags win over each.
//!
//! Invariant: where the settings of an installation are asked for and not found, that is told together with what takes their
//! place.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::{Survey, SurveyError};
use crate::configuration::{ConfigurationArgs, ConfigurationError, Problems};
use crate::inject::Settings;
use crate::manifest::namespace_name;

/// Options about settings; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct SettingsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub configuration: ConfigurationArgs,

    /// The namespace that the injector runs in
    #[arg(long, env = "REMORA_CONTROL_NAMESPACE", default_value = api::control::NAMESPACE, value_name = "NAME", value_parser = namespace_name)]
    pub control_namespace: String,
}

/// The settings by which a cluster is judged.
#[derive(Clone, Debug)]
pub(super) struct Judging {
    pub(super) settings: Settings,
    pub(super) origin: Origin,
}

/// Where settings are from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// The file of `--config`.
    File(PathBuf),
    /// The installation's own, which this names.
    Installation(String),
    /// The defaults, since the installation's own are not known.
    Defaults(Unknown),
}

/// Why the settings of an installation are not known.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("{0} does not exist")]
    Absent(String),
    #[error("{object} cannot be put in force: {problems}")]
    Bad { object: String, problems: Problems },
    #[error(transparent)]
    Unseen(#[from] SurveyError),
}

impl SettingsArgs {
    /// The settings of the file, or the defaults.
    pub(super) fn load(&self) -> Result<Settings, ConfigurationError> {
        Ok(self.configuration.load(&self.control_namespace)?.settings)
    }

    /// The settings of the file; without one those of the installation, or else the defaults. Fails only where a file was
    /// named that cannot be used.
    pub(super) async fn of_installation(&self, survey: &Survey) -> Result<Judging, ConfigurationError> {
        if let Some(file) = &self.configuration.config {
            return Ok(Judging { settings: self.load()?, origin: Origin::File(file.clone()) });
        }
        match self.ask(survey).await {
            Ok((object, settings)) => Ok(Judging { settings, origin: Origin::Installation(object) }),
            Err(unknown) => Ok(Judging { settings: self.load()?, origin: Origin::Defaults(unknown) }),
        }
    }

    async fn ask(&self, survey: &Survey) -> Result<(String, Settings), Unknown> {
        let (namespace, name, key) =
            (&self.control_namespace, api::control::INJECTOR, api::control::CONFIGURATION_KEY);
        let object = format!("ConfigMap {namespace}/{name}");
        let found = survey.config_map(namespace, name).await?;
        let found = found.ok_or_else(|| Unknown::Absent(object.clone()))?;
        let text = found.get("data").and_then(|data| data.get(key)?.as_str());
        let text = text.ok_or_else(|| Unknown::Absent(format!("key {key} of {object}")))?;
        match self.configuration.parse(text, namespace) {
            Ok(configuration) => Ok((object, configuration.settings)),
            Err(problems) => Err(Unknown::Bad { object, problems }),
        }
    }
}

impl Judging {
    /// What is to be told where the installation's own settings are not known.
    pub(super) fn doubt(&self) -> Option<String> {
        let Origin::Defaults(unknown) = &self.origin else { return None };
        Some(format!("{unknown}; the default configuration is taken to hold, unless --config names another"))
    }
}
