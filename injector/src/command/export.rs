//! `export`: what is to be applied to a cluster, from the same rules that decide about pods.

use clap::Args;

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

    /// Print one JSON list instead of YAML documents
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,
}

pub(super) fn run(args: &ExportArgs) -> Outcome {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return Outcome::failed(Exit::Unreadable, &error),
    };
    let objects = export::render(args.kind, &settings);
    let printed = if args.json {
        Form::Json.print(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))
    } else {
        let documents: Result<Vec<_>, _> = objects.iter().map(|object| Form::Yaml.print(object)).collect();
        documents.map(|documents| documents.join("---\n"))
    };
    match printed {
        Ok(text) => Outcome::new(Exit::Ok, text),
        Err(error) => Outcome::failed(Exit::Unreadable, &error),
    }
}
