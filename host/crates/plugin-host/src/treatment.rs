//! Which columns of each table a plugin treats: masks, hashes, drops, judges rows by. A rule for many tables leaves a table alone
//! that does not have its column, so a column that gets another name would go out as it is from then on. It must not: a version of
//! a table that lost a treated column, and has a new one that the plugin does not treat, stops the pipeline before its first row,
//! also when the change came between two runs, and when it came in two steps. So does one whose columns may have exchanged their names,
//! and the copy that a tool for schema changes makes of such a table. Another configuration of the plugin is the answer, whatever it says.

mod guard;
mod renamed;

pub use self::renamed::Renames;
pub(crate) use self::{
    guard::{Hold, closed_rule},
    renamed::{Pair, RENAMED, pairs},
};

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::plan::{Origin, Plan};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, NumberedColumns, Place, Table, TableName},
};

/// What a plugin did to the columns of the last version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// Stands for the plugin's name and configuration.
    pub rule: String,
    /// The table, as it arrives at the plugin.
    pub table: TableName,
    /// All its columns.
    pub columns: BTreeSet<String>,
    /// Those that the plugin treats. None: it leaves the table alone.
    pub treated: BTreeSet<String>,
    /// Those that it treated, and that the table no longer has: what comes in their place may come later.
    pub lost: BTreeSet<String>,
    /// All columns in the table's order; none where that is not known.
    pub order: Vec<String>,
    /// Of a plugin that is `fail_closed`: those that do not get past it as they are.
    pub hidden: BTreeSet<String>,
    /// Of a plugin that is `fail_closed`: those that pass, and that it judges rows by.
    pub judged: BTreeSet<String>,
    /// In place of all that, of a table of the source: what the log says of its names.
    pub renames: Renames,
}

/// What the plugins of a pipeline did to their tables, in this run and those before it.
#[derive(Debug, Default)]
pub struct Treatments(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<(String, TableName), Treatment>,
    /// What has come since it was last stored.
    news: BTreeMap<(String, TableName), Treatment>,
    /// The columns of tables by their numbers, as long as nothing is treated: the source bounds how many tables it has.
    waiting: BTreeMap<TableName, NumberedColumns>,
}

impl Treatments {
    /// What runs before this one noted.
    pub fn remember(&self, stored: Vec<Treatment>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.extend(stored.into_iter().map(|treatment| ((treatment.rule.clone(), treatment.table.clone()), treatment)));
    }

