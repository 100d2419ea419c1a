//! The rows of each view of the catalog.

use std::sync::Arc;

use super::{
    catalog::{SYSNAME, View},
    scope::Run,
};
use crate::{
    engine::Table,
    error::{Ends, Result, SqlError},
    value::{Datum, Kind},
};

fn visible(database: i64, run: &Run<'_>) -> Vec<Arc<Table>> {
    run.catalog.tables(database).into_iter().filter(|table| run.sees(database, table)).collect()
}

fn text(text: &str) -> Datum {
    Datum::text(text)
}

fn bit(b: bool) -> Datum {
    Datum::Bit(b)
}

fn schema_id(database: i64, schema: &str, run: &Run<'_>) -> Datum {
    run.catalog.world.databases.get(&database).and_then(|d| d.schema(schema)).into()
}

pub fn databases(run: &Run<'_>) -> View {
    let mut view = View::new(&[
        ("name", SYSNAME),
        ("database_id", Kind::Int),
        ("create_date", Kind::DateTime),
        ("compatibility_level", Kind::TinyInt),
        ("?collation_name", SYSNAME),
        ("?is_read_only", Kind::Bit),
        ("?state", Kind::TinyInt),
        ("?state_desc", Kind::NVarChar(Some(60))),
        ("?snapshot_isolation_state", Kind::TinyInt),
        ("?snapshot_isolation_state_desc", Kind::NVarChar(Some(60))),
        ("?is_read_committed_snapshot_on", Kind::Bit),
        ("?recovery_model_desc", Kind::NVarChar(Some(60))),
        ("?user_access_desc", Kind::NVarChar(Some(60))),
    ]);
    for d in run.now.databases.values() {
        view.row([
            text(&d.name),
            Datum::Int(d.id),
            d.created.clone(),
            Datum::Int(d.compatibility),
            text(&d.collation.name),
            bit(d.read_only),
            Datum::Int(0),
            text("ONLINE"),
            Datum::Int(i64::from(d.snapshot)),
            text(if d.snapshot { "ON" } else { "OFF" }),
            bit(true),
            text("FULL"),
            text("MULTI_USER"),
        ]);
    }
    view
}

pub fn schemas(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[("name", SYSNAME), ("schema_id", Kind::Int), ("?principal_id", Kind::Int)]);
    for (id, name) in &run.catalog.database(database)?.schemas {
        view.row([text(name), Datum::Int(*id), Datum::Int(1)]);
    }
    Ok(view)
}

/// `sys.tables`, and `sys.views`, which has none.
pub fn tables(database: i64, run: &Run<'_>, any: bool) -> Result<View> {
    let mut view = View::new(&[
        ("name", SYSNAME),
        ("object_id", Kind::Int),
        ("?principal_id", Kind::Int),
        ("schema_id", Kind::Int),
        ("parent_object_id", Kind::Int),
        ("?type", Kind::Char(2)),
        ("?type_desc", Kind::NVarChar(Some(60))),
        ("create_date", Kind::DateTime),
        ("modify_date", Kind::DateTime),
        ("is_ms_shipped", Kind::Bit),
        ("?is_memory_optimized", Kind::Bit),
        ("?temporal_type", Kind::TinyInt),
        ("?is_external", Kind::Bit),
    ]);
    for table in if any { visible(database, run) } else { Vec::new() } {
        let d = &table.definition;
        view.row([
            text(&d.name),
            Datum::Int(d.object_id),
            Datum::Null,
            schema_id(database, &d.schema, run),
            Datum::Int(0),
            text("U "),
            text("USER_TABLE"),
            d.created.clone(),
            d.modified.clone(),
            bit(false),
            bit(false),
            Datum::Int(0),
            bit(false),
        ]);
    }
    Ok(view)
}

pub fn objects(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[
        ("name", SYSNAME),
        ("object_id", Kind::Int),
        ("schema_id", Kind::Int),
        ("parent_object_id", Kind::Int),
        ("?type", Kind::Char(2)),
        ("?type_desc", Kind::NVarChar(Some(60))),
        ("create_date", Kind::DateTime),
        ("modify_date", Kind::DateTime),
        ("is_ms_shipped", Kind::Bit),
    ]);
    for table in visible(database, run) {
        let d = &table.definition;
        view.row([
            text(&d.name),
            Datum::Int(d.object_id),
            schema_id(database, &d.schema, run),
            Datum::Int(0),
            text("U "),
            text("USER_TABLE"),
            d.created.clone(),
            d.modified.clone(),
            bit(false),
        ]);
    }
    Ok(view)
}

