//! `export`: what is to be applied to a cluster, from the same rules that decide about pods.

use clap::{Args, ValueEnum};

use super::settings::SettingsArgs;
use super::{CommandError, Exit, Outcome};
use crate::export::{self, Kind, Origin};
use crate::manifest::Form;

/// Options of `injector export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// What to print
    #[arg(value_enum)]
    pub kind: Kind,

    /// YAML documents, or one JSON list; both are what kubectl takes
    #[arg(long, short, value_enum, default_value = "yaml", value_name = "FORMAT")]
    pub output: ExportFormat,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,
}

/// A form of what is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum ExportFormat {
    /// Documents
    Yaml,
    /// One List
    Json,
}

pub(super) fn run(args: &ExportArgs) -> Result<Outcome, CommandError> {
    let SettingsArgs { configuration, control_namespace } = &args.settings;
    let (configuration, text) = configuration.load_with_text(control_namespace)?;
    let arguments = args.settings.configuration.inject.arguments();
    let origin = Origin { configuration: text.as_deref(), arguments: &arguments };
    let objects = export::render(args.kind, &configuration.settings, origin);
    let output = match args.output {
        ExportFormat::Json => {
            Form::Json.print(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))?
        }
        ExportFormat::Yaml => {
            let documents: Result<Vec<_>, _> =
                objects.iter().map(|object| Form::Yaml.print(object)).collect();
            documents?.join("---\n")
        }
    };
    Ok(Outcome::new(Exit::Ok, output))
}
