//! The SQL that is sent. Names are quoted, values are parameters of `sp_executesql` (`@P1`, …); nothing of a row stands in a text.

use std::fmt::Write as _;

use super::table::TrackedTable;

/// A name as the server takes it between brackets.
pub(super) fn quoted(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// A table's name with its schema.
pub(super) fn quoted_table(schema: &str, table: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(table))
}

/// What each connection runs first.
pub(super) const SESSION: &str = "SET XACT_ABORT ON; SET NOCOUNT ON; SET LOCK_TIMEOUT 30000; SET DEADLOCK_PRIORITY LOW;";

/// The server and its database.
pub(super) const FACTS: &str = "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)), \
CAST(SERVERPROPERTY('Edition') AS nvarchar(128)), CAST(SERVERPROPERTY('EngineEdition') AS int), DB_NAME(), CAST(DB_ID() AS int), \
CONVERT(nvarchar(30), d.create_date, 126), CAST(d.snapshot_isolation_state AS int), CAST(d.compatibility_level AS int), \
CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS nvarchar(128)), CHANGE_TRACKING_CURRENT_VERSION(), d.collation_name \
FROM sys.databases AS d WHERE d.database_id = DB_ID()";

/// Change Tracking of the database; no row where it is off.
pub(super) const RETENTION: &str = "SELECT CAST(d.is_auto_cleanup_on AS int), CAST(d.retention_period AS int), \
d.retention_period_units_desc FROM sys.change_tracking_databases AS d WHERE d.database_id = DB_ID()";

/// Tables of a schema whose names are like a pattern; the last columns are NULL where a table is not tracked.
pub(super) const DISCOVERY: &str = "SELECT s.name, t.name, t.object_id, c.begin_version, c.min_valid_version, \
CAST(c.is_track_columns_updated_on AS int) FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id \
LEFT JOIN sys.change_tracking_tables AS c ON c.object_id = t.object_id \
WHERE t.is_ms_shipped = 0 AND s.name = @P1 AND t.name LIKE @P2 ORDER BY t.object_id";

/// Views that would match.
pub(super) const VIEWS: &str = "SELECT s.name, v.name FROM sys.views AS v JOIN sys.schemas AS s ON s.schema_id = v.schema_id \
WHERE v.is_ms_shipped = 0 AND s.name = @P1 AND v.name LIKE @P2 ORDER BY s.name, v.name";

/// The version of the last transaction that is committed.
pub(super) const CURRENT: &str = "SELECT CHANGE_TRACKING_CURRENT_VERSION()";

/// What is tracked of one table, by its quoted name.
pub(super) const STANDING: &str = "SELECT CHANGE_TRACKING_CURRENT_VERSION(), t.object_id, c.begin_version, \
CHANGE_TRACKING_MIN_VALID_VERSION(t.object_id), CAST(c.is_track_columns_updated_on AS int), CONVERT(nvarchar(30), t.modify_date, 126) \
FROM sys.tables AS t LEFT JOIN sys.change_tracking_tables AS c ON c.object_id = t.object_id WHERE t.object_id = OBJECT_ID(@P1)";

/// The columns of a table, by its object id. The server's own types have numbers up to 255; of some of these the number of the stored type
/// is that of another one, as `vector` is `varbinary`. `protects`: the server knows encrypted and masked columns.
pub(super) fn columns(protects: bool) -> String {
    let protection = if protects { "c.encryption_type, CAST(c.is_masked AS int)" } else { "NULL, 0" };
    format!(
        "SELECT c.column_id, c.name, u.name, CASE WHEN c.user_type_id < 256 THEN u.name ELSE b.name END, CAST(c.max_length AS int), \
         CAST(c.[precision] AS int), CAST(c.[scale] AS int), CAST(c.is_nullable AS int), CAST(c.is_computed AS int), c.collation_name, \
         CAST(k.key_ordinal AS int), {protection} FROM sys.columns AS c JOIN sys.types AS u ON u.user_type_id = c.user_type_id \
         LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id \
         LEFT JOIN (SELECT ic.object_id, ic.column_id, ic.key_ordinal FROM sys.indexes AS i JOIN sys.index_columns AS ic \
         ON ic.object_id = i.object_id AND ic.index_id = i.index_id WHERE i.is_primary_key = 1) AS k \
         ON k.object_id = c.object_id AND k.column_id = c.column_id WHERE c.object_id = @P1 ORDER BY c.column_id"
    )
}

