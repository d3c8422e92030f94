//! `injector uninject`: manifests in, the same without the injection out.

use super::inject::{Refused, done};
use super::review::patched;
use super::{CommandError, FileArgs, Outcome};
use crate::inject::{self, Code};

pub(super) fn run(args: &FileArgs) -> Result<Outcome, CommandError> {
    let mut manifests = args.read()?;
    let mut notes = Vec::new();
    for manifest in &mut manifests {
        manifest.change(|place, workload| {
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
        })?;
    }
    done(&manifests, notes, args.output.output)
}
