//! Everything that can be checked without delivering. The captured tables of today are planned by the real plugins, so that a wrong
//! column or condition is found here and not at the first row; and configuration that has no effect is told.

pub(super) mod at_start;
mod keys;
mod patterns;
mod places;
mod shared_topics;
mod steps;

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Kept, any_source::AnySource, apart, beginning::begins, blocking::blocking, folders, letters, memory::Memory, prepare, prepare::Ready,
    reach, schema_store, sinks, treatments,
};
use sluicegate_config::{self as config, OnError, SinkKind, Source as SourceSettings, TablePatterns};
use sluicegate_kafka_sink as kafka;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Capabilities, Renamed, Table, TableName},
    finding::{Finding, Verdict, listed},
    limits::{CHECK_NAMES, CHECKED_TABLES},
};
use sluicegate_plugin_host::{Chain, Effect, Member, Surroundings};
use sluicegate_source::{Inventory, Source as _};
use sluicegate_state::Checkpoint;

/// What `check` found out.
#[derive(Debug, Default)]
pub struct Report {
    /// Item by item.
    pub findings: Vec<Finding>,
    /// What becomes of each captured table.
    pub tables: Vec<TableReport>,
    /// Captured tables that were too many to be looked at.
    pub more: usize,
    errors: Vec<Error>,
}

/// What becomes of a captured table.
#[derive(Clone, Debug)]
pub struct TableReport {
    /// Its name at the source.
    pub table: String,
    /// Its name as it is delivered.
    pub delivered: String,
    /// Its Kafka topics, by sink.
    pub topics: Vec<(String, String)>,
    /// For each column that is not delivered as it is: its name, and what happens to it.
    pub columns: Vec<(String, String)>,
    /// What happens to its rows.
    pub rows: Vec<String>,
}

impl Report {
    /// Why the pipeline cannot run; `None` when it can.
    pub fn into_error(mut self) -> Option<Error> {
        match (self.errors.pop(), self.errors.is_empty()) {
            (None, _) => None,
            (Some(only), true) => Some(only),
            (last, _) => {
                self.errors.extend(last);
                let may_pass = self.errors.iter().all(Error::may_pass);
                let failed: Vec<Finding> = self.errors.iter().map(|error| Finding::of("", error)).collect();
                Finding::error(&failed).map(|error| error.that_may_pass(may_pass))
            }
        }
    }

    fn failed(&mut self, item: &'static str, error: Error) {
        self.findings.push(Finding::of(item, &error));
        self.errors.push(error);
    }

    /// Adds what is found, with an error for what fails.
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.errors.extend(Finding::error(std::slice::from_ref(&finding)));
            self.findings.push(finding);
        }
    }
}