pub fn columns(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[
        ("object_id", Kind::Int),
        ("?name", SYSNAME),
        ("column_id", Kind::Int),
        ("system_type_id", Kind::TinyInt),
        ("user_type_id", Kind::Int),
        ("max_length", Kind::SmallInt),
        ("precision", Kind::TinyInt),
        ("scale", Kind::TinyInt),
        ("?collation_name", SYSNAME),
        ("?is_nullable", Kind::Bit),
        ("is_rowguidcol", Kind::Bit),
        ("is_identity", Kind::Bit),
        ("is_computed", Kind::Bit),
        ("?is_sparse", Kind::Bit),
        ("?is_hidden", Kind::Bit),
        ("?is_masked", Kind::Bit),
        ("?generated_always_type", Kind::TinyInt),
        ("?encryption_type", Kind::Int),
    ]);
    let of = run.catalog.database(database)?;
    for table in visible(database, run) {
        for c in &table.definition.columns {
            let ((system, user), (length, precision, scale)) = (c.of.kind.ids(), c.of.kind.sizes());
            let this = (table.definition.object_id, c.id);
            view.row([
                Datum::Int(table.definition.object_id),
                text(&c.name),
                Datum::Int(i64::from(c.id)),
                Datum::Int(system),
                Datum::Int(user),
                Datum::Int(length),
                Datum::Int(precision),
                Datum::Int(scale),
                if c.of.kind.is_text() { text(&c.of.collation.name) } else { Datum::Null },
                bit(c.nullable),
                bit(false),
                bit(c.identity.is_some()),
                bit(c.computed.is_some()),
                bit(false),
                bit(false),
                bit(of.masked.contains(&this)),
                Datum::Int(0),
                of.encrypted.contains(&this).then_some(1).into(),
            ]);
        }
    }
    Ok(view)
}

pub fn types() -> View {
    let mut view = View::new(&[
        ("name", SYSNAME),
        ("system_type_id", Kind::TinyInt),
        ("user_type_id", Kind::Int),
        ("schema_id", Kind::Int),
        ("max_length", Kind::SmallInt),
        ("precision", Kind::TinyInt),
        ("scale", Kind::TinyInt),
        ("?is_nullable", Kind::Bit),
        ("is_user_defined", Kind::Bit),
        ("is_assembly_type", Kind::Bit),
    ]);
    let kinds = [
        Kind::Image,
        Kind::Text,
        Kind::UniqueIdentifier,
        Kind::Date,
        Kind::Time(7),
        Kind::DateTime2(7),
        Kind::DateTimeOffset(7),
        Kind::TinyInt,
        Kind::SmallInt,
        Kind::Int,
        Kind::SmallDateTime,
        Kind::Real,
        Kind::Money,
        Kind::DateTime,
        Kind::Float,
        Kind::Variant,
        Kind::NText,
        Kind::Bit,
        Kind::Decimal(38, 38),
        Kind::SmallMoney,
        Kind::BigInt,
        Kind::HierarchyId,
        Kind::Geometry,
        Kind::Geography,
        Kind::VarBinary(Some(8000)),
        Kind::VarChar(Some(8000)),
        Kind::Binary(8000),
        Kind::Char(8000),
        Kind::RowVersion,
        Kind::NVarChar(Some(4000)),
        Kind::NChar(4000),
        Kind::Xml,
        Kind::Json,
        Kind::Vector(1998),
    ];
    let mut add = |name: &str, (system, user): (i64, i64), (length, precision, scale): (i64, i64, i64), clr: bool| {
        view.row([
            text(name),
            Datum::Int(system),
            Datum::Int(user),
            Datum::Int(4),
            Datum::Int(length),
            Datum::Int(precision),
            Datum::Int(scale),
            bit(true),
            bit(false),
            bit(clr),
        ]);
    };
    for kind in kinds {
        add(kind.name(), kind.ids(), kind.sizes(), kind.is_clr());
    }
    add("numeric", (108, 108), (17, 38, 38), false);
    add("sysname", (231, 256), (256, 0, 0), false);
    view
}

/// Policies of row-level security: one for each table whose rows one hides.
pub fn security_policies(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[("name", SYSNAME), ("object_id", Kind::Int), ("?is_enabled", Kind::Bit)]);
    for id in &run.catalog.database(database)?.hidden {
        view.row([text("policy"), Datum::Int(id + 1), bit(true)]);
    }
    Ok(view)
}

