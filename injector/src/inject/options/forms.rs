//! Allowed forms, as messages and the README name them.

pub(in super::super) const PORTS: &str = "a list of ports and ranges from 1 to 65535, such as 80,8000-8100";
pub(in super::super) const PORT_SELECTION: &str =
    "* or a list of ports and ranges from 1 to 65535, such as 80,8000-8100";
pub(in super::super) const CIDRS: &str = "a list of CIDRs such as 10.0.0.0/8,2001:db8::/32";
pub(in super::super) const CIDR_SELECTION: &str = "* or a list of CIDRs such as 10.0.0.0/8,2001:db8::/32";
pub(in super::super) const INTERFACES: &str =
    "a list of names of interfaces of at most 15 characters, such as net1,tap+ (+ stands for any ending)";
pub(in super::super) const IDS: &str = "a list of numeric ids and ranges, such as 1000,2000-2010";
pub(in super::super) const ID: &str = "a number from 1 to 2147483647";
pub(in super::super) const SWITCH: &str = "\"true\" or \"false\"";
pub(in super::super) const QUANTITY: &str =
    "a positive Kubernetes quantity, such as 500m for half a core or 64Mi for memory";
pub(in super::super) const COLLECTOR: &str = "http://HOST, http://HOST:PORT, or either with a path";
pub(in super::super) const AUTHORITY: &str = "HOST:PORT, or HOST";
pub(in super::super) const PROTOCOL: &str = "one of otlp-http, otlp-grpc, zipkin";
pub(in super::super) const PERCENTAGE: &str = "a number from 0 to 100, such as 1 or 0.5";
pub(in super::super) const QUEUE: &str = "a Kubernetes quantity of bytes from 16Ki to 256Mi, such as 4Mi";
pub(in super::super) const LEVEL: &str = "one of trace, debug, info, warning, error, critical, off";
pub(in super::super) const COMPONENTS: &str = "a list of component:level, such as inbound:debug,net:trace";
pub(in super::super) const FILTER: &str = "a level, or a list such as warn,proxy=info";
pub(in super::super) const DURATION: &str = "a duration such as 20s, 500ms or 1m30s, at most 24h";
pub(in super::super) const SECONDS: &str = "whole seconds, at most 86400";
pub(in super::super) const COUNT: &str = "a whole number from 1 to 2147483647";
pub(in super::super) const DELAY: &str = "a whole number from 0 to 2147483647";
pub(in super::super) const READINESS_PORT: &str =
    "a port from 1 to 65535 that the proxy does not use otherwise, or 0 for no readiness probe";
pub(in super::super) const WORKERS: &str = "a whole number from 1 to 128";
pub(in super::super) const IMAGE: &str = "an image reference, such as registry.example.com/remora/proxy:1.0";
pub(in super::super) const TAG: &str =
    "an image tag of at most 128 letters, digits, dots, dashes and underscores";
pub(in super::super) const PULL_POLICY: &str = "one of Always, IfNotPresent, Never";
pub(in super::super) const VOLUMES: &str = "a JSON list of at most 16 volumes as a pod has them, such as [{\"name\": \"a\", \"secret\": \
     {\"secretName\": \"b\"}}], or a map from names to such volumes without the name; names of injection's own and of the \
     pod's volumes are taken";
pub(in super::super) const MOUNTS: &str = "a JSON list of at most 16 mounts as a container has them, such as [{\"name\": \"a\", \"mountPath\": \
     \"/etc/a\", \"readOnly\": true}], or a map from names of volumes to such mounts without the name; paths are absolute \
     and not the proxy's own, and names are those of sidecar.istio.io/userVolume or of the pod's volumes";
pub(in super::super) const ENV: &str = "a JSON list of at most 64 {\"name\": \"A\", \"value\": \"b\"}, names being letters, digits \
     and underscores and none of injection's own";
