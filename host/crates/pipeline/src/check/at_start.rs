//! Beside a running pipeline, at its start and after each edit: whether its configuration has an effect on the tables of today. What has none is told in the log and
//! in `/readyz`; it may be meant for tables that are made later, so the pipeline runs on.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    super::{any_source::AnySource, blocking::blocking, letters, prepare},
    Report, keys, tables,
};
use sluicegate_config::Pipeline;
use sluicegate_model::{
    Result,
    finding::{Finding, Verdict},
    limits::CHECKED_AT_START,
};
use sluicegate_plugin_host::Member;
use sluicegate_status::Status;

/// Looks once, unless the pipeline ends before. What was told before no longer stands then.
pub(in super::super) async fn look(pipeline: Pipeline, members: Vec<Member>, status: Arc<Status>, stop: CancellationToken) {
    if members.is_empty() && !pipeline.sinks.iter().any(|sink| keys::of_tables(sink).is_some()) {
        return status.warnings.clear();
    }
    let found = tokio::select! {
        biased;
        () = stop.cancelled() => return,
        found = findings(pipeline, members) => found,
    };
    match found {
        Ok(findings) => {
            status.warnings.clear();
            for Finding { item, found, remedy, .. } in findings {
                match item {
                    "rules" | "snapshot" | "keys" => tracing::warn!(item, remedy, "the configuration has no effect: {found}"),
                    _ => tracing::warn!(item, remedy, "the first row of a table would stop the pipeline: {found}"),
                }
                status.warnings.add(found);
            }
        }
        // nothing that the pipeline needs
        Err(error) => tracing::debug!(error = %error.chain(), "it cannot be told whether the configuration has an effect"),
    }
}

async fn findings(pipeline: Pipeline, members: Vec<Member>) -> Result<Vec<Finding>> {
    // numbers and known tables of its own: the pipeline's are those of what runs
    let scratch = super::super::status(&pipeline);
    let sinks = pipeline.sinks.iter().filter(|sink| keys::of_tables(sink).is_some()).cloned().collect();
    let pipeline = Pipeline { sinks, ..pipeline };
    let Some(inventory) = AnySource::new(&pipeline, &scratch).inventory(CHECKED_AT_START).await? else { return Ok(Vec::new()) };
    let looking = move || {
        let dead_letters = letters::of(&pipeline);
        let around = prepare::surroundings(&pipeline, &scratch, &dead_letters);
        let mut chains = prepare::chains(&members, &around, 1)?;
        let mut report = Report::default();
        if let Some(chain) = chains.first_mut() {
            tables(&mut report, &pipeline, &inventory, Some((&members, chain)), &around, &Default::default());
        }
        // of a name among the source's tables the precheck has told; rules for tables that were not looked at may have an effect
        let told = |finding: &Finding| {
            finding.verdict != Verdict::Pass
                && !["tables", "collations", "format", "helper tables"].contains(&finding.item)
                && (inventory.more == 0 || finding.item != "rules")
        };
        Ok(report.findings.into_iter().filter(told).collect())
    };
    blocking("look", looking).await
}
