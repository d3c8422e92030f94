//! A kubelet without a cluster: runs a Pod, as the API server would hand it over after admission, as processes in a
//! network namespace. Init containers in order, sidecars among them, then the containers; hooks, probes and the order of
//! stopping are a kubelet's.
//!
//! Deliberately absent: images (a name stands for a program), restarts (a container that ends is a test's failure),
//! resource limits, and a kubelet's seconds between two probes.

mod downward;
mod manifest;
mod probe;
mod security;
mod stop;
mod volumes;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::exec::{self, Container, Mount, Place, Process, Progress, Spec};
use crate::leftovers;
use crate::netns::{Node, Switch};
use downward::Facts;
use manifest::{ContainerSpec, Handler, Manifest};
use security::Identity;

pub use stop::Ended;

/// How long a container may take to start, a probe to succeed, an init container to end. Only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The name of the node, as pods see it.
pub const NODE_NAME: &str = "node-1";

/// What a container image comes down to here.
#[derive(Clone, Debug)]
pub struct Image {
    /// The program on this machine; static, unless `shared` holds its libraries.
    pub binary: PathBuf,
    /// Its path in the container, which is also the image's entry point.
    pub path: String,
    /// Directories of this machine that the image has too, read-only: for an image with a distribution's programs.
    pub shared: Vec<PathBuf>,
}

impl Image {
    /// An image of one program.
    pub fn of(binary: PathBuf, path: &str) -> Self {
        Self { binary, path: path.to_owned(), shared: Vec::new() }
    }

    /// The same with this machine's own programs and libraries.
    pub fn with_programs(mut self) -> Self {
        let paths = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"];
        self.shared = paths.map(PathBuf::from).into_iter().filter(|path| path.exists()).collect();
        self
    }
}

/// A node with its images; probes come from the switch's own address.
#[derive(Debug)]
pub struct Kubelet<'a> {
    /// The node's network.
    pub switch: &'a Switch,
    /// Images by name.
    pub images: BTreeMap<String, Image>,
    /// The files of each ConfigMap, by its name.
    pub config_maps: BTreeMap<String, BTreeMap<String, String>>,
}

/// A pod whose containers run. They are killed when it is dropped.
pub struct Pod<'a> {
    kubelet: &'a Kubelet<'a>,
    network: &'a Node,
    manifest: Manifest,
    began: Instant,
    timeline: Vec<(Duration, String)>,
    finished: Vec<Finished>,
    containers: Vec<Running>,
    sidecars: Vec<Running>,
    directory: TempDir,
}

/// An init container that has ended well.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The container's name.
    pub name: String,
    /// What it wrote.
    pub output: Progress,
    /// What it left in its termination log.
    pub termination: String,
}

/// A container that failed before the pod was up.
#[derive(Debug, thiserror::Error)]
#[error("container {name} ended with code {code}: {termination}\n{output}")]
pub struct Failed {
    /// The container's name.
    pub name: String,
    /// Its exit code.
    pub code: i32,
    /// What it left in its termination log.
    pub termination: String,
    /// What it wrote.
    pub output: Progress,
}

struct Running {
    spec: ContainerSpec,
    process: Process,
}

impl<'a> Kubelet<'a> {
    /// A node with these images, and with the one ConfigMap that Kubernetes itself puts into every namespace.
    pub fn new(switch: &'a Switch, images: impl IntoIterator<Item = (String, Image)>) -> Self {
        let authority =
            BTreeMap::from([("ca.crt".to_owned(), "the API server's certificate authority".to_owned())]);
        let config_maps = BTreeMap::from([("kube-root-ca.crt".to_owned(), authority)]);
        Self { switch, images: images.into_iter().collect(), config_maps }
    }

