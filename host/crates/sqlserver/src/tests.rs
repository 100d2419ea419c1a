//! The texts that are sent, and how places compare.

mod backlog;
mod dialect;
mod items;
mod rows;

use std::sync::Arc;

use super::{
    column::CatalogueColumn,
    ledger::Versions,
    place::{self, Ahead, Copied, CtPlace, Identity, Inside},
    sql,
    table::TrackedTable,
    tracked_lane::TrackedLane,
};
use sluicegate_config::{ChangeHeaders, Isolation, Secret, SqlLogin, SqlServerSource, SqlTls, TrackedStart, TrackedTables, UnknownTypes};
use sluicegate_model::change::{Batch, Change, Event, NO_IMAGE, Offset, Operation, TableName, Transaction, Values};
use sluicegate_source::Ledger as _;

fn settings() -> SqlServerSource {
    SqlServerSource {
        host: "localhost".into(),
        port: 1433,
        databases: vec!["sales".into()],
        login: SqlLogin::Password { user: "u".into(), password: Secret::new("p") },
        tls: SqlTls::Disabled,
        ca_file: None,
        read_only_intent: false,
        tables: vec![TrackedTables { database: None, schema: "dbo".into(), like: "%".into(), exclude: None, start: TrackedStart::Now }],
        tracking_only: false,
        headers: ChangeHeaders::Plain,
        re_initialise: false,
        interval: std::time::Duration::from_secs(1),
        queries_per_second: None,
        threads: 1,
        batches_per_visit: Some(1),
        alphabetical: false,
        retries: 1,
        query_timeout: std::time::Duration::from_secs(1),
        initial_query: None,
        isolation: Isolation::Auto,
        ignore_context: Vec::new(),
        unknown_types: UnknownTypes::Stop,
        replace_invalid_text: false,
        copy_rows_per_second: None,
        fetch_rows: 1_000_000,
        idle_timeout: std::time::Duration::from_secs(60),
        max_lifetime: std::time::Duration::from_secs(60),
        text_limit: None,
        binary_limit: None,
        events: false,
        no_more_data_delay: std::time::Duration::ZERO,
        until_drained: false,
    }
}

fn column(id: i32, name: &str, base: &str) -> CatalogueColumn {
    CatalogueColumn { id, name: name.into(), declared: base.into(), base: Some(base.into()), nullable: true, ..CatalogueColumn::default() }
}

fn keyed(column: CatalogueColumn, key: i32) -> CatalogueColumn {
    CatalogueColumn { nullable: false, key: Some(key), ..column }
}

fn name() -> TableName {
    TableName { database: "sales".into(), schema: Some("dbo".into()), table: "odd]name".into() }
}

/// Columns of a table whose key's order is not theirs.
fn columns() -> [CatalogueColumn; 7] {
    [
        keyed(CatalogueColumn { length: 20, collation: Some("Latin1_General_CI_AS".into()), ..column(1, "code", "varchar") }, 2),
        keyed(CatalogueColumn { precision: 19, scale: 4, ..column(2, "price", "money") }, 1),
        CatalogueColumn { length: -1, collation: Some("Latin1_General_100_CI_AS_SC_UTF8".into()), ..column(3, "note", "varchar") },
        column(4, "anything", "sql_variant"),
        CatalogueColumn { base: None, ..column(5, "path", "hierarchyid") },
        CatalogueColumn { base: None, ..column(6, "shape", "geometry") },
        column(7, "doc", "xml"),
    ]
}

fn table(settings: &SqlServerSource) -> TrackedTable {
    TrackedTable::new(&name(), &columns(), true, "", settings, 1000).unwrap()
}

