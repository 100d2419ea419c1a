//! Columns that got other names, as the source's log has it. Names alone do not show it when a new column takes the old name: then the
//! one that is treated by that name has become another one. What the log said of a table is kept, also over runs, until every plugin of
//! the chain has planned the version behind it.

use std::{collections::BTreeSet, sync::PoisonError};

use super::{Inner, Treatment, Treatments};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{LogPlace, Renamed, Table, TableName},
    limits::TREATMENTS,
};

/// What stands in place of a rule. No plugin's name begins with a space.
pub(crate) const RENAMED: &str = " renamed";

/// Pairs that are kept for one table: names that no version came with.
const PAIRS: usize = 1000;

/// What the log says of a table's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// Names of columns before and now that no version of the table has come with yet.
    pub pairs: Vec<(String, String)>,
    /// The last statement that is in the pairs, or was.
    pub told: Option<LogPlace>,
    /// The last one behind which every plugin has planned a version.
    pub settled: Option<LogPlace>,
}

/// A column's name before and now, of a version of a table as it arrives at a plugin.
pub(crate) struct Pair {
    /// Names that a treatment of the version before may have it under.
    pub old: Vec<String>,
    pub new: String,
}

impl Treatments {
    /// Takes note of what the log says, before anything comes that was written behind it. What it has said already, before a restart,
    /// is not taken twice: two exchanges of names would be none. Names the tables concerned.
    pub fn rename(&self, renamed: &Renamed) -> Vec<TableName> {
        let (from, to) = (&renamed.from, &renamed.to);
        let names = if from == to { vec![to.clone()] } else { vec![from.clone(), to.clone()] };
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // where nothing was ever treated, nothing can lose its treatment
        if inner.known.is_empty() {
            return names;
        }
        let key = (RENAMED.to_owned(), to.clone());
        let mut entry = inner.known.get(&key).cloned().unwrap_or_else(|| Treatment::of_nothing(RENAMED, to));
        if let Some(at) = &renamed.at
            && [&entry.renames.told, &entry.renames.settled].into_iter().flatten().any(|known| at.is_had(known))
        {
            return names;
        }
        if from != to {
            inner.rename_table(from, to, &mut entry.renames.pairs);
        }
        let pairs = std::mem::take(&mut entry.renames.pairs);
        let of_now = |name: &str| renamed.columns.iter().find(|(old, _)| same(old, name));
        let first = renamed.columns.iter().filter(|(old, _)| !pairs.iter().any(|(_, known)| same(known, old))).cloned();
        let again = pairs.iter().map(|(old, name)| (old.clone(), of_now(name).map_or(name, |(_, new)| new).clone()));
        let mut composed: Vec<(String, String)> = again.chain(first).collect();
        composed.dedup();
        composed.drain(..composed.len().saturating_sub(PAIRS));
        let says_something = !composed.is_empty() || inner.known.contains_key(&key);
        entry.renames = Renames { pairs: composed, told: renamed.at.clone(), ..entry.renames };
        if says_something {
            inner.put(entry);
        }
        names
    }

    /// The names of columns before and now that no version of the table has come with yet.
    pub(crate) fn renamed(&self, table: &TableName) -> Vec<(String, String)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.get(&(RENAMED.to_owned(), table.clone())).map(|entry| entry.renames.pairs.clone()).unwrap_or_default()
    }

    /// Every plugin has planned this version of a table: the names in it are judged.
    pub(crate) fn settle_renamed(&self, table: &Table) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut entry) = inner.known.get(&(RENAMED.to_owned(), table.name.clone())).cloned() else { return };
        let before = entry.renames.pairs.len();
        entry.renames.pairs.retain(|(_, new)| !table.columns.iter().any(|column| same(&column.name, new)));
        if entry.renames.pairs.len() == before {
            return;
        }
        if entry.renames.pairs.is_empty() {
            entry.renames.settled = entry.renames.told.clone();
        }
        inner.put(entry);
    }

    /// What a stream that may be behind begins with: the log tells it again what this one has not judged yet.
    pub fn behind(&self) -> Vec<Treatment> {
        let mut all = self.all();
        for Treatment { renames, .. } in &mut all {
            *renames = Renames { pairs: Vec::new(), told: renames.settled.clone(), settled: renames.settled.clone() };
        }
        all
    }
}

impl Inner {
    /// The columns of a table are treated as before under its new name, and what is known of their names goes along.
    fn rename_table(&mut self, from: &TableName, to: &TableName, pairs: &mut Vec<(String, String)>) {
        let of_table: Vec<Treatment> = self.known.values().filter(|known| known.table == *from).cloned().collect();
        for treatment in of_table {
            if treatment.rule == RENAMED {
                pairs.extend(treatment.renames.pairs.iter().cloned());
                self.put(Treatment { renames: Renames { pairs: Vec::new(), ..treatment.renames.clone() }, ..treatment });
            } else if self.known.len() < TREATMENTS && !self.known.contains_key(&(treatment.rule.clone(), to.clone())) {
                self.put(Treatment { table: to.clone(), ..treatment });
            }
        }
    }

