//! `injector lint`: what in manifests keeps pods out of the mesh, or surprises whoever put them there, before anything is
//! applied. Namespaces and the workloads of the same files are seen together.

pub(super) mod namespaces;
mod said;
mod workloads;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::files::{PassedOver, Surroundings};
use super::output::{self, Tone, line};
use super::{CommandError, Exit, ManifestArgs, Outcome, Style};
use crate::manifest::{self, Manifest, Place, Workload};

/// Options of `injector lint`.
#[derive(Args, Clone, Debug)]
pub struct LintArgs {
    /// What is worth an exit code other than 0
    #[arg(long, value_enum, default_value = "warning", value_name = "SEVERITY")]
    pub fail_on: Severity,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub manifests: ManifestArgs,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works, but perhaps not as its author thinks
    Warning,
    /// Pods are refused, or not in the mesh although somebody asked for it
    Error,
}

/// One finding about an object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Stable.
    pub(super) code: &'static str,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn error(code: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, text: text.into(), remedy: None }
    }

    pub(super) fn warning(code: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, text) }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

#[derive(Serialize)]
struct Located {
    #[serde(flatten)]
    place: Place,
    object: String,
    #[serde(flatten)]
    finding: Finding,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Findings {
    findings: Vec<Located>,
    errors: usize,
    warnings: usize,
    /// How many objects with pods, and namespaces, were looked at.
    objects: usize,
    passed_over: Vec<PassedOver>,
}

pub(super) fn run(args: &LintArgs, style: Style) -> Result<Outcome, CommandError> {
    let (manifests, surroundings) = args.manifests.load()?;
    let findings = lint(&manifests, &surroundings);
    let output = args.manifests.input.output.show(&findings, style);
    Ok(Outcome::new(findings.exit(args.fail_on), output))
}

fn lint(manifests: &[Manifest], surroundings: &Surroundings) -> Findings {
    let mesh = &surroundings.mesh;
    let (mut found, mut objects) = (Vec::new(), 0);
    for (place, object) in manifests.iter().flat_map(Manifest::objects) {
        let (title, findings) = if is_namespace(object) {
            let metadata = object.get("metadata").unwrap_or(&Value::Null);
            let name = metadata.get("name").and_then(Value::as_str).unwrap_or("?");
            (
                format!("Namespace/{name}"),
                namespaces::findings(name, &manifest::metadata_of(metadata), &mesh.settings),
            )
        } else if let Some(workload) = Workload::of(object) {
            let namespace = surroundings.namespace(&workload);
            (workload.title(), workloads::findings(&workload, namespace, mesh))
        } else {
            continue;
        };
        objects += 1;
        let located = |finding| Located { place: place.clone(), object: title.clone(), finding };
        found.extend(findings.into_iter().map(located));
    }
    let count = |severity| found.iter().filter(|located| located.finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    Findings { findings: found, errors, warnings, objects, passed_over: PassedOver::of(manifests) }
}

fn is_namespace(object: &Value) -> bool {
    let is = |field: &str, wanted: &str| object.get(field).and_then(Value::as_str) == Some(wanted);
    is("apiVersion", "v1") && is("kind", "Namespace")
}

impl Findings {
    fn exit(&self, fail_on: Severity) -> Exit {
        match (self.errors, self.warnings, fail_on) {
            (1.., _, _) => Exit::Found,
            (0, 1.., Severity::Warning) => Exit::Warned,
            (0, _, _) => Exit::Ok,
        }
    }
}

impl output::Findings for Findings {
    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for Located { place, object, finding } in &self.findings {
            let (tone, severity) = match finding.severity {
                Severity::Error => (Tone::Bad, "error"),
                Severity::Warning => (Tone::Doubtful, "warning"),
            };
            let severity = style.paint(tone, &format!("{severity}[{}]", finding.code));
            let head = style.paint(Tone::Title, &format!("{place}: {object}"));
            line(&mut text, format_args!("{head}: {severity}: {}", style.paint(Tone::Plain, &finding.text)));
            if let Some(remedy) = &finding.remedy {
                line(&mut text, format_args!("  {}", style.paint(Tone::Quiet, &format!("remedy: {remedy}"))));
            }
        }
        PassedOver::print(&self.passed_over, &mut text, style);
        let Self { errors, warnings, objects, .. } = self;
        let sum =
            format!("objects with pods and namespaces: {objects}, errors: {errors}, warnings: {warnings}");
        let tone = match (errors, warnings) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Doubtful,
            (_, _) => Tone::Bad,
        };
        line(&mut text, format_args!("{}", style.paint(tone, &sum)));
        text
    }
}
