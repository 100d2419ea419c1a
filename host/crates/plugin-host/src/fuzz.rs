//! Entrances for the fuzz targets in `host/fuzz`: whatever a plugin answers and whatever a plugin file holds, a result or an
//! error, never a panic, and what is taken can be used.

use std::{sync::OnceLock, time::Duration};

use super::{
    Description, Engine, NO_OP,
    bindings::sluicegate::plugin::types as wit,
    config_schema,
    instance::Instance,
    outcome,
    plan::{self, Origin, Plan},
};
use sluicegate_model::{
    ErrorKind,
    change::{ColumnInfo, DataType, NativeType, Place, Table, TableName, Values},
    limits::Limits,
};

const TYPES: [DataType; 13] = [
    DataType::Boolean,
    DataType::Int64,
    DataType::UInt64,
    DataType::Float32,
    DataType::Float64,
    DataType::Decimal,
    DataType::Text,
    DataType::Bytes,
    DataType::Date,
    DataType::Time,
    DataType::DateTime,
    DataType::Timestamp,
    DataType::Json,
];

const WIT_TYPES: [wit::DataType; 13] = [
    wit::DataType::Boolean,
    wit::DataType::Int64,
    wit::DataType::Uint64,
    wit::DataType::Float32,
    wit::DataType::Float64,
    wit::DataType::Decimal,
    wit::DataType::Text,
    wit::DataType::Bytes,
    wit::DataType::Date,
    wit::DataType::Time,
    wit::DataType::Datetime,
    wit::DataType::Timestamp,
    wit::DataType::Json,
];

/// A plan for a table, and the answer to a batch under it.
pub fn outcome(data: &[u8]) {
    let mut from = Source(data);
    let input = table(&mut from);
    let Ok(plan) = plan::check(&input, answer_to_plan(&mut from)) else { return };
    check_plan(&input, &plan);
    let count = from.below(40);
    let answer = answer_to_batch(&mut from, plan.computed.len());
    if let Ok(taken) = outcome::check(&plan, count, answer, 100) {
        check_outcome(&plan, count, &taken);
    }
}

/// What the host relies on in a plan that it took.
fn check_plan(input: &Table, plan: &Plan) {
    assert_eq!(plan.origins.len(), plan.output.columns.len());
    for (origin, column) in plan.origins.iter().zip(&plan.output.columns) {
        let data_type = match origin {
            Origin::Input(index) => input.columns[*index].data_type,
            Origin::Computed(number) => plan.computed[*number],
        };
        assert_eq!(data_type, column.data_type);
        assert!(!column.name.is_empty());
    }
    assert!(plan.reads.iter().all(|index| *index < input.columns.len()));
    assert!(plan.output.columns.iter().filter(|column| column.place == Place::Destination).count() <= 1);
}

/// What it relies on in an answer: every row of every column can be read.
fn check_outcome(plan: &Plan, count: usize, taken: &outcome::Outcome) {
    assert_eq!(taken.computed.len(), plan.computed.len());
    for (column, data_type) in taken.computed.iter().zip(&plan.computed) {
        assert!(column.values.fits(*data_type));
        assert_eq!(column.values.len(), count);
        for row in 0..count {
            column.nulls.get(row);
            if let Values::Text(text) = &column.values {
                assert!(std::str::from_utf8(text.get(row)).is_ok());
            }
        }
    }
    if let Some(keep) = &taken.keep {
        assert!((0..count).filter(|row| outcome::bit(keep, *row)).count() <= count);
    }
    assert!(taken.rejected.is_sorted_by(|a, b| a.0 < b.0) && taken.rejected.iter().all(|(row, _)| (*row as usize) < count));
}

/// A plugin file: arbitrary bytes, or a standard plugin with some of its bytes changed. What compiles is started.
pub fn loader(data: &[u8]) {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    let Some(engine) = ENGINE.get_or_init(|| Engine::new(None).ok()) else { return };
    let limits = Limits {
        plugin_call: Duration::from_millis(50),
        plugin_start: Duration::from_millis(50),
        plugin_memory: 8 << 20,
        ..Limits::default()
    };
    let bytes = match data.split_first() {
        Some((b'~', changes)) => changed(changes),
        _ => data.to_vec(),
    };
    let Ok(compiled) = engine.compile(&bytes, &limits) else { return };
    let Ok(mut instance) = Instance::new(&compiled, "fuzz", compiled.needs, &limits) else { return };
    if instance.describe().is_ok() {
        let _ = instance.configure("{}");
    }
}

/// The smallest embedded plugin with a byte changed for each five of `changes` (its place, and what it becomes), cut after
/// the last one when that is odd.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut bytes = NO_OP.to_vec();
    let mut from = Source(changes);
    while !from.0.is_empty() {
        let place = from.number() as usize % bytes.len().max(1);
        let byte = from.byte();
        if let Some(slot) = bytes.get_mut(place) {
            *slot = byte;
        }
        if from.0.is_empty() && byte % 2 == 1 {
            bytes.truncate(place);
        }
    }
    bytes
}

