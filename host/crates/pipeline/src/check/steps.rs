//! Steps of the standard plugins that apply to nothing: a mask of a column that no table has, a condition that judges no table.
//! Where a table is named without wildcards, planning it is an error already; what is left are the rules for many tables.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{near, patterns};
use crate::prepare;
use sluicegate_config::{PluginOrigin, TablePatterns};
use sluicegate_model::{
    change::{Table, TableName},
    finding::{Finding, listed},
    limits::CHECK_NAMES,
};
use sluicegate_plugin_host::{Chain, KnownTables, Member, Surroundings};

/// Entries of a configuration that are looked at, at most.
const MOST: usize = 200;

/// What the plugin does to a column, in the order in which a reader looks for them.
const ACTIONS: [&str; 9] = ["mask", "hash", "drop", "truncate", "constant", "default", "concat", "cast", "rename"];

/// Which standard plugin this is.
pub(super) fn standard(member: &Member) -> Option<&str> {
    match &member.settings.origin {
        PluginOrigin::Embedded(name) => Some(name),
        PluginOrigin::File(_) => None,
    }
}

/// The tables that a plugin sees.
struct Seen<'t> {
    /// As they arrive at it.
    planned: Vec<&'t Table>,
    /// Those that some plugin refuses, as the source has them. That was told; but one of them may have what a rule names.
    refused: Vec<&'t Table>,
}

impl<'t> Seen<'t> {
    fn all(&self) -> impl Iterator<Item = &'t Table> {
        self.planned.iter().chain(&self.refused).copied()
    }
}

/// Looks at one plugin, with the tables as they arrive at it, and those that are `refused`.
pub(super) fn look(member: &Member, arriving: &[&Table], refused: &[&Table], around: &Surroundings) -> Vec<Finding> {
    let Ok(config) = serde_json::from_str::<Value>(&member.settings.config) else { return Vec::new() };
    let of_member = |table: &&Table| member.settings.tables.selects(&table.name);
    let seen = Seen {
        planned: arriving.iter().copied().filter(of_member).collect(),
        refused: refused.iter().copied().filter(of_member).collect(),
    };
    match standard(member) {
        _ if seen.planned.is_empty() => Vec::new(),
        Some("rewrite-columns") => rewrite_columns(&member.settings.name, &config, &seen),
        Some("map-names") => {
            let mut found = map_names(&member.settings.name, &config, &seen);
            found.extend(map_names_patterns(member, &config, &seen, around));
            found
        }
        Some("filter") => filter(member, &config, &seen, around),
        _ => Vec::new(),
    }
}

/// The tables that an entry is for.
fn patterns_of(entry: &Value) -> TablePatterns {
    patterns::written(&entry["table"]).and_then(|written| TablePatterns::new(&written).ok()).unwrap_or_default()
}

/// What an entry is for, in words; and the columns of the tables that it selects. `None`: it selects no table that can be planned.
fn columns<'t>(entry: &Value, seen: &Seen<'t>) -> Option<(TablePatterns, BTreeSet<&'t str>)> {
    let patterns = patterns_of(entry);
    if !seen.planned.iter().any(|table| patterns.selects(&table.name)) {
        return None; // told of the pattern, or of the table
    }
    let selected = seen.all().filter(|table| patterns.selects(&table.name));
    let there = selected.flat_map(|table| &table.columns).map(|column| column.name.as_str()).collect();
    Some((patterns, there))
}

/// What an entry or a step says of tables without its column.
fn missing(of: &Value) -> Option<&Value> {
    of.get("missing").or(of.get("missing_column")).filter(|missing| !missing.is_null())
}

fn is_in(name: &str, columns: &BTreeSet<&str>) -> bool {
    columns.iter().any(|column| column.to_lowercase() == name.to_lowercase())
}

