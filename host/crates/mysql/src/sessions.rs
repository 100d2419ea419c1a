//! Sessions of the server that do not log rows.

use mysql_async::{Conn, prelude::Queryable};

use super::{
    connection::{Connector, Server},
    position::Flavour,
    precheck::Faults,
};
use sluicegate_model::Result;

/// Sessions named in one message, at most.
const NAMED: usize = 20;

/// Sessions that overrode the global `binlog_format` are worth a warning: what they change is logged as statements. MariaDB does not
/// show them, nor does a MySQL server whose performance_schema is off or closed to the account.
pub(super) async fn look(connector: &Connector, conn: &mut Conn, server: &Server, faults: &mut Faults) -> Result<()> {
    if server.flavour != Flavour::MySql {
        return Ok(());
    }
    let query = "SELECT t.processlist_id, t.processlist_user, v.variable_value FROM performance_schema.variables_by_thread v \
        JOIN performance_schema.threads t USING (thread_id) WHERE v.variable_name = 'binlog_format' AND v.variable_value <> 'ROW' \
        AND t.processlist_id IS NOT NULL ORDER BY 1 LIMIT 21";
    let rows: Vec<(u64, Option<String>, String)> = match conn.query(query).await {
        Ok(rows) => rows,
        Err(mysql_async::Error::Server(error)) => {
            tracing::debug!(%error, "sessions with another binlog_format cannot be looked for");
            return Ok(());
        }
        Err(error) => return Err(connector.explain("query", error)),
    };
    if rows.is_empty() {
        return Ok(());
    }
    let named: Vec<_> =
        rows.iter().take(NAMED).map(|(id, user, format)| format!("{id} ({}, {format})", user.as_deref().unwrap_or("?"))).collect();
    let more = if rows.len() > NAMED { " and more" } else { "" };
    let named = format!("{}{more}", named.join(", "));
    let remedy = "have them reconnect, or SET SESSION binlog_format = 'ROW'; the source's `statements` says what becomes of their changes";
    tracing::warn!(sessions = named, remedy, "sessions of the server do not log rows");
    faults.warn(format!("sessions do not log rows: {named}"), remedy);
    Ok(())
}
