//! Entries of a Kafka sink's `per_table` that are for no table: what was to have another key or partition has not. And keys that plugins
//! change, so that rows may share one.

use std::{collections::BTreeSet, sync::Arc};

use super::{meant, steps};
use sluicegate_config::{RecordKeys, Sink, SinkKind, TablePatterns};
use sluicegate_model::{change::Table, finding::Finding, limits::CHECK_NAMES};
use sluicegate_plugin_host::{Effect, Member};

/// What `rewrite-columns` does to a column that may make one value of different ones.
const LOSSY: [&str; 4] = ["mask", "truncate", "constant", "concat"];

/// Columns of keys that `rewrite-columns` gives values that rows may share.
pub(super) fn shared(members: &[Member], effects: &[Effect]) -> Vec<Finding> {
    let mut found = Vec::new();
    for effect in effects {
        for ((member, step), arriving) in members.iter().zip(&effect.steps).zip(&effect.arriving) {
            let keys = arriving.columns.iter().filter(|column| column.primary_key);
            for column in keys.filter(|column| step.as_ref().is_some_and(|step| step.rewritten.contains(&column.name))) {
                let lossy: Vec<&str> =
                    steps::actions(member, arriving, &column.name).into_iter().filter(|action| LOSSY.contains(action)).collect();
                if lossy.is_empty() {
                    continue;
                }
                let what = format!(
                    "plugin `{}`: `{}` on the column `{}` of {}, which is of its primary key: rows that differ in it may get one key, and the \
                     delete of one is that of all for a consumer",
                    member.settings.name,
                    lossy.join("`, `"),
                    column.name,
                    effect.source.name
                );
                let remedy = "use `hash`, which keeps different values apart, leave the column as it is, or leave it so if no two rows get \
                              the same value";
                found.push(Finding::warn("keys", what, remedy));
            }
        }
    }
    let more = found.len().saturating_sub(CHECK_NAMES);
    found.truncate(CHECK_NAMES);
    if more > 0 {
        let what = format!("{more} more columns of primary keys are changed like these");
        found.push(Finding::warn("keys", what, "see the columns of each table below"));
    }
    found
}

/// The keys of a sink, if it says something of single tables.
pub(super) fn of_tables(sink: &Sink) -> Option<&RecordKeys> {
    match &sink.kind {
        SinkKind::Kafka(kafka) if !kafka.keys.per_table.is_empty() => Some(&kafka.keys),
        _ => None,
    }
}

/// Patterns that select none of the tables as they are delivered. One that looks like a slip fails: records would get another key than
/// was meant, and no consumer could tell.
pub(super) fn without_effect(sink: &Sink, delivered: &[Arc<Table>]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut told = BTreeSet::new();
    for rule in of_tables(sink).into_iter().flat_map(|keys| &keys.per_table) {
        let included = rule.tables.include().iter().map(|pattern| (pattern, ""));
        // an exclusion with wildcards is often a precaution
        let excluded = rule.tables.exclude().iter().filter(|pattern| pattern.is_exact()).map(|pattern| (pattern, "!"));
        for (pattern, mark) in included.chain(excluded) {
            let text = pattern.as_str();
            let selects = |one: &TablePatterns| delivered.iter().any(|table| one.selects(&table.name));
            if TablePatterns::new(&[text]).is_ok_and(|one| selects(&one)) || !told.insert((mark, text)) {
                continue;
            }
            let hint = meant(text, pattern.is_exact(), delivered.iter().map(|table| &table.name));
            let what = format!("sink `{}`: `{mark}{text}` in `per_table` matches no table as it is delivered{hint}", sink.name);
            let remedy = "correct the pattern in the sink's `per_table` (names are those that are delivered), take it out, or leave it so if the \
                          table is made later";
            found.push(if hint.is_empty() { Finding::warn("keys", what, remedy) } else { Finding::fail("keys", what, remedy) });
        }
    }
    found
}