/// What they are made of.
pub fn security_predicates(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[("object_id", Kind::Int), ("target_object_id", Kind::Int), ("?predicate_type", Kind::Int)]);
    for id in &run.catalog.database(database)?.hidden {
        view.row([Datum::Int(id + 1), Datum::Int(*id), Datum::Int(0)]);
    }
    Ok(view)
}

/// Each index of a table: its id, name, columns, and whether it is the key and unique.
fn indexes_of(table: &Table) -> Vec<(i64, String, Vec<usize>, bool, bool)> {
    let d = &table.definition;
    let mut found = Vec::new();
    let mut next = 2;
    if !d.key.is_empty() {
        let id = if d.clustered { 1 } else { 2 };
        next = id + 1;
        found.push((id, d.key_name.clone(), d.key.clone(), true, true));
    }
    for index in &d.indexes {
        found.push((next.max(2), index.name.clone(), index.columns.clone(), false, index.unique));
        next = next.max(2) + 1;
    }
    found
}

pub fn indexes(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[
        ("object_id", Kind::Int),
        ("?name", SYSNAME),
        ("index_id", Kind::Int),
        ("type", Kind::TinyInt),
        ("?type_desc", Kind::NVarChar(Some(60))),
        ("?is_unique", Kind::Bit),
        ("?is_primary_key", Kind::Bit),
        ("?is_unique_constraint", Kind::Bit),
        ("?is_disabled", Kind::Bit),
        ("?has_filter", Kind::Bit),
        ("?filter_definition", Kind::NVarChar(None)),
    ]);
    for table in visible(database, run) {
        let id = Datum::Int(table.definition.object_id);
        let indexes = indexes_of(&table);
        if !indexes.iter().any(|(id, ..)| *id == 1) {
            let heap = text("HEAP");
            let none = [bit(false), bit(false), bit(false), bit(false), bit(false)];
            let [a, b, c, d, e] = none;
            view.row([id.clone(), Datum::Null, Datum::Int(0), Datum::Int(0), heap, a, b, c, d, e, Datum::Null]);
        }
        for (number, name, _, primary, unique) in indexes {
            view.row([
                id.clone(),
                text(&name),
                Datum::Int(number),
                Datum::Int(if number == 1 { 1 } else { 2 }),
                text(if number == 1 { "CLUSTERED" } else { "NONCLUSTERED" }),
                bit(unique),
                bit(primary),
                bit(unique && !primary),
                bit(false),
                bit(false),
                Datum::Null,
            ]);
        }
    }
    Ok(view)
}

pub fn index_columns(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[
        ("object_id", Kind::Int),
        ("index_id", Kind::Int),
        ("index_column_id", Kind::Int),
        ("column_id", Kind::Int),
        ("key_ordinal", Kind::TinyInt),
        ("partition_ordinal", Kind::TinyInt),
        ("?is_descending_key", Kind::Bit),
        ("?is_included_column", Kind::Bit),
    ]);
    for table in visible(database, run) {
        for (index, _, columns, ..) in indexes_of(&table) {
            for (ordinal, column) in (1..).zip(columns) {
                view.row([
                    Datum::Int(table.definition.object_id),
                    Datum::Int(index),
                    Datum::Int(ordinal),
                    Datum::Int(i64::from(table.definition.columns[column].id)),
                    Datum::Int(ordinal),
                    Datum::Int(0),
                    bit(false),
                    bit(false),
                ]);
            }
        }
    }
    Ok(view)
}

pub fn key_constraints(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[
        ("name", SYSNAME),
        ("schema_id", Kind::Int),
        ("parent_object_id", Kind::Int),
        ("?type", Kind::Char(2)),
        ("?type_desc", Kind::NVarChar(Some(60))),
        ("?unique_index_id", Kind::Int),
    ]);
    for table in visible(database, run) {
        let d = &table.definition;
        for (index, name, _, primary, _) in indexes_of(&table).into_iter().filter(|(.., primary, _)| *primary) {
            view.row([
                text(&name),
                schema_id(database, &d.schema, run),
                Datum::Int(d.object_id),
                text(if primary { "PK" } else { "UQ" }),
                text("PRIMARY_KEY_CONSTRAINT"),
                Datum::Int(index),
            ]);
        }
    }
    Ok(view)
}

