//! Which columns of each table a plugin treats: masks, hashes, drops, judges rows by. A rule for many tables leaves a table alone
//! that does not have its column, so a column that gets another name would go out as it is from then on. It must not: a version of
//! a table that lost a treated column, and has a new one that the plugin does not treat, stops the pipeline before its first row,
//! also when the change came between two runs. Another configuration of the plugin is the answer, whatever it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::plan::{Origin, Plan};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, Place, Table, TableName},
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
}

/// What the plugins of a pipeline did to their tables, in this run and those before it.
#[derive(Debug, Default)]
pub struct Treatments(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<(String, TableName), Treatment>,
    /// What has come since it was last stored.
    news: BTreeMap<(String, TableName), Treatment>,
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

    /// Takes note of a plan for a version of a table as it arrives at the plugin.
    ///
    /// # Errors
    /// The version lost a column that the plugin treated, and has a new one that it does not treat.
    pub(super) fn follow(&self, rule: &str, table: &Table, plan: Option<&Plan>) -> Result<()> {
        let now = treatment(rule, table, plan);
        let key = (now.rule.clone(), now.table.clone());
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.known.get(&key);
        if before == Some(&now) || (before.is_none() && now.treated.is_empty()) {
            return Ok(());
        }
        if let Some(before) = before {
            // names of columns have no case
            let lower = |columns: &BTreeSet<String>| columns.iter().map(|column| column.to_lowercase()).collect::<BTreeSet<_>>();
            let (here, there) = (lower(&now.columns), lower(&before.columns));
            let lost: Vec<&str> = before.treated.iter().filter(|c| !here.contains(&c.to_lowercase())).map(String::as_str).collect();
            let is_new = |c: &&String| !there.contains(&c.to_lowercase()) && !now.treated.contains(*c);
            let new: Vec<&str> = now.columns.iter().filter(is_new).map(String::as_str).collect();
            if !lost.is_empty() && !new.is_empty() {
                return Err(lost_its_treatment(&now.table, &lost, &new));
            }
        }
        match now.treated.is_empty() {
            true => drop(inner.known.remove(&key)),
            false => drop(inner.known.insert(key.clone(), now.clone())),
        }
        inner.news.insert(key, now);
        Ok(())
    }
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
    }
}

fn lost_its_treatment(table: &TableName, lost: &[&str], new: &[&str]) -> Error {
    const NAMED: usize = 10;
    let list = |names: &[&str]| {
        let more = if names.len() > NAMED { " and more" } else { "" };
        format!("`{}`{more}", names.iter().take(NAMED).copied().collect::<Vec<_>>().join("`, `"))
    };
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
         other change of that `config`, e.g. `missing_column: ignore` in the entry; then start again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::sluicegate::plugin::types as wit;
    use sluicegate_model::change::{DataType, NativeType};

    fn table(columns: &[&str]) -> Table {
        let column = |name: &&str| ColumnInfo {
            name: (*name).to_owned(),
            data_type: DataType::Text,
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        };
        Table { name: TableName::new("shop", "customers"), destination: None, columns: columns.iter().map(column).collect() }
    }

    /// A plan that masks `masked` and passes everything else on.
    fn plan(table: &Table, masked: &[&str]) -> Plan {
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
        treatments.follow(rule, &table, (!masked.is_empty()).then_some(&plan))
    }

    #[test]
    fn a_treated_column_under_another_name_is_not_passed_on() {
        let treatments = Treatments::default();
        follow(&treatments, "r", &["id", "email"], &["email"]).unwrap();
        let error = follow(&treatments, "r", &["id", "e_mail"], &[]).unwrap_err();
        insta::assert_snapshot!(error, @r"
        table shop.customers no longer has the column `email` that the plugin treated until now, and has `e_mail`, which the plugin would pass on as it is
          remedy: what came before is delivered; if it is the same column under another name, name it in the plugin's `config`, too; if not, say so with any other change of that `config`, e.g. `missing_column: ignore` in the entry; then start again
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
        // a new column beside it, the column goes, another one comes later
        follow(&treatments, "r", &["id", "email", "note"], &["email"]).unwrap();
        follow(&treatments, "r", &["id", "note"], &[]).unwrap();
        follow(&treatments, "r", &["id", "note", "points"], &[]).unwrap();
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
        assert!(news[0].treated.is_empty() && news.len() == 1, "the note can go");
    }
}
