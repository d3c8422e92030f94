//! Services: each port of each of their addresses, with the endpoints that can be chosen there.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::hosts::{declared, repeated};
use super::{Compiler, Member, Subject};
use crate::balance::Load;
use crate::detect::Hint;
use crate::discovery::resource::{self, Located, Name, Network, Service, TrafficDistribution};
use crate::discovery::snapshot::CalledAs;
use crate::discovery::{Endpoint, Host, ServicePort, Snapshot, Target};
use crate::telemetry::edge::{Edge, ServiceName};

/// Endpoints that are called at their own address as a Service's; more than one Service may say so, and then none counts.
type Headless = HashMap<SocketAddr, Option<(Target, Subject)>>;

impl Compiler<'_> {
    pub(super) fn services(&mut self, services: &[Located<Service>]) {
        let (mut names, mut headless) = (HashSet::new(), Headless::new());
        for Located { place, value } in services {
            let subject =
                Subject { place: place.clone(), name: format!("Service {}/{}", value.namespace, value.name) };
            if !names.insert((&value.namespace, &value.name)) {
                self.wrong(&subject, "name", "there is another Service of this name in the namespace");
            }
            self.check_addresses(&subject, "addresses", &value.addresses);
            self.check_ports(&subject, &value.ports);
            let members = self.members(&subject, value);
            let name = Arc::new(service_name(value));
            for port in &value.ports {
                if value.addresses.is_empty() {
                    add_headless(&mut headless, &subject, &name, (port, &members));
                }
                self.called_as(&name, (port, &members));
                self.service_port(&subject, value, (port, &name, &members));
            }
        }
        self.claims.fill(headless);
    }

    fn check_ports(&mut self, subject: &Subject, ports: &[resource::ServicePort]) {
        if ports.is_empty() {
            self.wrong(subject, "ports", "there is none; write at least one");
        }
        let (mut numbers, mut names) = (HashSet::new(), HashSet::new());
        for (index, port) in ports.iter().enumerate() {
            if !numbers.insert(port.port) {
                self.wrong(subject, format_args!("ports[{index}].port"), repeated(port.port));
            }
            match &port.name {
                None if ports.len() > 1 => {
                    self.wrong(
                        subject,
                        format_args!("ports[{index}].name"),
                        "it is missing; several ports need names",
                    );
                }
                Some(name) if !names.insert(name) => {
                    self.wrong(
                        subject,
                        format_args!("ports[{index}].name"),
                        format!("{name} is there twice"),
                    );
                }
                None | Some(_) => {}
            }
        }
    }

    /// The endpoints with their addresses, ready or not.
    fn members<'a>(
        &mut self,
        subject: &Subject,
        service: &'a Service,
    ) -> Vec<(&'a resource::Endpoint, Member)> {
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        for (index, endpoint) in service.endpoints.iter().enumerate() {
            let field = format!("endpoints[{index}]");
            let Some(member) = self.member(subject, &field, service, endpoint) else { continue };
            if let Some(address) = member.addresses.iter().find(|address| !seen.insert(**address)) {
                self.wrong(subject, &field, format!("{address} is another endpoint's address too"));
            }
            for name in endpoint.ports.keys() {
                if !service.ports.iter().any(|port| port.name.as_ref() == Some(name)) {
                    let known: Vec<_> = service
                        .ports
                        .iter()
                        .filter_map(|port| Some(port.name.as_ref()?.to_string()))
                        .collect();
                    let text = format!("the Service has no port of this name; it has {known:?}");
                    self.wrong(subject, format_args!("{field}.ports.{name}"), text);
                }
            }
            members.push((endpoint, member));
        }
        members
    }

    fn member(
        &mut self,
        subject: &Subject,
        field: &str,
        service: &Service,
        endpoint: &resource::Endpoint,
    ) -> Option<Member> {
        let Some(name) = &endpoint.workload else {
            self.check_host(subject, &format!("{field}.addresses"), &endpoint.addresses);
            return Some(Member { labels: None, addresses: endpoint.addresses.clone(), zone: None });
        };
        if !endpoint.addresses.is_empty() {
            self.wrong(
                subject,
                format_args!("{field}.addresses"),
                "the workload has its own; leave one away",
            );
        }
        let key = (Arc::clone(&service.namespace.0), Arc::clone(&name.0));
        let known = self.workloads.get(&key).cloned();
        if known.is_none() {
            let text = format!("there is no Workload {name} in namespace {}", service.namespace);
            self.wrong(subject, format_args!("{field}.workload"), text);
        }
        known
    }

    /// This pod is called as the Service's at the ports that it has in it, ready or not. Which of several Services was called
    /// no connection tells, so metrics name the first one, by namespace and name, and a protocol is what none of them denies.
    fn called_as(
        &mut self,
        service: &Arc<ServiceName>,
        (port, members): (&resource::ServicePort, &[(&resource::Endpoint, Member)]),
    ) {
        fn order(name: &ServiceName) -> (&str, &str) {
            (&name.namespace, &name.name)
        }
        for (endpoint, member) in members {
            for ip in member.addresses.iter().filter(|ip| self.own.contains(ip)) {
                let address = SocketAddr::new(*ip, target_port(port, endpoint));
                let called = self
                    .called_as
                    .entry(address)
                    .or_insert_with(|| CalledAs { service: Arc::clone(service), hints: vec![] });
                if order(service) < order(&called.service) {
                    called.service = Arc::clone(service);
                }
                called.hints.extend(hint(port).filter(|hint| !called.hints.contains(hint)));
            }
        }
    }

    /// Claims a port at each of the Service's addresses.
    fn service_port(
        &mut self,
        subject: &Subject,
        service: &Service,
        (port, name, members): (&resource::ServicePort, &Arc<ServiceName>, &[(&resource::Endpoint, Member)]),
    ) {
        let here = self.zone.clone();
        let prefers = service.traffic_distribution == Some(TrafficDistribution::PreferSameZone);
        let mut families: [Option<Target>; 2] = [None, None];
        for (index, address) in service.addresses.iter().enumerate() {
            let family = families.get_mut(usize::from(address.is_ipv6())).expect("there are two families");
            let target = family.get_or_insert_with(|| {
                let is_near = |member: &Member| prefers && here.is_some() && member.zone == here;
                let ready = members.iter().filter(|(endpoint, _)| endpoint.ready);
                let (near, far): (Vec<_>, Vec<_>) = ready.partition(|(_, member)| is_near(member));
                let endpoints = near.iter().chain(&far).filter_map(|(endpoint, member)| {
                    let ip = preferred(&member.addresses, address.is_ipv6())?;
                    let address = SocketAddr::new(ip, target_port(port, endpoint));
                    let edge = Edge::to_service(Arc::clone(name), member.labels.clone());
                    let load = load(&mut self.loads, self.previous, address);
                    Some(Endpoint { address, edge, load })
                });
                Target::Service(Arc::new(ServicePort {
                    name: Arc::clone(name),
                    port: port.port.get(),
                    hint: hint(port),
                    endpoints: endpoints.collect(),
                    near: near.len(),
                    edge: Edge::to_service(Arc::clone(name), None),
                }))
            });
            let target = target.clone();
            let destination = (Network((*address).into()), Some(port.port));
            self.claim(subject, &format!("addresses[{index}]"), destination, target);
        }
    }
}

