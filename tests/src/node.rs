//! Libraries of Node: those that a lock file names, each with the digest that it has to have, installed once into a directory of
//! the user's cache, and kept. Where they come from is what npm is configured for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache;
use crate::exec::Mount;
use crate::tool;

/// Libraries that are installed together.
#[derive(Clone, Debug)]
pub struct Modules {
    root: PathBuf,
}

impl Modules {
    /// Those that a `package.json` asks for, as its `package-lock.json` says; installs them if that was not done.
    pub fn with(label: &str, package: &str, lock: &str) -> Result<Self> {
        let root = cache::directory("node", label, &[package, lock], |root| install(root, package, lock))?;
        Ok(Self { root: root.join("node_modules") })
    }

    /// What a program requires to have this one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// What a container needs besides the machine's own programs; see [`Mount::machine`].
    pub fn mount(&self) -> Mount {
        Mount { source: self.root.clone(), target: self.root.clone(), read_only: true }
    }
}

fn install(root: &Path, package: &str, lock: &str) -> Result<()> {
    for (file, text) in [("package.json", package), ("package-lock.json", lock)] {
        let path = root.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(root).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    tool::run("npm", &mut npm)
        .with_context(|| format!("the libraries of {} cannot be installed", root.display()))?;
    Ok(())
}
