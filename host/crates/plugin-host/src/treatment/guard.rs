//! Plugins that are `fail_closed`: what such a plugin keeps from passing as it is, never passes as it is, also when its entry in the
//! pipeline file is changed, cut or gone. The checkpoint remembers the plugin by its name, and for each table of the source which
//! columns did not get past it. They are the source's own names, so that a plugin before it that renames changes nothing.

use std::{collections::BTreeSet, sync::PoisonError};

use super::{Pair, Treatment, Treatments, list, renamed};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Table, TableName},
};

/// What stands behind the plugin's name in its rule, where others have a hash of their configuration.
pub(super) const CLOSED: &str = " fail-closed";

/// What stands for a plugin that is `fail_closed`, whatever its configuration.
pub(crate) fn closed_rule(plugin: &str) -> String {
    format!("{plugin}{CLOSED}")
}

impl Treatment {
    /// Says of a plugin that it is `fail_closed`, and nothing of a table.
    fn of_plugin(plugin: &str) -> Self {
        Self::of_nothing(&closed_rule(plugin), &TableName::new("", ""))
    }

    /// The plugin, if its rule is that of one that is `fail_closed`.
    pub fn closed_plugin(&self) -> Option<&str> {
        self.rule.strip_suffix(CLOSED)
    }

    /// Whether it is of a table.
    pub fn is_of_table(&self) -> bool {
        !self.table.table.is_empty()
    }

    /// Whether it says anything.
    pub fn is_kept(&self) -> bool {
        !self.is_of_table() || !self.treated.is_empty() || !self.lost.is_empty() || !self.renamed.is_empty()
    }
}

impl Treatments {
    /// Takes note that a plugin is `fail_closed`.
    pub fn close(&self, plugin: &str) {
        let treatment = Treatment::of_plugin(plugin);
        let key = (treatment.rule.clone(), treatment.table.clone());
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.known.insert(key.clone(), treatment.clone()).is_none() {
            inner.news.insert(key, treatment);
        }
    }

    /// Refuses plugins among which one is missing that was `fail_closed`. Each has its name, and whether it is.
    ///
    /// # Errors
    /// `Plugin`, which names the plugin.
    pub fn admit<'a>(&self, plugins: impl IntoIterator<Item = (&'a str, bool)>) -> Result<()> {
        let all = self.all();
        let mut missing: BTreeSet<&str> = all.iter().filter_map(Treatment::closed_plugin).collect();
        let mut open = None;
        for (name, closed) in plugins {
            if missing.remove(name) && !closed {
                open = open.or(Some(name));
            }
        }
        let (name, what) = match (missing.pop_first(), open) {
            (Some(name), _) => (name, "is missing in the pipeline file"),
            (None, Some(name)) => (name, "is no longer `fail_closed` in the pipeline file"),
            (None, None) => return Ok(()),
        };
        Err(Error::new(ErrorKind::Plugin, format!("the plugin `{name}`, which was `fail_closed` until now, {what}")).remedy(format!(
            "write its entry again, with `fail_closed: true`; to give its protection up, stop the pipeline and run `{}`",
            release(name)
        )))
    }

    /// Takes note of which columns of a table do not get past a plugin that is `fail_closed` as they are: those that are `held`.
    /// `renamed`: columns that got other names.
    ///
    /// # Errors
    /// `Plugin`: one that did not until now would.
    pub(crate) fn guard(&self, plugin: &str, source: &Table, held: &[bool], renamed: &[Pair]) -> Result<()> {
        let names = || source.columns.iter().map(|column| column.name.clone());
        let now = Treatment {
            rule: closed_rule(plugin),
            table: source.name.clone(),
            columns: names().collect(),
            treated: names().zip(held).filter(|(_, held)| **held).map(|(name, _)| name).collect(),
            lost: BTreeSet::new(),
            order: names().collect(),
            renamed: Vec::new(),
        };
        let asked = |before: &Treatment, now: &Treatment| {
            renamed::judge(before, now, renamed)?;
            opened(before, now)
        };
        self.note(now, source, asked).map_err(|error| {
            error.context(format_args!("plugin `{plugin}` is `fail_closed`")).remedy(format!(
                "treat the column in the plugin's `config`, by its new name if it got one; to let it pass as it is, stop the pipeline and run `{}`",
                release(plugin)
            ))
        })
    }
}

