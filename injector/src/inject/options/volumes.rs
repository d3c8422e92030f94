//! Further volumes of the pod and further mounts of the proxy, as Istio writes them: JSON of the API's own types, either a
//! list, or a map from names to objects that do not repeat the name.
//!
//! It deliberately knows nothing of the pod: whether a name is taken there, and whether a mount has its volume, the rules
//! ask.
//!
//! Invariant: a value says nothing that the API has no field for, and no name and no path of injection's own.

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{Parsed, malformed, quoted};
use crate::strict;

/// Of each; more are no sidecar's need.
const MOST: usize = 16;

/// As of every name of a volume (RFC 1123).
const LONGEST_NAME: usize = 63;

/// As of every path.
const LONGEST_PATH: usize = 4095;

/// Where the proxy's container has something already: nothing is mounted there, above or below.
const TAKEN: [&str; 9] = [
    api::pod::STATE_PATH,
    api::pod::TOKEN_PATH,
    api::pod::TRUST_PATH,
    api::pod::POD_INFO_PATH,
    api::pod::API_TOKEN_PATH,
    api::pod::PROXY_BINARY,
    // The runtime's.
    "/dev",
    "/proc",
    "/sys",
];

/// Adds to what earlier layers said; of two volumes with one name the later one stays.
pub(super) fn volumes(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let given: Vec<Volume> = read(text)?;
    let mut volumes = draft.options.volumes.clone();
    for (at, volume) in given.iter().enumerate() {
        let name = &volume.name;
        if given.iter().skip(at + 1).any(|other| other.name == *name) {
            return malformed(format!("it has the volume {name} twice"));
        }
        if sources(volume) != 1 {
            return malformed(format!("the volume {name} needs one source, such as \"emptyDir\": {{}}"));
        }
        volumes.retain(|earlier| earlier.name != *name);
    }
    volumes.extend(given);
    draft.put(|o| &mut o.volumes, volumes.to_vec())
}

/// Adds to what earlier layers said; of two mounts at one path the later one stays.
pub(super) fn mounts(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let given: Vec<VolumeMount> = read(text)?;
    let mut mounts = draft.options.mounts.clone();
    for (at, mount) in given.iter().enumerate() {
        check(mount)?;
        let same = |other: &VolumeMount| trimmed(&other.mount_path) == trimmed(&mount.mount_path);
        if given.iter().skip(at + 1).any(same) {
            return malformed(format!("it has two mounts at {}", quoted(&mount.mount_path)));
        }
        mounts.retain(|earlier| !same(earlier));
    }
    mounts.extend(given);
    draft.put(|o| &mut o.mounts, mounts.to_vec())
}

/// Objects of a type of the API, each with a name that is not taken.
fn read<T: DeserializeOwned + Serialize>(text: &str) -> Parsed<Vec<T>> {
    let objects = match strict::from_text(text) {
        Ok(Value::Array(items)) => items,
        Ok(Value::Object(named)) => named.into_iter().map(named_object).collect::<Result<_, _>>()?,
        Ok(_) => return malformed("it is neither a list nor a map"),
        Err(error) => return malformed(quoted(&error.to_string())),
    };
    if objects.len() > MOST {
        return malformed(format!("it has more than {MOST} objects"));
    }
    objects.into_iter().map(typed).collect()
}

fn named_object((name, object): (String, Value)) -> Parsed<Value> {
    let Value::Object(mut fields) = object else {
        return malformed(format!("{} is not an object", quoted(&name)));
    };
    match fields.insert("name".to_owned(), Value::String(name.clone())) {
        Some(other) if other != Value::String(name.clone()) => {
            malformed(format!("{} calls itself {}", quoted(&name), quoted(&other.to_string())))
        }
        Some(_) | None => Ok(Value::Object(fields)),
    }
}

