//! The configuration file: read, checked as a whole, and put in force at once; then watched for as long as the program
//! runs.
//!
//! It deliberately decides nothing about pods: what the file may say about them is `inject`'s [`Settings`], of which this
//! is the form and the life. Flags win over the file.
//!
//! Invariant: what is in force has passed [`check`]. A file that turns bad, or away, changes nothing but a metric and the
//! log; at start, where nothing is in force yet, it ends the program.
//!
//! Reading order: `file` is the form, `current` what is in force, `watch` how it changes.

mod current;
mod file;
mod metrics;
mod watch;

pub use current::Current;
pub use file::{Problem, Problems};
pub use metrics::ConfigurationMetrics;
pub use watch::watch;

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::inject::{InjectArgs, Settings};

/// More than a ConfigMap can hold.
const LONGEST: u64 = 2 * 1024 * 1024;

/// Where the configuration comes from; flatten it into a subcommand's arguments.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigurationArgs {
    /// Configuration file (kind InjectorConfiguration), watched while the webhook runs; without one the defaults hold, or for
    /// a command that asks a cluster the configuration of its installation
    #[arg(long, env = "REMORA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub inject: InjectArgs,
}

/// A configuration that can be put in force.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// What pods see of it.
    pub settings: Settings,
}

/// A configuration that cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error(
        "configuration {file}: {source}; give --config a file that can be read, or leave the option away"
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The file says what cannot be meant.
    #[error("configuration {file}: {problems}")]
    Bad {
        /// The file.
        file: PathBuf,
        /// All that is wrong.
        problems: Problems,
    },
}

/// Checks the text of a configuration file.
pub fn check(text: &str) -> Result<Configuration, Problems> {
    file::parse(text)
}

impl ConfigurationArgs {
    /// Reads and checks the file where one is named, and lets the options win, for an installation in `own_namespace`.
    pub fn load(&self, own_namespace: &str) -> Result<Configuration, ConfigurationError> {
        Ok(self.load_with_text(own_namespace)?.0)
    }

    /// The same with the text of the file.
    pub fn load_with_text(
        &self,
        own_namespace: &str,
    ) -> Result<(Configuration, Option<String>), ConfigurationError> {
        let Some(file) = &self.config else {
            return Ok((self.complete(Configuration::default(), own_namespace), None));
        };
        let bad = |problems| ConfigurationError::Bad { file: file.clone(), problems };
        let bytes =
            read(file).map_err(|source| ConfigurationError::Unreadable { file: file.clone(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| bad(Problems::from(error.to_string())))?;
        let configuration = self.parse(&text, own_namespace).map_err(bad)?;
        Ok((configuration, Some(text)))
    }

    /// Checks the text of a file, and lets the options win, for an installation in `own_namespace`.
    pub fn parse(&self, text: &str, own_namespace: &str) -> Result<Configuration, Problems> {
        Ok(self.complete(check(text)?, own_namespace))
    }

    fn complete(&self, configuration: Configuration, own_namespace: &str) -> Configuration {
        let settings = configuration.settings.installed(&self.inject, own_namespace);
        Configuration { settings }
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        let text = format!("it is longer than {LONGEST} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}
