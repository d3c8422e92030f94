//! iptables' programs: which they are called, how they are run, and what their failures mean.

use std::fs::File;
use std::path::Path;

use super::Variant;
use super::ruleset::TableName;
use super::saved::Saved;
use crate::backend::Error;
use crate::backend::exec::{self, Ended, Program};
use crate::options::Family;

/// Seconds that a program waits for iptables' lock, as an argument.
const WAIT: (&str, u64) = ("5", 5);

/// The lock of legacy iptables, and what stands in for it where that file cannot be made: the file of the network namespace,
/// which is the same for all who would change these rules, can be opened by anyone in it, and takes a lock as any file does.
const LOCK: &str = "/run/xtables.lock";
const LOCK_INSTEAD: &str = "/proc/self/ns/net";

/// The programs exit with this where something is held by others (RESOURCE_PROBLEM).
const RESOURCE_PROBLEM: i32 = 4;

/// One variant of the programs, for one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Programs {
    pub(super) variant: Variant,
    pub(super) family: Family,
}

impl Programs {
    /// What the kernel holds. Nothing is made by asking, except by the legacy program that may not see which tables there are.
    pub(super) fn save(self) -> Result<Saved, Error> {
        if self.variant == Variant::Nft || File::open(self.table_names()).is_ok() {
            return self.saved(Vec::new());
        }
        let mut saved = Saved::default();
        for table in [TableName::Raw, TableName::Filter, TableName::Nat] {
            saved.extend(self.saved(vec!["-t", table.as_str()])?);
        }
        Ok(saved)
    }

    fn saved(self, arguments: Vec<&'static str>) -> Result<Saved, Error> {
        let program = self.program("save", arguments, Vec::new())?;
        let ended = self.run(&program, "")?;
        Saved::parse(&ended.output)
            .map_err(|error| Error::Program { program: program.name(), message: error.to_string() })
    }

    /// Hands a text to the kernel. Tables before the one that is refused are changed.
    pub(super) fn restore(self, text: &str) -> Result<(), Error> {
        let environment = match self.variant {
            Variant::Nft => Vec::new(),
            Variant::Legacy => lock_file().map(|file| ("XTABLES_LOCKFILE", file)).into_iter().collect(),
        };
        let program = self.program("restore", vec!["--noflush", "--wait", WAIT.0], environment)?;
        self.run(&program, text).map(|_| ())
    }

    fn run(self, program: &Program, input: &str) -> Result<Ended, Error> {
        let failed = |message: String| Error::Program { program: program.name(), message };
        let ended = program.run(input).map_err(|error| failed(error.to_string()))?;
        if ended.status.success() {
            return Ok(ended);
        }
        let says = |part: &str| ended.message.contains(part);
        Err(if says("xtables lock") && ended.status.code() == Some(RESOURCE_PROBLEM) {
            Error::Locked { lock: format!("iptables' lock {}", lock_file().unwrap_or(LOCK)), seconds: WAIT.1 }
        } else if says("you must be root") || says("Operation not permitted") {
            Error::NotPermitted
        } else if says("do you need to insmod") || says("Protocol not supported") {
            Error::ModuleMissing { modules: self.modules().to_owned() }
        } else {
            failed(if ended.message.is_empty() { ended.status.to_string() } else { ended.message.clone() })
        })
    }

    fn program(
        self,
        tool: &str,
        arguments: Vec<&'static str>,
        environment: Vec<(&'static str, &'static str)>,
    ) -> Result<Program, Error> {
        let name = self.name(tool);
        let path = exec::find(&name).ok_or(Error::ProgramMissing { program: name })?;
        Ok(Program { path, arguments, environment })
    }

    /// Whether both programs are installed.
    pub(super) fn installed(self) -> bool {
        ["save", "restore"].into_iter().all(|tool| exec::find(&self.name(tool)).is_some())
    }

    fn name(self, tool: &str) -> String {
        format!("{self}-{tool}")
    }

    /// The file that lists the legacy tables of the network namespace; it is there where the kernel has such tables at all.
    pub(super) fn table_names(self) -> &'static Path {
        Path::new(match self.family {
            Family::V4 => "/proc/self/net/ip_tables_names",
            Family::V6 => "/proc/self/net/ip6_tables_names",
        })
    }

    const fn modules(self) -> &'static str {
        match (self.variant, self.family) {
            (Variant::Nft, _) => "nf_tables nft_compat",
            (Variant::Legacy, Family::V4) => "ip_tables iptable_nat iptable_filter iptable_raw",
            (Variant::Legacy, Family::V6) => "ip6_tables ip6table_nat ip6table_filter ip6table_raw",
        }
    }
}

/// Another file, where the usual one cannot be opened as the program would.
fn lock_file() -> Option<&'static str> {
    let opened = File::options().append(true).create(true).open(LOCK);
    opened.is_err().then_some(LOCK_INSTEAD)
}

impl std::fmt::Display for Programs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let variant = match self.variant {
            Variant::Nft => "nft",
            Variant::Legacy => "legacy",
        };
        write!(f, "{family}-{variant}")
    }
}