    /// Starts a pod; comes back when every startup probe of a sidecar has succeeded and the containers run.
    pub fn run(&'a self, pod: &Value, network: &'a Node) -> Result<Pod<'a>> {
        let manifest = Manifest::parse(pod)?;
        let directory = leftovers::directory("pod")?;
        let mut pod = Pod {
            kubelet: self,
            network,
            manifest,
            began: Instant::now(),
            timeline: Vec::new(),
            finished: Vec::new(),
            containers: Vec::new(),
            sidecars: Vec::new(),
            directory,
        };
        pod.prepare()?;
        for spec in pod.manifest.spec.init_containers.clone() {
            if spec.is_sidecar() {
                let sidecar = pod.begin(spec)?;
                pod.sidecars.push(sidecar);
            } else {
                pod.run_to_end(&spec)?;
            }
        }
        for spec in pod.manifest.spec.containers.clone() {
            let container = pod.begin(spec)?;
            pod.containers.push(container);
        }
        Ok(pod)
    }
}

impl Pod<'_> {
    /// The pod's name.
    pub fn name(&self) -> &str {
        &self.manifest.metadata.name
    }

    /// What happened so far, with the time since the start.
    pub fn timeline(&self) -> &[(Duration, String)] {
        &self.timeline
    }

    /// The init containers that have ended, in order.
    pub fn finished(&self) -> &[Finished] {
        &self.finished
    }

    /// The process of a running container or sidecar.
    pub fn container(&self, name: &str) -> Result<&Process> {
        Ok(&self.running(name)?.process)
    }

    /// Waits until every readiness probe of the pod succeeds.
    pub fn wait_ready(&mut self) -> Result<()> {
        for running in self.sidecars.iter().chain(&self.containers) {
            if let Some(probe) = &running.spec.readiness_probe {
                self.await_probe(running, probe).context("readiness probe")?;
            }
        }
        self.note("ready".to_owned());
        Ok(())
    }

    /// Runs a command in a running container, as `kubectl exec` does, and waits for its end.
    pub fn exec(&self, container: &str, command: &[&str]) -> Result<Progress> {
        let running = self.running(container)?;
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        self.exec_in(running, &command, PATIENCE)
    }

    fn running(&self, name: &str) -> Result<&Running> {
        let mut all = self.sidecars.iter().chain(&self.containers);
        all.find(|running| running.spec.name == name)
            .with_context(|| format!("pod {} has no running container {name}", self.name()))
    }

    fn note(&mut self, what: String) {
        self.timeline.push((self.began.elapsed(), what));
    }

    fn facts(&self) -> Facts<'_> {
        let (v4, v6) = Switch::ADDRESSES;
        Facts {
            manifest: &self.manifest,
            pod_ips: self.network.addresses().to_vec(),
            node_name: NODE_NAME,
            host_ips: vec![v4.into(), v6.into()],
        }
    }

    /// What all containers of the pod share: volumes, the files that a kubelet manages, kernel settings.
    fn prepare(&self) -> Result<()> {
        let directory = self.directory.path();
        volumes::make(&directory.join("volumes"), &self.facts(), &self.kubelet.config_maps)?;
        let (name, address) = (self.name(), self.network.v4);
        fs::write(directory.join("hostname"), format!("{name}\n"))?;
        fs::write(
            directory.join("hosts"),
            format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{name}\n{}\t{name}\n", self.network.v6),
        )?;
        fs::write(directory.join("resolv.conf"), "")?;
        for sysctl in &self.manifest.spec.security_context.sysctls {
            self.network.netns.set_sysctl(&sysctl.name.replace('.', "/"), &sysctl.value)?;
        }
        Ok(())
    }

    fn run_to_end(&mut self, spec: &ContainerSpec) -> Result<()> {
        let began = Instant::now();
        let process = self.launch(spec)?;
        let Some(code) = process.wait_exit(PATIENCE) else {
            bail!("init container {} has not ended within {PATIENCE:?}\n{}", spec.name, process.progress());
        };
        let (name, output, termination) =
            (spec.name.clone(), process.progress(), self.termination(&spec.name));
        if code != 0 {
            return Err(Failed { name, code, termination, output }.into());
        }
        self.note(format!("{name} ended with code 0 after {} ms", began.elapsed().as_millis()));
        self.finished.push(Finished { name, output, termination });
        Ok(())
    }

    /// Starts a container that stays: the next one is started when its hook and its startup probe have succeeded.
    fn begin(&mut self, spec: ContainerSpec) -> Result<Running> {
        let process = self.launch(&spec)?;
        self.note(format!("{} started", spec.name));
        let running = Running { spec, process };
        if let Some(hook) = &running.spec.lifecycle.post_start {
            self.act(&running, hook, PATIENCE)
                .with_context(|| format!("{}: postStart", running.spec.name))?;
        }
        if let Some(probe) = &running.spec.startup_probe {
            self.await_probe(&running, probe).context("startup probe")?;
            self.note(format!("{} passed its startup probe", running.spec.name));
        }
        Ok(running)
    }

    fn launch(&self, container: &ContainerSpec) -> Result<Process> {
        let image = self.image(container)?;
        let directory = self.directory.path();
        let own = directory.join("containers").join(&container.name);
        let (root, termination) = (own.join("root"), own.join("termination-log"));
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        fs::write(&termination, "")?;
        fs::set_permissions(&termination, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
        let managed =
            |source: PathBuf, target: &str| Mount { source, target: target.into(), read_only: false };
        let mut mounts = vec![
            Mount { source: image.binary.clone(), target: (&image.path).into(), read_only: true },
            managed(termination, "/dev/termination-log"),
        ];
        let shared = image.shared.iter().cloned();
        mounts.extend(shared.map(|path| Mount { source: path.clone(), target: path, read_only: true }));
        for file in ["hosts", "hostname", "resolv.conf"] {
            mounts.push(managed(directory.join(file), &format!("/etc/{file}")));
        }
        mounts.extend(volumes::mounts(&directory.join("volumes"), container)?);
        let place = Place::New(Container {
            netns: self.network.netns.path(),
            cgroups: Vec::new(),
            descriptors: None,
            processors: Vec::new(),
            hostname: self.name().to_owned(),
            root,
            read_only_root: container.security_context.read_only_root_filesystem,
            mounts,
        });
        let environment = self.facts().environment(container)?;
        let known: BTreeMap<String, String> = environment.iter().cloned().collect();
        let words =
            |words: &Vec<String>| words.iter().map(|word| downward::expand(word, &known)).collect::<Vec<_>>();
        let mut arguments = container.command.as_ref().map_or_else(|| vec![image.path.clone()], words);
        arguments.extend(container.args.as_ref().map(words).unwrap_or_default());
        exec::start(&container.name, &self.process(container, place, environment, arguments)?)
    }

    fn exec_in(&self, running: &Running, command: &[String], patience: Duration) -> Result<Progress> {
        let (container, place) = (&running.spec, Place::Join { pid: running.process.pid() });
        let environment = self.facts().environment(container)?;
        let process = exec::start(
            &format!("exec in {}", container.name),
            &self.process(container, place, environment, command.to_vec())?,
        )?;
        process.wait_for("exit", patience, |progress| progress.exit)?;
        Ok(process.progress())
    }

    fn process(
        &self,
        container: &ContainerSpec,
        place: Place,
        environment: Vec<(String, String)>,
        arguments: Vec<String>,
    ) -> Result<Spec> {
        let Identity { uid, gid, groups, capabilities, no_new_privileges } =
            Identity::of(container, &self.manifest.spec.security_context, 0)?;
        let parent = std::process::id().cast_signed();
        Ok(Spec { parent, place, uid, gid, groups, capabilities, no_new_privileges, environment, arguments })
    }

    /// A hook. An exec that answers anything but 0 is a failure.
    fn act(&self, running: &Running, hook: &Handler, patience: Duration) -> Result<()> {
        match hook {
            Handler::Exec { command } => {
                let output = self.exec_in(running, command, patience)?;
                match output.exit {
                    Some(0) => Ok(()),
                    code => bail!("{command:?} ended with {code:?}\n{output}"),
                }
            }
            Handler::HttpGet { .. } | Handler::TcpSocket { .. } => self.call(running, hook, patience),
        }
    }

    fn image(&self, container: &ContainerSpec) -> Result<&Image> {
        self.kubelet.images.get(&container.image).with_context(|| {
            let known: Vec<_> = self.kubelet.images.keys().collect();
            format!("container {}: no image {:?} here, only {known:?}", container.name, container.image)
        })
    }

    fn termination(&self, container: &str) -> String {
        let path = self.directory.path().join("containers").join(container).join("termination-log");
        fs::read_to_string(path).unwrap_or_default()
    }
}
