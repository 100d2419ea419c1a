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
mod tests {
    use super::{
        super::{Hold, tests::*},
        *,
    };

    fn renamed(columns: &[(&str, &str)]) -> Renamed {
        let name = TableName::new("shop", "customers");
        let columns = columns.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        Renamed { columns, ..Renamed::new(name.clone(), name) }
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
            steps.iter().for_each(|columns| drop(treatments.rename(&renamed(columns)).unwrap()));
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
    fn a_new_column_that_nothing_explains_is_not_passed_on_beside_a_treated_one() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        drop(treatments.rename(&Renamed { far: true, ..renamed(&[("", "contact")]) }).unwrap());
        let after = Treatments::default();
        after.remember(treatments.take_news());
        for treatments in [&treatments, &after] {
            let what = "no statement in the log explains the columns of table shop.customers: `contact`";
            for refused in both(treatments, &["id", "contact", "email"], &["email"]) {
                let refused = refused.unwrap_err();
                assert!(refused.message().contains(what) && refused.message().contains("(`email`)"), "{refused}");
            }
            assert!(both(treatments, &["id", "contact", "email"], &["contact", "email"]).iter().all(Result::is_ok));
            // it is known from here on, and says nothing new when it is told again
            assert!(both(treatments, &["id", "contact", "email"], &["contact", "email"]).iter().all(Result::is_ok));
        }
        // a table without treated columns is not concerned
        let others = Treatments::default();
        assert!(both(&others, &["id", "email"], &[]).iter().all(Result::is_ok));
        drop(others.rename(&Renamed { far: true, ..renamed(&[("", "contact")]) }).unwrap());
        assert!(both(&others, &["id", "contact", "email"], &[]).iter().all(Result::is_ok));
    }

