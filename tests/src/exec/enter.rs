//! What a container runtime does between fork and exec, in runc's order: namespaces, root file system, capabilities, user,
//! exec. It runs in the process that becomes the container's, which has one thread.
//!
//! Control groups are joined only where a test asks for a limit. Deliberately absent: seccomp, pid and user namespaces. None
//! of them decides what our programs may do, and the process ids of the host make a hanging test readable.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::{File, create_dir_all};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability, CapsHashSet};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{
    Gid, Pid, Uid, chdir, dup2_stdin, getppid, pivot_root, setgroups, sethostname, setresgid, setresuid,
};

use super::{Container, Mount, Place, Spec};
use crate::leftovers::CGROUPS;

/// Turns this process into the container's; comes back only when that failed.
pub fn enter(spec: &Spec) -> Result<Infallible> {
    match &spec.place {
        Place::New(container) => build(container)?,
        Place::Join { pid } => join(*pid)?,
    }
    take_identity(spec)?;
    // A change of credentials clears the parent-death signal, so it comes last, and the parent may be gone already.
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot ask for the parent-death signal")?;
    if getppid().as_raw() != spec.parent {
        bail!("the process that started this container is gone");
    }
    // The program's input is empty. Until here it was a pipe, whose end tells who started us that all is built.
    dup2_stdin(File::open("/dev/null").context("cannot open /dev/null")?)
        .context("cannot replace the input")?;
    let (program, arguments) = spec.arguments.split_first().context("no program was named")?;
    let error = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .exec();
    Err(error).with_context(|| format!("cannot execute {program}"))
}

fn build(container: &Container) -> Result<()> {
    for cgroup in &container.cgroups {
        let processes = cgroup.join("cgroup.procs");
        // 0 is the writer.
        std::fs::write(&processes, "0").with_context(|| format!("cannot join {}", processes.display()))?;
    }
    if let Some(limit) = container.descriptors {
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit)
            .with_context(|| format!("cannot limit descriptors to {limit}"))?;
    }
    if !container.processors.is_empty() {
        let mut set = CpuSet::new();
        for processor in &container.processors {
            set.set(*processor).with_context(|| format!("there is no processor {processor}"))?;
        }
        sched_setaffinity(Pid::from_raw(0), &set)
            .with_context(|| format!("cannot run on processors {:?}", container.processors))?;
    }
    let netns =
        File::open(&container.netns).with_context(|| format!("cannot open {}", container.netns.display()))?;
    setns(netns, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("cannot enter {}", container.netns.display()))?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)
        .context("cannot make the container's namespaces")?;
    sethostname(&container.hostname).context("cannot set the host name")?;
    // What is mounted from here on is seen by nobody else.
    attach(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    let root = &container.root;
    attach(Some(OsStr::new("tmpfs")), root, Some("tmpfs"), MsFlags::empty())?;
    kernel_file_systems(root)?;
    control_groups(&container.cgroups, root)?;
    for Mount { source, target, read_only } in &container.mounts {
        bind(source, &inside(root, target)?, *read_only)?;
    }
    chdir(root).with_context(|| format!("cannot change to {}", root.display()))?;
    // With the same directory twice the old root ends on top of the new one, from where it is taken away.
    pivot_root(".", ".").context("cannot change the root")?;
    umount2(".", MntFlags::MNT_DETACH).context("cannot leave the old root")?;
    chdir("/").context("cannot change to the new root")?;
    if container.read_only_root {
        attach(None, Path::new("/"), None, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY)?;
    }
    Ok(())
}

/// /proc with the settings read-only, /sys read-only, and the devices that every container has.
fn kernel_file_systems(root: &Path) -> Result<()> {
    let restricted = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    for (kind, path, flags) in [
        ("proc", "proc", restricted),
        ("sysfs", "sys", restricted | MsFlags::MS_RDONLY),
        ("tmpfs", "dev", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC),
    ] {
        let target = root.join(path);
        create_dir_all(&target)?;
        attach(Some(OsStr::new(kind)), &target, Some(kind), flags)?;
    }
    let settings = root.join("proc/sys");
    bind(&settings, &settings, true)?;
    for device in ["null", "zero", "full", "random", "urandom"] {
        bind(&Path::new("/dev").join(device), &root.join("dev").join(device), false)?;
    }
    Ok(())
}

