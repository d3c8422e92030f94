//! What commands on files share: their options, reading, and what decides about the pods in the files.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{Style, Tone, line};
use super::review::Mesh;
use super::{CommandError, OutputArgs, SettingsArgs};
use crate::inject::Namespace;
use crate::manifest::{self, Manifest, ManifestError, NamespaceArgs, Namespaces, Place, Workload};

/// Options about files; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct FileArgs {
    /// Manifests in YAML or JSON, several documents and lists included; `-` reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub output: OutputArgs,
}

/// Options of commands that judge the pods in files; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct ManifestArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub input: FileArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub namespace: NamespaceArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,
}

/// All that decides about the pods in files.
pub(super) struct Surroundings {
    pub(super) mesh: Mesh,
    namespaces: Namespaces,
}

/// An object of a kind that is not known here, although there are pods in it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PassedOver {
    #[serde(flatten)]
    place: Place,
    object: String,
    text: &'static str,
}

impl FileArgs {
    pub(super) fn read(&self) -> Result<Vec<Manifest>, ManifestError> {
        manifest::read(&self.files)
    }
}

impl ManifestArgs {
    /// The files, and what decides about them.
    pub(super) fn load(&self) -> Result<(Vec<Manifest>, Surroundings), CommandError> {
        self.load_of(&self.input.files)
    }

    /// Some of the files, and what decides about them.
    pub(super) fn load_of(&self, files: &[PathBuf]) -> Result<(Vec<Manifest>, Surroundings), CommandError> {
        let mesh = Mesh::exported(self.settings.load()?);
        let manifests = manifest::read(files)?;
        let namespaces = Namespaces::new(&self.namespace, &manifests);
        Ok((manifests, Surroundings { mesh, namespaces }))
    }
}

impl Surroundings {
    /// The namespace of a workload's pods.
    pub(super) fn namespace<'a>(&'a self, workload: &Workload<'a>) -> Namespace<'a> {
        self.namespaces.get(workload.namespace)
    }
}

impl PassedOver {
    /// All of them.
    pub(super) fn of(manifests: &[Manifest]) -> Vec<Self> {
        let objects = manifests.iter().flat_map(Manifest::objects);
        let passed_over = |(place, object): (&Place, &_)| {
            Some(Self {
                place: place.clone(),
                object: manifest::unknown_workload(object)?,
                text: "there are pods in it, but its kind is not known here, so it is passed over; the webhook sees its pods \
                       when they are created",
            })
        };
        objects.filter_map(passed_over).collect()
    }

    /// A line of text.
    pub(super) fn line(&self) -> String {
        let Self { place, object, text } = self;
        format!("{place}: {object}: note: {text}")
    }

    /// Lines after what was found.
    pub(super) fn print(all: &[Self], text: &mut String, style: Style) {
        for one in all {
            line(text, format_args!("{}", style.paint(Tone::Doubtful, &one.line())));
        }
    }
}