#[test]
fn the_round_of_a_table() {
    let table = table(&settings());
    insta::assert_snapshot!(sql::changes(&table, false, false, 0), @r#"SELECT TOP (@P2) c.SYS_CHANGE_VERSION, c.SYS_CHANGE_CREATION_VERSION, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_COLUMNS, c.SYS_CHANGE_CONTEXT, CAST(c.[price] AS decimal(19,4)), c.[code], t.[code], CAST(t.[price] AS decimal(19,4)), CAST(DATALENGTH(t.[note]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[note] AS nvarchar(max)) END, CAST(SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') AS nvarchar(128)), CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('money', 'smallmoney') THEN CAST(CAST(t.[anything] AS money) AS decimal(19,4)) WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN NULL ELSE t.[anything] END, CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN CAST(t.[anything] AS nvarchar(max)) END, t.[path].ToString(), CAST(t.[shape] AS varbinary(max)), CAST(DATALENGTH(t.[doc]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[doc] AS nvarchar(max)) END FROM CHANGETABLE(CHANGES [dbo].[odd]]name], @P1) AS c LEFT OUTER JOIN [dbo].[odd]]name] AS t ON t.[price] = c.[price] AND t.[code] = c.[code] CROSS APPLY (SELECT ISNULL(CAST(DATALENGTH(t.[note]) AS bigint), 0) + ISNULL(CAST(DATALENGTH(t.[doc]) AS bigint), 0) AS bytes) AS z ORDER BY c.SYS_CHANGE_VERSION, c.[price], c.[code]"#);
    insta::assert_snapshot!(sql::changes(&table, false, true, 1), @r#"SELECT TOP (@P2) c.SYS_CHANGE_VERSION, c.SYS_CHANGE_CREATION_VERSION, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_COLUMNS, c.SYS_CHANGE_CONTEXT, CASE WHEN (c.[price] > CAST(CAST(@P6 AS decimal(19,4)) AS money)) OR (c.[price] = CAST(CAST(@P6 AS decimal(19,4)) AS money) AND c.[code] > CAST(@P7 COLLATE Latin1_General_CI_AS AS varchar(20))) THEN 0 ELSE 1 END, CAST(c.[price] AS decimal(19,4)), c.[code], t.[code], CAST(t.[price] AS decimal(19,4)), CAST(DATALENGTH(t.[note]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[note] AS nvarchar(max)) END, CAST(SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') AS nvarchar(128)), CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('money', 'smallmoney') THEN CAST(CAST(t.[anything] AS money) AS decimal(19,4)) WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN NULL ELSE t.[anything] END, CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN CAST(t.[anything] AS nvarchar(max)) END, t.[path].ToString(), CAST(t.[shape] AS varbinary(max)), CAST(DATALENGTH(t.[doc]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[doc] AS nvarchar(max)) END FROM CHANGETABLE(CHANGES [dbo].[odd]]name], @P1) AS c LEFT OUTER JOIN [dbo].[odd]]name] AS t ON t.[price] = c.[price] AND t.[code] = c.[code] CROSS APPLY (SELECT ISNULL(CAST(DATALENGTH(t.[note]) AS bigint), 0) + ISNULL(CAST(DATALENGTH(t.[doc]) AS bigint), 0) AS bytes) AS z WHERE c.SYS_CHANGE_VERSION > @P3 OR (c.SYS_CHANGE_VERSION = @P3 AND ((c.[price] > CAST(CAST(@P4 AS decimal(19,4)) AS money)) OR (c.[price] = CAST(CAST(@P4 AS decimal(19,4)) AS money) AND c.[code] > CAST(@P5 COLLATE Latin1_General_CI_AS AS varchar(20))))) ORDER BY c.SYS_CHANGE_VERSION, c.[price], c.[code]"#);
}

#[test]
fn the_round_of_a_table_in_tracking_only() {
    let settings = SqlServerSource { tracking_only: true, ..settings() };
    insta::assert_snapshot!(sql::changes(&table(&settings), true, true, 0), @r#"SELECT TOP (@P2) c.SYS_CHANGE_VERSION, c.SYS_CHANGE_CREATION_VERSION, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_COLUMNS, c.SYS_CHANGE_CONTEXT, CAST(c.[price] AS decimal(19,4)), c.[code] FROM CHANGETABLE(CHANGES [dbo].[odd]]name], @P1) AS c WHERE c.SYS_CHANGE_VERSION > @P3 OR (c.SYS_CHANGE_VERSION = @P3 AND ((c.[price] > CAST(CAST(@P4 AS decimal(19,4)) AS money)) OR (c.[price] = CAST(CAST(@P4 AS decimal(19,4)) AS money) AND c.[code] > CAST(@P5 COLLATE Latin1_General_CI_AS AS varchar(20))))) ORDER BY c.SYS_CHANGE_VERSION, c.[price], c.[code]"#);
}

#[test]
fn the_chunks_of_a_copy() {
    let table = table(&settings());
    insta::assert_snapshot!(sql::rows(&table, false, false, 0), @r#"SELECT TOP (@P1) CAST(t.[price] AS decimal(19,4)), t.[code], t.[code], CAST(t.[price] AS decimal(19,4)), CAST(DATALENGTH(t.[note]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[note] AS nvarchar(max)) END, CAST(SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') AS nvarchar(128)), CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('money', 'smallmoney') THEN CAST(CAST(t.[anything] AS money) AS decimal(19,4)) WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN NULL ELSE t.[anything] END, CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN CAST(t.[anything] AS nvarchar(max)) END, t.[path].ToString(), CAST(t.[shape] AS varbinary(max)), CAST(DATALENGTH(t.[doc]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[doc] AS nvarchar(max)) END FROM [dbo].[odd]]name] AS t CROSS APPLY (SELECT ISNULL(CAST(DATALENGTH(t.[note]) AS bigint), 0) + ISNULL(CAST(DATALENGTH(t.[doc]) AS bigint), 0) AS bytes) AS z ORDER BY t.[price], t.[code]"#);
    insta::assert_snapshot!(sql::rows(&table, false, true, 1), @r#"SELECT TOP (@P1) CASE WHEN (t.[price] > CAST(CAST(@P4 AS decimal(19,4)) AS money)) OR (t.[price] = CAST(CAST(@P4 AS decimal(19,4)) AS money) AND t.[code] > CAST(@P5 COLLATE Latin1_General_CI_AS AS varchar(20))) THEN 0 ELSE 1 END, CAST(t.[price] AS decimal(19,4)), t.[code], t.[code], CAST(t.[price] AS decimal(19,4)), CAST(DATALENGTH(t.[note]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[note] AS nvarchar(max)) END, CAST(SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') AS nvarchar(128)), CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('money', 'smallmoney') THEN CAST(CAST(t.[anything] AS money) AS decimal(19,4)) WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN NULL ELSE t.[anything] END, CASE WHEN SQL_VARIANT_PROPERTY(t.[anything], 'BaseType') IN ('char', 'varchar', 'nchar', 'nvarchar') THEN CAST(t.[anything] AS nvarchar(max)) END, t.[path].ToString(), CAST(t.[shape] AS varbinary(max)), CAST(DATALENGTH(t.[doc]) AS bigint), CASE WHEN z.bytes > 1000 THEN NULL ELSE CAST(t.[doc] AS nvarchar(max)) END FROM [dbo].[odd]]name] AS t CROSS APPLY (SELECT ISNULL(CAST(DATALENGTH(t.[note]) AS bigint), 0) + ISNULL(CAST(DATALENGTH(t.[doc]) AS bigint), 0) AS bytes) AS z WHERE t.[price] >= CAST(CAST(@P2 AS decimal(19,4)) AS money) AND ((t.[price] > CAST(CAST(@P2 AS decimal(19,4)) AS money)) OR (t.[price] = CAST(CAST(@P2 AS decimal(19,4)) AS money) AND t.[code] > CAST(@P3 COLLATE Latin1_General_CI_AS AS varchar(20)))) ORDER BY t.[price], t.[code]"#);
}

#[test]
fn g99_which_of_many_tables_changed() {
    insta::assert_snapshot!(sql::changed(&["[dbo].[a]", "[dbo].[b]", "[dbo].[c]"], 2), @r#"
    SELECT 0 WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES [dbo].[a], @P1) AS c)
    UNION ALL SELECT 1 WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES [dbo].[b], @P2) AS c);
    SELECT 2 WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES [dbo].[c], @P3) AS c)
    "#);
}

