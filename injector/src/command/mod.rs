//! The commands of a person at a terminal, and of scripts: what injection does to manifests, why, and how an installation is.
//! One file a command; each finds first and shows afterwards.
//!
//! It deliberately decides nothing about pods (`inject` does) and changes nothing in a cluster: what is asked of an API
//! server is read, or a dry run.
//!
//! Invariant: a command's outcome is returned, not written, and its exit code is one of [`Exit`].

mod check;
mod config;
mod diff;
mod explain;
mod export;
mod files;
mod inject;
mod lint;
mod live;
mod meshed;
mod output;
mod pod_security;
mod replay;
mod review;
mod selection;
mod settings;
mod uninject;
mod verify;

use std::io::Write;

use clap::Subcommand;
use serde_json::{Value, json};

pub use config::{CheckFileArgs, ConfigArgs, ConfigCommand};
pub use explain::ExplainArgs;
pub use export::{ExportArgs, ExportFormat};
pub use files::{FileArgs, ManifestArgs};
pub use lint::{LintArgs, Severity};
pub use live::LiveArgs;
pub use output::{Format, OutputArgs, Style};
pub use replay::{Answer, Path, ReplayArgs};
pub use settings::SettingsArgs;
pub use verify::VerifyArgs;

use crate::configuration::ConfigurationError;
use crate::manifest::{DocumentError, ManifestError};
use inject::Refused;
use live::LiveError;

/// What to do, besides serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Patch manifests as the webhook would, and print them; what was decided goes to standard error
    #[command(
        after_help = "Exit codes: 0 done, 2 wrong options, 10 a file that cannot be read or is no manifest, \
                            20 a pod that is refused. Nothing is printed unless all is well."
    )]
    Inject(ManifestArgs),

    /// Take the injection out of manifests, and print them
    #[command(
        after_help = "Exit codes: 0 done, 2 wrong options, 10 a file that cannot be read or is no manifest, \
                            20 a pod whose containers somebody else added. Nothing is printed unless all is well."
    )]
    Uninject(FileArgs),

    /// Show what injection would change in manifests
    #[command(
        after_help = "Exit codes: 0 nothing would change, 1 something would, 2 wrong options, 10 a file that cannot \
                            be read or is no manifest, 20 a pod that would be refused."
    )]
    Diff(ManifestArgs),

    /// Say why pods are injected or not, by every rule, with every value and its source, and what becomes of them
    #[command(
        after_help = "A file of a name like pod/web is meant by ./pod/web.\n\nExit codes: 0 explained, 2 wrong \
                            options, 10 input that cannot be read, a pod that is not there, or no API server, 20 explained, \
                            and a pod would be refused."
    )]
    Explain(ExplainArgs),

    /// Find what in manifests keeps pods out of the mesh, or surprises their authors
    #[command(
        after_help = "Exit codes: 0 nothing found, 1 errors, 2 wrong options, 3 warnings and no error, 10 a file \
                            that cannot be read or is no manifest."
    )]
    Lint(LintArgs),

    /// Answer an AdmissionReview in a file as the webhook would
    #[command(
        after_help = "Exit codes: 0 allowed, 2 wrong options, 10 no review that can be answered, 20 refused."
    )]
    Replay(ReplayArgs),

    /// Work on configuration files
    Config(ConfigArgs),

    /// Look whether the installation in a cluster works, and what keeps it from working
    #[command(
        after_help = "It needs your rights, not the injector's, and changes nothing: two pods are created as dry \
                            runs. Without --config it goes by the configuration that the installation has.\n\nExit codes: \
                            0 no check failed, 1 one did, 2 wrong options, 3 none did, but something could not be looked \
                            at, 10 no API server answers."
    )]
    Check(LiveArgs),

    /// Find pods of labelled namespaces that are not in the mesh, or injected by an older version or other settings
    #[command(
        after_help = "Without --config it goes by the configuration that the installation has.\n\nExit codes: 0 none, 1 \
                            found, 2 wrong options, 3 none, but something could not be looked at, 10 \
                            no API server answers."
    )]
    Verify(VerifyArgs),

    /// Print what is to be applied to a cluster, from the same rules that decide about pods
    #[command(
        after_help = "The certificate authority is not in it: a running injector publishes it.\n\nExit codes: 0 \
                            printed, 2 wrong options, 10 a configuration that cannot be used."
    )]
    Export(ExportArgs),
}

/// Does what was asked; `style` is for whoever reads the output.
pub fn run(command: &Command, style: Style) -> Outcome {
    let ended = match command {
        Command::Inject(args) => inject::run(args),
        Command::Uninject(args) => uninject::run(args),
        Command::Diff(args) => diff::run(args, style),
        Command::Explain(args) => explain::run(args, style),
        Command::Lint(args) => lint::run(args, style),
        Command::Replay(args) => replay::run(args, style),
        Command::Config(args) => config::run(args, style),
        Command::Check(args) => check::run(args, style),
        Command::Verify(args) => verify::run(args, style),
        Command::Export(args) => export::run(args),
    };
    ended.unwrap_or_else(Outcome::from)
}

/// Why a command has nothing to show.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error("{file}: {reason}")]
    Review { file: String, reason: String },
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// Done, nothing found.
    Ok = 0,
    /// What was looked for was found: a difference, an error, a failed check, an unmeshed pod.
    Found = 1,
    /// Only warnings were found, or nothing, but something could not be looked at.
    Warned = 3,
    /// Input that cannot be read, or an API server that cannot be reached.
    Unreadable = 10,
    /// A pod that is refused.
    Refused = 20,
}

/// What a command has to say.
#[derive(Debug)]
pub struct Outcome {
    /// What was asked for.
    pub output: String,
    /// What else its reader should know; one line each.
    pub notes: Vec<String>,
    /// How it ended.
    pub exit: Exit,
}

impl Outcome {
    fn new(exit: Exit, output: String) -> Self {
        Self { output, notes: Vec::new(), exit }
    }

    /// Writes output and notes. A reader that has seen enough (`| head`) is no error.
    pub fn write(&self, mut output: impl Write, mut notes: impl Write) -> std::io::Result<()> {
        for note in &self.notes {
            writeln!(notes, "{}", output::escaped(note))?;
        }
        let written = output.write_all(self.output.as_bytes()).and_then(|()| output.flush());
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

impl From<CommandError> for Outcome {
    fn from(error: CommandError) -> Self {
        let exit = if matches!(error, CommandError::Refused(_)) { Exit::Refused } else { Exit::Unreadable };
        Self { output: String::new(), notes: vec![format!("injector: {error}")], exit }
    }
}

/// A pod that proves something by being created for show. Every level of Pod Security allows it, so that only what is added
/// to it can be refused; and there is nothing in it that we would warn of.
fn probe_pod(inject: Option<&str>) -> Value {
    let labels: Value = inject.map_or(json!({}), |value| json!({ api::labels::POD_INJECT: value }));
    let restricted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "remora-probe-", "labels": labels},
        "spec": {
            "containers": [{
                "name": "probe",
                "image": api::pod::PROXY_IMAGE,
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "securityContext": restricted,
            }],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        },
    })
}
