//! What the proxy runs with, for people who ask why: `/config_dump` on the port for administration.
//!
//! The options are taken from the command line's own definition, so that none can be missing, each with where its value comes
//! from. Invariant: it shows configuration alone, nothing that changes by itself.

use std::sync::Arc;

use axum::{Json, Router, routing::get};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};
use serde::Serialize;

use crate::config::Args;
use crate::discovery::Store;

/// The page.
pub(crate) fn page(options: Vec<Effective>, discovery: Option<Arc<Store>>) -> Router {
    let dump = move || {
        let discovery = discovery.as_ref().map(|store| store.dump());
        Dump { version: env!("CARGO_PKG_VERSION"), options: options.clone(), discovery }
    };
    Router::new().route("/config_dump", get(move || std::future::ready(Json(dump()))))
}

/// The page's content; it is written as it is, since discovery may have much to tell.
#[derive(Serialize)]
struct Dump<D> {
    version: &'static str,
    options: Vec<Effective>,
    discovery: Option<D>,
}

/// One option.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Effective {
    /// Its long name, with `--`.
    pub option: String,
    /// Its value as given; null when it has none.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// The environment variable that sets it too.
    pub environment: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The program itself.
    Default,
    /// The environment variable.
    Environment,
    /// The command line.
    CommandLine,
}

/// The options of `proxy run` in what was given, in the order of its help.
pub fn effective(matches: &ArgMatches) -> Vec<Effective> {
    run()
        .get_arguments()
        .filter_map(|argument| {
            let (option, id) = (argument.get_long()?, argument.get_id().as_str());
            let values = matches.try_get_raw(id).ok()?;
            let value = values.map(|values| {
                let words: Vec<_> = values.map(|word| word.to_string_lossy()).collect();
                words.join(",")
            });
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => Source::CommandLine,
                Some(ValueSource::EnvVariable) => Source::Environment,
                None | Some(_) => Source::Default,
            };
            let environment = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            Some(Effective { option: format!("--{option}"), value, source, environment })
        })
        .collect()
}

/// Its definition.
fn run() -> Command {
    Args::augment_args(Command::new("run"))
}

#[cfg(test)]
mod tests {
    use super::{Effective, Source, effective, run};

    #[test]
    fn every_option_has_its_value_and_where_it_comes_from() {
        let matches = run().try_get_matches_from(["run", "--inbound-port", "7", "--log=debug"]).unwrap();
        let options = effective(&matches);
        let option = |name: &str| options.iter().find(|known| known.option == name).cloned().unwrap();
        assert_eq!(
            option("--inbound-port"),
            Effective {
                option: "--inbound-port".to_owned(),
                value: Some("7".to_owned()),
                source: Source::CommandLine,
                environment: Some("REMORA_PORT_INBOUND".to_owned()),
            }
        );
        assert_eq!(option("--log").value.as_deref(), Some("debug"));
        let port = option("--outbound-port");
        assert_eq!((port.value.as_deref(), port.source), (Some("15001"), Source::Default));
        assert_eq!(option("--max-inbound-connections").value, None, "it has no value, and is shown");
    }
}
