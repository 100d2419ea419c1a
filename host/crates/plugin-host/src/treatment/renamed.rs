//! Columns that got other names, as the source's log has it. Names alone do not show it when a new column takes the old name: then the
//! one that is treated by that name has become another one. What the log said of a table is kept, also over runs, until every plugin of
//! the chain has planned the version behind it. Where a source has no log of it, the numbers of columns in its catalogue are kept instead:
//! a number that has another name than it had is a column that was renamed, also while the program did not run.

use std::{collections::BTreeSet, sync::PoisonError};

use super::{Inner, Treatment, Treatments, list};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{LogPlace, NumberedColumns, Renamed, Table, TableName},
    limits::{RENAMED_COLUMNS, RENAMED_LOGS, TREATMENTS},
};

/// What stands in place of a rule. No plugin's name begins with a space.
pub(crate) const RENAMED: &str = " renamed";

/// What the log says of a table's names; of no table, how far it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// Names of columns before and now that no version of the table has come with yet. No name before: nothing in the log explains it.
    pub pairs: Vec<(String, String)>,
    /// The last statement of each log.
    pub told: Vec<LogPlace>,
    /// The columns as they were last, by their numbers in the source's catalogue.
    pub numbered: Option<NumberedColumns>,
    /// The columns of the last version that every plugin has planned, if one treats some; `None` where a statement has changed the table since.
    pub columns: Option<Vec<String>>,
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
    ///
    /// # Errors
    /// `Plugin`: there is more than can be kept.
    pub fn rename(&self, renamed: &Renamed) -> Result<Vec<TableName>> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &renamed.numbered {
            None => inner.rename(renamed),
            Some(numbered) => {
                let renamed = inner.number(&renamed.to, numbered);
                inner.rename(&renamed)
            }
        }
    }

    /// The names of columns before and now that no version of the table has come with yet.
    pub(crate) fn renamed(&self, table: &TableName) -> Vec<(String, String)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.pairs_of(table)
    }

    /// Every plugin has planned this version of a table, and one treats columns of it: by their names, a source finds the columns in a
    /// later run that came without a statement in its log.
    pub(crate) fn keep_columns(&self, table: &Table) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entry = inner.entry(&table.name);
        let names = || table.columns.iter().map(|column| &column.name);
        if entry.renames.columns.as_ref().is_none_or(|known| !known.iter().eq(names())) {
            entry.renames.columns = Some(names().cloned().collect());
            inner.put(entry);
        }
    }

    /// Every plugin has planned this version of a table, which came behind what the log said: the names in it are judged.
    pub(crate) fn settle_renamed(&self, table: &Table) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pairs = inner.pairs_of(&table.name);
        pairs.retain(|(_, new)| !table.columns.iter().any(|column| same(&column.name, new)));
        inner.put_pairs(&table.name, pairs);
    }
}

impl Inner {
    /// Takes note of other names.
    fn rename(&mut self, renamed: &Renamed) -> Result<Vec<TableName>> {
        let (from, to) = (&renamed.from, &renamed.to);
        let names = if from == to || renamed.copied { vec![to.clone()] } else { vec![from.clone(), to.clone()] };
        // where nothing was ever treated, nothing can lose its treatment
        if self.known.is_empty() || (renamed.far && !self.knows(from)) || renamed.at.as_ref().is_some_and(|at| !self.tell(at)) {
            return Ok(names);
        }
        let is_explained = renamed.columns.iter().all(|(old, _)| !old.is_empty());
        if is_explained {
            self.forget_columns(from);
            self.forget_columns(to);
        }
        if renamed.copied {
            self.copy_table(from, to, renamed.anew);
            return if self.known.len() > TREATMENTS { Err(too_many(to)) } else { Ok(names) };
        }
        let mut pairs = if renamed.anew { Vec::new() } else { self.pairs_of(from) };
        pairs.retain(|(_, name)| !renamed.dropped.iter().any(|dropped| same(dropped, name)));
        let of_now = |name: &str| renamed.columns.iter().find(|(old, _)| same(old, name));
        let first = renamed.columns.iter().filter(|(old, _)| !pairs.iter().any(|(_, known)| same(known, old))).cloned();
        let again = pairs.iter().map(|(old, name)| (old.clone(), of_now(name).map_or(name, |(_, new)| new).clone()));
        let composed: BTreeSet<(String, String)> = again.chain(first).collect();
        if from != to {
            self.put_pairs(from, Vec::new());
            self.rename_table(from, to);
        }
        self.put_pairs(to, composed.iter().cloned().collect());
        match composed.len() > RENAMED_COLUMNS || self.known.len() > TREATMENTS {
            true => Err(too_many(to)),
            false => Ok(names),
        }
    }

