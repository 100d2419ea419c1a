//! Entries of a Kafka sink's `per_table` that are for no table: what was to have another key or partition has not.

use std::{collections::BTreeSet, sync::Arc};

use super::meant;
use sluicegate_config::{RecordKeys, Sink, SinkKind, TablePatterns};
use sluicegate_model::{change::Table, finding::Finding};

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
