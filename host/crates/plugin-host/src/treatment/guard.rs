//! Plugins that are `fail_closed`: what such a plugin keeps from passing as it is, never passes as it is, also when its entry in the
//! pipeline file is changed, cut or gone. The checkpoint remembers the plugin by its name, and for each table of the source which
//! columns did not get past it, and by which it judged rows. They are the source's own names, so that a plugin before it that renames changes nothing.

use std::{collections::BTreeSet, sync::PoisonError};

use super::{Pair, Renames, Treatment, Treatments, list, renamed};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Table, TableName},
};

/// What stands behind the plugin's name in its rule, where others have a hash of their configuration.
pub(super) const CLOSED: &str = " fail-closed";

/// What a plugin does to one column of the source. The later ones keep more back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hold {
    /// It passes the plugin, which does not look at it.
    Passes,
    /// It passes, and another column may be computed from it.
    Read,
    /// It passes, and the plugin may hold rows back because of it.
    Judged,
    /// It does not get past the plugin as it is, or does not arrive there.
    Hidden,
}

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
        !self.is_of_table() || !self.treated.is_empty() || !self.lost.is_empty() || self.renames != Renames::default()
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
            inner.keep_numbers();
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

    /// Takes note of what a plugin that is `fail_closed` does to the columns of a table. `renamed`: columns that got other names. Answers
    /// whether it does anything.
    ///
    /// # Errors
    /// `Plugin`: one would pass as it is that did not until now, or no longer decides which rows pass.
    pub(crate) fn guard(&self, plugin: &str, source: &Table, held: &[Hold], renamed: &[Pair]) -> Result<bool> {
        let names = || source.columns.iter().map(|column| column.name.clone());
        let that = |are: fn(Hold) -> bool| names().zip(held).filter(|(_, hold)| are(**hold)).map(|(name, _)| name).collect();
        let now = Treatment {
            rule: closed_rule(plugin),
            table: source.name.clone(),
            columns: names().collect(),
            treated: that(|hold| hold != Hold::Passes),
            lost: BTreeSet::new(),
            order: names().collect(),
            hidden: that(|hold| hold == Hold::Hidden),
            judged: that(|hold| hold == Hold::Judged),
            renames: Renames::default(),
        };
        let asked = |before: &Treatment, now: &Treatment| {
            renamed::judge(before, now, renamed)?;
            opened(before, now)
        };
        self.note(now, source, asked).map_err(|error| {
            error.context(format_args!("plugin `{plugin}` is `fail_closed`")).remedy(format!(
                "treat the column in the plugin's `config`, by its new name if it got one; to give the plugin's protection up, stop the pipeline and run `{}`",
                release(plugin)
            ))
        })
    }
}

/// Refuses a treatment that lets a column pass which the one before it hid, or rows which it judged by a column, if the table still has it.
fn opened(before: &Treatment, now: &Treatment) -> Result<()> {
    let lower = |columns: &BTreeSet<String>| columns.iter().map(|column| column.to_lowercase()).collect::<BTreeSet<_>>();
    let (here, hidden) = (lower(&now.columns), lower(&now.hidden));
    // rows that pass without a column may be judged by it no longer
    let judged = &lower(&now.judged) | &hidden;
    let open = |before: &BTreeSet<String>, now: &BTreeSet<String>| -> Vec<String> {
        let is_open = |column: &&String| here.contains(&column.to_lowercase()) && !now.contains(&column.to_lowercase());
        before.iter().filter(is_open).cloned().collect()
    };
    let (shown, passing) = (open(&before.hidden, &hidden), open(&before.judged, &judged));
    let what = match (shown.is_empty(), passing.is_empty()) {
        (true, true) => return Ok(()),
        (false, _) => format!("{} of table {} would pass the plugin as it is, and did not until now", list(&shown), now.table),
        (true, false) => {
            format!("rows of table {} would pass the plugin whatever their {}, and did not until now", now.table, list(&passing))
        }
    };
    Err(Error::new(ErrorKind::Plugin, what))
}

/// The command that gives the protection up.
fn release(plugin: &str) -> String {
    format!("sluicegate checkpoint release PIPELINE.yaml --plugin {plugin}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{ColumnInfo, DataType, NativeType, Place};

    fn guard(treatments: &Treatments, columns: &[&str], hidden: &[&str]) -> Result<()> {
        guard_all(treatments, columns, |name| if hidden.contains(&name) { Hold::Hidden } else { Hold::Passes })
    }

    fn guard_all(treatments: &Treatments, columns: &[&str], hold: impl Fn(&str) -> Hold) -> Result<()> {
        let column = |name: &&str| ColumnInfo {
            name: (*name).to_owned(),
            data_type: DataType::Text,
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        };
        let table = Table { name: TableName::new("shop", "customers"), destination: None, columns: columns.iter().map(column).collect() };
        let held: Vec<Hold> = columns.iter().map(|name| hold(name)).collect();
        treatments.guard("mask", &table, &held, &[]).map(|_| ())
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
                  remedy: treat the column in the plugin's `config`, by its new name if it got one; to give the plugin's protection up, stop the pipeline and run `sluicegate checkpoint release PIPELINE.yaml --plugin mask`
                ");
            }
            guard(treatments, &["id", "email", "note", "more"], &[]).unwrap_err();
            let renamed = guard(treatments, &["id", "e_mail", "note", "more"], &["note"]).unwrap_err();
            assert!(renamed.message().contains("no longer has the column `Email`"), "{renamed}");
            guard(treatments, &["id", "Email", "note", "more"], &["Email", "note", "more"]).unwrap();
        }
    }

    #[test]
    fn what_is_only_read_passes_and_what_rows_are_judged_by_is_kept() {
        use Hold::{Hidden, Judged, Passes, Read};
        // from, to, whether the plugin may change so
        let changes = [
            (Hidden, Read, false),
            (Hidden, Judged, false),
            (Hidden, Passes, false),
            (Judged, Read, false),
            (Judged, Passes, false),
            (Judged, Hidden, true),
            (Read, Passes, true),
            (Read, Hidden, true),
            (Passes, Judged, true),
        ];
        for (from, to, allowed) in changes {
            let treatments = Treatments::default();
            let guard = |hold: Hold| guard_all(&treatments, &["id", "state"], |name| if name == "state" { hold } else { Passes });
            guard(from).unwrap();
            assert_eq!(guard(to).is_ok(), allowed, "{from:?} {to:?}");
            // once refused, what was stands
            guard(from).unwrap_or_else(|e| assert!(allowed, "{e}"));
        }
        let treatments = Treatments::default();
        guard_all(&treatments, &["id", "state"], |_| Judged).unwrap();
        insta::assert_snapshot!(guard_all(&treatments, &["id", "state"], |name| if name == "id" { Judged } else { Read }).unwrap_err(), @r"
        plugin `mask` is `fail_closed`: rows of table shop.customers would pass the plugin whatever their `state`, and did not until now
          remedy: treat the column in the plugin's `config`, by its new name if it got one; to give the plugin's protection up, stop the pipeline and run `sluicegate checkpoint release PIPELINE.yaml --plugin mask`
        ");
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
