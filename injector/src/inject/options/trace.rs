//! Every value in use and where it comes from, for people.

use std::fmt::Display;

use super::super::facts::Facts;
use super::super::{Source, ValueTrace};
use super::Options;
use super::modes::{Interception, MergeMetrics, Mode};
use super::setting::Setting;
use super::spans::Collector;

/// All values of a pod's options; none where something is wrong with them, which the reasons tell.
pub(in super::super) fn trace(facts: &Facts<'_>) -> Vec<ValueTrace> {
    let Ok(options) = &facts.options else { return Vec::new() };
    let mut values = Values(Vec::new());
    values.traffic(options);
    values.resources(options);
    values.sidecar(options);
    values.ends(options);
    values.spans(options);
    values.container(options, facts);
    values.0
}

struct Values(Vec<ValueTrace>);

impl Values {
    fn add<T>(&mut self, name: &'static str, setting: &Setting<T>, value: String) {
        let origin = setting.origin();
        let key = origin.key.map(str::to_owned);
        let source = if key.is_none() { Source::Default } else { origin.source };
        self.0.push(ValueTrace { name, value, source, key });
    }

    fn optional<T: Display>(&mut self, name: &'static str, setting: &Setting<Option<T>>, default: &str) {
        let value = setting.as_ref().map_or_else(|| default.to_owned(), ToString::to_string);
        self.add(name, setting, value);
    }

    fn traffic(&mut self, options: &Options) {
        let traffic = &options.traffic;
        let interception = match *traffic.interception {
            Interception::Redirect => "REDIRECT",
            Interception::None => "NONE",
        };
        self.add("interception mode", &traffic.interception, interception.to_owned());
        self.optional("inbound ports captured", &traffic.include_inbound_ports, "*");
        self.optional("inbound ports left alone", &traffic.exclude_inbound_ports, NOTHING);
        self.optional("senders captured", &traffic.include_inbound_cidrs, "*");
        self.optional("senders left alone", &traffic.exclude_inbound_cidrs, NOTHING);
        self.optional("outbound ports captured in any case", &traffic.include_outbound_ports, NOTHING);
        self.optional("outbound ports left alone", &traffic.exclude_outbound_ports, NOTHING);
        self.optional("outbound addresses captured", &traffic.include_outbound_cidrs, "*");
        self.optional("outbound addresses left alone", &traffic.exclude_outbound_cidrs, NOTHING);
        self.optional("interfaces left alone", &traffic.exclude_interfaces, NOTHING);
        self.optional("interfaces of virtual machines", &traffic.virtual_interfaces, NOTHING);
        self.optional("users left alone", &traffic.exclude_uids, NOTHING);
        self.optional("groups left alone", &traffic.exclude_gids, NOTHING);
        self.add("opaque ports", &options.opaque_ports, or_nothing(options.opaque_ports.to_string()));
    }

    fn resources(&mut self, options: &Options) {
        let resources = &options.resources;
        self.optional("CPU request", &resources.cpu.request, super::super::resources::CPU_REQUEST);
        self.optional("CPU limit", &resources.cpu.limit, NOTHING);
        self.optional("memory request", &resources.memory.request, super::super::resources::MEMORY_REQUEST);
        self.optional("memory limit", &resources.memory.limit, NOTHING);
        self.optional("ephemeral storage request", &resources.ephemeral_storage.request, NOTHING);
        self.optional("ephemeral storage limit", &resources.ephemeral_storage.limit, NOTHING);
        self.optional("threads", &options.workers, "as many as the CPU limit, or 1");
    }

    fn sidecar(&mut self, options: &Options) {
        let mode = match *options.mode {
            Mode::Native => "native",
            Mode::Legacy => "legacy",
        };
        self.add("sidecar mode", &options.mode, mode.to_owned());
        self.add("application waits for the proxy", &options.hold, options.hold.to_string());
        self.add("probes", &options.probes, options.probes.as_str().to_owned());
        let merge = match *options.merge_metrics {
            MergeMetrics::On => "true",
            MergeMetrics::Off => "false",
        };
        self.add("metrics merged", &options.merge_metrics, merge.to_owned());
        let readiness = &options.readiness;
        self.optional("readiness port", &readiness.port, &api::ports::READINESS.to_string());
        self.optional("readiness delay", &readiness.initial_delay, "0");
        self.optional("readiness period", &readiness.period, "5");
        self.optional("readiness timeout", &readiness.timeout, "3");
        self.optional("readiness failures", &readiness.failures, "3");
    }

    fn ends(&mut self, options: &Options) {
        self.optional("drain delay", &options.drain.delay, "20s");
        self.optional("drain deadline", &options.drain.deadline, "5s less than the pod's grace period");
        self.optional("inbound connect timeout", &options.connect.inbound, "10s");
        self.optional("outbound connect timeout", &options.connect.outbound, "10s");
    }

    fn spans(&mut self, options: &Options) {
        let spans = &options.spans;
        self.optional("collector of spans", &spans.collector, NOTHING);
        let spoken = spans.protocol().map_or_else(|| "otlp-http".to_owned(), |protocol| protocol.to_string());
        if spans.collector.as_ref().is_some_and(Collector::tells_protocol) {
            self.add("protocol of the collector", &spans.collector, spoken);
        } else {
            self.add("protocol of the collector", &spans.protocol, spoken);
        }
        self.optional("traces recorded, in percent", &spans.sampling, "1");
        self.optional("bytes of spans that wait", &spans.queue, "1048576");
    }

    fn container(&mut self, options: &Options, facts: &Facts<'_>) {
        let log = &options.log;
        self.optional("log level", &log.level, "info");
        let components: Vec<String> = log
            .components
            .iter()
            .map(|(component, level)| format!("{}:{level}", component.unwrap_or("proxy")))
            .collect();
        self.add("log levels of components", &log.components, or_nothing(components.join(",")));
        let format = log.format.map_or("text", |format| format.as_str());
        self.add("log format", &log.format, format.to_owned());
        let access = log.access.map_or("json", |access| access.as_str());
        self.add("access log", &log.access, access.to_owned());
        let (images, image) = (&options.images, options.proxy_image(facts.settings));
        if images.version.is_some() {
            self.add("proxy image", &images.version, image);
        } else if images.proxy.is_some() {
            self.add("proxy image", &images.proxy, image);
        } else {
            let key = Some("images.proxy".to_owned());
            self.0.push(ValueTrace { name: "proxy image", value: image, source: Source::Mesh, key });
        }
        self.add("pull policy", &options.images.pull_policy, options.images.pull_policy.as_str().to_owned());
        let variables: Vec<&str> = options.env.iter().map(|variable| variable.name.as_str()).collect();
        self.add("further variables", &options.env, or_nothing(variables.join(",")));
        let volumes: Vec<&str> = options.volumes.iter().map(|volume| volume.name.as_str()).collect();
        self.add("further volumes", &options.volumes, or_nothing(volumes.join(",")));
        let mounts: Vec<&str> = options.mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
        self.add("further mounts", &options.mounts, or_nothing(mounts.join(",")));
        self.add("proxy user", &options.identity.uid, options.identity.uid.to_string());
        self.add("proxy group", &options.identity.gid, options.identity.gid.to_string());
    }
}

const NOTHING: &str = "none";

fn or_nothing(text: String) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text }
}
