//! What plugins do to the columns of tables, between the plugin host and the checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use sluicegate_config::Plugin;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{LogPlace, NumberedColumns, TableName},
};
use sluicegate_plugin_host::{Renames, Treatment, Treatments};
use sluicegate_source::Followed;
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renames: Option<Names>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    hidden: BTreeSet<String>,
    /// Missing where it was stored before these two were: then all that is treated counts as judged by.
    #[serde(default)]
    judged: Option<BTreeSet<String>>,
}

/// What the log says of names.
#[derive(Serialize, Deserialize)]
struct Names {
    pairs: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    told: Vec<Place>,
    /// The table's number in the source's catalogue, and its columns with theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbered: Option<(i64, Vec<(i64, String)>)>,
    /// The columns of the last version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
}

/// A place in a log: the log, the transaction's number or the file's, position, number in the statement, and seconds since 1970.
type Place = (String, u64, u64, u32, u32);

impl From<&Renames> for Names {
    fn from(Renames { pairs, rules, told, numbered, columns }: &Renames) -> Self {
        let place = |at: &LogPlace| (at.log.clone(), at.sequence, at.position, at.number, at.seconds);
        let numbered = numbered.as_ref().map(|NumberedColumns { table, columns }| (*table, columns.clone()));
        Self { pairs: pairs.clone(), rules: rules.clone(), told: told.iter().map(place).collect(), numbered, columns: columns.clone() }
    }
}

impl From<Names> for Renames {
    fn from(Names { pairs, rules, told, numbered, columns }: Names) -> Self {
        let place = |(log, sequence, position, number, seconds)| LogPlace { log, sequence, position, number, seconds };
        let numbered = numbered.map(|(table, columns)| NumberedColumns { table, columns });
        Self { pairs, rules, told: told.into_iter().map(place).collect(), numbered, columns }
    }
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
        let Columns { all, treated, lost, order, hidden, judged, renames } = serde_json::from_str(columns.as_deref().unwrap_or_default())?;
        let judged = judged.unwrap_or_else(|| treated.clone());
        let renames = renames.map(Renames::from).unwrap_or_default();
        Ok(Treatment { rule, table: TableName { database, schema, table }, columns: all, treated, lost, order, hidden, judged, renames })
    };
    stored.into_iter().map(treatment).collect::<Result<_, serde_json::Error>>().map_err(broken)
}

/// What a source is told of the tables whose columns plugins treat.
pub(super) fn followed(checkpoint: &Checkpoint) -> Result<Followed> {
    let mut followed = Followed::default();
    for Treatment { table, renames, .. } in read(checkpoint.treatments()?)? {
        followed.told.extend(renames.told);
        followed.columns.extend(renames.columns.map(|columns| (table, columns)));
    }
    Ok(followed)
}

/// Refuses plugins among which one is missing that is to hide something: see `fail_closed`.
pub(super) fn admit<'p>(treatments: &Treatments, plugins: impl IntoIterator<Item = &'p Plugin>) -> Result<()> {
    treatments.admit(plugins.into_iter().map(|plugin| (plugin.name.as_str(), plugin.fail_closed)))
}

/// Takes note of the plugins that are `fail_closed`.
pub(super) fn close<'p>(treatments: &Treatments, plugins: impl IntoIterator<Item = &'p Plugin>) {
    plugins.into_iter().filter(|plugin| plugin.fail_closed).for_each(|plugin| treatments.close(&plugin.name));
}

/// What is stored of the plugins that are `fail_closed`, in the checkpoint of a pipeline that may be running.
pub(super) fn stored_of_closed(checkpoint: &std::path::Path) -> Result<Vec<StoredTreatment>> {
    only_closed(Checkpoint::look_at_treatments(checkpoint)?)
}

