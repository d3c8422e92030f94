//! Volumes, as directories of the host that containers see parts of. What a kubelet puts on tmpfs is a plain directory too:
//! so nothing has to be unmounted, however the process that made it ends.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::downward::Facts;
use super::manifest::{
    ContainerSpec, DownwardFiles, NamedObject, Projected, Projection, Volume, VolumeSource,
};
use crate::exec::Mount;

/// ConfigMaps by name, each with its files.
type ConfigMaps = BTreeMap<String, BTreeMap<String, String>>;

/// Makes every volume of the pod under `directory`.
pub(crate) fn make(directory: &Path, facts: &Facts<'_>, config_maps: &ConfigMaps) -> Result<()> {
    for volume in &facts.manifest.spec.volumes {
        let path = directory.join(&volume.name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        fill(&path, volume, facts, config_maps).with_context(|| format!("volume {}", volume.name))?;
    }
    Ok(())
}

fn fill(path: &Path, volume: &Volume, facts: &Facts<'_>, config_maps: &ConfigMaps) -> Result<()> {
    let group = facts.manifest.spec.security_context.fs_group;
    match &volume.source {
        VolumeSource::EmptyDir {} => {
            chown(path, None, group)?;
            // The group of what is made in it follows fsGroup.
            fs::set_permissions(path, Permissions::from_mode(if group.is_some() { 0o2777 } else { 0o777 }))?;
        }
        VolumeSource::DownwardApi(files) => downward(path, files, files.default_mode, facts)?,
        VolumeSource::ConfigMap(map) => object(path, map, config_maps.get(&map.name))?,
        VolumeSource::Secret(secret) => object(path, secret, None)?,
        VolumeSource::Projected(Projected { sources, default_mode }) => {
            for source in sources {
                match source {
                    Projection::ServiceAccountToken(token) => {
                        let text = format!("not-a-real-token.audience={}", token.audience);
                        file(&path.join(&token.path), &text, *default_mode, group)?;
                    }
                    Projection::DownwardApi(files) => downward(path, files, *default_mode, facts)?,
                    Projection::ConfigMap(map) => object(path, map, config_maps.get(&map.name))?,
                    Projection::Secret(secret) => object(path, secret, None)?,
                }
            }
        }
    }
    Ok(())
}

fn object(path: &Path, wanted: &NamedObject, files: Option<&BTreeMap<String, String>>) -> Result<()> {
    let Some(files) = files else {
        if wanted.optional {
            return Ok(());
        }
        bail!("there is no {:?} here, and it is not optional: the pod would wait forever", wanted.name);
    };
    files.iter().try_for_each(|(name, text)| file(&path.join(name), text, None, None))
}

fn downward(path: &Path, files: &DownwardFiles, mode: Option<u32>, facts: &Facts<'_>) -> Result<()> {
    for item in &files.items {
        let group = facts.manifest.spec.security_context.fs_group;
        file(&path.join(&item.path), &facts.value(&item.value, None)?, mode, group)?;
    }
    Ok(())
}

fn file(path: &Path, text: &str, mode: Option<u32>, group: Option<u32>) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    chown(path, None, group)?;
    // A kubelet lets fsGroup read what it would otherwise keep from everybody else.
    let mode = mode.unwrap_or(0o644) | if group.is_some() { 0o440 } else { 0 };
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

/// What a container sees of the volumes, outer paths first.
pub(crate) fn mounts(directory: &Path, container: &ContainerSpec) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for wanted in &container.volume_mounts {
        let mut source = directory.join(&wanted.name);
        if !source.is_dir() {
            bail!("container {} mounts volume {}, which the pod does not have", container.name, wanted.name);
        }
        if !wanted.sub_path.is_empty() {
            source.push(&wanted.sub_path);
            // A kubelet makes a missing subPath, with the volume's own permissions.
            if !source.exists() {
                fs::create_dir_all(&source)?;
                fs::set_permissions(&source, fs::metadata(directory.join(&wanted.name))?.permissions())?;
            }
        }
        mounts.push(Mount { source, target: PathBuf::from(&wanted.mount_path), read_only: wanted.read_only });
    }
    mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(mounts)
}