    fn put(&mut self, treatment: Treatment) {
        let key = (treatment.rule.clone(), treatment.table.clone());
        self.known.insert(key.clone(), treatment.clone());
        self.news.insert(key, treatment);
    }
}

impl Treatment {
    /// One that says nothing of any column.
    pub(super) fn of_nothing(rule: &str, table: &TableName) -> Self {
        Self {
            rule: rule.to_owned(),
            table: table.clone(),
            columns: BTreeSet::new(),
            treated: BTreeSet::new(),
            lost: BTreeSet::new(),
            order: Vec::new(),
            hidden: BTreeSet::new(),
            judged: BTreeSet::new(),
            renames: Renames::default(),
        }
    }
}

/// The pairs whose new name the table has. `arrives`: the names by which a column of the source's table arrives at the plugin.
pub(crate) fn pairs(renamed: &[(String, String)], source: &Table, arrives: impl Fn(usize) -> Vec<String>) -> Vec<Pair> {
    let names = |name: &str| source.columns.iter().position(|column| same(&column.name, name)).map(&arrives).unwrap_or_default();
    renamed
        .iter()
        .flat_map(|(old, new)| {
            // a plugin before this one may give a column that has the old name now the name that the treatment knows
            let old: Vec<String> = names(old).into_iter().chain([old.clone()]).collect();
            names(new).into_iter().map(move |new| Pair { old: old.clone(), new })
        })
        .collect()
}

/// Refuses a version in which a column that was treated under its old name would pass under its new one.
pub(super) fn judge(before: &Treatment, now: &Treatment, pairs: &[Pair]) -> Result<()> {
    let has = |columns: &BTreeSet<String>, name: &str| columns.iter().any(|column| same(column, name));
    let had = |pair: &Pair, columns: &BTreeSet<String>| pair.old.iter().any(|old| has(columns, old));
    let is_open = |pair: &&Pair| {
        let (hidden, judged) = (has(&now.hidden, &pair.new), has(&now.judged, &pair.new));
        had(pair, &before.hidden) && !hidden
            || had(pair, &before.judged) && !hidden && !judged
            || (had(pair, &before.treated) || had(pair, &before.lost)) && !has(&now.treated, &pair.new)
    };
    match pairs.iter().find(is_open) {
        None => Ok(()),
        Some(Pair { old, new }) => {
            let old = old.last().map(String::as_str).unwrap_or_default();
            Err(Error::new(
                ErrorKind::Plugin,
                format!(
                    "in table {}, the column `{new}`, which the plugin would pass on as it is, is the one that was called `{old}` and that it treated",
                    now.table
                ),
            )
            .remedy(
                "what came before is delivered; treat the column by its new name in the plugin's `config`, too; if it may pass as it is, say so with \
                 any other change of that `config`, e.g. `missing: ignore` in the entry; then start again",
            ))
        }
    }
}