/// Checks everything that can be checked without delivering: plugins, the source's settings and grants, the sinks, and what
/// becomes of every captured table.
///
/// # Errors
/// `Config`: the pipeline file is wrong, so that there is nothing to check. Whatever else fails is in the report.
pub async fn check(pipeline: config::Pipeline) -> Result<Report> {
    let status = super::status(&pipeline);
    let mut report = Report::default();
    match Memory::of(&pipeline, super::can_swap(&pipeline)).and_then(|memory| memory.of_batches(pipeline.plugins.len())) {
        Ok(batches) => report.add([Finding::pass("memory", format!("{} MiB for batches", batches >> 20))]),
        Err(error) if error.kind() == ErrorKind::Config => return Err(error),
        Err(error) => report.failed("memory", error),
    }
    let dead_letters = letters::of(&pipeline);
    let around = prepare::surroundings(&pipeline, &status, &dead_letters);
    let preparing = {
        let (pipeline, around) = (config::Pipeline { workers: 1, ..pipeline.clone() }, around.clone());
        move || prepare::ready(&pipeline, &around, &Kept::default())
    };
    let mut ready = match blocking("prepare", preparing).await {
        Ok(ready) => Some(ready),
        Err(error) if error.kind() == ErrorKind::Config => return Err(error),
        Err(error) => {
            report.failed("plugins", error);
            None
        }
    };
    if let Some(Ready { members, chains, .. }) = &ready {
        for (member, description) in members.iter().zip(chains.iter().flat_map(Chain::descriptions)) {
            let (name, hash) = (&member.settings.name, &member.compiled.hash);
            report.add([Finding::pass("plugins", format!("`{name}`: {} {} (sha256 {hash:.12})", description.name, description.version))]);
        }
    }
    let sinks = pipeline.sinks.clone();
    if let Err(error) = blocking("folders", move || folders::differ(&sinks)).await {
        report.failed("sinks", error);
    }
    let mut reached = BTreeSet::new();
    for (index, sink) in pipeline.sinks.iter().enumerate() {
        match reach::once(reach::sink(sink, &pipeline.limits).await) {
            Ok(()) => {
                reached.insert(index);
                report.add([Finding::pass("sinks", format!("`{}` is ready", sink.name))]);
            }
            Err(error) => report.failed("sinks", error),
        }
    }
    report.add(letters::look(&pipeline).await);
    report.add(places::look(&pipeline));
    let (progress, captured) = if pipeline.state.exists() {
        // also while the pipeline runs: an edit of its file is best checked before it is saved there
        let (state, name, known) = (pipeline.state.clone(), pipeline.name.clone(), around.known.clone());
        blocking("checkpoint", move || {
            known.treatments().remember(treatments::read(Checkpoint::look_at_treatments(&state)?)?);
            Ok((Checkpoint::look(&state, &name)?, Checkpoint::look_at_captured(&state)?))
        })
        .await?
    } else {
        (Vec::new(), None)
    };
    if let Err(error) = treatments::admit(around.known.treatments(), &pipeline.plugins) {
        report.failed("plugins", error.not_ready());
    }
    let begins = begins(&progress, &[], &pipeline)?;
    let mut source = AnySource::new(&pipeline, &status);
    source.look_at_everything();
    source.keep_schemas(Arc::new(schema_store::Looked { captured }));
    apart::is_wanted(&pipeline, &source)?;
    let outcome = reach::once(source.check(&begins).await);
    let findings = source.take_findings();
    match outcome {
        Ok(_) => {
            report.add(findings);
            report.add([Finding::pass("source", format!("{} is ready", source.connector()))]);
        }
        Err(error) if error.kind() == ErrorKind::Config => return Err(error),
        // its text names them all
        Err(error) if findings.iter().any(|finding| finding.verdict == Verdict::Fail) => {
            report.findings.extend(findings);
            report.errors.push(error);
        }
        Err(error) => {
            report.findings.extend(findings);
            report.failed("source", error);
            return Ok(report);
        }
    }
    match source.inventory(CHECKED_TABLES).await {
        Ok(Some(inventory)) => {
            let looking = move || {
                let ready = ready.as_mut().and_then(|ready| Some((ready.members.as_slice(), ready.chains.first_mut()?)));
                tables(&mut report, &pipeline, &inventory, ready, &around, &reached);
                Ok(report)
            };
            blocking("plan", looking).await
        }
        Ok(None) => Ok(report),
        Err(error) => {
            report.failed("tables", error);
            Ok(report)
        }
    }
}