fn rewrite_columns(plugin: &str, config: &Value, seen: &Seen<'_>) -> Vec<Finding> {
    let entries: Vec<&Value> = config["tables"].as_array().into_iter().flatten().take(MOST).collect();
    let steps = |entry: &Value| entry["columns"].as_array().cloned().unwrap_or_default();
    // what steps make is there for those behind them
    let made: BTreeSet<String> = entries
        .iter()
        .flat_map(|entry| steps(entry))
        .flat_map(|step| match (step["rename"].as_str(), step.get("constant").is_some() || step.get("concat").is_some()) {
            (Some(name), _) => Some(name.to_lowercase()),
            (None, true) => step["column"].as_str().map(str::to_lowercase),
            (None, false) => None,
        })
        .collect();
    let mut found = Vec::new();
    for entry in &entries {
        let Some((tables, there)) = columns(entry, seen) else { continue };
        for step in steps(entry) {
            let ignored = missing(&step).or(missing(entry)).is_some_and(|missing| missing == "ignore");
            let action = ACTIONS.iter().find(|action| step.get(**action).is_some()).copied().unwrap_or("step");
            let needs: Vec<&str> = match action {
                "constant" => Vec::new(),
                "concat" => step["concat"]["of"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
                _ => step["column"].as_str().into_iter().collect(),
            };
            for column in needs.into_iter().filter(|name| !is_in(name, &there) && !made.contains(&name.to_lowercase())) {
                found.push(nothing(plugin, &format!("{action} `{column}`"), column, &tables, &there, ignored));
            }
        }
    }
    found
}

fn map_names(plugin: &str, config: &Value, seen: &Seen<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for entry in config["columns"].as_array().into_iter().flatten().take(MOST) {
        let Some((tables, there)) = columns(entry, seen) else { continue };
        let ignored = missing(entry).is_some_and(|missing| missing == "ignore");
        if let Some(column) = entry["from"].as_str().filter(|name| !is_in(name, &there)) {
            found.push(nothing(plugin, &format!("rename `{column}`"), column, &tables, &there, ignored));
        }
    }
    let mut names = |list: &str, what: &str, there: BTreeSet<String>| {
        for from in config[list].as_array().into_iter().flatten().take(MOST).filter_map(|entry| entry["from"].as_str()) {
            // as patterns take a name, also where it is written with backticks
            let is = |name: &String| match list {
                "tables" => TablePatterns::new(&[from]).is_ok_and(|pattern| seen.all().any(|table| pattern.selects(&table.name))),
                _ => name == from,
            };
            if !there.iter().any(is) {
                let near = near(from, there.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                found.push(Finding::warn(
                    "rules",
                    format!("plugin `{plugin}`: no {what} `{from}` arrives, so nothing is renamed{near}"),
                    "correct the plugin's `config`, or leave it so if it is made later",
                ));
            }
        }
    };
    names("tables", "table", seen.all().map(|table| table.name.to_string()).collect());
    names("databases", "database", seen.all().map(|table| table.name.database.clone()).collect());
    found
}

/// Regular expressions, each in a plugin of its own: only the plugin can tell what they match.
fn map_names_patterns(member: &Member, config: &Value, seen: &Seen<'_>, around: &Surroundings) -> Vec<Finding> {
    let name = &member.settings.name;
    let mut found = Vec::new();
    for list in ["databases", "tables", "columns"] {
        for entry in config[list].as_array().into_iter().flatten().take(MOST) {
            let Some(pattern) = entry["pattern"].as_str() else { continue };
            if list == "columns" && columns(entry, seen).is_none() {
                continue; // told of its tables
            }
            let Some(mut chain) = alone(member, &json!({ list: [entry], "merge": true }), around) else { continue };
            if !seen.all().any(|table| does_something(&mut chain, table)) {
                let what = list.trim_end_matches('s');
                found.push(Finding::warn(
                    "rules",
                    format!("plugin `{name}`: `{}` gives no {what} another name", clipped(pattern)),
                    "correct the `pattern` in the plugin's `config` (it has to match the whole name), or leave it so if it is made later",
                ));
            }
        }
    }
    found
}

/// A chain of the plugin alone, with another configuration. `None`: it refuses that, which was told when the whole chain was made.
fn alone(member: &Member, config: &Value, around: &Surroundings) -> Option<Chain> {
    let mut settings = (*member.settings).clone();
    settings.config = config.to_string();
    let alone = Member { settings: settings.into(), compiled: member.compiled.clone() };
    let around = Surroundings { known: KnownTables::new(around.limits.known_tables).into(), ..around.clone() };
    prepare::chains(&[alone], &around, 1).ok()?.pop()
}

fn does_something(chain: &mut Chain, table: &Table) -> bool {
    // an error is no silence
    let effect = chain.effect(&std::sync::Arc::new(table.clone()));
    effect.map_or(true, |effect| effect.steps.iter().flatten().any(|step| !step.is_none()))
}

/// Each condition by itself, in a plugin of its own: only the plugin can tell what it judges.
fn filter(member: &Member, config: &Value, seen: &Seen<'_>, around: &Surroundings) -> Vec<Finding> {
    let name = &member.settings.name;
    let mut found = Vec::new();
    for entry in config["tables"].as_array().into_iter().flatten().take(MOST) {
        let (tables, Some(condition)) = (patterns_of(entry), entry["where"].as_str()) else { continue };
        if columns(entry, seen).is_none() {
            continue;
        }
        let Some(mut chain) = alone(member, &json!({ "tables": [entry] }), around) else { continue };
        if !seen.all().filter(|table| tables.selects(&table.name)).any(|table| judges(&mut chain, table)) {
            let there = columns(entry, seen).map(|(_, there)| there).unwrap_or_default();
            let hint = slip(condition, &there).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            found.push(Finding::warn(
                "rules",
                format!("plugin `{name}`: the condition `{}` for {tables} judges no table: none has its columns{hint}", clipped(condition)),
                "correct the columns in the plugin's `config`, or its tables",
            ));
        } else if missing(entry).is_none() {
            found.extend(judged_in_part(name, condition, &tables, seen, &mut chain));
        }
    }
    found
}

/// Tables that a condition for many leaves alone although they have some of its columns, with those that they lack.
fn judged_in_part(plugin: &str, condition: &str, tables: &TablePatterns, seen: &Seen<'_>, chain: &mut Chain) -> Option<Finding> {
    let has = |table: &Table, word: &str| table.columns.iter().any(|column| column.name.to_lowercase() == word.to_lowercase());
    let selected = seen.all().filter(|table| tables.selects(&table.name));
    let (judged, left): (Vec<&Table>, Vec<&Table>) = selected.partition(|table| judges(chain, table));
    // a table that is judged has all of the condition's columns
    let columns: BTreeSet<&str> = words(condition).filter(|word| judged.iter().any(|table| has(table, word))).collect();
    let planned = |table: &&Table| seen.planned.iter().any(|planned| planned.name == table.name);
    let left = left.into_iter().filter(planned).filter(|table| words(condition).any(|word| has(table, word))).map(|table| {
        let lacks: Vec<String> = columns.iter().filter(|column| !has(table, column)).map(|column| format!("`{column}`")).collect();
        if lacks.is_empty() { table.name.to_string() } else { format!("{} (it has no {})", table.name, lacks.join(", ")) }
    });
    let left: Vec<String> = left.collect();
    let list = listed(left.iter().map(String::as_str), CHECK_NAMES);
    (!left.is_empty()).then(|| {
        Finding::warn(
            "rules",
            format!(
                "plugin `{plugin}`: the condition `{}` for {tables} does not apply to tables that have only some of its columns, so all of their rows \
                 pass: {list}",
                clipped(condition)
            ),
            "correct the columns in the condition or in the table; say `missing: ignore` beside `where` if it is meant so, or `missing: error` to \
             refuse such tables",
        )
    })
}

/// Columns that the conditions of `filter` compare byte by byte, and the server under a collation that takes other texts for the same.
pub(super) fn compared_otherwise(
    member: &Member,
    arriving: &[&Table],
    collations: &BTreeMap<TableName, Vec<(String, String)>>,
) -> Option<Finding> {
    if standard(member) != Some("filter") {
        return None;
    }
    let config = serde_json::from_str::<Value>(&member.settings.config).ok()?;
    let seen = arriving.iter().filter(|table| member.settings.tables.selects(&table.name));
    let entries: Vec<&Value> = config["tables"].as_array().into_iter().flatten().take(MOST).chain([&config]).collect();
    let mut found = BTreeSet::new();
    for table in seen {
        let folded = collations.get(&table.name).into_iter().flatten();
        let entries = entries.iter().filter(|entry| patterns_of(entry).selects(&table.name));
        let compared: BTreeSet<String> = entries.filter_map(|entry| entry["where"].as_str()).flat_map(compared).collect();
        found.extend(
            folded
                .filter(|(column, _)| compared.contains(&column.to_lowercase()))
                .map(|(column, collation)| format!("{}.{column} ({collation})", table.name)),
        );
    }
    let list = listed(found.iter().map(String::as_str), CHECK_NAMES);
    (!found.is_empty()).then(|| {
        Finding::warn(
            "collations",
            format!(
                "plugin `{}`: conditions compare text byte by byte, with case, accents and trailing spaces, which the server does not in {list}",
                member.settings.name
            ),
            "name each spelling that occurs, `status IN ('paid', 'Paid')`, or leave the warning out with `--ignore collations`",
        )
    })
}

/// The words of a condition that may be columns whose values are compared, in lower case: not those before IS.
fn compared(condition: &str) -> Vec<String> {
    let words: Vec<String> = words(condition).map(str::to_lowercase).collect();
    let next = words.iter().skip(1).map(Some).chain([None]);
    words.iter().zip(next).filter(|(_, next)| next.is_none_or(|next| next != "is")).map(|(word, _)| word.clone()).collect()
}

/// The words of a condition, but not those of its texts.
fn words(condition: &str) -> impl Iterator<Item = &str> {
    // what stands between single quotes is a text
    let code = condition.split('\'').step_by(2);
    code.flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')).filter(|word| !word.is_empty())
}

/// The column that a word of a condition was probably meant to be.
fn slip<'t>(condition: &str, there: &BTreeSet<&'t str>) -> Option<&'t str> {
    words(condition).filter(|word| !is_in(word, there)).find_map(|word| near(word, there.iter().copied()))
}

