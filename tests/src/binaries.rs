//! Where the programs lie. The products are the release binaries, the same files that go into the images; the kit's own
//! programs are those of the profile that the running test or demo was built with, since cargo builds them together.
//!
//! Nothing is built here: a program that is missing is an error that says how to build it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tool;

/// The injector.
pub fn injector() -> Result<PathBuf> {
    product("injector")
}

/// The init container's program, as cargo leaves it: without file capabilities.
pub fn init_redirect() -> Result<PathBuf> {
    product("init-redirect")
}

/// The sidecar.
pub fn proxy() -> Result<PathBuf> {
    product("proxy")
}

/// The container runtime's part between fork and exec; see `exec`.
pub fn pod_exec() -> Result<PathBuf> {
    own("pod-exec")
}

/// The application; see `peer`.
pub fn peer() -> Result<PathBuf> {
    own("peer")
}

/// Two bare ends of the h2 library as a proxy, for `bench`.
pub fn bare_h2() -> Result<PathBuf> {
    own("bare-h2")
}

/// The demo.
pub fn demo() -> Result<PathBuf> {
    product("demo")
}

/// Kubernetes' programs in one; see `tests/kind/hyperkube`. It lies where the end-to-end tests' cluster is built, and theirs is
/// the same file.
pub fn hyperkube() -> Result<PathBuf> {
    let home = std::env::var_os("REMORA_KIND_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/remora/kind")));
    let home = home.context("neither REMORA_KIND_HOME nor HOME says where Kubernetes' programs lie")?;
    existing(home.join("bin/hyperkube"), "tests/kind/cluster kubernetes")
}

/// A copy of `init-redirect` in `directory` that carries the file capabilities which it has in its image.
pub fn init_redirect_as_in_image(directory: &Path) -> Result<PathBuf> {
    with_file_capabilities(&init_redirect()?, &api::pod::INIT_FILE_CAPABILITIES, directory)
}

/// A copy of a program in `directory` with these capabilities in its permitted set, and none in its effective one.
pub fn with_file_capabilities(program: &Path, capabilities: &[&str], directory: &Path) -> Result<PathBuf> {
    let copy = directory.join(program.file_name().context("a program has a name")?);
    std::fs::copy(program, &copy)
        .with_context(|| format!("cannot copy {} to {}", program.display(), copy.display()))?;
    let text = format!("{}=p", capabilities.join(","));
    tool::run("libcap2-bin", Command::new("setcap").arg(text).arg(&copy))?;
    Ok(copy)
}

/// A program of the products, built for release.
fn product(name: &str) -> Result<PathBuf> {
    let (target, _) = directories()?;
    existing(target.join("release").join(name), &format!("cargo build --release -p {}", package(name)))
}

/// A program of this crate, of the profile that this process was built with.
fn own(name: &str) -> Result<PathBuf> {
    let (target, profile) = directories()?;
    let flag = if profile == "release" { " --release" } else { "" };
    existing(target.join(&profile).join(name), &format!("cargo build{flag} -p tests --bins"))
}

fn package(name: &str) -> &str {
    if name == "demo" { "tests" } else { name }
}

fn existing(path: PathBuf, build: &str) -> Result<PathBuf> {
    if !path.is_file() {
        bail!("{} does not exist: build it with `{build}`", path.display());
    }
    Ok(path)
}

/// `$CARGO_TARGET_DIR/TRIPLE`, and the profile's directory in it. A test lies in `TRIPLE/PROFILE/deps`, a program in
/// `TRIPLE/PROFILE`.
fn directories() -> Result<(PathBuf, String)> {
    let exe = std::env::current_exe().context("cannot find the running program's own path")?;
    let mut profile = exe.parent();
    if profile.and_then(Path::file_name) == Some(OsStr::new("deps")) {
        profile = profile.and_then(Path::parent);
    }
    let name = profile.and_then(Path::file_name).and_then(OsStr::to_str);
    match (profile.and_then(Path::parent), name) {
        (Some(target), Some(name)) => Ok((target.to_owned(), name.to_owned())),
        _ => bail!("{} does not lie in a cargo target directory: run it where cargo built it", exe.display()),
    }
}
