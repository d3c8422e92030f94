//! `injector replay`: the answer that the webhook would give to an AdmissionReview in a file, such as one from a log of the API
//! server.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::output::{self, Table, Tone, line};
use super::{CommandError, Exit, Outcome, SettingsArgs, Style};
use crate::inject::Matched;
use crate::manifest;
use crate::webhook;

/// Options of `injector replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// An AdmissionReview in JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// By which entry of the webhook configuration the review came
    #[arg(long, value_enum, default_value = "namespace", value_name = "ENTRY")]
    pub path: Path,

    /// What is printed
    #[arg(long, short, value_enum, default_value = "text", value_name = "WHAT")]
    pub output: Answer,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,
}

/// A path of the webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Path {
    /// /inject/namespace: the namespace's label turned injection on
    Namespace,
    /// /inject/object: the pod's own label did
    Object,
}

/// What is printed of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Answer {
    /// The answer for people, its patch decoded
    Text,
    /// The AdmissionReview as it is sent
    Json,
    /// The patch alone, decoded (RFC 6902)
    Patch,
    /// The pod with the patch applied
    Pod,
}

pub(super) fn run(args: &ReplayArgs, style: Style) -> Result<Outcome, CommandError> {
    let settings = args.settings.load()?;
    let body = manifest::text(&args.file)?;
    let matched = match args.path {
        Path::Namespace => Matched::Namespace,
        Path::Object => Matched::Object,
    };
    let replayed = webhook::replay(body.as_bytes(), matched, &settings)
        .and_then(|answer| Replayed::new(&body, &answer))
        .map_err(|reason| CommandError::Review { file: manifest::shown(&args.file), reason })?;
    let exit = if replayed.allowed() { Exit::Ok } else { Exit::Refused };
    Ok(Outcome::new(exit, replayed.print(args.output, style)))
}

/// A review with its answer.
struct Replayed {
    answer: Value,
    patch: Value,
    pod: Value,
}

impl Replayed {
    fn new(body: &str, answer: &[u8]) -> Result<Self, String> {
        let text = |error: serde_json::Error| error.to_string();
        let answer: Value = serde_json::from_slice(answer).map_err(text)?;
        let patch = match answer.pointer("/response/patch").and_then(Value::as_str) {
            Some(patch) => {
                let patch = STANDARD.decode(patch).map_err(|error| error.to_string())?;
                serde_json::from_slice(&patch).map_err(text)?
            }
            None => Value::Array(Vec::new()),
        };
        let review: Value = serde_json::from_str(body).map_err(text)?;
        let mut pod = review.pointer("/request/object").cloned().unwrap_or_default();
        let operations: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(text)?;
        json_patch::patch(&mut pod, &operations).map_err(|error| error.to_string())?;
        Ok(Self { answer, patch, pod })
    }

    fn allowed(&self) -> bool {
        self.answer.pointer("/response/allowed").and_then(Value::as_bool) == Some(true)
    }

    fn print(&self, what: Answer, style: Style) -> String {
        match what {
            Answer::Text => self.text(style),
            Answer::Json => output::json(&self.answer),
            Answer::Patch => output::json(&self.patch),
            Answer::Pod => output::json(&self.pod),
        }
    }

    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let field = |pointer: &str| self.answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (tone, allowed) = if self.allowed() { (Tone::Good, "allowed") } else { (Tone::Bad, "refused") };
        line(&mut text, format_args!("{} {}", style.paint(tone, allowed), field("/response/uid")));
        if !self.allowed() {
            line(&mut text, format_args!("{}", style.paint(Tone::Plain, field("/response/status/message"))));
        }
        let warnings = self.answer.pointer("/response/warnings").and_then(Value::as_array);
        for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
            line(&mut text, format_args!("{}", style.paint(Tone::Doubtful, &format!("warning: {warning}"))));
        }
        let operations = self.patch.as_array().map_or(&[][..], Vec::as_slice);
        let mut table = Table::default();
        for operation in operations {
            let cell =
                |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let value = operation.get("value").map(ToString::to_string).unwrap_or_default();
            table.row([(Tone::Plain, cell("op")), (Tone::Plain, cell("path")), (Tone::Quiet, value)]);
        }
        if operations.is_empty() {
            line(&mut text, format_args!("no patch"));
        }
        text + &table.print(style)
    }
}