/// A container sees its own groups where the machine has the roots of their hierarchies: as runtimes show version 1, and
/// version 2 as well.
fn control_groups(cgroups: &[PathBuf], root: &Path) -> Result<()> {
    if cgroups.is_empty() {
        return Ok(());
    }
    let mounted = inside(root, Path::new(CGROUPS))?;
    attach(Some(OsStr::new("tmpfs")), &mounted, Some("tmpfs"), MsFlags::empty())?;
    for cgroup in cgroups {
        // Version 1 has a hierarchy for each controller, version 2 only one.
        let hierarchy = cgroup.parent().context("a group has a parent")?;
        bind(cgroup, &inside(root, hierarchy)?, true)?;
    }
    Ok(())
}

/// Makes `source` seen at `target`, which is made.
fn bind(source: &Path, target: &Path, read_only: bool) -> Result<()> {
    if source.is_dir() {
        create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
    } else if !target.exists() {
        if let Some(parent) = target.parent() {
            create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        File::create(target).with_context(|| format!("cannot make {}", target.display()))?;
    }
    attach(Some(source.as_os_str()), target, None, MsFlags::MS_BIND | MsFlags::MS_REC)?;
    if read_only {
        // A bind mount takes flags only when it is mounted again.
        attach(None, target, None, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY)?;
    }
    Ok(())
}

fn attach(source: Option<&OsStr>, target: &Path, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    mount(source, target, kind, flags, None::<&str>)
        .with_context(|| format!("cannot mount {}", target.display()))
}

fn inside(root: &Path, target: &Path) -> Result<PathBuf> {
    let relative = target
        .strip_prefix("/")
        .with_context(|| format!("mount path {} is not absolute", target.display()))?;
    Ok(root.join(relative))
}

/// Into the namespaces of a running container; entering the mount namespace changes root and directory too.
fn join(pid: u32) -> Result<()> {
    let kinds = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let opened = kinds.map(|(name, flag)| (File::open(format!("/proc/{pid}/ns/{name}")), name, flag));
    for (file, name, flag) in opened {
        let file = file.with_context(|| format!("process {pid} has no namespace {name}: it is gone"))?;
        setns(file, flag).with_context(|| format!("cannot enter the namespace {name} of process {pid}"))?;
    }
    Ok(())
}

/// The user, and exactly the listed capabilities: bounding = permitted = effective, nothing inheritable or ambient. The
/// exec of another user's program then leaves only what file capabilities give.
fn take_identity(spec: &Spec) -> Result<()> {
    let mut listed = CapsHashSet::new();
    for name in &spec.capabilities {
        let capability: Capability =
            name.parse().map_err(|_| anyhow::anyhow!("unknown capability {name}"))?;
        listed.insert(capability);
    }
    for capability in caps::all().difference(&listed) {
        if caps::has_cap(None, CapSet::Bounding, *capability)? {
            caps::drop(None, CapSet::Bounding, *capability)
                .with_context(|| format!("cannot drop {capability} from the bounding set"))?;
        }
    }
    caps::securebits::set_keepcaps(true)?;
    let groups: Vec<Gid> = spec.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).context("cannot set supplementary groups")?;
    let (uid, gid) = (Uid::from_raw(spec.uid), Gid::from_raw(spec.gid));
    setresgid(gid, gid, gid).with_context(|| format!("cannot become group {gid}"))?;
    setresuid(uid, uid, uid).with_context(|| format!("cannot become user {uid}"))?;
    caps::securebits::set_keepcaps(false)?;
    caps::clear(None, CapSet::Ambient)?;
    for (set, value) in [
        (CapSet::Effective, &listed),
        (CapSet::Permitted, &listed),
        (CapSet::Inheritable, &CapsHashSet::new()),
    ] {
        caps::set(None, set, value).with_context(|| {
            format!("cannot set capabilities to {:?}: has this process them?", spec.capabilities)
        })?;
    }
    if spec.no_new_privileges {
        prctl::set_no_new_privs().context("cannot set no_new_privs")?;
    }
    Ok(())
}
