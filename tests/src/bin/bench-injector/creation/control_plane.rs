//! The API server without nodes: it calls webhooks of this machine, and nothing else happens to the pods.

use anyhow::{Context, Result};
use serde_json::Value;
use tests::control_plane::ControlPlane;

use super::at_once::{self, Service};
use super::{CONFIGURATIONS, WEBHOOK, Way, measure, patch, report};
use crate::process::free_ports;
use crate::serve::{Allow, Injector};

/// The name of the Service of a webhook of ours, in its way's namespace.
const SERVICE: &str = "at-once";

pub(crate) async fn print() -> Result<()> {
    report::title("at a real API server without nodes");
    let control_plane = ControlPlane::start(&[]).await?;
    let mut client = control_plane.client()?;
    for way in Way::ALL {
        control_plane.create_namespace(way.namespace(), &way.labels()).await?;
    }
    let patch = patch(&mut client).await?;
    let injector = injector(&control_plane).await?;
    let mut webhooks = Vec::new();
    for way in Way::AT_ONCE {
        let namespace = way.namespace();
        let webhook = Allow::start(&format!("{SERVICE}.{namespace}.svc"), &at_once::rest(way, &patch))?;
        control_plane.create_service(namespace, SERVICE, webhook.port).await?;
        let service =
            Service { namespace, name: SERVICE, port: webhook.port, certificate: &webhook.certificate };
        at_once::configure(&mut client, way, &service).await?;
        webhooks.push(webhook);
    }
    report::print(&measure(&mut client, async || injector.metrics().await).await?);
    Ok(())
}

async fn injector(control_plane: &ControlPlane) -> Result<Injector> {
    let [port] = free_ports()?;
    control_plane.create_namespace(api::control::NAMESPACE, &serde_json::json!({})).await?;
    control_plane.create_service(api::control::NAMESPACE, api::control::INJECTOR, port).await?;
    let mut configuration: Value = serde_saphyr::from_str(WEBHOOK).context("manifests/webhook.yaml")?;
    let entries =
        configuration.pointer_mut("/webhooks").and_then(Value::as_array_mut).context("no entries")?;
    for entry in entries {
        if let Some(found) = entry.pointer_mut("/clientConfig/service/port") {
            *found = port.into();
        }
    }
    control_plane.client()?.create(CONFIGURATIONS, &configuration).await?;
    Injector::start(&control_plane.kubeconfig_path(), port).await
}