    #[test]
    fn what_the_log_says_again_after_a_restart_is_not_taken_twice() {
        let at = |sequence| Some(LogPlace { log: "0".into(), sequence, position: 0, number: 0, seconds: 100 });
        let exchange = Renamed { at: at(5), ..renamed(&[("email", "points"), ("points", "email")]) };
        let other = Renamed { from: TableName::new("shop", "a"), to: TableName::new("shop", "b"), at: at(4), ..renamed(&[]) };
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "points"], &["email"]).iter().all(Result::is_ok));
        for _ in 0..3 {
            treatments.rename(&other).unwrap();
            treatments.rename(&exchange).unwrap();
            for refused in both(&treatments, &["id", "points", "email"], &["email"]) {
                refused.unwrap_err();
            }
        }
        // a stream that is behind hears it again
        treatments.settle_renamed(&table(&["id", "points", "email"]));
        let behind = Treatments::default();
        behind.remember(treatments.all());
        behind.rename(&exchange).unwrap();
        assert!(behind.renamed(&TableName::new("shop", "customers")).is_empty());
        // what comes later, another log, and one that began anew
        let again = LogPlace { seconds: 200, ..at(1).unwrap() };
        let elsewhere = LogPlace { log: "1".into(), ..at(1).unwrap() };
        for place in [LogPlace { sequence: 6, ..at(5).unwrap() }, elsewhere, again] {
            behind.rename(&Renamed { at: Some(place), ..exchange.clone() }).unwrap();
            assert_eq!(behind.renamed(&TableName::new("shop", "customers")).len(), 2);
            behind.settle_renamed(&table(&["id", "points", "email"]));
        }
    }

    #[test]
    fn names_of_what_is_gone_are_forgotten() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        let name = TableName::new("shop", "customers");
        let dropped = Renamed { dropped: vec!["Contact".into()], ..renamed(&[]) };
        for gone in [dropped, Renamed { anew: true, ..renamed(&[]) }] {
            treatments.rename(&renamed(&[("email", "contact")])).unwrap();
            assert_eq!(treatments.renamed(&name).len(), 1);
            treatments.rename(&gone).unwrap();
            assert!(treatments.renamed(&name).is_empty());
        }
    }

    #[test]
    fn a_table_that_is_made_like_another_one_is_treated_like_it() {
        let [customers, leads] = ["customers", "leads"].map(|name| TableName::new("shop", name));
        let like = |anew| Renamed { from: customers.clone(), to: leads.clone(), anew, copied: true, ..renamed(&[]) };
        let contact = Renamed { from: leads.clone(), to: leads.clone(), ..renamed(&[("email", "contact")]) };
        let judged = |treatments: &Treatments, columns: &[&str], masked: &[&str]| {
            let table = Table { name: leads.clone(), ..table(columns) };
            let pairs = pairs(&treatments.renamed(&leads), &table, |at| vec![table.columns[at].name.clone()]);
            treatments.follow("r", &table, Some(&plan(&table, masked)), &pairs)
        };
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        treatments.rename(&like(true)).unwrap();
        treatments.rename(&contact).unwrap();
        let error = judged(&treatments, &["id", "contact"], &[]).unwrap_err();
        assert!(error.message().contains("the column `contact`, which the plugin would pass on as it is"), "{error}");
        judged(&treatments, &["id", "contact"], &["contact"]).unwrap();
        // one that is there already stays as it is
        treatments.rename(&like(false)).unwrap();
        judged(&treatments, &["id", "contact"], &["contact"]).unwrap();
        // the original is as it was
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    }

    #[test]
    fn what_becomes_of_a_table_elsewhere_counts_where_it_was_captured_before() {
        let [customers, away, back] = [("shop", "customers"), ("attic", "x"), ("shop", "back")].map(|(d, t)| TableName::new(d, t));
        let step = |from: &TableName, to: &TableName, columns: &[(&str, &str)]| Renamed {
            from: from.clone(),
            to: to.clone(),
            far: to.database == "attic",
            ..renamed(columns)
        };
        let treatments = Treatments::default();
        treatments.rename(&step(&away, &away, &[("a", "b")])).unwrap();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        let other = TableName::new("attic", "other");
        treatments.rename(&step(&other, &other, &[("a", "b")])).unwrap();
        assert!(treatments.renamed(&other).is_empty(), "a table that was never captured");
        for (from, to, columns) in [(&customers, &away, &[][..]), (&away, &away, &[("email", "contact")]), (&away, &back, &[])] {
            treatments.rename(&step(from, to, columns)).unwrap();
        }
        assert_eq!(treatments.renamed(&back), [("email".to_owned(), "contact".to_owned())]);
        let table = Table { name: back.clone(), ..table(&["id", "contact"]) };
        let pairs = pairs(&treatments.renamed(&back), &table, |at| vec![table.columns[at].name.clone()]);
        treatments.follow("r", &table, Some(&plan(&table, &[])), &pairs).unwrap_err();
    }

    #[test]
    fn tables_that_exchange_their_names_exchange_their_treatments() {
        let treatments = Treatments::default();
        let named = |name: &str, columns: &[&str]| Table { name: TableName::new("shop", name), ..table(columns) };
        let (a, b) = (named("a", &["id", "email", "note"]), named("b", &["id", "mail", "memo"]));
        for (table, column) in [(&a, "email"), (&b, "mail")] {
            treatments.follow("r", table, Some(&plan(table, &[column])), &[]).unwrap();
        }
        for (from, to) in [("a", "tmp"), ("b", "a"), ("tmp", "b")] {
            let [from, to] = [from, to].map(|name| TableName::new("shop", name));
            treatments.rename(&Renamed { from, to, ..renamed(&[]) }).unwrap();
        }
        let (a, b) = (named("a", &["id", "mail", "memo"]), named("b", &["id", "email", "note"]));
        for (table, column) in [(&a, "mail"), (&b, "email")] {
            treatments.follow("r", table, Some(&plan(table, &[column])), &[]).unwrap();
        }
    }

    #[test]
    fn a_number_of_the_catalogue_that_has_another_name_is_a_column_that_was_renamed_also_between_two_runs() {
        let name = TableName::new("shop", "customers");
        let numbered = |table: i64, columns: &[(i64, &str)]| {
            let columns = columns.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
            Renamed { numbered: Some(NumberedColumns { table, columns }), ..renamed(&[]) }
        };
        let before = numbered(7, &[(1, "id"), (2, "email"), (3, "n_points")]);
        let (taken, exchanged) = ([(1, "id"), (2, "contact"), (4, "email")], [(1, "id"), (2, "n_points"), (3, "email")]);
        type Case<'a> = (&'a [(i64, &'a str)], &'a [&'a str]);
        let cases: [Case<'_>; 2] = [(&taken, &["id", "contact", "email"]), (&exchanged, &["id", "n_points", "email"])];
        // told before anything was treated, and after; or what was stored before there were numbers
        for (first, kept) in [(true, true), (false, true), (false, false)] {
            for (columns, names) in cases {
                let treatments = Treatments::default();
                if first {
                    treatments.rename(&before).unwrap();
                    assert!(treatments.take_news().is_empty(), "nothing is treated");
                }
                assert!(both(&treatments, &["id", "email", "n_points"], &["email"]).iter().all(Result::is_ok));
                if !first && kept {
                    treatments.rename(&before).unwrap();
                }
                let after = Treatments::default();
                after.remember(treatments.take_news());
                for treatments in [&treatments, &after] {
                    // the numbers come with each start
                    for _ in 0..2 {
                        treatments.rename(&numbered(7, columns)).unwrap();
                        assert_eq!(treatments.renamed(&name).is_empty(), !kept, "{names:?}");
                        let refused = both(treatments, names, &["email"]).iter().all(Result::is_err);
                        assert_eq!(refused, kept, "{names:?}");
                    }
                    assert!(!kept || both(treatments, names, &[names[1], "email"]).iter().all(Result::is_ok));
                }
                // another table has other columns
                treatments.rename(&numbered(8, &[(1, "id"), (2, "email"), (4, "contact")])).unwrap();
                assert!(treatments.renamed(&name).is_empty());
            }
        }
    }

    #[test]
    fn a_column_of_another_name_that_is_gone_is_no_longer_waited_for() {
        let numbered = |columns: &[(i64, &str)]| {
            let columns = columns.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
            Renamed { numbered: Some(NumberedColumns { table: 7, columns }), ..renamed(&[]) }
        };
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        for columns in [&[(1, "id"), (2, "email")][..], &[(1, "id"), (2, "contact")], &[(1, "id"), (3, "email")]] {
            treatments.rename(&numbered(columns)).unwrap();
        }
        assert!(treatments.renamed(&TableName::new("shop", "customers")).is_empty());
    }

    #[test]
    fn what_is_renamed_in_the_copy_of_a_table_comes_with_the_copy() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        let [table, copy, gone] = ["customers", "_customers_gho", "_customers_del"].map(|name| TableName::new("shop", name));
        let columns = vec![("email".to_owned(), "contact".to_owned())];
        treatments.rename(&Renamed { columns, ..Renamed::new(copy.clone(), copy.clone()) }).unwrap();
        let swap = |from: &TableName, to: &TableName| Renamed {
            from: from.clone(),
            to: to.clone(),
            columns: Vec::new(),
            dropped: Vec::new(),
            anew: false,
            copied: false,
            far: false,
            at: None,
            numbered: None,
        };
        treatments.rename(&swap(&table, &gone)).unwrap();
        treatments.rename(&swap(&copy, &table)).unwrap();
        for refused in both(&treatments, &["id", "contact", "email"], &["email"]) {
            refused.unwrap_err();
        }
        assert!(treatments.renamed(&copy).is_empty());
    }

    #[test]
    fn a_treated_column_does_not_take_the_name_of_one_that_passes() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
        treatments.rename(&renamed(&[("email", "old")])).unwrap();
        for refused in both(&treatments, &["id", "old"], &[]) {
            assert!(refused.unwrap_err().message().contains("the column `old`"));
        }
    }

    #[test]
    fn columns_that_were_not_treated_are_called_as_they_like() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
        treatments.rename(&renamed(&[("old", "note")])).unwrap();
        assert!(both(&treatments, &["id", "email", "note", "old"], &["email"]).iter().all(Result::is_ok));
        assert!(treatments.renamed(&TableName::new("shop", "other")).is_empty());
    }

    #[test]
    fn a_table_takes_what_is_treated_along_to_its_new_name() {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        let (from, to) = (TableName::new("shop", "customers"), TableName::new("shop", "clients"));
        let columns = vec![("email".to_owned(), "contact".to_owned())];
        let clients = Renamed { columns, ..Renamed::new(from.clone(), to.clone()) };
        assert_eq!(treatments.rename(&clients).unwrap(), [from, to.clone()]);
        let clients = Table { name: to, ..table(&["id", "contact", "email"]) };
        let pairs = pairs(&treatments.renamed(&clients.name), &clients, |at| vec![clients.columns[at].name.clone()]);
        treatments.follow("r", &clients, Some(&plan(&clients, &["email"])), &pairs).unwrap_err();
        treatments.guard("mask", &clients, &[Hold::Passes, Hold::Passes, Hold::Hidden], &pairs).unwrap_err();
    }

    #[test]
    fn a_pipeline_without_treatments_keeps_nothing() {
        let treatments = Treatments::default();
        treatments.rename(&renamed(&[("a", "b")])).unwrap();
        assert!(treatments.all().is_empty() && treatments.take_news().is_empty());
    }
}