    /// What was noted of the last version of each table.
    pub fn all(&self) -> Vec<Treatment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.values().cloned().collect()
    }

    /// What has come since the last call: it has to be durable before any progress is that comes after it.
    pub fn take_news(&self) -> Vec<Treatment> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).news).into_values().collect()
    }

    /// The same once more: it could not be stored.
    pub fn give_back(&self, news: Vec<Treatment>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for treatment in news {
            inner.news.entry((treatment.rule.clone(), treatment.table.clone())).or_insert(treatment);
        }
    }

    /// Takes note of a plan for a version of a table as it arrives at the plugin. `renamed`: columns that got other names. Answers whether
    /// the plugin treats columns.
    ///
    /// # Errors
    /// The version lost a column that the plugin treated, and has a new one that it does not treat.
    pub(super) fn follow(&self, rule: &str, table: &Table, plan: Option<&Plan>, renamed: &[Pair]) -> Result<bool> {
        self.note(treatment(rule, table, plan), table, |before, now| renamed::judge(before, now, renamed))
    }

    /// Takes note of a treatment that is as good as the one before, and passes what else is asked of the two. Answers whether there is one.
    fn note(&self, mut now: Treatment, table: &Table, asked: impl FnOnce(&Treatment, &Treatment) -> Result<()>) -> Result<bool> {
        let key = (now.rule.clone(), now.table.clone());
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match inner.known.get(&key) {
            Some(before) => Some(before),
            // a new table: of a copy that takes its original's place, the original says what is to be treated
            None => now.table.copied_from().and_then(|original| inner.known.get(&(now.rule.clone(), original))),
        };
        if before.is_none() && now.treated.is_empty() {
            return Ok(false);
        }
        if let Some(before) = before {
            asked(before, &now)?;
            // names of columns have no case
            let lower = |columns: &BTreeSet<String>| columns.iter().map(|column| column.to_lowercase()).collect::<BTreeSet<_>>();
            let (here, there, treated) = (lower(&now.columns), lower(&before.columns), lower(&now.treated));
            let gone =
                |columns: &BTreeSet<String>| columns.iter().filter(|c| !here.contains(&c.to_lowercase())).cloned().collect::<Vec<_>>();
            let (lost, missed) = (gone(&before.treated), gone(&before.lost));
            let is_new = |c: &&String| !there.contains(&c.to_lowercase()) && !treated.contains(&c.to_lowercase());
            let new: Vec<&str> = now.columns.iter().filter(is_new).map(String::as_str).collect();
            if !lost.is_empty() && !new.is_empty() {
                return Err(lost_its_treatment(&now.table, &lost, &new));
            }
            let text: Vec<&str> = new.into_iter().filter(|column| may_hold_text(table, column)).collect();
            if !missed.is_empty() && !text.is_empty() {
                return Err(lost_its_treatment(&now.table, &missed, &text));
            }
            if let Some((one, other)) = exchanged(before, &now, table) {
                return Err(names_may_be_exchanged(&now.table, one, other));
            }
            // a new column that is treated stands for what is gone
            let replaced = treated.iter().any(|column| !there.contains(column));
            if !replaced {
                now.lost = lost.into_iter().chain(missed).collect();
            }
            if inner.known.get(&key) == Some(&now) {
                return Ok(true);
            }
        }
        let treats = !now.treated.is_empty() || !now.lost.is_empty();
        match treats {
            true => drop(inner.known.insert(key.clone(), now.clone())),
            false => drop(inner.known.remove(&key)),
        }
        inner.news.insert(key, now);
        inner.keep_numbers();
        Ok(treats)
    }
}

fn data_type(table: &Table, name: &str) -> Option<DataType> {
    table.columns.iter().find(|column| column.name == name).map(|column| column.data_type)
}

fn may_hold_text(table: &Table, name: &str) -> bool {
    data_type(table, name).is_none_or(|data_type| matches!(data_type, DataType::Text | DataType::Json | DataType::Bytes))
}

/// A treated column and another one of its type that stands in its place now, where all names are as before: whether the columns have
/// moved, or their names have, only the database knows.
fn exchanged<'a>(before: &'a Treatment, now: &'a Treatment, table: &Table) -> Option<(&'a str, &'a str)> {
    if before.order.len() != now.order.len() || before.columns != now.columns {
        return None;
    }
    let pairs = before.order.iter().zip(&now.order).filter(|(old, new)| old != new);
    let mut pairs = pairs.filter(|(old, new)| before.treated.contains(*old) && !now.treated.contains(*new));
    pairs.find(|(old, new)| data_type(table, old) == data_type(table, new)).map(|(old, new)| (old.as_str(), new.as_str()))
}

fn treatment(rule: &str, table: &Table, plan: Option<&Plan>) -> Treatment {
    let own = |column: &&ColumnInfo| column.place == Place::Value;
    let untouched = |index: usize| match plan {
        Some(plan) => plan.origins.contains(&Origin::Input(index)) && !plan.reads.contains(&index),
        None => true,
    };
    Treatment {
        rule: rule.to_owned(),
        table: table.name.clone(),
        columns: table.columns.iter().filter(own).map(|column| column.name.clone()).collect(),
        treated: (0..)
            .zip(&table.columns)
            .filter(|(i, column)| own(column) && !untouched(*i))
            .map(|(_, column)| column.name.clone())
            .collect(),
        lost: BTreeSet::new(),
        order: table.columns.iter().filter(own).map(|column| column.name.clone()).collect(),
        hidden: BTreeSet::new(),
        judged: BTreeSet::new(),
        renames: Renames::default(),
    }
}

fn list(names: &[impl AsRef<str>]) -> String {
    const NAMED: usize = 10;
    let more = if names.len() > NAMED { " and more" } else { "" };
    format!("`{}`{more}", names.iter().take(NAMED).map(AsRef::as_ref).collect::<Vec<_>>().join("`, `"))
}

