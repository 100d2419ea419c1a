//! How the server keeps and passes on its log: what a check says beyond what a start needs.

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    connection::Connector,
    precheck::{Faults, variable},
};
use sluicegate_config::MySqlSource;
use sluicegate_model::Result;

/// A pipeline that stands still for a weekend and a holiday finds its place again.
const KEPT_SECONDS: u64 = 7 * 24 * 3600;

/// Looks at the server's settings.
pub(super) async fn look(connector: &Connector, conn: &mut Conn, configured: &MySqlSource, faults: &mut Faults) -> Result<()> {
    retention(connector, conn, faults).await?;
    passed_on(connector, conn, faults).await?;
    faults.item("server_id");
    let id = number(connector, conn, "server_id").await?.unwrap_or_default();
    if id == 0 {
        faults.add(
            "the server has no server_id, so it serves no replica",
            "SET GLOBAL server_id = 1, or another number that no other server has, also in the server's configuration file.",
        );
    } else if configured.server_id.is_some_and(|ours| u64::from(ours) == id) {
        faults.add(
            format!("the source's server_id {id} is that of the server itself"),
            "Give the source another number, or leave `server_id` out: each start then takes one of its own.",
        );
    }
    faults.pass(format!("{id}"));
    faults.item("time zone");
    let zone = variable(connector, conn, "time_zone").await?.unwrap_or_default();
    faults.pass(format!("{zone}; timestamps are logged and delivered in UTC"));
    faults.item("max_allowed_packet");
    let packet = number(connector, conn, "max_allowed_packet").await?.unwrap_or_default();
    faults.pass(format!("{packet} bytes; the program takes packets of any size"));
    Ok(())
}

async fn number(connector: &Connector, conn: &mut Conn, name: &str) -> Result<Option<u64>> {
    // MariaDB has fractions of days
    let value = variable(connector, conn, name).await?.and_then(|value| value.parse::<f64>().ok());
    Ok(value.map(|value| value as u64))
}

/// How long binlogs are kept, in seconds; 0 = until somebody purges them.
pub(super) async fn kept_seconds(connector: &Connector, conn: &mut Conn) -> Result<u64> {
    if variable(connector, conn, "binlog_expire_logs_auto_purge").await?.is_some_and(|purges| purges == "OFF" || purges == "0") {
        return Ok(0);
    }
    let seconds = number(connector, conn, "binlog_expire_logs_seconds").await?;
    let days = variable(connector, conn, "expire_logs_days").await?.and_then(|value| value.parse::<f64>().ok());
    Ok(match (seconds, days) {
        (Some(seconds), _) if seconds > 0 => seconds,
        (_, Some(days)) if days > 0.0 => (days * 86_400.0) as u64,
        _ => 0,
    })
}

/// How to keep binlogs for so many seconds.
pub(super) async fn how_to_keep(connector: &Connector, conn: &mut Conn, seconds: u64) -> Result<String> {
    Ok(match number(connector, conn, "binlog_expire_logs_seconds").await? {
        Some(_) => format!("SET GLOBAL binlog_expire_logs_seconds = {seconds}, also in the server's configuration file."),
        None => format!("SET GLOBAL expire_logs_days = {}, also in the server's configuration file.", seconds.div_ceil(86_400)),
    })
}

/// How long binlogs are kept.
async fn retention(connector: &Connector, conn: &mut Conn, faults: &mut Faults) -> Result<()> {
    faults.item("retention");
    let kept = kept_seconds(connector, conn).await?;
    if kept > 0 && kept < KEPT_SECONDS {
        let remedy = how_to_keep(connector, conn, KEPT_SECONDS).await?;
        faults.warn(
            format!("binlogs are kept for {:.1} days: a pipeline that stands still longer loses its place", kept as f64 / 86_400.0),
            remedy,
        );
    }
    faults.pass(if kept == 0 {
        "binlogs are kept until somebody purges them".to_owned()
    } else {
        format!("binlogs are kept for {} days", kept / 86_400)
    });
    Ok(())
}

/// Whether a replica logs what it replicates.
pub(super) async fn passed_on(connector: &Connector, conn: &mut Conn, faults: &mut Faults) -> Result<()> {
    faults.item("log_replica_updates");
    let mut on = None;
    for name in ["log_replica_updates", "log_slave_updates"] {
        if on.is_none() {
            on = variable(connector, conn, name).await?;
        }
    }
    if on.is_some_and(|on| on == "ON" || on == "1") {
        faults.pass("ON");
        return Ok(());
    }
    // an account that may not ask, or a server that words it otherwise, gives no answer
    let mut replica = false;
    for query in ["SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS"] {
        replica |= connector.within("query", conn.query_first::<Row, _>(query)).await.is_ok_and(|row| row.is_some());
    }
    if replica {
        faults.add(
            "the server is a replica and does not log what it replicates (log_replica_updates, log_slave_updates = OFF)",
            "Set log_replica_updates = ON (MariaDB: log_slave_updates) in the server's configuration file and restart it, or read from its source.",
        );
    }
    faults.pass("OFF, and the server is no replica");
    Ok(())
}
