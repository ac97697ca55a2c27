//! `layerwise plan --executor slurm`: how many jobs, how many core-hours, how many bytes, judging by earlier executions.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::cluster::{profile, usual};
use crate::cli::failure::Failure;
use crate::cli::page::{count, outln, size};
use crate::cli::project::Project;
use crate::engine::{Plan, Status};
use crate::slurm::executor::{request, takes};

/// What a run would ask of the cluster.
#[derive(Debug, Default)]
struct Outlook {
    jobs: u64,
    /// Different requests: arrays, at least.
    requests: u64,
    here: u64,
    core_seconds: f64,
    bytes: f64,
    /// Jobs of which nothing is known.
    unknown: u64,
}

/// Prints what a run would ask of the cluster.
pub(in crate::cli) fn print(project: &Project, plan: &Plan, json: bool) -> Result<(), Failure> {
    let outlook = outlook(project, plan)?;
    let hours = outlook.core_seconds / 3600.0;
    if json {
        return outln!(
            "{}",
            json!({ "jobs": outlook.jobs, "requests": outlook.requests, "here": outlook.here, "core_hours": hours,
                    "bytes": outlook.bytes as u64, "unknown": outlook.unknown })
        );
    }
    let kinds = if outlook.requests > 1 {
        format!(" with {} different requests", outlook.requests)
    } else {
        String::new()
    };
    let here =
        if outlook.here > 0 { format!(", and {} here", count(outlook.here, "stage")) } else { String::new() };
    outln!("on the cluster: {}{kinds}{here}", count(outlook.jobs, "job"))?;
    if outlook.jobs > outlook.unknown {
        let rest = match outlook.unknown {
            0 => String::new(),
            unknown => format!(", and {} of which nothing is known", count(unknown, "job")),
        };
        outln!(
            "about {hours:.1} core-hours and {} for the store, judging by earlier runs{rest}",
            size(outlook.bytes as u64)
        )?;
    }
    Ok(())
}

fn outlook(project: &Project, plan: &Plan) -> Result<Outlook, Failure> {
    let (profile, usual, bytes) = (profile()?, usual(project), usual_bytes(project));
    let (mut outlook, mut requests) = (Outlook::default(), BTreeMap::<_, usize>::new());
    for (place, (node, status)) in project.keyed.nodes.iter().zip(&plan.statuses).enumerate() {
        if !matches!(status, Status::Miss(_)) || node.twin != place {
            continue;
        }
        if !takes(node, &usual, profile.local_below) {
            outlook.here += 1;
            continue;
        }
        let request = request(node, &usual, &profile);
        match usual.get(node.node.stage.as_str()) {
            Some(seconds) => outlook.core_seconds += seconds * request.threads() as f64,
            None => outlook.unknown += 1,
        }
        outlook.bytes += bytes.get(node.node.stage.as_str()).copied().unwrap_or_default();
        *requests.entry(request).or_default() += 1;
    }
    outlook.requests = requests.len() as u64;
    outlook.jobs = requests.iter().map(|(request, nodes)| request.share.jobs(*nodes) as u64).sum();
    Ok(outlook)
}

/// The mean size of what each stage of the pipeline wrote.
fn usual_bytes(project: &Project) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for summary in project.store.summaries() {
        let Some((pipeline, node)) = summary.stage.split_once('/') else { continue };
        if pipeline == project.keyed.pipeline {
            let (sum, number) = all.entry(node.split('[').next().unwrap_or_default().to_owned()).or_default();
            *sum += summary.outputs.iter().map(|output| output.size).sum::<u64>();
            *number += 1;
        }
    }
    all.into_iter().map(|(stage, (sum, number))| (stage, sum as f64 / number as f64)).collect()
}