/// The JSON Schema that a plugin gives of its configuration, and behind a zero byte the configuration, which is always JSON.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (schema, config) = text.split_once('\0').unwrap_or((text, "{}"));
    if serde_json::from_str::<serde_json::Value>(config).is_err() {
        return;
    }
    let description = Description { config_schema: schema.to_owned(), name: String::new(), version: String::new(), summary: String::new() };
    if let Err(error) = config_schema::check(&description, config) {
        assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Precheck), "{error}");
    }
}

/// What the bytes of an input say, one after the other; zeros behind their end.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte()) % most
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    fn number(&mut self) -> u32 {
        (0..4).fold(0, |number, _| number << 8 | u32::from(self.byte()))
    }

    fn many<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most);
        (0..count).map(|_| one(self)).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.many(6, Self::byte)).into_owned()
    }
}

fn table(from: &mut Source<'_>) -> Table {
    let columns = from.many(6, |from| ColumnInfo {
        name: from.text(),
        data_type: TYPES[from.below(TYPES.len())],
        native_type: NativeType::default(),
        nullable: from.flag(),
        primary_key: from.flag(),
        place: Place::Value,
    });
    Table { name: TableName::new("shop", "orders"), destination: None, columns }
}

fn answer_to_plan(from: &mut Source<'_>) -> wit::Plan {
    let columns = from.many(7, |from| wit::ColumnResult {
        name: from.text(),
        data_type: WIT_TYPES[from.below(WIT_TYPES.len())],
        native_type: from.text(),
        nullable: from.flag(),
        primary_key: from.flag(),
        place: [wit::Place::Value, wit::Place::Value, wit::Place::Header, wit::Place::Destination][from.below(4)],
    });
    // as many origins as columns, mostly
    let origin = |from: &mut Source<'_>| from.flag().then(|| from.below(8) as u32);
    let origins = match from.below(8) {
        0 => from.many(8, origin),
        _ => columns.iter().map(|_| origin(from)).collect(),
    };
    let name = wit::TableNameResult { database: from.text(), schema: from.flag().then(|| from.text()), table: from.text() };
    wit::Plan {
        delivers: wit::TableResult { name, destination: from.flag().then(|| from.text()), columns },
        origins,
        operations: wit::Operations::all(),
        reads: from.many(5, |from| from.below(8) as u32),
        context: wit::Context::empty(),
        filters: from.flag(),
    }
}

fn answer_to_batch(from: &mut Source<'_>, columns: usize) -> wit::Outcome {
    let columns = if from.below(8) == 0 { from.below(8) } else { columns };
    wit::Outcome {
        keep: from.many(7, Source::byte),
        computed: (0..columns).map(|_| wit::VectorResult { values: values(from), nulls: from.many(7, Source::byte) }).collect(),
        rejected: from
            .many(5, |from| wit::Rejection { row: if from.flag() { from.number() } else { u32::from(from.byte()) }, message: from.text() }),
    }
}

fn values(from: &mut Source<'_>) -> wit::ValuesResult {
    let strings = |from: &mut Source<'_>| {
        let data = from.many(80, Source::byte);
        // offsets that rise to the end, mostly
        let mut offsets = from.many(42, |from| from.below(data.len() + 1) as u32);
        if from.below(4) > 0 {
            offsets.sort_unstable();
            offsets.insert(0, 0);
            if let Some(last) = offsets.last_mut() {
                *last = data.len() as u32;
            }
        }
        wit::StringsResult { offsets, data }
    };
    match from.below(7) {
        0 => wit::ValuesResult::Booleans(from.many(41, Source::byte)),
        1 => wit::ValuesResult::Int64s(from.many(41, |from| i64::from(from.byte()))),
        2 => wit::ValuesResult::Uint64s(from.many(41, |from| u64::from(from.byte()))),
        3 => wit::ValuesResult::Float32s(from.many(41, |from| f32::from(from.byte()))),
        4 => wit::ValuesResult::Float64s(from.many(41, |from| f64::from(from.byte()))),
        5 => wit::ValuesResult::Texts(strings(from)),
        _ => wit::ValuesResult::Bytes(strings(from)),
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn plugin_loader_takes_any_bytes() {
        fuzz::run("plugin_loader", super::loader, 10);
    }

    #[test]
    fn plugin_outcome_takes_any_bytes() {
        fuzz::run("plugin_outcome", super::outcome, 1_000);
    }

    #[test]
    fn plugin_schema_takes_any_bytes() {
        fuzz::run("plugin_schema", super::schema, 10);
    }
}