    /// Takes note of a table's columns by their numbers. Says which of them had other names before, and which are gone.
    fn number(&mut self, table: &TableName, now: &NumberedColumns) -> Renamed {
        let mut renamed = Renamed::new(table.clone(), table.clone());
        let mut entry = self.entry(table);
        match entry.renames.numbered.as_ref().or_else(|| self.waiting.get(table)) {
            Some(before) if before.table == now.table => {
                for (number, old) in &before.columns {
                    match now.columns.iter().find(|(other, _)| other == number) {
                        Some((_, new)) if new == old => {}
                        Some((_, new)) => renamed.columns.push((old.clone(), new.clone())),
                        None => renamed.dropped.push(old.clone()),
                    }
                }
            }
            Some(_) => renamed.anew = true,
            None => {}
        }
        if self.known.is_empty() {
            self.waiting.insert(table.clone(), now.clone());
        } else if entry.renames.numbered.as_ref() != Some(now) {
            entry.renames.numbered = Some(now.clone());
            self.put(entry);
        }
        renamed
    }

    /// Something is treated: from now on numbers of columns are kept over runs.
    pub(super) fn keep_numbers(&mut self) {
        for (table, numbered) in std::mem::take(&mut self.waiting) {
            let mut entry = self.entry(&table);
            entry.renames.numbered = Some(numbered);
            self.put(entry);
        }
    }

    /// What is known of a table's names.
    fn entry(&self, table: &TableName) -> Treatment {
        let known = self.known.get(&(RENAMED.to_owned(), table.clone()));
        known.cloned().unwrap_or_else(|| Treatment::of_nothing(RENAMED, table))
    }

    /// Takes note of a place in the log. Answers whether it is behind what was told before.
    fn tell(&mut self, at: &LogPlace) -> bool {
        let nothing = TableName::new("", "");
        let known = self.known.get(&(RENAMED.to_owned(), nothing.clone())).cloned();
        let mut entry = known.unwrap_or_else(|| Treatment::of_nothing(RENAMED, &nothing));
        if entry.renames.told.iter().any(|known| at.is_had(known)) {
            return false;
        }
        entry.renames.told.retain(|known| known.log != at.log);
        if entry.renames.told.len() >= RENAMED_LOGS {
            entry.renames.told.remove(0);
        }
        entry.renames.told.push(at.clone());
        self.put(entry);
        true
    }

    fn pairs_of(&self, table: &TableName) -> Vec<(String, String)> {
        self.known.get(&(RENAMED.to_owned(), table.clone())).map(|entry| entry.renames.pairs.clone()).unwrap_or_default()
    }

    fn put_pairs(&mut self, table: &TableName, pairs: Vec<(String, String)>) {
        let mut entry = self.entry(table);
        if entry.renames.pairs == pairs {
            return;
        }
        entry.renames.pairs = pairs;
        self.put_renames(entry);
    }

