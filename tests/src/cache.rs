//! Directories of the user's cache: what is installed there once is kept.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The directory of what these texts name, below that of its kind; `install` is called if that was not done, and others wait
/// meanwhile. The label is for who looks into the cache.
pub fn directory(
    kind: &str,
    label: &str,
    texts: &[&str],
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = cache()?.join(kind).join(format!("{label}-{}", word(texts)));
    std::fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let complete = root.join("complete");
    let lock = root.join("lock");
    let lock = File::create(&lock).with_context(|| format!("cannot make {}", lock.display()))?;
    lock.lock().context("cannot wait for another installation")?;
    if !complete.exists() {
        install(&root)?;
        File::create(&complete).with_context(|| format!("cannot make {}", complete.display()))?;
    }
    Ok(root)
}

fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME says where caches are")?.join("remora"))
}

/// One that stands for all of the texts.
fn word(texts: &[&str]) -> String {
    let digest = Sha256::digest(texts.join("\n"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