/// What the type has no field for is lost on the way through it, which is how it is found.
fn typed<T: DeserializeOwned + Serialize>(mut object: Value) -> Parsed<T> {
    drop_nulls(&mut object);
    let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
    check_name(name)?;
    let typed: T = match serde_json::from_value(object.clone()) {
        Ok(typed) => typed,
        Err(error) => return malformed(format!("{name}: {}", quoted(&error.to_string()))),
    };
    let kept = serde_json::to_value(&typed).unwrap_or_default();
    match lost(&object, &kept) {
        None => Ok(typed),
        Some(field) => malformed(format!("{name} has {}, which is no field there", quoted(&field))),
    }
}

/// To the API null is absent.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The path of the first field that is in `given` alone.
fn lost(given: &Value, kept: &Value) -> Option<String> {
    let joined =
        |key: &str, rest: String| if rest.is_empty() { key.to_owned() } else { format!("{key}.{rest}") };
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            given.iter().find_map(|(key, value)| match kept.get(key) {
                Some(kept) => lost(value, kept).map(|rest| joined(key, rest)),
                None => Some(key.clone()),
            })
        }
        (Value::Array(given), Value::Array(kept)) => {
            given.iter().zip(kept).find_map(|(given, kept)| lost(given, kept))
        }
        _ => None,
    }
}

fn check_name(name: &str) -> Parsed<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain);
    if !valid || name.starts_with('-') || name.ends_with('-') {
        return malformed(format!("{} is not the name of a volume", quoted(name)));
    }
    if api::pod::VOLUMES.contains(&name) {
        return malformed(format!("{name} is one of injection's own volumes"));
    }
    Ok(())
}

/// Everything but the name.
fn sources(volume: &Volume) -> usize {
    let fields = serde_json::to_value(volume).unwrap_or_default();
    fields.as_object().map_or(0, Map::len).saturating_sub(1)
}

/// What the API server would refuse, and what would take something from the proxy.
fn check(mount: &VolumeMount) -> Parsed<()> {
    let path = &mount.mount_path;
    let clean = trimmed(path);
    let named = |part: &str| !part.is_empty() && part != "." && part != "..";
    let absolute = clean.strip_prefix('/').is_some_and(|rest| rest.split('/').all(named));
    if !absolute || path.len() > LONGEST_PATH || path.contains(|c: char| c == ':' || c.is_control()) {
        return malformed(format!("{} is not an absolute path of a directory or a file", quoted(path)));
    }
    if let Some(taken) = TAKEN.iter().find(|taken| within(clean, taken) || within(taken, clean)) {
        return malformed(format!("a mount at {} would be in the way of {taken}", quoted(path)));
    }
    let sub_paths = [&mount.sub_path, &mount.sub_path_expr];
    let mut given = sub_paths.into_iter().flatten().filter(|path| !path.is_empty());
    let inside = |path: &String| !path.starts_with('/') && path.split('/').all(|part| part != "..");
    if given.next().is_some_and(|path| !inside(path)) || given.next().is_some() {
        return malformed(format!(
            "the mount at {} needs one subPath or subPathExpr at most, within the volume",
            quoted(path)
        ));
    }
    let propagation = mount.mount_propagation.as_deref().unwrap_or("None");
    if !["None", "HostToContainer"].contains(&propagation) {
        return malformed(format!("mountPropagation of {} is {}", quoted(path), quoted(propagation)));
    }
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => Ok(()),
        Some("IfPossible" | "Enabled") if mount.read_only == Some(true) && propagation == "None" => Ok(()),
        Some(other) => malformed(format!("recursiveReadOnly of {} is {}", quoted(path), quoted(other))),
    }
}

fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

