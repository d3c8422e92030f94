//! Programs and libraries of the Python package index: installed once into a directory of the user's cache, and kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache;
use crate::exec::Mount;
use crate::tool;

/// Packages that are installed together, and nothing else.
#[derive(Clone, Debug)]
pub struct Environment {
    root: PathBuf,
}

impl Environment {
    /// With these packages, each as `NAME==VERSION`; installs them if that was not done. Others wait meanwhile.
    pub fn with(packages: &[&str]) -> Result<Self> {
        let first = packages.first().and_then(|first| first.split('=').next()).unwrap_or("nothing");
        let root = cache::directory("python", first, packages, |root| install(&root.join("venv"), packages))?;
        Ok(Self { root: root.join("venv") })
    }

    /// The interpreter that knows the packages.
    pub fn python(&self) -> PathBuf {
        self.root.join("bin/python")
    }

    /// Where the packages lie.
    pub fn packages(&self) -> Result<PathBuf> {
        let path = self.ask("import sysconfig; print(sysconfig.get_path('purelib'))")?;
        Ok(PathBuf::from(path))
    }

    /// What a container needs besides the machine's own programs; see [`Mount::machine`].
    pub fn mounts(&self) -> Result<Vec<Mount>> {
        let interpreter = PathBuf::from(self.ask("import sys; print(sys.base_prefix)")?);
        let all = [self.root.clone(), interpreter].into_iter().filter(|path| !path.starts_with("/usr"));
        Ok(all.map(|path| Mount { target: path.clone(), source: path, read_only: true }).collect())
    }

    fn ask(&self, program: &str) -> Result<String> {
        let output = tool::run("python3", Command::new(self.python()).args(["-c", program]))?;
        Ok(String::from_utf8(output.stdout).context("a path")?.trim().to_owned())
    }
}

fn install(environment: &Path, packages: &[&str]) -> Result<()> {
    tool::run("python3-venv", Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--only-binary", ":all:"]).args(packages);
    tool::run("python3-venv", &mut pip)
        .with_context(|| format!("these packages cannot be installed: {}", packages.join(" ")))?;
    Ok(())
}