/// Names of columns have no case.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Hold, tests::*},
        *,
    };

    fn renamed(columns: &[(&str, &str)]) -> Renamed {
        let name = TableName::new("shop", "customers");
        let columns = columns.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        Renamed { from: name.clone(), to: name, columns, at: None }
    }

    /// What `follow` and `guard` say of a version.
    fn both(treatments: &Treatments, columns: &[&str], masked: &[&str]) -> [Result<()>; 2] {
        let table = table(columns);
        let plan = plan(&table, masked);
        let pairs = pairs(&treatments.renamed(&table.name), &table, |at| vec![table.columns[at].name.clone()]);
        let hold = |name: &&str| if masked.contains(name) { Hold::Hidden } else { Hold::Passes };
        let held: Vec<Hold> = columns.iter().map(hold).collect();
        [treatments.follow("r", &table, Some(&plan), &pairs), treatments.guard("mask", &table, &held, &pairs)]
    }

    #[test]
    fn a_treated_column_that_leaves_its_name_to_a_new_one_is_not_passed_on() {
        for steps in [&[&[("email", "contact")][..]][..], &[&[("email", "e_mail")], &[("e_mail", "contact")]]] {
            let treatments = Treatments::default();
            assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
            steps.iter().for_each(|columns| drop(treatments.rename(&renamed(columns))));
            let after = Treatments::default();
            after.remember(treatments.take_news());
            for treatments in [&treatments, &after] {
                let [followed, guarded] = both(treatments, &["id", "contact", "email", "old"], &["email"]);
                let (followed, guarded) = (followed.unwrap_err(), guarded.unwrap_err());
                let what = "the column `contact`, which the plugin would pass on as it is, is the one that was called `email`";
                assert!(followed.message().contains(what) && guarded.message().contains(what), "{followed} {guarded}");
                assert!(guarded.message().starts_with("plugin `mask` is `fail_closed`: "), "{guarded}");
                assert!(both(treatments, &["id", "contact", "email", "old"], &["contact", "email"]).iter().all(Result::is_ok));
            }
            // a version without the new name says nothing of it
            treatments.settle_renamed(&table(&["id", "email"]));
            assert_eq!(treatments.renamed(&TableName::new("shop", "customers")).len(), 1);
            treatments.settle_renamed(&table(&["id", "contact", "email", "old"]));
            assert!(treatments.renamed(&TableName::new("shop", "customers")).is_empty());
            assert!(treatments.take_news().iter().any(|news| news.rule == RENAMED && news.renames.pairs.is_empty()));
        }
    }

    #[test]
    fn what_the_log_says_again_after_a_restart_is_not_taken_twice() {
        let at = |number: u32, position: u64| Some(LogPlace { file: format!("binlog.{number:06}"), position, number: 0, seconds: 100 });
        let exchange = Renamed { at: at(1, 50), ..renamed(&[("email", "points"), ("points", "email")]) };
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "points"], &["email"]).iter().all(Result::is_ok));
        for _ in 0..3 {
            treatments.rename(&exchange);
            for refused in both(&treatments, &["id", "points", "email"], &["email"]) {
                refused.unwrap_err();
            }
        }
        // settled: a stream that is behind hears it again
        treatments.settle_renamed(&table(&["id", "points", "email"]));
        let behind = Treatments::default();
        behind.remember(treatments.behind());
        behind.rename(&exchange);
        assert!(behind.renamed(&TableName::new("shop", "customers")).is_empty());
        // another log, or what comes later
        behind.rename(&Renamed { at: at(2, 7), ..exchange.clone() });
        assert_eq!(behind.renamed(&TableName::new("shop", "customers")).len(), 2);
        let reset = Some(LogPlace { seconds: 200, ..at(1, 4).unwrap() });
        treatments.rename(&Renamed { at: reset, ..exchange });
        assert_eq!(treatments.renamed(&TableName::new("shop", "customers")).len(), 2);
    }

    #[test]
    fn what_is_renamed_in_the_copy_of_a_table_comes_with_the_copy() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        let [table, copy, gone] = ["customers", "_customers_gho", "_customers_del"].map(|name| TableName::new("shop", name));
        let columns = vec![("email".to_owned(), "contact".to_owned())];
        treatments.rename(&Renamed { from: copy.clone(), to: copy.clone(), columns, at: None });
        let swap = |from: &TableName, to: &TableName| Renamed { from: from.clone(), to: to.clone(), columns: Vec::new(), at: None };
        treatments.rename(&swap(&table, &gone));
        treatments.rename(&swap(&copy, &table));
        for refused in both(&treatments, &["id", "contact", "email"], &["email"]) {
            refused.unwrap_err();
        }
        assert!(treatments.renamed(&copy).is_empty());
    }

    #[test]
    fn a_treated_column_does_not_take_the_name_of_one_that_passes() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
        treatments.rename(&renamed(&[("email", "old")]));
        for refused in both(&treatments, &["id", "old"], &[]) {
            assert!(refused.unwrap_err().message().contains("the column `old`"));
        }
    }

    #[test]
    fn columns_that_were_not_treated_are_called_as_they_like() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
        treatments.rename(&renamed(&[("old", "note")]));
        assert!(both(&treatments, &["id", "email", "note", "old"], &["email"]).iter().all(Result::is_ok));
        assert!(treatments.renamed(&TableName::new("shop", "other")).is_empty());
    }

    #[test]
    fn a_table_takes_what_is_treated_along_to_its_new_name() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        let (from, to) = (TableName::new("shop", "customers"), TableName::new("shop", "clients"));
        let columns = vec![("email".to_owned(), "contact".to_owned())];
        assert_eq!(treatments.rename(&Renamed { from: from.clone(), to: to.clone(), columns, at: None }), [from, to.clone()]);
        let clients = Table { name: to, ..table(&["id", "contact", "email"]) };
        let pairs = pairs(&treatments.renamed(&clients.name), &clients, |at| vec![clients.columns[at].name.clone()]);
        treatments.follow("r", &clients, Some(&plan(&clients, &["email"])), &pairs).unwrap_err();
        treatments.guard("mask", &clients, &[Hold::Passes, Hold::Passes, Hold::Hidden], &pairs).unwrap_err();
    }

    #[test]
    fn a_pipeline_without_treatments_keeps_nothing() {
        let treatments = Treatments::default();
        treatments.rename(&renamed(&[("a", "b")]));
        assert!(treatments.all().is_empty() && treatments.take_news().is_empty());
    }
}