/// Each ready endpoint is called at its own address too, as this Service's if it is the only one that says so.
fn add_headless(
    headless: &mut Headless,
    subject: &Subject,
    name: &Arc<ServiceName>,
    (port, members): (&resource::ServicePort, &[(&resource::Endpoint, Member)]),
) {
    for (endpoint, member) in members {
        let host = Arc::new(Host {
            name: Some(Arc::clone(name)),
            hint: hint(port),
            edge: Edge::to_service(Arc::clone(name), member.labels.clone()),
        });
        for ip in &member.addresses {
            let claim = (Target::Workload(Arc::clone(&host)), subject.clone());
            let address = SocketAddr::new(*ip, target_port(port, endpoint));
            headless.entry(address).and_modify(|claims| *claims = None).or_insert(Some(claim));
        }
    }
}

fn hint(port: &resource::ServicePort) -> Option<Hint> {
    declared(port.app_protocol.as_ref(), port.name.as_ref())
}

fn service_name(service: &Service) -> ServiceName {
    let Service { name: Name(name), namespace: Name(namespace), host, .. } = service;
    let host = match host {
        Some(Name(host)) => Arc::clone(host),
        None => format!("{name}.{namespace}.svc.cluster.local").into(),
    };
    ServiceName { host, name: Arc::clone(name), namespace: Arc::clone(namespace) }
}

fn target_port(port: &resource::ServicePort, endpoint: &resource::Endpoint) -> u16 {
    let own = port.name.as_ref().and_then(|name| endpoint.ports.get(name)).copied();
    own.or(port.target_port).unwrap_or(port.port).get()
}

/// The address of the family that the client called, if there is one.
fn preferred(addresses: &[IpAddr], v6: bool) -> Option<IpAddr> {
    addresses.iter().find(|address| address.is_ipv6() == v6).or(addresses.first()).copied()
}

/// The same counter for the same endpoint, whichever Service and snapshot it is in.
fn load(
    loads: &mut HashMap<SocketAddr, Arc<Load>>,
    previous: Option<&Snapshot>,
    address: SocketAddr,
) -> Arc<Load> {
    let known = || previous.and_then(|previous| previous.loads.get(&address)).cloned();
    Arc::clone(loads.entry(address).or_insert_with(|| known().unwrap_or_default()))
}
