//! What plugins do to the columns of tables, between the plugin host and the checkpoint.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use sluicegate_model::{Error, ErrorKind, Result, change::TableName};
use sluicegate_plugin_host::{Treatment, Treatments};
use sluicegate_state::{Checkpoint, StoredTreatment};

/// A table's name as it is stored.
#[derive(Serialize, Deserialize)]
struct Name {
    database: String,
    schema: Option<String>,
    table: String,
}

#[derive(Serialize, Deserialize)]
struct Columns {
    all: BTreeSet<String>,
    treated: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    lost: BTreeSet<String>,
    #[serde(default)]
    order: Vec<String>,
}

/// What runs before this one stored.
pub(super) fn read(stored: Vec<StoredTreatment>) -> Result<Vec<Treatment>> {
    let broken = |e| {
        Error::new(ErrorKind::State, "what the checkpoint holds of a plugin's treatment of a table cannot be read")
            .caused_by(e)
            .remedy("run the version of the program that wrote it")
    };
    let treatment = |StoredTreatment { rule, table, columns }: StoredTreatment| {
        let Name { database, schema, table } = serde_json::from_str(&table)?;
        let Columns { all, treated, lost, order } = serde_json::from_str(columns.as_deref().unwrap_or_default())?;
        Ok(Treatment { rule, table: TableName { database, schema, table }, columns: all, treated, lost, order })
    };
    stored.into_iter().map(treatment).collect::<Result<_, serde_json::Error>>().map_err(broken)
}

/// Stores what has come since the last time.
pub(super) fn store(checkpoint: &Checkpoint, treatments: &Treatments) -> Result<()> {
    let news = treatments.take_news();
    if news.is_empty() {
        return Ok(());
    }
    let stored = |treatment: &Treatment| {
        let TableName { database, schema, table } = treatment.table.clone();
        let columns = Columns {
            all: treatment.columns.clone(),
            treated: treatment.treated.clone(),
            lost: treatment.lost.clone(),
            order: treatment.order.clone(),
        };
        let columns = if treatment.treated.is_empty() && treatment.lost.is_empty() { None } else { Some(serde_json::to_string(&columns)?) };
        Ok(StoredTreatment { rule: treatment.rule.clone(), table: serde_json::to_string(&Name { database, schema, table })?, columns })
    };
    let rows = news
        .iter()
        .map(stored)
        .collect::<Result<Vec<_>, serde_json::Error>>()
        .map_err(|e| Error::new(ErrorKind::Internal, "a plugin's treatment of a table cannot be written").caused_by(e));
    let outcome = rows.and_then(|rows| checkpoint.store_treatments(&rows));
    if outcome.is_err() {
        treatments.give_back(news);
    }
    outcome
}
