//! Running kubectl, and the scripts of `tests/kind/`.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Runs kubectl and returns what it printed; its error text is the error.
pub fn kubectl<S: AsRef<OsStr>>(arguments: &[S]) -> Result<String> {
    kubectl_stdin(arguments, "")
}

/// Runs kubectl with something on its standard input.
pub fn kubectl_stdin<S: AsRef<OsStr>>(arguments: &[S], input: &str) -> Result<String> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("kubectl does not start; `make e2e` brings its own")?;
    let mut stdin = child.stdin.take().context("kubectl's standard input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    text("kubectl", arguments, child.wait_with_output()?)
}

/// Creates or changes objects.
pub fn apply(objects: &[Value]) -> Result<()> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
    kubectl_stdin(&["apply", "-f", "-"], &list.to_string()).map(|_| ())
}

/// `kubectl get ... -o json`.
pub fn get(arguments: &[&str]) -> Result<Value> {
    let all: Vec<&str> = ["get"].iter().chain(arguments).chain(&["-o", "json"]).copied().collect();
    Ok(serde_json::from_str(&kubectl(&all)?)?)
}

/// Runs a script of `tests/kind/`.
pub fn script(name: &str, arguments: &[&str]) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kind").join(name);
    let output = Command::new(&path).args(arguments).output().with_context(|| path.display().to_string())?;
    text(name, arguments, output)
}

/// Looks again until `probe` finds something. For facts that the API server has no event for: what a proxy has counted,
/// what a log contains.
pub fn eventually<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let last = match probe() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => "nothing yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("{what}: not within {limit:?}; last: {last}");
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the period of a look, not a wait for something to have happened"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(200));
}

fn text<S: AsRef<OsStr>>(program: &str, arguments: &[S], output: Output) -> Result<String> {
    if !output.status.success() {
        let shown: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{}", shown.join(" "), output.status, error.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
