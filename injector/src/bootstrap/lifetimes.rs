//! How long certificates live, as options.

use std::time::Duration;

use clap::Args;

use crate::pki::Profile;

/// Below it a replica would hardly do anything else than replace certificates.
const SHORTEST_LEAF: Duration = Duration::from_secs(10);

/// Below it API servers have no time to learn of a next authority.
const SHORTEST_CA: Duration = Duration::from_secs(60);

const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A leaf that lived for longer would be cut short by the end of its authority.
const LEAVES_A_CA: u32 = 4;

/// Lifetimes; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Copy, Debug)]
pub struct LifetimeArgs {
    /// How long the built-in certificate authority lives; the next one is made at half of it
    #[arg(long, env = "REMORA_CA_LIFETIME", default_value = "90d", value_name = "TIME", value_parser = ca_lifetime)]
    pub ca_lifetime: Duration,

    /// How long a serving certificate lives, at most a quarter of --ca-lifetime; it is replaced after two thirds of it
    #[arg(long, env = "REMORA_LEAF_LIFETIME", default_value = "24h", value_name = "TIME", value_parser = leaf_lifetime)]
    pub leaf_lifetime: Duration,
}

/// Lifetimes that do not go together.
#[derive(Debug, thiserror::Error)]
#[error(
    "--leaf-lifetime {} is more than a quarter of --ca-lifetime {}: shorten the one or lengthen the other",
    humantime::format_duration(*leaf_lifetime), humantime::format_duration(*ca_lifetime)
)]
pub struct LifetimesError {
    ca_lifetime: Duration,
    leaf_lifetime: Duration,
}

impl LifetimeArgs {
    /// The schedule that they make.
    pub fn profile(&self) -> Result<Profile, LifetimesError> {
        let Self { ca_lifetime, leaf_lifetime } = *self;
        if leaf_lifetime * LEAVES_A_CA > ca_lifetime {
            return Err(LifetimesError { ca_lifetime, leaf_lifetime });
        }
        Ok(Profile { ca_lifetime, leaf_lifetime })
    }
}

fn ca_lifetime(text: &str) -> Result<Duration, String> {
    lifetime(text, SHORTEST_CA, "allowed are times from 1m to 3650d, such as 90d")
}

fn leaf_lifetime(text: &str) -> Result<Duration, String> {
    lifetime(text, SHORTEST_LEAF, "allowed are times from 10s to 3650d, such as 24h")
}

fn lifetime(text: &str, shortest: Duration, allowed: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text).map_err(|error| format!("{error}; {allowed}"))?;
    if (shortest..=LONGEST).contains(&lifetime) { Ok(lifetime) } else { Err(allowed.to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::LifetimeArgs;

    #[test]
    fn a_leaf_takes_a_quarter_of_its_authority_s_life_at_most() {
        let profile = |ca, leaf| {
            let seconds = Duration::from_secs;
            LifetimeArgs { ca_lifetime: seconds(ca), leaf_lifetime: seconds(leaf) }.profile()
        };
        assert!(profile(120, 30).is_ok());
        let error = profile(120, 31).unwrap_err().to_string();
        assert!(error.contains("--leaf-lifetime 31s") && error.contains("--ca-lifetime 2m"), "{error}");
    }
}