/// What the account may do with a table, by its quoted name.
pub(super) const PERMISSIONS: &str =
    "SELECT HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'SELECT'), HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'VIEW CHANGE TRACKING')";

/// Whether the account may select a column, by the quoted name of its table.
pub(super) const COLUMN_PERMISSION: &str = "SELECT HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'SELECT', @P2, N'COLUMN')";

/// Whether the account reads masked columns as they are, by the quoted name of their table. It is granted of a table since SQL Server 2022.
pub(super) const UNMASK: &str = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'UNMASK'), HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'UNMASK')";

/// How many policies of row-level security hide rows of a table, by its object id. Only who may alter policies sees them.
pub(super) const HIDING: &str = "SELECT CAST(COUNT(*) AS int) FROM sys.security_predicates AS s JOIN sys.security_policies AS p \
ON p.object_id = s.object_id WHERE s.target_object_id = @P1 AND s.predicate_type = 0 AND p.is_enabled = 1";

/// Whether an entry matches a table: schema, the entry's schema, name, the entry's pattern.
pub(super) const MATCHES: &str = "SELECT CASE WHEN @P1 = @P2 AND @P3 LIKE @P4 THEN 1 ELSE 0 END";

pub(super) const BEGIN: &str = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION";
pub(super) const COMMIT: &str = "COMMIT TRANSACTION; SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Sets another isolation level for all that follows.
pub(super) fn isolation(level: &str) -> String {
    format!("SET TRANSACTION ISOLATION LEVEL {level}")
}

/// Which of some tables have changes after a version: the number of each that has. Parameter n is the version of table n. SELECTs of at
/// most `branches` tables each.
pub(super) fn changed(tables: &[&str], branches: usize) -> String {
    let mut text = String::new();
    for (number, table) in tables.iter().enumerate() {
        let lead = match number {
            0 => "",
            _ if number.is_multiple_of(branches) => ";\n",
            _ => "\nUNION ALL ",
        };
        let parameter = number + 1;
        // writing to a String cannot fail
        let _ = write!(text, "{lead}SELECT {number} WHERE EXISTS (SELECT 1 FROM CHANGETABLE(CHANGES {table}, @P{parameter}) AS c)");
    }
    text
}

/// The changes of a table: `@P1` is the version after which, `@P2` how many rows at most. `inside` = from a key on inside of version
/// `@P3`, whose parts are the parameters that follow. For each of `keys`, a set of parameters each, a column says whether the row's key is
/// up to it. The parameters of `inside` are those of a key of which no other may be before it.
pub(super) fn changes(table: &TrackedTable, tracking_only: bool, inside: bool, keys: usize) -> String {
    let parts = table.key.len();
    let mut first = 3;
    let mut filter = String::new();
    if inside {
        let behind = behind(table, "c", first + 1);
        filter = format!(" WHERE c.SYS_CHANGE_VERSION > @P{first} OR (c.SYS_CHANGE_VERSION = @P{first} AND ({behind}))");
        first += 1 + parts;
    }
    let mut text = "SELECT TOP (@P2) c.SYS_CHANGE_VERSION, c.SYS_CHANGE_CREATION_VERSION, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_COLUMNS, \
                    c.SYS_CHANGE_CONTEXT"
        .to_owned();
    let sizes = sizes(table);
    let bytes = sizes.as_ref().map(|_| BYTES);
    for number in 0..keys {
        let behind = behind(table, "c", first + number * parts);
        let _ = write!(text, ", CASE WHEN {behind} THEN 0 ELSE 1 END");
    }
    for column in table.key_columns() {
        let _ = write!(text, ", {}", column.select("c", None));
    }
    if !tracking_only {
        for column in &table.columns {
            let _ = write!(text, ", {}", column.select("t", bytes));
        }
    }
    let name = &table.quoted;
    let _ = write!(text, " FROM CHANGETABLE(CHANGES {name}, @P1) AS c");
    if !tracking_only {
        let equal: Vec<String> = table.key_columns().map(|key| format!("t.{0} = c.{0}", quoted(&key.name))).collect();
        let _ = write!(text, " LEFT OUTER JOIN {name} AS t ON {}{}", equal.join(" AND "), sizes.unwrap_or_default());
    }
    let _ = write!(text, "{filter} ORDER BY c.SYS_CHANGE_VERSION, {}", key_list(table, "c"));
    text
}

