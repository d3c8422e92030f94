//! `init-redirect` as its container runs it: a root of its own, an identity, a bound on capabilities.

use std::path::{Path, PathBuf};

use crate::binaries;
use crate::exec::{self, Container, Mount, Place, Spec};
use crate::netns::Netns;
use crate::peer::PATIENCE;

/// The container, before it runs.
#[derive(Debug)]
pub struct InitContainer {
    /// The program on the host; see [`binaries`].
    pub binary: PathBuf,
    /// User and group.
    pub owner: (u32, u32),
    /// All that it may have, by their kernel names.
    pub capabilities: Vec<&'static str>,
    /// Whether nothing can be written outside the mounts.
    pub read_only_root: bool,
    /// What it sees of the host besides the program.
    pub mounts: Vec<Mount>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl InitContainer {
    /// As the injector asks for it: non-root, a read-only root, NET_ADMIN alone.
    pub fn new(binary: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            owner: (api::pod::INIT_UID, api::pod::INIT_GID),
            capabilities: vec!["CAP_NET_ADMIN"],
            read_only_root: true,
            mounts: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// The same with these capabilities instead.
    pub fn with_capabilities(self, capabilities: &[&'static str]) -> Self {
        Self { capabilities: capabilities.to_vec(), ..self }
    }

    /// The same with a file or directory of the host.
    pub fn with_mount(mut self, source: &Path, target: &str, read_only: bool) -> Self {
        self.mounts.push(Mount { source: source.to_owned(), target: target.into(), read_only });
        self
    }

    /// The same with the host's programs, for backends that need some.
    pub fn with_programs(self) -> Self {
        let directories = ["/usr", "/bin", "/sbin", "/lib", "/lib64"].map(Path::new);
        let present = directories.into_iter().filter(|directory| directory.is_dir());
        let path = ("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        present.fold(Self { environment: vec![path], ..self }, |container, directory| {
            container.with_mount(directory, directory.to_str().expect("UTF-8"), true)
        })
    }

    /// Runs it in a pod's network namespace with `no_new_privs`; gives exit code and log.
    pub fn run(&self, netns: &Netns, arguments: &[&str]) -> (i32, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let program =
            Mount { source: self.binary.clone(), target: api::pod::INIT_BINARY.into(), read_only: true };
        let container = Container {
            netns: netns.path(),
            cgroups: Vec::new(),
            descriptors: None,
            processors: Vec::new(),
            hostname: "pod".to_owned(),
            root: directory.path().to_owned(),
            read_only_root: self.read_only_root,
            mounts: self.mounts.iter().cloned().chain([program]).collect(),
        };
        let spec = Spec {
            parent: std::process::id().cast_signed(),
            place: Place::New(container),
            uid: self.owner.0,
            gid: self.owner.1,
            groups: Vec::new(),
            capabilities: self.capabilities.iter().copied().map(str::to_owned).collect(),
            no_new_privileges: true,
            environment: self.environment.clone(),
            arguments: [api::pod::INIT_BINARY].iter().chain(arguments).map(ToString::to_string).collect(),
        };
        let process = exec::start("init-redirect", &spec).expect("a container");
        let code = process.wait_exit(2 * PATIENCE).expect("it ends");
        (code, process.progress().stderr)
    }
}

/// The program with the file capabilities of its image, in a directory that goes with it.
pub fn binary_as_in_image() -> (PathBuf, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (binaries::init_redirect_as_in_image(directory.path()).expect("the program"), directory)
}
