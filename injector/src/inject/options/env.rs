//! Further variables of the proxy's environment.

use serde::Deserialize;

use super::draft::Draft;
use super::{Parsed, malformed, quoted};

/// One variable, whose name none of injection's own has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Variable {
    pub(in super::super) name: String,
    pub(in super::super) value: String,
}

const MOST: usize = 64;

/// Beginnings of names that are injection's own. Of the second kind Kubernetes makes variables itself, for Services.
const RESERVED: [&str; 3] = ["REMORA_", "ISTIO_", "KUBERNETES_"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    #[serde(default)]
    value: String,
}

/// Adds to what earlier layers said; of two variables with one name the later one stays.
pub(super) fn set(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let given: Vec<Given> = match serde_json::from_str(text) {
        Ok(given) => given,
        Err(error) => return malformed(quoted(&error.to_string())),
    };
    if given.len() > MOST {
        return malformed(format!("it has more than {MOST} variables"));
    }
    let mut variables = draft.options.env.clone();
    for Given { name, value } in given {
        check(&name)?;
        if value.contains('\0') {
            return malformed(format!("the value of {name} has a NUL"));
        }
        variables.retain(|variable| variable.name != name);
        variables.push(Variable { name, value });
    }
    draft.put(|o| &mut o.env, variables.to_vec())
}

fn check(name: &str) -> Parsed<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let valid = !name.is_empty()
        && name.len() <= 256
        && name.bytes().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !valid {
        return malformed(format!("{} is not the name of a variable", quoted(name)));
    }
    let own = RESERVED.iter().any(|reserved| name.starts_with(reserved)) || OWN.contains(&name);
    if own { malformed(format!("{name} is one of injection's own")) } else { Ok(()) }
}

/// Names of injection's own with other beginnings.
const OWN: [&str; 8] = [
    api::env::POD_NAME,
    api::env::POD_NAMESPACE,
    api::env::POD_UID,
    api::env::INSTANCE_IP,
    api::env::INSTANCE_IPS,
    api::env::NODE_NAME,
    api::env::HOST_IP,
    api::env::SERVICE_ACCOUNT,
];
