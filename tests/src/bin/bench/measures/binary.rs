//! The size of the program's file.

use anyhow::Result;

use super::{Reading, Row};
use crate::pod::Pod;
use crate::process;

static SIZE: Row = Row::new("program", "MiB", 1).wanted("<= 8");

pub(super) fn measure(pod: &Pod) -> Result<Vec<Reading>> {
    Ok(vec![SIZE.reading(process::size(&pod.program.binary)?)])
}
