//! The volumes that injection adds, and how our containers mount them.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    ObjectFieldSelector, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Those that a cluster autoscaler may take for data on the node. Newer ones know that memory is none.
pub(super) const LOCAL: [&str; 1] = [api::pod::STATE_VOLUME];

/// Our four, in the order of [`api::pod::VOLUMES`].
pub(super) fn volumes() -> Vec<Volume> {
    vec![state(), token(), trust(), pod_info()]
}

/// Memory, since it holds a socket and a report, and must vanish with the pod.
fn state() -> Volume {
    Volume {
        name: api::pod::STATE_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".to_owned()),
            size_limit: Some(Quantity(api::pod::STATE_SIZE_LIMIT.to_owned())),
        }),
        ..Volume::default()
    }
}

fn token() -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: Some(api::pod::TOKEN_AUDIENCE.to_owned()),
        expiration_seconds: Some(api::pod::TOKEN_LIFETIME_SECONDS),
        path: api::pod::TOKEN_FILE.to_owned(),
    };
    projected(
        api::pod::TOKEN_VOLUME,
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
    )
}

/// Optional: a pod must start before the mesh has a trust bundle in its namespace.
fn trust() -> Volume {
    let bundle = ConfigMapProjection {
        name: api::pod::TRUST_CONFIG_MAP.to_owned(),
        optional: Some(true),
        ..ConfigMapProjection::default()
    };
    projected(
        api::pod::TRUST_VOLUME,
        VolumeProjection { config_map: Some(bundle), ..VolumeProjection::default() },
    )
}

fn projected(name: &str, source: VolumeProjection) -> Volume {
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![source]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn pod_info() -> Volume {
    let file = |name: &str| DownwardAPIVolumeFile {
        path: name.to_owned(),
        field_ref: Some(ObjectFieldSelector { field_path: format!("metadata.{name}"), api_version: None }),
        ..DownwardAPIVolumeFile::default()
    };
    Volume {
        name: api::pod::POD_INFO_VOLUME.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![file("labels"), file("annotations")]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Mounts of the init container.
pub(super) fn init_mounts() -> Vec<VolumeMount> {
    vec![writable(api::pod::STATE_VOLUME, api::pod::STATE_PATH), no_api_token()]
}

/// Mounts of the proxy.
pub(super) fn proxy_mounts() -> Vec<VolumeMount> {
    vec![
        writable(api::pod::STATE_VOLUME, api::pod::STATE_PATH),
        read_only(api::pod::TOKEN_VOLUME, api::pod::TOKEN_PATH),
        read_only(api::pod::TRUST_VOLUME, api::pod::TRUST_PATH),
        read_only(api::pod::POD_INFO_VOLUME, api::pod::POD_INFO_PATH),
        no_api_token(),
    ]
}

fn writable(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { name: volume.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..writable(volume, path) }
}

/// The ServiceAccount plugin mounts the application's API token into every container that mounts nothing there. An
/// empty directory keeps it out, and keeps the API server from calling the webhook a second time.
fn no_api_token() -> VolumeMount {
    VolumeMount {
        sub_path: Some(api::pod::NO_TOKEN_SUBPATH.to_owned()),
        ..read_only(api::pod::STATE_VOLUME, api::pod::API_TOKEN_PATH)
    }
}