/// What the captured tables of today say of the configuration.
pub(super) fn tables(
    report: &mut Report,
    pipeline: &config::Pipeline,
    inventory: &Inventory,
    ready: Option<(&[Member], &mut Chain)>,
    around: &Surroundings,
    reached: &BTreeSet<usize>,
) {
    match &pipeline.source {
        SourceSettings::MySql(settings) => {
            report.add(captured(&settings.tables, inventory));
            report.add(copied(&settings.snapshot.tables, inventory));
        }
        // they tell themselves which tables match, or what topics hold
        SourceSettings::SqlServer(_) | SourceSettings::Kafka(_) => {}
        SourceSettings::Generator(_) | SourceSettings::DeadLetters(_) => return,
    }
    report.more = inventory.more;
    let Some((members, chain)) = ready else { return };
    for (name, numbered) in &inventory.numbered {
        let renamed = Renamed { numbered: Some(numbered.clone()), ..Renamed::new(name.clone(), name.clone()) };
        if let Err(error) = around.known.treatments().rename(&renamed) {
            return report.failed("plan", error.not_ready());
        }
    }
    let (mut effects, mut refused) = (Vec::new(), 0);
    for table in &inventory.captured {
        match chain.effect(table) {
            Ok(effect) => effects.push(effect),
            Err(error) => {
                refused += 1;
                if refused <= CHECK_NAMES {
                    report.failed("plan", error.not_ready());
                }
            }
        }
    }
    if refused > CHECK_NAMES {
        report.findings.push(Finding::fail(
            "plan",
            format!("{} more tables cannot be planned", refused - CHECK_NAMES),
            "correct what is named first",
        ));
    }
    if refused == 0 && !effects.is_empty() {
        let changed = effects.iter().filter(|effect| effect.steps.iter().flatten().any(|step| !step.is_none())).count();
        let beyond = if report.more > 0 { format!("; {} more were not looked at", report.more) } else { String::new() };
        report.add([Finding::pass("plan", format!("{} planned, {changed} changed by plugins{beyond}", effects.len()))]);
    }
    if !inventory.captured.is_empty() {
        // a table that cannot be planned may be the one that is meant
        let planned: BTreeSet<&TableName> = effects.iter().map(|effect| &effect.source.name).collect();
        let refused: Vec<&Table> = inventory.captured.iter().map(|table| &**table).filter(|table| !planned.contains(&table.name)).collect();
        for (index, (member, description)) in members.iter().zip(chain.descriptions()).enumerate() {
            let arriving: Vec<&Table> = effects.iter().filter_map(|effect| effect.arriving.get(index)).collect();
            let all = [arriving.as_slice(), &refused].concat();
            let found = without_effect(member, &description.config_schema, &all);
            let compared = steps::compared_otherwise(member, &arriving, &inventory.collations);
            report.add(found.into_iter().chain(steps::look(member, &arriving, &refused, around)).chain(compared));
        }
    }
    report.add(keys::shared(members, &effects));
    let mut topics = vec![Vec::new(); effects.len()];
    let delivered: Vec<Arc<Table>> = effects.iter().map(|effect| effect.delivered.clone()).collect();
    let lacking: Vec<&[usize]> = effects.iter().map(|effect| effect.lacking.as_slice()).collect();
    for sink in &pipeline.sinks {
        report.add(refused_by_format(sink, pipeline, &delivered));
        // it may be for one of those that were not looked at, or cannot be planned
        if report.more == 0 && refused == 0 && !delivered.is_empty() {
            report.add(keys::without_effect(sink, &delivered));
        }
    }
    for sink in &pipeline.sinks {
        if let SinkKind::File(settings) = &sink.kind {
            let named = |finding: Finding| Finding { found: format!("sink `{}`: {}", sink.name, finding.found), ..finding };
            report.add(sluicegate_file_sink::foresee(settings, &delivered).into_iter().map(named));
        }
    }
    for (_, sink) in pipeline.sinks.iter().enumerate().filter(|(index, _)| reached.contains(index)) {
        if let SinkKind::Kafka(settings) = &sink.kind {
            match kafka::foresee(settings, &delivered, &lacking, sink.on_error == OnError::Stop, &pipeline.limits) {
                Ok(foreseen) => {
                    for (topics, topic) in topics.iter_mut().zip(foreseen.topics) {
                        topics.extend(topic.map(|topic| (sink.name.clone(), topic.to_string())));
                    }
                    let named = |finding: Finding| Finding { found: format!("sink `{}`: {}", sink.name, finding.found), ..finding };
                    report.add(foreseen.findings.into_iter().map(named));
                }
                Err(error) => report.failed("topics", error.context(format_args!("sink `{}`", sink.name)).not_ready()),
            }
        }
    }
    let clusters = pipeline.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::Kafka(settings) => Some((sink.name.as_str(), settings.brokers.as_str())),
        _ => None,
    });
    report.add(shared_topics::look(&clusters.collect::<Vec<_>>(), &topics));
    report.tables = effects.iter().zip(topics).map(|(effect, topics)| told(effect, members, topics)).collect();
}

/// Tables that the sink's format cannot write.
fn refused_by_format(sink: &config::Sink, pipeline: &config::Pipeline, delivered: &[Arc<Table>]) -> Vec<Finding> {
    let format = sinks::format(sink, &pipeline.name, "", Capabilities::default(), &pipeline.limits);
    let refused = delivered.iter().filter_map(|table| format.check(table).err());
    refused.take(CHECK_NAMES).map(|error| Finding::of("format", &error.context(format_args!("sink `{}`", sink.name)))).collect()
}