/// The number of rows, under the name that the view has for it.
pub fn partitions(database: i64, run: &Run<'_>, count: &str) -> Result<View> {
    let count = format!("?{count}");
    let mut view = View::new(&[
        ("partition_id", Kind::BigInt),
        ("object_id", Kind::Int),
        ("index_id", Kind::Int),
        ("partition_number", Kind::Int),
        (&count, Kind::BigInt),
    ]);
    for table in visible(database, run) {
        let id = table.definition.object_id;
        let index = i64::from(!table.definition.key.is_empty() && table.definition.clustered);
        let rows = i64::try_from(table.rows.size()).unwrap_or(i64::MAX);
        view.row([Datum::Int(id << 16), Datum::Int(id), Datum::Int(index), Datum::Int(1), Datum::Int(rows)]);
    }
    Ok(view)
}

/// One row for each tracked database of the whole instance (G69).
pub fn tracking_databases(run: &Run<'_>) -> View {
    let mut view = View::new(&[
        ("database_id", Kind::Int),
        ("?is_auto_cleanup_on", Kind::Bit),
        ("?retention_period", Kind::Int),
        ("?retention_period_units", Kind::TinyInt),
        ("?retention_period_units_desc", Kind::NVarChar(Some(60))),
        ("?max_cleanup_version", Kind::BigInt),
    ]);
    for d in run.now.databases.values() {
        let Some(tracking) = d.tracking else { continue };
        let cleaned = d.tables.values().filter_map(|t| t.tracking.as_ref()?.cleanup).max();
        view.row([
            Datum::Int(d.id),
            bit(tracking.auto_cleanup),
            Datum::Int(tracking.period),
            Datum::Int(i64::from(tracking.unit)),
            text(match tracking.unit {
                1 => "MINUTES",
                2 => "HOURS",
                _ => "DAYS",
            }),
            cleaned.into(),
        ]);
    }
    view
}

pub fn tracking_tables(database: i64, run: &Run<'_>) -> Result<View> {
    let mut view = View::new(&[
        ("object_id", Kind::Int),
        ("is_track_columns_updated_on", Kind::Bit),
        ("?min_valid_version", Kind::BigInt),
        ("?begin_version", Kind::BigInt),
        ("?cleanup_version", Kind::BigInt),
    ]);
    for table in visible(database, run) {
        if let Some(tracking) = &table.tracking {
            view.row([
                Datum::Int(table.definition.object_id),
                bit(tracking.columns),
                Datum::Int(tracking.min_valid),
                Datum::Int(tracking.begin),
                tracking.cleanup.into(),
            ]);
        }
    }
    Ok(view)
}

pub fn commit_table(database: i64, run: &Run<'_>) -> Result<View> {
    let of = run.catalog.database(database)?;
    if !run.login.administrator && !of.may(&run.login.name, "VIEW DATABASE STATE", 0) {
        let text = format!("VIEW DATABASE STATE permission denied in database '{}'.", of.name);
        return Err(SqlError::new(262, text).class(14).ends(Ends::Batch));
    }
    let mut view = View::new(&[
        ("commit_ts", Kind::BigInt),
        ("xdes_id", Kind::BigInt),
        ("commit_lbn", Kind::BigInt),
        ("commit_csn", Kind::BigInt),
        ("commit_time", Kind::DateTime),
    ]);
    for (version, time) in of.commits.iter() {
        view.row([Datum::Int(*version), Datum::Int(*version), Datum::Int(*version), Datum::Int(*version), time.clone()]);
    }
    Ok(view)
}

pub fn information(name: &str, database: i64, run: &Run<'_>) -> Result<View> {
    let catalog = run.catalog.database(database)?.name.clone();
    match name {
        "tables" => {
            let mut view = View::new(&[
                ("?TABLE_CATALOG", SYSNAME),
                ("?TABLE_SCHEMA", SYSNAME),
                ("TABLE_NAME", SYSNAME),
                ("?TABLE_TYPE", Kind::VarChar(Some(10))),
            ]);
            for table in visible(database, run) {
                view.row([text(&catalog), text(&table.definition.schema), text(&table.definition.name), text("BASE TABLE")]);
            }
            Ok(view)
        }
        "schemata" => {
            let mut view = View::new(&[("?CATALOG_NAME", SYSNAME), ("SCHEMA_NAME", SYSNAME)]);
            for schema in run.catalog.database(database)?.schemas.values() {
                view.row([text(&catalog), text(schema)]);
            }
            Ok(view)
        }
        _ => Err(SqlError::unsupported(format_args!("INFORMATION_SCHEMA.{name}"))),
    }
}