fn names_may_be_exchanged(table: &TableName, one: &str, other: &str) -> Error {
    Error::new(
        ErrorKind::Plugin,
        format!(
            "in table {table}, the column `{other}`, which the plugin would pass on as it is, has come into the place of `{one}`, which it treats: \
             they may have exchanged their names"
        ),
    )
    .remedy(
        "what came before is delivered; if the names were exchanged, treat the columns by their new names in the plugin's `config`; if the columns \
         only have another order, say so with any other change of that `config`, e.g. `missing: ignore` in the entry; then start again",
    )
}

fn lost_its_treatment(table: &TableName, lost: &[String], new: &[&str]) -> Error {
    Error::new(
        ErrorKind::Plugin,
        format!(
            "table {table} no longer has the column {} that the plugin treated until now, and has {}, which the plugin would pass on as it is",
            list(lost),
            list(new)
        ),
    )
    .remedy(
        "what came before is delivered; if it is the same column under another name, name it in the plugin's `config`, too; if not, say so with any \
         other change of that `config`, e.g. `missing: ignore` in the entry; then start again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::sluicegate::plugin::types as wit;
    use sluicegate_model::change::{DataType, NativeType};

    pub(super) fn table(columns: &[&str]) -> Table {
        let column = |name: &&str| ColumnInfo {
            name: (*name).to_owned(),
            data_type: if name.starts_with("n_") { DataType::Int64 } else { DataType::Text },
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        };
        Table { name: TableName::new("shop", "customers"), destination: None, columns: columns.iter().map(column).collect() }
    }

    /// A plan that masks `masked` and passes everything else on.
    pub(super) fn plan(table: &Table, masked: &[&str]) -> Plan {
        let masks = |name: &str| masked.contains(&name);
        let index = |i: usize| if masks(&table.columns[i].name) { Origin::Computed(0) } else { Origin::Input(i) };
        Plan {
            output: table.clone(),
            origins: (0..table.columns.len()).map(index).collect(),
            computed: Vec::new(),
            reads: (0..table.columns.len()).filter(|i| masks(&table.columns[*i].name)).collect(),
            context: wit::Context::empty(),
            filters: false,
            operations: crate::plan::Delivered::all(),
            absent: false,
        }
    }

    fn follow(treatments: &Treatments, rule: &str, columns: &[&str], masked: &[&str]) -> Result<()> {
        let table = table(columns);
        let plan = plan(&table, masked);
        treatments.follow(rule, &table, (!masked.is_empty()).then_some(&plan), &[]).map(|_| ())
    }

    #[test]
    fn a_treated_column_under_another_name_is_not_passed_on() {
        let treatments = Treatments::default();
        follow(&treatments, "r", &["id", "email"], &["email"]).unwrap();
        let error = follow(&treatments, "r", &["id", "e_mail"], &[]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        table shop.customers no longer has the column `email` that the plugin treated until now, and has `e_mail`, which the plugin would pass on as it is
          remedy: what came before is delivered; if it is the same column under another name, name it in the plugin's `config`, too; if not, say so with any other change of that `config`, e.g. `missing: ignore` in the entry; then start again
        ");
        // again and again, until the configuration is another one
        follow(&treatments, "r", &["id", "e_mail"], &[]).unwrap_err();
        follow(&treatments, "other", &["id", "e_mail"], &[]).unwrap();
    }

    #[test]
    fn what_loses_no_treatment_goes_on() {
        let treatments = Treatments::default();
        follow(&treatments, "r", &["id", "email"], &["email"]).unwrap();
        // both spellings are treated; versions may also come again
        follow(&treatments, "r", &["id", "e_mail"], &["e_mail"]).unwrap();
        follow(&treatments, "r", &["id", "email"], &["email"]).unwrap();
        // a new column beside it, the column goes, a number comes later
        follow(&treatments, "r", &["id", "email", "note"], &["email"]).unwrap();
        follow(&treatments, "r", &["id", "note"], &[]).unwrap();
        follow(&treatments, "r", &["id", "note", "n_points"], &[]).unwrap();
        // another column that is treated stands for it
        follow(&treatments, "r", &["id", "note", "n_points", "mail"], &["mail"]).unwrap();
        follow(&treatments, "r", &["id", "note", "n_points", "mail", "more"], &["mail"]).unwrap();
        // other columns change their places
        follow(&treatments, "r", &["note", "id", "n_points", "mail", "more"], &["mail"]).unwrap();
    }

    #[test]
    fn a_treated_column_that_goes_in_one_step_does_not_come_back_under_another_name_in_a_later_one() {
        let treatments = Treatments::default();
        follow(&treatments, "r", &["id", "email", "note"], &["email"]).unwrap();
        follow(&treatments, "r", &["id", "note"], &[]).unwrap();
        // also in another run
        let after = Treatments::default();
        after.remember(treatments.take_news());
        for treatments in [&treatments, &after] {
            follow(treatments, "r", &["id", "note", "n_points"], &[]).unwrap();
            let error = follow(treatments, "r", &["id", "note", "n_points", "e_mail"], &[]).unwrap_err();
            assert!(error.message().contains("no longer has the column `email`") && error.message().contains("has `e_mail`"), "{error}");
            // the column itself may come back
            follow(treatments, "r", &["id", "note", "email"], &["email"]).unwrap();
            follow(treatments, "r", &["id", "note", "email", "more"], &["email"]).unwrap();
        }
    }

    #[test]
    fn a_treated_column_and_another_one_do_not_exchange_their_names_unseen() {
        let treatments = Treatments::default();
        follow(&treatments, "r", &["id", "email", "note", "n_points"], &["email"]).unwrap();
        let error = follow(&treatments, "r", &["id", "note", "email", "n_points"], &["email"]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        in table shop.customers, the column `note`, which the plugin would pass on as it is, has come into the place of `email`, which it treats: they may have exchanged their names
          remedy: what came before is delivered; if the names were exchanged, treat the columns by their new names in the plugin's `config`; if the columns only have another order, say so with any other change of that `config`, e.g. `missing: ignore` in the entry; then start again
        ");
        // both are treated; another type
        follow(&treatments, "r", &["id", "note", "email", "n_points"], &["email", "note"]).unwrap();
        follow(&treatments, "r", &["id", "note", "n_points", "email"], &["email"]).unwrap();
    }

    #[test]
    fn the_copy_that_takes_a_tables_place_is_treated_as_the_table_is() {
        for name in ["_customers_gho", "_customers_new", "__customers_new"] {
            let treatments = Treatments::default();
            follow(&treatments, "r", &["id", "email"], &["email"]).unwrap();
            let copy = |columns: &[&str]| Table { name: TableName::new("shop", name), ..table(columns) };
            treatments.follow("r", &copy(&["id", "e_mail"]), None, &[]).unwrap_err();
            let whole = copy(&["id", "email", "note"]);
            treatments.follow("r", &whole, Some(&plan(&whole, &["email"])), &[]).unwrap();
        }
    }

    #[test]
    fn a_treated_column_in_another_case_is_not_lost() {
        let treatments = Treatments::default();
        follow(&treatments, "r", &["id", "email"], &["email"]).unwrap();
        follow(&treatments, "r", &["id", "Email", "note"], &["Email"]).unwrap();
        follow(&treatments, "r", &["id", "e_mail", "note"], &[]).unwrap_err();
    }

    #[test]
    fn it_holds_over_runs_once_it_is_stored() {
        let before = Treatments::default();
        follow(&before, "r", &["id", "email"], &["email"]).unwrap();
        follow(&before, "r", &["id", "email"], &["email"]).unwrap();
        let news = before.take_news();
        assert_eq!((news.len(), before.take_news().len()), (1, 0));
        before.give_back(news.clone());
        assert_eq!(before.take_news(), news);
        let after = Treatments::default();
        after.remember(news);
        follow(&after, "r", &["id", "e_mail"], &[]).unwrap_err();
        follow(&after, "r", &["id"], &[]).unwrap();
        let news = after.take_news();
        assert!(news[0].treated.is_empty() && news[0].lost.contains("email") && news.len() == 1, "it may come back");
    }
}
