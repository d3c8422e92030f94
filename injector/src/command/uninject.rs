//! `injector uninject`: manifests in, the same without the injection out.

use std::path::PathBuf;

use clap::Args;

use super::inject::{Refused, done};
use super::review::patched;
use super::{Exit, Outcome, OutputArgs};
use crate::inject::{self, Code};
use crate::manifest;

/// Options of `injector uninject`.
#[derive(Args, Clone, Debug)]
pub struct UninjectArgs {
    /// Manifests in YAML or JSON, several documents and lists included; `-` reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub output: OutputArgs,
}

pub(super) fn run(args: &UninjectArgs) -> Outcome {
    let mut manifests = match manifest::read(&args.files) {
        Ok(manifests) => manifests,
        Err(error) => return error.into(),
    };
    let mut notes = Vec::new();
    for manifest in &mut manifests {
        let changed = manifest.change(|place, workload| {
            let title = workload.title();
            match inject::uninject(&workload.pod) {
                Ok(undone) => {
                    notes.push(format!("{title}: uninjected"));
                    notes
                        .extend(undone.warnings.iter().map(|warning| format!("{title}: warning: {warning}")));
                    let pod = patched(&workload.pod, &undone.operations);
                    pod.map(Some).map_err(|reason| Refused::new(place, title, &[reason]))
                }
                Err(reason) if reason.code == Code::NotInjected => {
                    notes.push(format!("{title}: unchanged: {reason}"));
                    Ok(None)
                }
                Err(reason) => Err(Refused::new(place, title, &[reason])),
            }
        });
        if let Err(refused) = changed {
            return Outcome::failed(Exit::Refused, &refused);
        }
    }
    done(&manifests, notes, args.output.output)
}