/// The rows of a table in the order of its key: `@P1` is how many at most. `after` = behind a key, whose parts are the parameters that
/// follow. For each of `keys`, a set of parameters each, a column says whether the row's key is up to it.
pub(super) fn rows(table: &TrackedTable, tracking_only: bool, after: bool, keys: usize) -> String {
    let parts = table.key.len();
    let mut first = 2;
    let mut filter = String::new();
    if after {
        filter = format!(" WHERE {}", behind(table, "t", first));
        if let (Some(column), 2..) = (table.key_columns().next(), parts) {
            // by the alternatives alone, the index is read from its beginning
            filter = format!(" WHERE t.{} >= {} AND ({})", quoted(&column.name), column.parameter(first), behind(table, "t", first));
        }
        first += parts;
    }
    let mut items: Vec<String> = Vec::new();
    for number in 0..keys {
        items.push(format!("CASE WHEN {} THEN 0 ELSE 1 END", behind(table, "t", first + number * parts)));
    }
    items.extend(table.key_columns().map(|column| column.select("t", None)));
    let sizes = if tracking_only { None } else { sizes(table) };
    if !tracking_only {
        items.extend(table.columns.iter().map(|column| column.select("t", sizes.as_ref().map(|_| BYTES))));
    }
    let sizes = sizes.unwrap_or_default();
    format!("SELECT TOP (@P1) {} FROM {} AS t{sizes}{filter} ORDER BY {}", items.join(", "), table.quoted, key_list(table, "t"))
}

/// How large the values of a row are together of which each may be too large.
const BYTES: &str = "z.bytes";

/// Where [`BYTES`] come from; `None` where there is one such column at most.
fn sizes(table: &TrackedTable) -> Option<String> {
    let sizes: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.may_be_too_large())
        .map(|column| format!("ISNULL(CAST({} AS bigint), 0)", column.size("t")))
        .collect();
    (sizes.len() > 1).then(|| format!(" CROSS APPLY (SELECT {} AS bytes) AS z", sizes.join(" + ")))
}

/// Whether a row's key is behind another one, in the order of the server: of the first column in which they differ. Parameters from number
/// `first` on are the parts of the other one.
fn behind(table: &TrackedTable, alias: &str, first: usize) -> String {
    let mut equal = String::new();
    let mut any: Vec<String> = Vec::new();
    for (number, column) in table.key_columns().enumerate() {
        let (name, parameter) = (quoted(&column.name), column.parameter(first + number));
        any.push(format!("({equal}{alias}.{name} > {parameter})"));
        let _ = write!(equal, "{alias}.{name} = {parameter} AND ");
    }
    any.join(" OR ")
}

fn key_list(table: &TrackedTable, alias: &str) -> String {
    table.key_columns().map(|column| format!("{alias}.{}", quoted(&column.name))).collect::<Vec<_>>().join(", ")
}
