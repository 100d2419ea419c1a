//! What the account may do with a table, and what the server hides from it.

use super::{
    catalogue::Listed,
    column::CatalogueColumn,
    connection::Conn,
    fault::Fault,
    row::{Cells, unexpected},
    sql,
    table::TrackedTable,
    value::Parameter,
};
use sluicegate_model::finding::{Finding, listed as named};

/// Names of columns that are told.
const NAMES: usize = 5;

async fn ask(conn: &mut Conn, text: &str, parameters: &[Parameter]) -> Result<Cells, Fault> {
    Ok(conn.rows(text, parameters).await?.into_iter().next().ok_or_else(unexpected)?.into())
}

fn text(text: &str) -> Parameter {
    Parameter::Text(text.into())
}

/// The permissions that the account lacks on a whole table.
pub(super) async fn missing(conn: &mut Conn, quoted: &str, tracking_only: bool) -> Result<Vec<String>, Fault> {
    let has = ask(conn, sql::PERMISSIONS, &[text(quoted)]).await?;
    let mut missing = Vec::new();
    if !tracking_only && has.number(0)? != Some(1) {
        missing.push("SELECT".to_owned());
    }
    if has.number(1)? != Some(1) {
        missing.push("VIEW CHANGE TRACKING".to_owned());
    }
    Ok(missing)
}

/// The columns of the key that the account may not select, quoted: without them it reads no changes either.
pub(super) async fn unreadable(conn: &mut Conn, quoted: &str, table: &TrackedTable) -> Result<Vec<String>, Fault> {
    let mut columns = Vec::new();
    for column in table.key_columns() {
        if ask(conn, sql::COLUMN_PERMISSION, &[text(quoted), text(&column.name)]).await?.number(0)? != Some(1) {
            columns.push(sql::quoted(&column.name));
        }
    }
    Ok(columns)
}

/// What the account is shown otherwise than it is, without an error: masked columns, and rows that a policy hides.
pub(super) async fn veiled(
    conn: &mut Conn,
    listed: &Listed,
    quoted: &str,
    columns: &[CatalogueColumn],
    tracking_only: bool,
) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::new();
    let masked = || columns.iter().filter(|column| column.masked && (column.key.is_some() || !tracking_only));
    if masked().next().is_some() {
        let may = ask(conn, sql::UNMASK, &[text(quoted)]).await?;
        if may.number(0)? != Some(1) && may.number(1)? != Some(1) {
            let what = format!(
                "table {}: the server masks these columns, and the account gets the mask in place of their values: {}",
                listed.name,
                named(masked().map(|column| column.name.as_str()), NAMES)
            );
            let remedy = "GRANT UNMASK TO [the account]; or leave the table out with `exclude`.";
            findings.push(if masked().any(|column| column.key.is_some()) {
                Finding::fail("masked columns", what, remedy)
            } else {
                Finding::warn("masked columns", what, remedy)
            });
        }
    }
    if conn.protects && ask(conn, sql::HIDING, &[Parameter::Small(listed.object)]).await?.number(0)? != Some(0) {
        findings.push(Finding::warn(
            "row-level security",
            format!("table {}: a policy of row-level security may hide rows from the account", listed.name),
            "Let its predicate be true for the account: a change of a row that is hidden stops the run.",
        ));
    }
    Ok(findings)
}
