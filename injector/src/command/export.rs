//! `export`: what is to be applied to a cluster, from the same rules that decide about pods.

use clap::{Args, ValueEnum};

use super::settings::SettingsArgs;
use super::{Exit, Outcome};
use crate::export::{self, Kind};
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

pub(super) fn run(args: &ExportArgs) -> Outcome {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    let objects = export::render(args.kind, &settings);
    let printed = match args.output {
        ExportFormat::Json => {
            Form::Json.print(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))
        }
        ExportFormat::Yaml => {
            let documents: Result<Vec<_>, _> =
                objects.iter().map(|object| Form::Yaml.print(object)).collect();
            documents.map(|documents| documents.join("---\n"))
        }
    };
    match printed {
        Ok(text) => Outcome::new(Exit::Ok, text),
        Err(error) => Outcome::failed(Exit::Unreadable, &error),
    }
}