/// Refuses a treatment that lets a column pass which the one before it held, and which the table still has.
fn opened(before: &Treatment, now: &Treatment) -> Result<()> {
    let lower = |columns: &BTreeSet<String>| columns.iter().map(|column| column.to_lowercase()).collect::<BTreeSet<_>>();
    let (here, held) = (lower(&now.columns), lower(&now.treated));
    let is_open = |column: &&String| here.contains(&column.to_lowercase()) && !held.contains(&column.to_lowercase());
    let open: Vec<&String> = before.treated.iter().filter(is_open).collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Plugin,
        format!("{} of table {} would pass the plugin as it is, and did not until now", list(&open), now.table),
    ))
}

/// The command that gives the protection up.
fn release(plugin: &str) -> String {
    format!("sluicegate checkpoint release PIPELINE.yaml --plugin {plugin}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{ColumnInfo, DataType, NativeType, Place};

    fn guard(treatments: &Treatments, columns: &[&str], held: &[&str]) -> Result<()> {
        let column = |name: &&str| ColumnInfo {
            name: (*name).to_owned(),
            data_type: DataType::Text,
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        };
        let table = Table { name: TableName::new("shop", "customers"), destination: None, columns: columns.iter().map(column).collect() };
        let held: Vec<bool> = columns.iter().map(|name| held.contains(name)).collect();
        treatments.guard("mask", &table, &held, &[])
    }

    #[test]
    fn what_did_not_pass_never_passes_in_this_run_and_those_after_it() {
        let treatments = Treatments::default();
        guard(&treatments, &["id", "email", "note"], &["email"]).unwrap();
        // more may be held, in another case, beside new columns
        guard(&treatments, &["id", "Email", "note", "more"], &["Email", "note"]).unwrap();
        let after = Treatments::default();
        after.remember(treatments.take_news());
        for treatments in [&treatments, &after] {
            insta::allow_duplicates! {
                insta::assert_snapshot!(guard(treatments, &["id", "email", "note", "more"], &["email"]).unwrap_err(), @r"
                plugin `mask` is `fail_closed`: `note` of table shop.customers would pass the plugin as it is, and did not until now
                  remedy: treat the column in the plugin's `config`, by its new name if it got one; to let it pass as it is, stop the pipeline and run `sluicegate checkpoint release PIPELINE.yaml --plugin mask`
                ");
            }
            guard(treatments, &["id", "email", "note", "more"], &[]).unwrap_err();
            let renamed = guard(treatments, &["id", "e_mail", "note", "more"], &["note"]).unwrap_err();
            assert!(renamed.message().contains("no longer has the column `Email`"), "{renamed}");
            guard(treatments, &["id", "Email", "note", "more"], &["Email", "note", "more"]).unwrap();
        }
    }

    #[test]
    fn a_plugin_that_was_fail_closed_has_to_stay_so() {
        let treatments = Treatments::default();
        treatments.admit([("other", false)]).unwrap();
        treatments.close("mask");
        let after = Treatments::default();
        after.remember(treatments.take_news());
        treatments.close("mask");
        assert!(treatments.take_news().is_empty(), "it is known");
        for treatments in [treatments, after] {
            treatments.admit([("other", false), ("mask", true)]).unwrap();
            insta::allow_duplicates! {
                insta::assert_snapshot!(treatments.admit([("other", true)]).unwrap_err(), @r"
                the plugin `mask`, which was `fail_closed` until now, is missing in the pipeline file
                  remedy: write its entry again, with `fail_closed: true`; to give its protection up, stop the pipeline and run `sluicegate checkpoint release PIPELINE.yaml --plugin mask`
                ");
            }
            assert!(treatments.admit([("mask", false)]).unwrap_err().message().contains("is no longer `fail_closed`"));
        }
    }
}