    /// A statement has changed the table; without a table's name, all of the database; without one, all.
    fn forget_columns(&mut self, table: &TableName) {
        let concerns = |known: &TableName| {
            let whole = table.table.is_empty();
            (whole && table.database.is_empty() || same(&known.database, &table.database)) && (whole || same(&known.table, &table.table))
        };
        let is_of = |known: &&Treatment| known.rule == RENAMED && known.renames.columns.is_some() && concerns(&known.table);
        for mut entry in self.known.values().filter(is_of).cloned().collect::<Vec<_>>() {
            entry.renames.columns = None;
            self.put_renames(entry);
        }
    }

    fn put_renames(&mut self, entry: Treatment) {
        match entry.renames == Renames::default() {
            true => {
                let key = (entry.rule.clone(), entry.table.clone());
                self.known.remove(&key);
                self.news.insert(key, entry);
            }
            false => self.put(entry),
        }
    }

    /// The columns of a table are treated as before under its new name.
    fn rename_table(&mut self, from: &TableName, to: &TableName) {
        let of_table: Vec<Treatment> = self.known.values().filter(|known| known.table == *from && known.rule != RENAMED).cloned().collect();
        for treatment in of_table {
            self.put(Treatment { table: to.clone(), ..treatment });
        }
    }

    /// A new table has the columns of another one, and they are treated as there. Not `anew`: it may have been there before.
    fn copy_table(&mut self, from: &TableName, to: &TableName, anew: bool) {
        let knows = self.knows(to);
        if !anew && knows {
            return;
        }
        self.put_pairs(to, self.pairs_of(from));
        self.rename_table(from, to);
    }

    /// Whether anything is known of a table.
    fn knows(&self, table: &TableName) -> bool {
        self.known.values().any(|known| known.table == *table)
    }

    fn put(&mut self, treatment: Treatment) {
        let key = (treatment.rule.clone(), treatment.table.clone());
        self.known.insert(key.clone(), treatment.clone());
        self.news.insert(key, treatment);
    }
}

fn too_many(table: &TableName) -> Error {
    let what = format!(
        "more tables and columns were renamed than can be kept, table {table} the last of them: what plugins did to them would be lost"
    );
    Error::new(ErrorKind::Plugin, what).remedy(
        "make any change of the plugins' `config`, e.g. `missing: ignore` in an entry: then what they did to tables of before is forgotten; of one that is \
         `fail_closed`, run `sluicegate checkpoint release PIPELINE.yaml --plugin NAME`; then start again",
    )
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
    // one that nothing in the log explains may be any column of before
    let is_unexplained = |pair: &Pair| pair.old.iter().all(String::is_empty);
    let had = |pair: &Pair, columns: &BTreeSet<String>| match is_unexplained(pair) {
        true => !columns.is_empty() && !has(&before.columns, &pair.new),
        false => pair.old.iter().any(|old| has(columns, old)),
    };
    let is_open = |pair: &&Pair| {
        let (hidden, judged) = (has(&now.hidden, &pair.new), has(&now.judged, &pair.new));
        had(pair, &before.hidden) && !hidden
            || had(pair, &before.judged) && !hidden && !judged
            || (had(pair, &before.treated) || had(pair, &before.lost)) && !has(&now.treated, &pair.new)
    };
    match pairs.iter().find(is_open) {
        None => Ok(()),
        Some(pair @ Pair { new, .. }) if is_unexplained(pair) => Err(Error::new(
            ErrorKind::Plugin,
            format!(
                "no statement in the log explains the columns of table {}: `{new}`, which the plugin would pass on as it is, may be one that it \
                 treated under another name ({})",
                now.table,
                list(&before.treated.iter().cloned().collect::<Vec<_>>())
            ),
        )
        .remedy(
            "what came before is delivered; look what the column is (a table was changed with SET sql_log_bin = 0, or by a statement that was not \
             logged); treat it in the plugin's `config`, too; if it may pass as it is, say so with any other change of that `config`, e.g. \
             `missing: ignore` in the entry; then start again",
        )),
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
mod tests;
