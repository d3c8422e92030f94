//! The run: everybody in turn, again and again, so that what the machine does meanwhile happens to all.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::netns::Netns;

use crate::measures::{Amount, Measure, restart};
use crate::pod::Pod;
use crate::programs::{self, OURS, Program};
use crate::table::{DIRECT, Table};
use crate::way::Way;
use crate::{Options, backend, destinations, endpoints, machine};

/// What came of it.
pub(crate) struct Outcome {
    table: Table,
    about: Value,
    /// Who could not be measured, and why.
    pub(crate) missing: Vec<String>,
}

impl Outcome {
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("{:#}\n\n{}", self.about, self.table.to_markdown());
        for missing in &self.missing {
            text += &format!("\nnot measured: {missing}\n");
        }
        text
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        let all = json!({ "about": self.about, "rows": self.table.to_json(), "missing": self.missing });
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }
}

/// Everything that was asked for.
pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let (programs, mut missing) = programs::all(&options.proxy_options)?;
    let (rounds, amount) =
        if options.quick { (1, Amount::Quick) } else { (usize::from(options.rounds), Amount::Full) };
    let subjects: serde_json::Map<_, _> = programs
        .iter()
        .map(|Program { name, version, setup, .. }| {
            ((*name).to_owned(), json!({ "version": version, "setup": setup }))
        })
        .collect();
    let mut table = Table::new(programs.iter().map(|program| program.name).chain([DIRECT]).collect());

    let mut stage = Stage::new(programs, options.congestion_control.as_deref())?;
    missing.extend(stage.start()?);
    for missing in &missing {
        eprintln!("bench: goes on without {missing}");
    }
    let before = machine::load()?;
    for round in 0..rounds {
        for measure in Measure::ALL {
            if options.only.is_empty() || options.only.contains(&measure) {
                eprintln!("bench: round {} of {rounds}: {measure:?}", round + 1);
                for failed in stage.measure(measure, amount, round, &mut table)? {
                    eprintln!("bench: goes on without {failed}");
                    missing.push(failed);
                }
            }
        }
    }
    let about = json!({
        "machine": machine::description(&stage.client)?,
        "load average before and after": [before, machine::load()?],
        "rounds": rounds,
        "subjects": subjects,
    });
    Ok(Outcome { table, about, missing })
}

/// All pods with their proxies, and a client, whose namespace has what pods call, too.
struct Stage {
    pods: Vec<Pod>,
    client: Netns,
}

impl Stage {
    fn new(programs: Vec<Program>, congestion_control: Option<&str>) -> Result<Self> {
        let client = Netns::new("client")?;
        machine::control_congestion(&client, congestion_control)?;
        endpoints::add(&client)?;
        destinations::add(&client)?;
        let (mut pods, mut listeners) = (Vec::new(), backend::listeners(&client)?);
        for (number, program) in (0..).zip(programs) {
            let name = program.name;
            let pod = Pod::new(&client, number, program).context(name)?;
            machine::control_congestion(pod.netns(), congestion_control)?;
            listeners.extend(backend::listeners(pod.netns()).context(name)?);
            pods.push(pod);
        }
        backend::start(listeners)?;
        Ok(Self { pods, client })
    }

    /// Starts all proxies; tells who cannot be started.
    fn start(&mut self) -> Result<Vec<String>> {
        let client = &self.client;
        in_turn(&mut self.pods, 0, |pod| restart(client, pod))
    }

    /// The direct path, and then all proxies that carry the like, in another order each round; tells who failed.
    fn measure(
        &mut self,
        measure: Measure,
        amount: Amount,
        round: usize,
        table: &mut Table,
    ) -> Result<Vec<String>> {
        let client = &self.client;
        let first = round % self.pods.len();
        let mut direct = Vec::new();
        if let Some(pod) = self.pods.get(first) {
            direct = measure
                .direct(Way { client, pod, direction: measure.direction(), direct: true }, amount)
                .context(DIRECT)?;
        }
        let failed = in_turn(&mut self.pods, first, |pod| {
            if measure.protocol().is_some_and(|spoken| !pod.program.carries(measure.direction(), spoken)) {
                return Ok(());
            }
            let readings = measure.proxied(client, pod, &direct, amount)?;
            table.record(round, pod.program.name, &readings);
            Ok(())
        })?;
        // Last, since it has only some of the rows, and they are shown in the order in which they came.
        table.record(round, DIRECT, &direct);
        Ok(failed)
    }
}

/// Does the same with all, beginning with one of them. Who fails is told and taken out, and nobody else suffers for it; but
/// without ours there is nothing to compare.
fn in_turn(
    pods: &mut Vec<Pod>,
    first: usize,
    mut work: impl FnMut(&mut Pod) -> Result<()>,
) -> Result<Vec<String>> {
    let (mut failed, count) = (Vec::new(), pods.len());
    for turn in 0..count {
        let Some(pod) = pods.get_mut((first + turn) % count) else { continue };
        let name = pod.program.name;
        match work(pod) {
            Ok(()) => {}
            Err(error) if name == OURS => return Err(error).context(name),
            Err(error) => failed.push((name, format!("{name}: {error:#}"))),
        }
    }
    pods.retain(|pod| failed.iter().all(|(name, _)| *name != pod.program.name));
    Ok(failed.into_iter().map(|(_, error)| error).collect())
}
