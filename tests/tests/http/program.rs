//! A program of the machine, or one that is installed for it, in a container with a home of its own.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::SystemTime;

use tempfile::TempDir;
use tests::exec::{self, Container, Mount, Place, Process, Spec};
use tests::leftovers;
use tests::netns::Netns;

use crate::script::noise;

/// Where a program finds its files, and writes its own.
pub(crate) const HOME: &str = "/home/app";

/// What servers of files have to serve, below their home.
pub(crate) const FILES: &str = "files";

/// The application's user, and everybody's but for whom a test says something else.
pub(crate) const USER: u32 = 1000;

/// How a program is started.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// What brings it, of Debian.
    pub(crate) package: &'static str,
    /// Texts in its home.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Its path, and its arguments.
    pub(crate) arguments: Vec<String>,
    /// What its container has besides the machine's own programs.
    pub(crate) mounts: Vec<Mount>,
}

/// A program that runs, or has run.
pub(crate) struct Running {
    pub(crate) process: Process,
    directory: TempDir,
}

impl Program {
    /// Starts it in a namespace. A program that is not there is a failure which names the package.
    pub(crate) fn start(self, netns: &Netns, user: u32) -> Running {
        let path = self.arguments.first().expect("a program");
        assert!(Path::new(path).exists(), "{path} is missing: install Debian's package {}", self.package);
        let directory = self.directory(user);
        let spec = Spec {
            parent: nix::unistd::getpid().as_raw(),
            place: Place::New(self.container(netns, &directory)),
            uid: user,
            gid: user,
            groups: Vec::new(),
            capabilities: Vec::new(),
            no_new_privileges: true,
            environment: vec![("HOME".to_owned(), HOME.to_owned())],
            arguments: self.arguments,
        };
        Running { process: exec::start(self.name, &spec).expect("the program starts"), directory }
    }

    /// With its container's root, and its home.
    fn directory(&self, user: u32) -> TempDir {
        let directory = leftovers::directory(self.name).expect("a directory");
        let home = directory.path().join("home");
        for path in [directory.path().join("root"), home.clone(), home.join(FILES)] {
            std::fs::create_dir(&path).expect("a directory");
            chown(&path, Some(user), Some(user)).expect("its owner");
        }
        for (file, text) in &self.files {
            std::fs::write(home.join(file), text).expect("a file");
        }
        for (name, content) in [("index.html", b"<p>hello\n".to_vec()), ("large", noise(20, 5_000_000))] {
            let mut file = File::create(home.join(FILES).join(name)).expect("a file");
            file.write_all(&content).expect("its content");
            // A server does not trust the time of a file that is younger than a second.
            file.set_modified(SystemTime::UNIX_EPOCH).expect("its time");
        }
        directory
    }

    fn container(&self, netns: &Netns, directory: &TempDir) -> Container {
        let home = Mount { source: directory.path().join("home"), target: HOME.into(), read_only: false };
        Container {
            netns: netns.path(),
            cgroups: Vec::new(),
            descriptors: None,
            processors: Vec::new(),
            hostname: "pod".to_owned(),
            root: directory.path().join("root"),
            read_only_root: true,
            mounts: [Mount::machine(), self.mounts.clone(), vec![home]].concat(),
        }
    }
}

impl Running {
    /// What it has written into one of its own files; nothing, if there is none.
    pub(crate) fn written(&self, file: &str) -> String {
        let bytes = std::fs::read(self.directory.path().join("home").join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The path of one of its own files, as a program sees it.
pub(crate) fn own(file: &str) -> String {
    format!("{HOME}/{file}")
}

pub(crate) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}
