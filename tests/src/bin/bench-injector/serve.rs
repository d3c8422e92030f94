//! The real `injector serve`, alone on one core, with a scripted API server for its certificates: how soon it is ready, how
//! many reviews it answers, how fast, and in how much memory.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::api_server::{ApiServer, webhook_configuration_path};
use tests::exec::{Process, Progress};
use tests::webhook::{published_bundle, server_name};
use tests::{binaries, leftovers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::load::{Target, closed_loop, open_loop};
use crate::process::{self, free_ports, local};
use crate::times::{Times, millis};
use crate::{allow, reviews};

/// The manifest that a user applies.
const WEBHOOK: &str = include_str!("../../../../manifests/webhook.yaml");

const STARTS: usize = 10;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 5;
const ROUND: usize = 20_000;
const RATE: usize = 1000;

/// How long anything may take that has no bound of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running injector, and where it is.
pub(crate) struct Injector {
    pub(crate) process: Process,
    pub(crate) webhook: u16,
    admin: u16,
    /// From the start of the process to its readiness.
    pub(crate) start: Duration,
}

impl Injector {
    /// Starts one, and waits until it is ready.
    pub(crate) async fn start(kubeconfig: &Path, webhook: u16) -> Result<Self> {
        let [admin] = free_ports()?;
        let mut command = Command::new(binaries::injector()?);
        command.arg("serve").args([format!("--webhook-port={webhook}"), format!("--admin-port={admin}")]);
        command.arg("--kubeconfig").arg(kubeconfig);
        let begun = Instant::now();
        let process = process::start("injector", command)?;
        let ready = |progress: &Progress| progress.stderr.contains(" is ready").then_some(());
        process.wait_for("readiness", PATIENCE, ready)?;
        let injector = Self { process, webhook, admin, start: Duration::ZERO };
        injector.admin(api::control::READY_PATH).await.context("it says that it is ready")?;
        Ok(Self { start: begun.elapsed(), ..injector })
    }

    pub(crate) async fn metrics(&self) -> Result<String> {
        self.admin("/metrics").await
    }

    async fn admin(&self, path: &str) -> Result<String> {
        let mut stream = tokio::net::TcpStream::connect(local(self.admin)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{path} answers {answer:?}");
        Ok(answer)
    }
}

/// The webhook to compare with.
pub(crate) struct Allow {
    pub(crate) process: Process,
    pub(crate) port: u16,
    pub(crate) certificate: String,
}

impl Allow {
    /// Starts one whose certificate has this name, and whose answers end with these fields.
    pub(crate) fn start(name: &str, rest: &str) -> Result<Self> {
        let directory = leftovers::directory("bench-injector-allow")?;
        let [port] = free_ports()?;
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).context("a certificate")?;
        let files = [
            (allow::CERTIFICATE, made.cert.pem()),
            (allow::KEY, made.signing_key.serialize_pem()),
            (allow::REST, rest.to_owned()),
        ];
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text)
                .with_context(|| format!("cannot write {name}"))?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(allow::COMMAND).arg(port.to_string()).arg(directory.path());
        let process = process::start("allow-at-once", command)?;
        process.wait_for("ready", PATIENCE, |progress| progress.stdout.contains("ready").then_some(()))?;
        Ok(Self { process, port, certificate: made.cert.pem() })
    }
}

pub(crate) async fn print() -> Result<()> {
    let directory = leftovers::directory("bench-injector")?;
    let kubeconfig = directory.path().join("kubeconfig");
    let api = api_server(&kubeconfig)?;
    let [port] = free_ports()?;
    println!("\n`injector serve` on one core:");
    let injector = starts(&kubeconfig, port).await?;
    let configuration = api.get(&webhook_configuration_path(api::control::WEBHOOK_CONFIGURATION));
    let bundle = configuration.as_ref().and_then(published_bundle).context("no bundle is published")?;
    let body = reviews::body(&reviews::median_pod());
    let ours = Target::new(injector.webhook, &server_name(), &bundle, &body)?;
    let allow = Allow::start("allow.example.com", "")?;
    let other = Target::new(allow.port, "allow.example.com", &allow.certificate, &body)?;
    throughput((&ours, &injector.process), (&other, &allow.process)).await?;
    for (name, target, wanted) in
        [("injector", &ours, "   wanted: p99 <= 20 ms"), ("allow at once", &other, "")]
    {
        let times = open_loop(target, RATE, Duration::from_secs(10)).await?;
        println!(
            "  {RATE} reviews/s, {name:<14} p50 {}   p99 {}{wanted}",
            millis(times.median()),
            millis(times.p99())
        );
    }
    let [now, peak] = ["VmRSS", "VmHWM"].map(|line| process::memory(&injector.process, line));
    println!(
        "  memory after {} reviews: {} KiB, at most {} KiB   wanted: <= 20 MiB",
        (ROUNDS + 1) * ROUND + RATE * 10,
        now?,
        peak?
    );
    Ok(())
}

fn api_server(kubeconfig: &Path) -> Result<ApiServer> {
    let api = ApiServer::start()?;
    let configuration: Value = serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?;
    api.put(&webhook_configuration_path(api::control::WEBHOOK_CONFIGURATION), configuration);
    std::fs::write(kubeconfig, api.kubeconfig())?;
    Ok(api)
}

/// Of all starts but the first, which makes the authority, the last goes on.
async fn starts(kubeconfig: &Path, port: u16) -> Result<Injector> {
    let first = Injector::start(kubeconfig, port).await?.start;
    let mut times = Vec::new();
    for _ in 1..STARTS {
        times.push(Injector::start(kubeconfig, port).await?.start);
    }
    let injector = Injector::start(kubeconfig, port).await?;
    times.push(injector.start);
    let times = Times::new(times);
    println!(
        "  ready after its start: {} the first time, then p50 {}, at most {}   wanted: <= 200 ms",
        millis(first),
        millis(times.median()),
        millis(times.permille(1000))
    );
    Ok(injector)
}

/// In turns, so that both have the same moments of a busy machine; the best round of each counts.
async fn throughput(ours: (&Target, &Process), other: (&Target, &Process)) -> Result<()> {
    let mut best = [(0.0_f64, 0.0_f64); 2];
    for (target, _) in [ours, other] {
        closed_loop(target, CONNECTIONS, ROUND).await?;
    }
    for _ in 0..ROUNDS {
        for ((target, process), best) in [ours, other].into_iter().zip(&mut best) {
            let before = process::processor_time(process)?;
            let elapsed = closed_loop(target, CONNECTIONS, ROUND).await?;
            let used = process::processor_time(process)?.saturating_sub(before);
            best.0 = best.0.max(ROUND as f64 / elapsed.as_secs_f64());
            best.1 = best.1.max(ROUND as f64 / used.as_secs_f64());
        }
    }
    let [(ours, ours_used), (other, other_used)] = best;
    println!(
        "  reviews/s over TLS, {CONNECTIONS} connections kept alive: {ours:.0}   wanted: >= 10,000 (20,000 to be proud of)"
    );
    println!("    allow at once: {other:.0}, {:.2} x as many", other / ours);
    println!("    in a second of processor time: {ours_used:.0}; allow at once: {other_used:.0}");
    Ok(())
}
