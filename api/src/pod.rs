//! What a patched pod contains: containers, users, volumes, paths.

/// The init container that installs the redirect rules. Istio's name, which dashboards and people's fingers know.
pub const INIT_CONTAINER: &str = "istio-init";

/// The sidecar. Istio's name.
pub const PROXY_CONTAINER: &str = "istio-proxy";

/// The proxy's uid; connections of this uid *and* [`PROXY_GID`] are not captured.
pub const PROXY_UID: u32 = 1337;

/// The proxy's gid.
pub const PROXY_GID: u32 = 1337;

/// The last part of the addresses from which the proxy calls the application: 127.0.0.x, which every lo has, and ::x, which
/// `init-redirect` puts there. Never 1, since servers trust that.
pub const INBOUND_SOURCES: core::ops::RangeInclusive<u8> = 6..=15;

/// The uid of `init-redirect`, which has its privilege from file capabilities.
pub const INIT_UID: u32 = 65534;

/// The gid of `init-redirect`.
pub const INIT_GID: u32 = 65534;

/// The capabilities that the `init-redirect` binary carries in its image, permitted and not effective.
pub const INIT_FILE_CAPABILITIES: [&str; 4] = ["cap_net_admin", "cap_net_raw", "cap_setuid", "cap_setgid"];

/// The one capability that the injector grants to the init container.
pub const INIT_GRANTED_CAPABILITY: &str = "NET_ADMIN";

/// Granted besides [`INIT_GRANTED_CAPABILITY`] where the rules are installed by iptables' legacy programs.
pub const INIT_LEGACY_CAPABILITY: &str = "NET_RAW";

/// Image of the proxy, as the manifests and the image archives name it.
pub const PROXY_IMAGE: &str = "localhost/remora/proxy:0.1.0";

/// Image of `init-redirect`.
pub const INIT_IMAGE: &str = "localhost/remora/init-redirect:0.1.0";

/// Image of `init-redirect` with iptables' programs, for kernels without nf_tables.
pub const INIT_IPTABLES_IMAGE: &str = "localhost/remora/init-redirect-iptables:0.1.0";

/// Image of the injector.
pub const INJECTOR_IMAGE: &str = "localhost/remora/injector:0.1.0";

/// The proxy's binary in its image.
pub const PROXY_BINARY: &str = "/proxy";

/// The init container's binary in its image.
pub const INIT_BINARY: &str = "/init-redirect";

/// The injector's binary in its image.
pub const INJECTOR_BINARY: &str = "/injector";

/// Name of the proxy container's metrics port.
pub const METRICS_PORT_NAME: &str = "remora-metrics";

/// Volume: state shared by the two containers, a small tmpfs.
pub const STATE_VOLUME: &str = "remora-state";

/// Where [`STATE_VOLUME`] is mounted.
pub const STATE_PATH: &str = "/var/lib/remora";

/// Size limit of [`STATE_VOLUME`].
pub const STATE_SIZE_LIMIT: &str = "8Mi";

/// An empty directory of [`STATE_VOLUME`], mounted read-only at [`API_TOKEN_PATH`] so that the ServiceAccount plugin does
/// not mount the application's API token into our containers.
pub const NO_TOKEN_SUBPATH: &str = "no-token";

/// Where Kubernetes mounts the application's API token.
pub const API_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Volume: the projected service-account token with which the proxy will ask for its certificate.
pub const TOKEN_VOLUME: &str = "remora-token";

/// Where [`TOKEN_VOLUME`] is mounted.
pub const TOKEN_PATH: &str = "/var/run/secrets/remora/token";

/// The token's file name within [`TOKEN_PATH`].
pub const TOKEN_FILE: &str = "token";

/// Audience of the projected token.
pub const TOKEN_AUDIENCE: &str = "remora-ca";

/// Lifetime of the projected token, seconds.
pub const TOKEN_LIFETIME_SECONDS: i64 = 43_200;

/// Volume: the mesh's trust bundle, optional until there is one.
pub const TRUST_VOLUME: &str = "remora-trust";

/// Where [`TRUST_VOLUME`] is mounted.
pub const TRUST_PATH: &str = "/var/run/secrets/remora/trust";

/// ConfigMap of each namespace that holds the trust bundle.
pub const TRUST_CONFIG_MAP: &str = "remora-trust-bundle";

/// Volume: the pod's labels and annotations (downward API).
pub const POD_INFO_VOLUME: &str = "remora-podinfo";

/// Where [`POD_INFO_VOLUME`] is mounted.
pub const POD_INFO_PATH: &str = "/etc/remora/pod";

/// The Unix socket, within [`STATE_PATH`], over which `proxy drain` and its siblings speak to the running proxy.
pub const CONTROL_SOCKET: &str = "/var/lib/remora/proxy.sock";

/// The report of `init-redirect`, within [`STATE_PATH`].
pub const REDIRECT_REPORT: &str = "/var/lib/remora/redirect.json";

/// All volumes that injection adds.
pub const VOLUMES: [&str; 4] = [STATE_VOLUME, TOKEN_VOLUME, TRUST_VOLUME, POD_INFO_VOLUME];

/// The nftables table of the redirect rules (family inet), and the prefix of iptables chains.
pub const NFT_TABLE: &str = "remora";
