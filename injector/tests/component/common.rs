//! What the injector's tests share: the fixtures, applying a decision, and running a command.

use clap::Parser;
use injector::command::{self, Outcome, Style};
use injector::config::{Cli, Command};
use serde_json::Value;

use crate::corpus;
pub(crate) use crate::decided::{decision, patched};

/// All fixtures.
pub(crate) fn pods() -> Vec<Value> {
    corpus::pods().to_vec()
}

/// One fixture by its name.
pub(crate) fn pod(name: &str) -> Value {
    let found = corpus::pods().iter().find(|pod| pod["metadata"]["name"] == name);
    found.cloned().unwrap_or_else(|| panic!("no fixture has the name {name}"))
}

/// What must come of a fixture: `inject`, `skip CODE` or `reject CODE`.
pub(crate) fn expected(pod: &Value) -> &str {
    pod["metadata"]["annotations"][corpus::EXPECT].as_str().unwrap_or("inject")
}

/// The fixtures that are injected.
pub(crate) fn injected_pods() -> impl Iterator<Item = Value> {
    pods().into_iter().filter(|pod| expected(pod) == "inject")
}

/// A list of the pod's spec; absent and null are empty.
pub(crate) fn list<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    pod["spec"][field].as_array().map_or(&[], Vec::as_slice)
}

/// Names of a list's items.
pub(crate) fn names<'a>(pod: &'a Value, field: &str) -> Vec<&'a str> {
    list(pod, field).iter().filter_map(|item| item["name"].as_str()).collect()
}

/// A command on files of these texts, without colours. The files are called `1.yaml` and so on.
pub(crate) fn tool(arguments: &[&str], files: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().expect("a directory");
    let mut outcome = tool_in(directory.path(), arguments, files);
    let path = format!("{}/", directory.path().display());
    outcome.output = outcome.output.replace(&path, "");
    outcome.notes.iter_mut().for_each(|note| *note = note.replace(&path, ""));
    outcome
}

fn tool_in(directory: &std::path::Path, arguments: &[&str], files: &[&str]) -> Outcome {
    let paths = (1..).zip(files).map(|(number, text)| {
        let path = directory.join(format!("{number}.yaml"));
        std::fs::write(&path, text).expect("a file");
        path.into_os_string()
    });
    let line = std::iter::once("injector".into()).chain(arguments.iter().map(Into::into)).chain(paths);
    let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    let Command::Tool(command) = cli.command else { panic!("a command besides serve") };
    command::run(&command, Style::plain())
}