/// What the source's own patterns select.
fn captured(patterns: &TablePatterns, inventory: &Inventory) -> Vec<Finding> {
    let mut found = Vec::new();
    let lower = |text: &str| if inventory.ignores_case { text.to_lowercase() } else { text.to_owned() };
    for (pattern, excludes) in patterns.include().iter().map(|p| (p, false)).chain(patterns.exclude().iter().map(|p| (p, true))) {
        let text = pattern.as_str();
        let Ok(one) = TablePatterns::new(&[lower(text)]) else { continue };
        let is_selected = |name: &TableName| match inventory.ignores_case {
            true => one.selects(&TableName::new(name.database.to_lowercase(), name.table.to_lowercase())),
            false => one.selects(name),
        };
        // an exclusion with wildcards is often a precaution
        if inventory.seen.iter().any(is_selected) || (excludes && !pattern.is_exact()) {
            continue;
        }
        let mark = if excludes { "!" } else { "" };
        let why = match inventory.no_tables.iter().find(|name| one.selects(*name)) {
            Some(name) => format!(": {name} is a view or a sequence, of which no rows are logged as a table's"),
            None => meant(text, pattern.is_exact(), &inventory.seen),
        };
        found.push(Finding::warn(
            "tables",
            format!("`{mark}{text}` matches no table that the account sees{why}"),
            "correct the source's `tables` (upper and lower case differ), grant the account SELECT on it, or leave it so if the table is made later",
        ));
    }
    let count = inventory.captured.len() + inventory.more;
    match count {
        0 => found.push(Finding::warn(
            "tables",
            "no table is captured as the server is today",
            "correct the source's `tables`, grant the account SELECT on the tables, or leave it so if they are made later",
        )),
        _ if found.is_empty() => found.push(Finding::pass("tables", format!("{count} captured"))),
        _ => {}
    }
    if !inventory.no_tables.is_empty() {
        let names: Vec<String> = inventory.no_tables.iter().map(ToString::to_string).collect();
        let list = listed(names.iter().map(String::as_str), CHECK_NAMES);
        found.push(Finding::pass("views", format!("views and sequences that the patterns select are left out: {list}")));
    }
    if !inventory.helpers.is_empty() {
        let names: Vec<String> = inventory.helpers.iter().map(ToString::to_string).collect();
        let list = listed(names.iter().map(String::as_str), CHECK_NAMES);
        found.push(Finding::warn(
            "helper tables",
            format!("by their names, these belong to tools that change other tables online, and are left out: {list}"),
            "nothing, if that is so; else name them in the source's `tables` without wildcards",
        ));
    }
    found
}

/// Patterns of the source's `snapshot` that select no captured table.
fn copied(patterns: &TablePatterns, inventory: &Inventory) -> Vec<Finding> {
    // it may be one of those that were not looked at, and where none is captured that was told
    if inventory.more > 0 || inventory.captured.is_empty() {
        return Vec::new();
    }
    let all = || inventory.captured.iter().map(|table| &table.name);
    let selects = |one: &TablePatterns, name: &TableName| match inventory.ignores_case {
        true => one.selects(&TableName::new(name.database.to_lowercase(), name.table.to_lowercase())),
        false => one.selects(name),
    };
    let is_useless = |pattern: &str| {
        let text = if inventory.ignores_case { pattern.to_lowercase() } else { pattern.to_owned() };
        TablePatterns::new(&[text]).is_ok_and(|one| !all().any(|name| selects(&one, name)))
    };
    let included = patterns.include().iter().map(|pattern| (pattern, ""));
    let excluded = patterns.exclude().iter().filter(|pattern| pattern.is_exact()).map(|pattern| (pattern, "!"));
    let useless = included.chain(excluded).filter(|(pattern, _)| is_useless(pattern.as_str()));
    useless
        .map(|(pattern, mark)| {
            let (text, hint) = (pattern.as_str(), meant(pattern.as_str(), pattern.is_exact(), all()));
            Finding::warn(
                "snapshot",
                format!("`{mark}{text}` in `snapshot.tables` matches no captured table{hint}"),
                "correct the source's `snapshot.tables`, take it out, or leave it so if the table is made later",
            )
        })
        .collect()
}