fn judges(chain: &mut Chain, table: &Table) -> bool {
    // an error is no silence
    let effect = chain.effect(&std::sync::Arc::new(table.clone()));
    effect.map_or(true, |effect| effect.steps.iter().flatten().any(|step| step.filters))
}

fn clipped(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() > MOST { text.chars().take(MOST).chain(['…']).collect() } else { text.to_owned() }
}

/// A step without a column to work on. One that looks like a slip fails: what it was to hide would go out as it is.
fn nothing(plugin: &str, step: &str, column: &str, tables: &TablePatterns, there: &BTreeSet<&str>, ignored: bool) -> Finding {
    let near = near(column, there.iter().copied());
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let of = if tables.include().is_empty() { String::new() } else { format!(" of {tables}") };
    let found = format!("plugin `{plugin}`: {step} applies to nothing: no table{of} has the column `{column}`{hint}");
    let remedy = match ignored {
        true => "correct the column in the plugin's `config`, take the rule out, or leave it so if a table is to get the column",
        false => "correct the column in the plugin's `config`; if it is meant for tables that are made later, say `missing: ignore`",
    };
    if near.is_some() && !ignored { Finding::fail("rules", found, remedy) } else { Finding::warn("rules", found, remedy) }
}

/// How a rewritten column is rewritten, as the plugin's configuration has it.
pub(super) fn actions(member: &Member, table: &Table, column: &str) -> Vec<&'static str> {
    let Ok(config) = serde_json::from_str::<Value>(&member.settings.config) else { return Vec::new() };
    if standard(member) != Some("rewrite-columns") {
        return Vec::new();
    }
    let entries = config["tables"].as_array().into_iter().flatten();
    let steps = entries.filter(|entry| patterns_of(entry).selects(&table.name)).flat_map(|entry| entry["columns"].as_array()).flatten();
    let mine = steps.filter(|step| step["column"].as_str().is_some_and(|name| name.to_lowercase() == column.to_lowercase()));
    mine.filter_map(|step| ACTIONS.iter().find(|action| step.get(**action).is_some()).copied()).collect()
}