/// A column of each type that may be in a key.
fn key_types() -> [CatalogueColumn; 17] {
    let collated = |base: &str, length| CatalogueColumn { length, collation: Some("Latin1_General_BIN2".into()), ..column(1, "k", base) };
    let scaled = |base: &str, precision, scale| CatalogueColumn { precision, scale, ..column(1, "k", base) };
    [
        column(1, "k", "bigint"),
        column(1, "k", "bit"),
        column(1, "k", "float"),
        scaled("decimal", 38, 10),
        column(1, "k", "smallmoney"),
        collated("char", 10),
        collated("nvarchar", 40),
        CatalogueColumn { collation: Some("Japanese_CI_AS".into()), ..collated("varchar", 10) },
        column(1, "k", "uniqueidentifier"),
        column(1, "k", "date"),
        scaled("time", 16, 7),
        column(1, "k", "datetime"),
        column(1, "k", "smalldatetime"),
        scaled("datetime2", 27, 7),
        scaled("datetimeoffset", 34, 7),
        CatalogueColumn { length: 16, ..column(1, "k", "varbinary") },
        CatalogueColumn { base: None, ..column(1, "k", "hierarchyid") },
    ]
}

#[test]
fn every_type_of_a_key_is_compared_in_its_own_type() {
    let text = |from: CatalogueColumn| {
        let table = TrackedTable::new(&name(), &[keyed(from, 1)], false, "", &settings(), 1000).unwrap();
        let column = &table.columns[0];
        format!("{:24} {:50} {}", column.native.to_string(), column.parameter(4), column.select("t", None))
    };
    insta::assert_snapshot!(key_types().map(text).join("\n"), @r#"
    bigint                   @P4                                                t.[k]
    bit                      @P4                                                t.[k]
    float                    @P4                                                t.[k]
    decimal(38,10)           CAST(@P4 AS decimal(38,10))                        t.[k]
    smallmoney               CAST(CAST(@P4 AS decimal(10,4)) AS smallmoney)     CAST(t.[k] AS decimal(10,4))
    char(10)                 CAST(@P4 COLLATE Latin1_General_BIN2 AS char(10))  t.[k]
    nvarchar(20)             @P4                                                t.[k]
    varchar(10)              CAST(@P4 COLLATE Japanese_CI_AS AS varchar(10))    CAST(t.[k] AS nvarchar(max))
    uniqueidentifier         CAST(@P4 AS uniqueidentifier)                      t.[k]
    date                     CAST(@P4 AS date)                                  t.[k]
    time(7)                  CAST(@P4 AS time(7))                               t.[k]
    datetime                 CONVERT(datetime, @P4, 121)                        t.[k]
    smalldatetime            CONVERT(smalldatetime, @P4, 121)                   t.[k]
    datetime2(7)             CAST(@P4 AS datetime2(7))                          t.[k]
    datetimeoffset(7)        CAST(@P4 AS datetimeoffset(7))                     t.[k]
    varbinary(16)            @P4                                                t.[k]
    hierarchyid              CAST(@P4 AS hierarchyid)                           t.[k].ToString()
    "#);
}

#[test]
fn a42_unknown_types_go_by_the_policy() {
    let columns = [keyed(column(1, "id", "int"), 1), column(2, "new", "frobnicate")];
    let with = |unknown_types| TrackedTable::new(&name(), &columns, false, "", &SqlServerSource { unknown_types, ..settings() }, 1000);
    insta::assert_snapshot!(with(UnknownTypes::Stop).unwrap_err(), @r#"
    table sales.dbo.odd]name: the column new has the type frobnicate, which is not known
      remedy: Write `unknown_types: text` or `unknown_types: skip` at the source, or leave the table out with `exclude`.
    "#);
    assert_eq!(with(UnknownTypes::Skip).unwrap().columns.len(), 1);
    assert_eq!(with(UnknownTypes::Text).unwrap().columns[1].select("t", None), "CAST(t.[new] AS nvarchar(max))");
    let variant = [keyed(column(1, "id", "sql_variant"), 1)];
    insta::assert_snapshot!(TrackedTable::new(&name(), &variant, false, "", &settings(), 1000).unwrap_err(), @r#"
    table sales.dbo.odd]name: its key has the column id of the type sql_variant, of which a value cannot be compared
      remedy: Leave the table out with `exclude`, or give it a primary key of other types.
    "#);
}

fn identity() -> Identity {
    Identity { database: "5 2024-01-01T00:00:00".into(), object: 7, begin: 3 }
}

fn at(version: i64) -> CtPlace {
    CtPlace::behind(identity(), version)
}

fn inside(version: i64, key: &str) -> Inside {
    Inside { version, key: Arc::from([Box::from(key)]) }
}

fn at_inside(version: i64, key: &str) -> CtPlace {
    CtPlace { inside: Some(inside(version, key)), ..at(version - 1) }
}

fn offset(place: &CtPlace) -> Offset {
    Offset::new(place.clone())
}

#[test]
fn a_place_is_stored_as_text_that_an_operator_can_read() {
    use sluicegate_model::change::LanePlace as _;
    let copying = CtPlace { copied: Copied::Key(Arc::from([Box::from("a\"b"), "2".into()])), ..CtPlace::copy(identity(), 9, 2) };
    let done = CtPlace { known: 12, ..at(9) };
    let places = [at(9), at_inside(10, "k"), CtPlace::copy(identity(), 9, 2), copying, done];
    for place in &places {
        assert_eq!(CtPlace::parse(&place.to_json()).unwrap(), *place);
    }
    insta::assert_snapshot!(places.map(|place| place.to_json()).join("\n"), @r#"
    {"generation":1,"database":"5 2024-01-01T00:00:00","object":7,"begin":3,"version":9}
    {"generation":1,"database":"5 2024-01-01T00:00:00","object":7,"begin":3,"version":9,"inside":10,"last_key":["k"]}
    {"generation":2,"database":"5 2024-01-01T00:00:00","object":7,"begin":3,"version":9,"copying":[]}
    {"generation":2,"database":"5 2024-01-01T00:00:00","object":7,"begin":3,"version":9,"copying":["a\"b","2"]}
    {"generation":1,"database":"5 2024-01-01T00:00:00","object":7,"begin":3,"version":9,"known":12}
    "#);
    for text in ["", "{}", "7", &at(9).to_json().replace('9', "-9"), &at(9).to_json().replace("\"generation\":1", "\"generation\":0")] {
        assert!(CtPlace::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_lane_names_database_schema_and_table_and_gives_them_back() {
    let odd = TableName { database: "a.b".into(), schema: Some("c`d".into()), table: "e".into() };
    assert_eq!(place::lane(&odd).name(), "ct:`a.b`.`c``d`.e");
    assert_eq!(place::table_of(place::lane(&odd).name()), Some(odd));
    assert_eq!(place::table_of("ct:a.b"), None);
    assert_eq!(place::table_of("copy:a.b/1"), None);
}

/// A batch of changes of these versions, with the lane at `place` behind it.
fn batch(versions: &[i64], place: &CtPlace) -> Batch {
    let mut batch = Batch::empty(0, place::lane(&name()), offset(place));
    for (number, version) in versions.iter().enumerate() {
        batch.transactions.push(Transaction { position: version.cast_unsigned(), ..Transaction::default() });
        batch.events.push(Event { transaction: number as u32, ..Event::default() });
        batch.changes.push(Change {
            table: 0,
            before: NO_IMAGE,
            after: number as u32,
            operation: Operation::Update,
            event: number as u32,
            row: 0,
        });
    }
    batch
}

#[test]
fn what_a_sink_had_follows_from_its_version() {
    let read = batch(&[8, 9, 10, 11], &at(11));
    assert_eq!(Versions.had(&offset(&at(9)), &read).unwrap(), [0..2; 1]);
    assert_eq!(Versions.had(&offset(&at(7)), &read).unwrap(), [0..0; 0]);
    assert_eq!(Versions.had(&offset(&at(20)), &read).unwrap(), [0..4; 1]);
    let later = CtPlace { generation: 2, ..at(1) };
    assert_eq!(Versions.had(&offset(&later), &read).unwrap(), [0..4; 1], "what was before it began anew is void");
    assert_eq!(Versions.had(&offset(&at(20)), &batch(&[8], &CtPlace { generation: 2, ..at(8) })).unwrap(), [0..0; 0]);
}

#[test]
fn what_a_sink_had_inside_of_a_version_is_known_by_the_places_ahead() {
    let ahead = |keys: &[Inside]| Some(Arc::new(Ahead { inside: keys.to_vec(), copied: Vec::new() }));
    let sink = offset(&at_inside(10, "m"));
    // the batch ends before the sink's key, and begins in the version before it
    let before = CtPlace { ahead: ahead(&[inside(10, "m")]), ..at_inside(10, "c") };
    assert_eq!(Versions.had(&sink, &batch(&[9, 10, 10], &before)).unwrap(), [0..3; 1]);
    // it ends at the sink's key: the key is the last one up to it
    let there = CtPlace { ahead: ahead(&[inside(10, "m")]), ..at_inside(10, "m") };
    assert_eq!(Versions.had(&sink, &batch(&[10], &there)).unwrap(), [0..1; 1]);
    assert!(Versions.covers(&offset(&there), &sink).unwrap());
    // behind it
    let behind = CtPlace { ahead: ahead(&[]), ..at_inside(10, "t") };
    assert_eq!(Versions.had(&sink, &batch(&[10, 10], &behind)).unwrap(), [0..0; 0]);
    assert!(Versions.covers(&offset(&behind), &sink).unwrap());
    assert!(!Versions.covers(&offset(&before), &sink).unwrap());
    assert!(Versions.covers(&sink, &offset(&before)).unwrap());
    // the key was the last of its version
    let ended = CtPlace { ahead: ahead(&[inside(10, "m")]), ..at(10) };
    assert_eq!(Versions.had(&sink, &batch(&[10], &ended)).unwrap(), [0..1; 1]);
    assert!(Versions.covers(&offset(&ended), &sink).unwrap());
    // two stored places: only the server knows
    assert!(Versions.covers(&sink, &offset(&at_inside(10, "c"))).is_err());
}

#[test]
fn a_sink_that_had_the_last_rows_of_a_copy_does_not_get_them_again() {
    let key = |text: &str| -> place::KeyText { Arc::from([Box::from(text)]) };
    let copied = |copied| CtPlace { copied, ..CtPlace::copy(identity(), 9, 1) };
    let mut rows = batch(&[9, 9], &copied(Copied::All));
    rows.changes.iter_mut().for_each(|change| change.operation = Operation::Snapshot);
    let sink = offset(&copied(Copied::Key(key("m"))));
    // the rows behind the sink's key are gone: the batch that ends the copy is one that the sink had
    let ahead = |keys: &[place::KeyText]| Some(Arc::new(Ahead { inside: Vec::new(), copied: keys.to_vec() }));
    rows.offset = offset(&CtPlace { ahead: ahead(&[key("m")]), ..copied(Copied::All) });
    assert_eq!(Versions.had(&sink, &rows).unwrap(), [0..2; 1]);
    rows.offset = offset(&CtPlace { ahead: ahead(&[]), ..copied(Copied::All) });
    assert_eq!(Versions.had(&sink, &rows).unwrap(), [0..0; 0]);
}

#[test]
fn g134_text_comes_as_unicode_where_the_driver_does_not_read_its_code_page_exactly() {
    let select = |collation: &str| {
        let text = CatalogueColumn { length: 10, collation: Some(collation.into()), ..column(2, "v", "varchar") };
        let table = TrackedTable::new(&name(), &[keyed(column(1, "id", "int"), 1), text], false, "", &settings(), 1000).unwrap();
        table.columns[1].select("t", None)
    };
    for collation in ["Latin1_General_CI_AS", "Latin1_General_100_BIN2", "SQL_Latin1_General_CP1_CI_AS", "sql_latin1_general_cp1_cs_as"] {
        assert_eq!(select(collation), "t.[v]", "{collation}");
    }
    let others =
        ["Latin1_General_100_CI_AS_SC_UTF8", "SQL_Latin1_General_CP850_CI_AS", "SQL_Latin1_General_CP1253_CI_AI", "Chinese_PRC_CI_AS"];
    for collation in others {
        assert_eq!(select(collation), "CAST(t.[v] AS nvarchar(max))", "{collation}");
    }
}

#[test]
fn d12_a_place_of_a_later_beginning_covers_every_earlier_one() {
    let anew = CtPlace::copy(identity(), 5, 2);
    assert!(Versions.covers(&offset(&anew), &offset(&at(100))).unwrap());
    assert!(!Versions.covers(&offset(&at(100)), &offset(&anew)).unwrap());
    let emptied = Transaction { position: 2, ..Transaction::default() };
    assert!(Versions.had_whole(&offset(&anew), &emptied, &offset(&anew)).unwrap());
    assert!(!Versions.had_whole(&offset(&at(100)), &emptied, &offset(&anew)).unwrap());
}

#[test]
fn changes_and_copy_of_a_lane_are_joined_each_by_itself() {
    let copying = CtPlace { copied: Copied::Key(Arc::from([Box::from("k")])), ..CtPlace::copy(identity(), 20, 1) };
    let joined = Versions.join(&offset(&copying), &offset(&at(9))).unwrap();
    let joined = CtPlace::of(&joined).unwrap();
    assert_eq!((joined.version, &joined.copied), (20, &Copied::All));
    assert!(!Versions.covers(&offset(&copying), &offset(&at(9))).unwrap());
}

#[test]
fn a_lane_begins_at_the_least_of_its_sinks() {
    let lane = |places: &[CtPlace]| TrackedLane::meeting(name(), places, TrackedStart::Now).unwrap();
    let met = lane(&[at(100), at(90), at_inside(95, "k")]);
    assert_eq!((met.place.version, &met.place.inside, met.known), (90, &None, 100));
    assert_eq!(met.sinks.inside, [inside(95, "k")]);
    assert_eq!(met.known(), Some(100), "an insert that one sink is past is an update");
    // places inside of one version: only the server knows which is less, so it is read from its beginning
    assert_eq!(lane(&[at_inside(95, "k"), at_inside(95, "c")]).place.inside, None);
    assert_eq!(lane(&[at_inside(95, "k"), at_inside(95, "k")]).place.inside, Some(inside(95, "k")));
    assert!(lane(&[at(100), CtPlace { generation: 2, ..at(100) }]).void.is_some());
}