/// Patterns of a plugin that select none of the tables that arrive at it.
fn without_effect(member: &Member, schema: &str, arriving: &[&Table]) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = &member.settings.name;
    let selections = patterns::of(&member.settings, schema);
    // what its own `tables`, which come first, leave out does not get to its `config`
    let seen: Vec<&Table> = arriving.iter().copied().filter(|table| member.settings.tables.selects(&table.name)).collect();
    let selects =
        |pattern: &str, tables: &[&Table]| TablePatterns::new(&[pattern]).is_ok_and(|one| tables.iter().any(|t| one.selects(&t.name)));
    let hint = |pattern: &str, exact| meant(pattern, exact, arriving.iter().map(|table| &table.name));
    let of_config = |index: usize| index > 0 && !seen.is_empty();
    let included =
        selections.iter().enumerate().flat_map(|(index, selection)| selection.include().iter().map(move |pattern| (index, pattern)));
    for (_, pattern) in included.filter(|(index, pattern)| !selects(pattern.as_str(), if of_config(*index) { &seen } else { arriving })) {
        let (text, hint) = (pattern.as_str(), hint(pattern.as_str(), pattern.is_exact()));
        let (why, hint) = match selects(text, arriving) {
            true => ("no table that its own `tables` let through", String::new()),
            false => ("no captured table", hint),
        };
        found.push(Finding::warn(
            "rules",
            format!("plugin `{name}`: `{text}` matches {why}, so the plugin does nothing for it{hint}"),
            "correct the pattern in the plugin's `tables` or `config`: what it was to mask, drop or filter is delivered as it is; or leave it so if the table is made later",
        ));
    }
    // an exclusion with wildcards, or of what the source leaves out, too, is often a precaution
    let excluded = selections.iter().flat_map(TablePatterns::exclude).filter(|pattern| pattern.is_exact());
    for pattern in excluded.filter(|pattern| !selects(pattern.as_str(), arriving)) {
        let (text, hint) = (pattern.as_str(), hint(pattern.as_str(), true));
        if hint.is_empty() {
            continue;
        }
        found.push(Finding::warn(
            "rules",
            format!("plugin `{name}`: `!{text}` matches no captured table, so no table is left out by it{hint}"),
            "correct the pattern in the plugin's `tables` or `config`, take it out, or leave it so if the table is made later",
        ));
    }
    let mut told = BTreeSet::new();
    found.retain(|finding| told.insert(finding.found.clone()));
    found
}

/// The name that a pattern was probably meant to be, as the end of a sentence: that of a table, of one in another database, or of a
/// database.
fn meant<'n>(pattern: &str, is_exact: bool, names: impl IntoIterator<Item = &'n TableName>) -> String {
    let names: Vec<&TableName> = names.into_iter().collect();
    let hint = |name: String| format!("; did you mean `{name}`?");
    if let Some(name) = near(pattern, names.iter().map(ToString::to_string)) {
        return hint(name);
    }
    let Some((database, table)) = pattern.split_once('.').filter(|(database, _)| !database.contains(['*', '?', '`'])) else {
        return String::new();
    };
    if is_exact {
        let elsewhere = names.iter().find(|name| name.table == table);
        return elsewhere.map(|name| hint(name.to_string())).unwrap_or_default();
    }
    let databases: BTreeSet<&str> = names.iter().map(|name| name.database.as_str()).collect();
    match databases.contains(database) {
        true => String::new(),
        false => near(database, databases).map(|near| hint(format!("{near}.{table}"))).unwrap_or_default(),
    }
}

/// The name that `wanted` was probably meant to be.
fn near<S: AsRef<str>>(wanted: &str, names: impl IntoIterator<Item = S>) -> Option<S> {
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).clamp(1, 4);
    let near = names.into_iter().map(|name| (strsim::damerau_levenshtein(&wanted, &name.as_ref().to_lowercase()), name));
    near.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// What becomes of a table, in words.
fn told(effect: &Effect, members: &[Member], topics: Vec<(String, String)>) -> TableReport {
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    for ((member, step), arriving) in members.iter().zip(&effect.steps).zip(&effect.arriving) {
        let (Some(step), name) = (step, &member.settings.name) else { continue };
        for column in &step.rewritten {
            let actions = steps::actions(member, arriving, column);
            let how = if actions.is_empty() { "rewritten".to_owned() } else { actions.join(", ") };
            columns.push((column.clone(), format!("{how} by `{name}`")));
        }
        columns.extend(step.dropped.iter().map(|column| (column.clone(), format!("dropped by `{name}`"))));
        columns.extend(step.renamed.iter().map(|(from, to)| (from.clone(), format!("renamed to `{to}` by `{name}`"))));
        columns.extend(step.added.iter().map(|column| (column.clone(), format!("added by `{name}`"))));
        if step.filters {
            rows.push(format!("filtered by `{name}`"));
        }
        if step.operations {
            rows.push(format!("only some operations pass `{name}`"));
        }
    }
    TableReport { table: effect.source.name.to_string(), delivered: effect.delivered.name.to_string(), topics, columns, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_in_any_case() {
        let names = ["shop.customers", "shop.orders"];
        assert_eq!(near("shop.custmers", names), Some("shop.customers"));
        assert_eq!(near("Shop.Customers", names), Some("shop.customers"));
        assert_eq!(near("crm.leads", names), None);
    }
}