fn within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Volume, VolumeMount};

    use super::super::Refusal;
    use super::{check, read};

    fn told(refusal: Refusal) -> String {
        match refusal {
            Refusal::Malformed(text) | Refusal::NotOffered(_, text) => text,
        }
    }

    #[test]
    fn lists_and_maps_say_the_same() {
        for (list, map) in [
            (
                r#"[{"name": "a", "secret": {"secretName": "s", "optional": true}}]"#,
                r#"{"a": {"secret": {"secretName": "s", "optional": true}}}"#,
            ),
            (r#"[{"name": "a", "emptyDir": {}, "nfs": null}]"#, r#"{"a": {"name": "a", "emptyDir": {}}}"#),
            ("[]", "{}"),
        ] {
            assert_eq!(read::<Volume>(list), read::<Volume>(map), "{list}");
            assert!(read::<Volume>(list).is_ok(), "{list}");
        }
        let mounts = read::<VolumeMount>(r#"{"a": {"mountPath": "/etc/a/", "readOnly": true}}"#).unwrap();
        assert_eq!((mounts[0].name.as_str(), mounts[0].read_only), ("a", Some(true)));
    }

    #[test]
    fn what_is_no_volume_is_told() {
        for (text, problem) in [
            ("", "EOF"),
            ("1", "neither a list nor a map"),
            ("[1]", "not the name"),
            ("[{}]", "\"\" is not the name"),
            (r#"{"A": {}}"#, "\"A\" is not the name"),
            (r#"{"a": 1}"#, "\"a\" is not an object"),
            (r#"{"a": {"name": "b"}}"#, "calls itself"),
            (r#"{"a": {"emptyDir": {}}, "a": {}}"#, "appears twice"),
            (r#"[{"name": "a", "emptyDir": {"medium": "Memory", "size": 1}}]"#, "\"emptyDir.size\""),
            (r#"[{"name": "a", "configmap": {"name": "c"}}]"#, "\"configmap\", which is no field"),
            (
                r#"[{"name": "a", "projected": {"sources": [{"secret": {"nam": "x"}}]}}]"#,
                "sources.secret.nam",
            ),
            (r#"[{"name": "a", "secret": "s"}]"#, "a: "),
            (r#"[{"name": "remora-token", "emptyDir": {}}]"#, "injection's own"),
            ("[{\"name\": \"a\\n\"}]", "\"a\\n\" is not"),
        ] {
            let refusal = told(read::<Volume>(text).unwrap_err());
            assert!(refusal.contains(problem) && !refusal.contains('\n'), "{text}: {refusal}");
        }
    }

    #[test]
    fn bad_mounts_are_refused() {
        let mount = |fields: &str| read::<VolumeMount>(&format!("[{{\"name\": \"a\", {fields}}}]")).unwrap();
        for fields in [
            r#""mountPath": """#,
            r#""mountPath": "/""#,
            r#""mountPath": "etc""#,
            r#""mountPath": "/a//b""#,
            r#""mountPath": "/a/../proc""#,
            r#""mountPath": "/a:b""#,
            r#""mountPath": "/a\u0000""#,
            r#""mountPath": "/proxy""#,
            r#""mountPath": "/proc/sys""#,
            r#""mountPath": "/var""#,
            r#""mountPath": "/var/run/secrets/kubernetes.io/serviceaccount/""#,
            r#""mountPath": "/var/lib/remora/proxy.sock""#,
            r#""mountPath": "/a", "subPath": "../b""#,
            r#""mountPath": "/a", "subPath": "/b""#,
            r#""mountPath": "/a", "subPath": "b", "subPathExpr": "$(POD_NAME)""#,
            r#""mountPath": "/a", "mountPropagation": "Bidirectional""#,
            r#""mountPath": "/a", "recursiveReadOnly": "Enabled""#,
        ] {
            assert!(check(&mount(fields)[0]).is_err(), "{fields}");
        }
        for fields in [
            r#""mountPath": "/etc/certs/""#,
            r#""mountPath": "/var/run/secrets/remora/more""#,
            r#""mountPath": "/proxy-data", "subPathExpr": "a/$(POD_NAME)", "mountPropagation": "HostToContainer""#,
            r#""mountPath": "/a", "readOnly": true, "recursiveReadOnly": "IfPossible""#,
        ] {
            assert_eq!(check(&mount(fields)[0]), Ok(()), "{fields}");
        }
    }
}