fn only_closed(all: Vec<StoredTreatment>) -> Result<Vec<StoredTreatment>> {
    let known = read(all.clone())?;
    Ok(all.into_iter().zip(known).filter(|(_, treatment)| treatment.closed_plugin().is_some()).map(|(stored, _)| stored).collect())
}

/// Stores what is known of the plugins that are `fail_closed` in place of all that a checkpoint knows of such plugins.
pub(super) fn replace_closed(checkpoint: &Checkpoint, closed: &[StoredTreatment]) -> Result<()> {
    let before = only_closed(checkpoint.treatments()?)?;
    if before == closed {
        return Ok(());
    }
    let gone = before.into_iter().map(|stored| StoredTreatment { columns: None, ..stored });
    checkpoint.store_treatments(&gone.chain(closed.iter().cloned()).collect::<Vec<_>>())
}

/// The plugins that are `fail_closed`, with the tables of the source of which they hide columns, or judge rows.
pub fn closed(checkpoint: &std::path::Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut closed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for treatment in read(Checkpoint::look_at_treatments(checkpoint)?)? {
        if let Some(plugin) = treatment.closed_plugin() {
            let tables = closed.entry(plugin.to_owned()).or_default();
            if treatment.is_of_table() && !(treatment.hidden.is_empty() && treatment.judged.is_empty()) {
                tables.push(treatment.table.to_string());
            }
        }
    }
    Ok(closed)
}

/// Forgets that a plugin is `fail_closed`, and what it held. Answers whether it was.
///
/// # Errors
/// `State` when the checkpoint cannot be read or written.
pub fn release(checkpoint: &Checkpoint, plugin: &str) -> Result<bool> {
    let all = checkpoint.treatments()?;
    let known = read(all.clone())?;
    let is_closed = |treatment: &Treatment| treatment.closed_plugin() == Some(plugin);
    let Some(rule) = known.iter().find(|treatment| is_closed(treatment)).map(|treatment| treatment.rule.clone()) else {
        return Ok(false);
    };
    let mut gone = Vec::new();
    for (row, mut treatment) in all.into_iter().zip(known) {
        if is_closed(&treatment) {
            gone.push(StoredTreatment { columns: None, ..row });
        } else if treatment.renames.rules.contains(&rule) {
            // what it would have done before a column got another name does not count either
            treatment.renames.rules.retain(|known| *known != rule);
            gone.push(stored(&treatment)?);
        }
    }
    checkpoint.store_treatments(&gone)?;
    Ok(true)
}

/// A treatment as it is stored.
fn stored(treatment: &Treatment) -> Result<StoredTreatment> {
    let TableName { database, schema, table } = treatment.table.clone();
    let columns = Columns {
        all: treatment.columns.clone(),
        treated: treatment.treated.clone(),
        lost: treatment.lost.clone(),
        order: treatment.order.clone(),
        renames: (treatment.renames != Renames::default()).then(|| Names::from(&treatment.renames)),
        hidden: treatment.hidden.clone(),
        judged: Some(treatment.judged.clone()),
    };
    let text = || {
        let columns = if treatment.is_kept() { Some(serde_json::to_string(&columns)?) } else { None };
        Ok((serde_json::to_string(&Name { database, schema, table })?, columns))
    };
    let unwritable =
        |e: serde_json::Error| Error::new(ErrorKind::Internal, "a plugin's treatment of a table cannot be written").caused_by(e);
    let (table, columns) = text().map_err(unwritable)?;
    Ok(StoredTreatment { rule: treatment.rule.clone(), table, columns })
}

/// Stores what has come since the last time.
pub(super) fn store(checkpoint: &Checkpoint, treatments: &Treatments) -> Result<()> {
    let news = treatments.take_news();
    if news.is_empty() {
        return Ok(());
    }
    let rows = news.iter().map(stored).collect::<Result<Vec<_>>>();
    let outcome = rows.and_then(|rows| checkpoint.store_treatments(&rows));
    if outcome.is_err() {
        treatments.give_back(news);
    }
    outcome
}
