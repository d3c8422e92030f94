//! What is called at its own address: workloads, hosts outside, and what is forbidden.

use std::collections::HashSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::{Compiler, Member, Subject};
use crate::detect::Hint;
use crate::discovery::resource::{External, Forbidden, Located, Name, Network, Text, Workload};
use crate::discovery::{Host, Target};
use crate::telemetry::edge::{Caller, Edge, ServiceName};
use crate::telemetry::workload;

impl Compiler<'_> {
    pub(super) fn workloads(&mut self, workloads: &[Located<Workload>]) {
        for Located { place, value } in workloads {
            let name = format!("Workload {}/{}", value.namespace, value.name);
            let subject = Subject { place: place.clone(), name };
            self.check_host(&subject, "addresses", &value.addresses);
            let labels = Arc::new(labels(value));
            let zone = value.zone.as_ref().map(|Text(zone)| Arc::clone(zone));
            if value.addresses.iter().any(|address| self.own.contains(address)) {
                self.zone.clone_from(&zone);
            }
            let key = (Arc::clone(&value.namespace.0), Arc::clone(&value.name.0));
            let member =
                Member { labels: Some(Arc::clone(&labels)), addresses: value.addresses.clone(), zone };
            if self.workloads.insert(key, member).is_some() {
                self.wrong(&subject, "name", "there is another Workload of this name in the namespace");
            }
            let edge = Edge::past_services(Some(Arc::clone(&labels)));
            let host = Arc::new(Host { name: None, hint: None, edge });
            let caller = Arc::new(Caller::new(Some(labels)));
            for (index, address) in value.addresses.iter().enumerate() {
                self.callers.insert(*address, Arc::clone(&caller));
                let net = Network((*address).into());
                let field = format!("addresses[{index}]");
                self.claim(&subject, &field, (net, None), Target::Workload(Arc::clone(&host)));
            }
        }
    }

    pub(super) fn externals(&mut self, externals: &[Located<External>]) {
        let mut names = HashSet::new();
        for Located { place, value } in externals {
            let name = format!("External {}/{}", value.namespace, value.name);
            let subject = Subject { place: place.clone(), name };
            if !names.insert((&value.namespace, &value.name)) {
                self.wrong(&subject, "name", "there is another External of this name in the namespace");
            }
            let host = &value.host.0;
            let service = Arc::new(ServiceName {
                host: Arc::clone(host),
                name: Arc::clone(host),
                namespace: Arc::clone(&value.namespace.0),
            });
            let host = |hint| {
                let edge = Edge::to_service(Arc::clone(&service), None);
                Target::External(Arc::new(Host { name: Some(Arc::clone(&service)), hint, edge }))
            };
            if value.ports.is_empty() {
                self.claim_all(&subject, &value.addresses, None, &host(None));
            }
            let mut seen = HashSet::new();
            for (index, port) in value.ports.iter().enumerate() {
                if !seen.insert(port.port) {
                    self.wrong(&subject, format_args!("ports[{index}].port"), repeated(port.port));
                    continue;
                }
                let hint = declared(port.app_protocol.as_ref(), port.name.as_ref());
                self.claim_all(&subject, &value.addresses, Some(port.port), &host(hint));
            }
        }
    }

    pub(super) fn forbidden(&mut self, forbidden: &[Located<Forbidden>]) {
        let mut names = HashSet::new();
        for Located { place, value } in forbidden {
            let subject = Subject { place: place.clone(), name: format!("Forbidden {}", value.name) };
            if !names.insert(&value.name) {
                self.wrong(&subject, "name", "there is another Forbidden of this name");
            }
            let target = Target::Forbidden(Arc::clone(&value.name.0));
            if value.ports.is_empty() {
                self.claim_all(&subject, &value.addresses, None, &target);
            }
            let mut seen = HashSet::new();
            for (index, port) in value.ports.iter().enumerate() {
                if !seen.insert(port) {
                    self.wrong(&subject, format_args!("ports[{index}]"), repeated(*port));
                    continue;
                }
                self.claim_all(&subject, &value.addresses, Some(*port), &target);
            }
        }
    }

    fn claim_all(
        &mut self,
        subject: &Subject,
        networks: &[Network],
        port: Option<NonZeroU16>,
        target: &Target,
    ) {
        if networks.is_empty() {
            self.wrong(subject, "addresses", "there is none; write at least one address or network");
        }
        for (index, network) in networks.iter().enumerate() {
            self.claim(subject, &format!("addresses[{index}]"), (*network, port), target.clone());
        }
    }

    pub(super) fn claim(
        &mut self,
        subject: &Subject,
        field: &str,
        (network, port): (Network, Option<NonZeroU16>),
        target: Target,
    ) {
        if let Err(text) = self.claims.add(subject, network.0, port, target) {
            self.wrong(subject, field, text);
        }
    }
}

/// What a port is declared to speak.
pub(super) fn declared(app_protocol: Option<&Text>, port_name: Option<&Name>) -> Option<Hint> {
    Hint::declared(app_protocol.map(|Text(text)| &**text), port_name.map(|Name(name)| &**name))
}

pub(super) fn repeated(port: NonZeroU16) -> String {
    format!("{port} is there twice; leave one away")
}

fn labels(value: &Workload) -> workload::Workload {
    fn text(text: Option<&Text>) -> Option<&str> {
        text.map(|Text(text)| &**text)
    }
    let name = value.workload.as_ref().unwrap_or(&value.name);
    workload::Workload::known(
        &name.0,
        &value.namespace.0,
        text(value.canonical_service.as_ref()),
        text(value.canonical_revision.as_ref()),
    )
    .labelled(text(value.app.as_ref()), text(value.version.as_ref()))
    .of_cluster(text(value.cluster.as_ref()))
}
