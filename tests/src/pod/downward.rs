//! The downward API: what a pod may know of itself, and the environment that is made of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::manifest::{ContainerSpec, EnvVar, Manifest, ResourceFieldRef, ValueFrom};

/// A pod, and what the node adds to it.
pub(crate) struct Facts<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) pod_ips: Vec<IpAddr>,
    pub(crate) node_name: &'a str,
    pub(crate) host_ips: Vec<IpAddr>,
}

impl Facts<'_> {
    /// The environment of a container: what a runtime always sets, then the specification's.
    pub(crate) fn environment(&self, container: &ContainerSpec) -> Result<Vec<(String, String)>> {
        let mut environment = BTreeMap::from([
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOSTNAME".to_owned(), self.manifest.metadata.name.clone()),
        ]);
        for EnvVar { name, value, value_from } in &container.env {
            let value = match value_from {
                Some(source) => {
                    self.value(source, Some(container)).with_context(|| format!("variable {name}"))?
                }
                None => expand(value, &environment),
            };
            environment.insert(name.clone(), value);
        }
        Ok(environment.into_iter().collect())
    }

    /// A field or a resource; `own` is the container that asks, where one does.
    pub(crate) fn value(&self, source: &ValueFrom, own: Option<&ContainerSpec>) -> Result<String> {
        match source {
            ValueFrom::FieldRef(field) => self.field(&field.field_path),
            ValueFrom::ResourceFieldRef(resource) => self.resource(resource, own),
        }
    }

    fn field(&self, path: &str) -> Result<String> {
        let Manifest { metadata, spec } = self.manifest;
        if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
            let map = match map {
                "metadata.labels" => &metadata.labels,
                "metadata.annotations" => &metadata.annotations,
                _ => bail!("the downward API has no field {path}"),
            };
            return Ok(map.get(key).cloned().unwrap_or_default());
        }
        Ok(match path {
            "metadata.name" => metadata.name.clone(),
            "metadata.namespace" => metadata.namespace.clone(),
            "metadata.uid" => metadata.uid.clone(),
            "metadata.labels" => lines(&metadata.labels),
            "metadata.annotations" => lines(&metadata.annotations),
            "spec.nodeName" => self.node_name.to_owned(),
            "spec.serviceAccountName" => spec.service_account_name.clone(),
            "status.podIP" => first(&self.pod_ips),
            "status.podIPs" => join(&self.pod_ips),
            "status.hostIP" => first(&self.host_ips),
            "status.hostIPs" => join(&self.host_ips),
            _ => bail!("the downward API has no field {path}"),
        })
    }

    fn resource(&self, wanted: &ResourceFieldRef, own: Option<&ContainerSpec>) -> Result<String> {
        let spec = &self.manifest.spec;
        let named =
            |name: &String| spec.init_containers.iter().chain(&spec.containers).find(|c| c.name == *name);
        let container = wanted
            .container_name
            .as_ref()
            .map_or(own, named)
            .context("resourceFieldRef: no such container")?;
        let (kind, resource) =
            wanted.resource.split_once('.').context("resource is not `limits.X` or `requests.X`")?;
        let table =
            if kind == "limits" { &container.resources.limits } else { &container.resources.requests };
        let quantity = table.get(resource).with_context(|| {
            format!(
                "container {} has no {}: a kubelet would give the node's whole capacity",
                container.name, wanted.resource
            )
        })?;
        let divisor = wanted.divisor.as_deref().filter(|divisor| *divisor != "0").unwrap_or("1");
        let (amount, divisor) = (milli(&text(quantity))?, milli(divisor)?);
        Ok(amount.div_ceil(divisor.max(1)).to_string())
    }
}

fn text(quantity: &Value) -> String {
    quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned)
}

/// A quantity in thousandths of its unit.
fn milli(quantity: &str) -> Result<u64> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(digits);
    let factor = match suffix {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        _ => bail!("quantity {quantity:?} has a suffix that the pod runner does not know"),
    };
    let number: u64 = number.parse().with_context(|| format!("quantity {quantity:?}"))?;
    number.checked_mul(factor).with_context(|| format!("quantity {quantity:?} is too large"))
}

/// Replaces `$(NAME)` by variables that are known already; `$$` is a dollar sign, and what is not known stays.
pub(crate) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        let reference = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        rest = match reference {
            _ if after.starts_with('$') => {
                result.push('$');
                after.get(1..).unwrap_or_default()
            }
            Some((name, end)) if known.contains_key(name) => {
                result.push_str(known.get(name).map_or("", String::as_str));
                end
            }
            _ => {
                result.push('$');
                after
            }
        };
    }
    result + rest
}

fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

fn first(addresses: &[IpAddr]) -> String {
    addresses.first().map(ToString::to_string).unwrap_or_default()
}

fn join(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{expand, milli};

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        assert_eq!(expand("$(A) $(B) $$(A) $A $(A", &known), "1 $(B) $(A) $A $(A");
    }

    #[test]
    fn quantities_are_read_and_unknown_ones_refused() {
        assert_eq!(milli("250m").unwrap(), 250);
        assert_eq!(milli("2").unwrap(), 2000);
        assert_eq!(milli("128Mi").unwrap(), 128 * 1024 * 1024 * 1000);
        assert!(milli("1.5").is_err() && milli("x").is_err() && milli("").is_err());
    }
}
