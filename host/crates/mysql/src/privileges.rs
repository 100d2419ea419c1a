//! What the account may do, as `SHOW GRANTS` says.

use mysql_async::{Conn, Row, prelude::Queryable as _};

use super::{connection::Connector, precheck::Faults};
use sluicegate_config::{MySqlSource, SnapshotMode};
use sluicegate_model::Result;

/// The privileges of the account that the source uses.
pub(super) struct Privileges {
    account: String,
    /// Those on everything, as the server lists them.
    global: Vec<String>,
    /// Whether it may read some table.
    reads: bool,
}

impl Privileges {
    pub async fn of(connector: &Connector, conn: &mut Conn) -> Result<Self> {
        let rows: Vec<Row> = connector.within("query", conn.query("SHOW GRANTS")).await?;
        let lines: Vec<String> =
            rows.into_iter().filter_map(|mut row| row.take_opt::<String, _>(0).and_then(std::result::Result::ok)).collect();
        let account: String = connector.one(conn, "SELECT CURRENT_USER()").await?;
        let account = account.split_once('@').map_or_else(|| format!("'{account}'"), |(user, host)| format!("'{user}'@'{host}'"));
        Ok(Self::from_lines(account, &lines))
    }

    fn from_lines(account: String, lines: &[String]) -> Self {
        let listed = |privileges: &str| privileges.trim_start_matches("GRANT ").to_ascii_uppercase();
        let global = lines.iter().filter_map(|line| line.split_once(" ON *.* TO ").map(|(privileges, _)| listed(privileges))).collect();
        // a role without ` ON ` may have any privilege
        let reads = lines.iter().map(|line| line.split_once(" ON ").map(|(privileges, _)| listed(privileges))).any(|privileges| {
            privileges.is_none_or(|privileges| {
                privileges.split(", ").any(|one| one == "ALL PRIVILEGES" || one == "ALL" || one == "SELECT" || one.starts_with("SELECT ("))
            })
        });
        Self { account, global, reads }
    }

    /// Adds what it lacks to read the log; answers whether it may ask where the log begins and ends.
    pub fn of_the_log(&self, faults: &mut Faults) -> bool {
        // only privileges on everything count
        let has =
            |wanted: &[&str]| self.global.iter().flat_map(|l| l.split(", ")).any(|p| p == "ALL PRIVILEGES" || wanted.contains(&p.trim()));
        let account = &self.account;
        let mut lacks = |privilege: &str| {
            faults.add(format!("the account {account} lacks the privilege {privilege}"), format!("GRANT {privilege} ON *.* TO {account}"));
        };
        if !has(&["REPLICATION SLAVE", "REPLICATION REPLICA"]) {
            lacks("REPLICATION SLAVE");
        }
        let may_look = has(&["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"]);
        if !may_look {
            lacks("REPLICATION CLIENT");
        }
        may_look
    }

    /// Adds what it lacks to read the tables themselves. `named`: the log holds the names of columns. `first`: a sink begins without progress;
    /// one that goes on may have all rows and schemas that it needs.
    pub fn of_the_tables(&self, settings: &MySqlSource, (named, first): (bool, bool), faults: &mut Faults) {
        let account = &self.account;
        if self.reads {
            return faults.pass("the account may read tables");
        }
        let remedy = format!("GRANT SELECT ON *.* TO {account}, or on the captured databases or tables only");
        let lacks = format!("the account {account} has SELECT on no table");
        let (what, is_needed) = match (settings.snapshot.mode, named) {
            (SnapshotMode::Never, true) => (": neither types and keys nor patterns without effect can be checked", false),
            (SnapshotMode::Never, false) => (", and binlog_row_metadata is not FULL: the names of columns cannot be found out", true),
            _ => (", and `snapshot` is to copy rows", true),
        };
        match is_needed && first {
            true => faults.add(format!("{lacks}{what}"), remedy),
            false => faults.warn(format!("{lacks}{what}"), remedy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(lines: &[&str]) -> bool {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        Privileges::from_lines("'cdc'@'%'".to_owned(), &lines).reads
    }

    #[test]
    fn select_is_found_wherever_it_may_be_granted() {
        assert!(!reads(&["GRANT USAGE ON *.* TO `cdc`@`%`", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `cdc`@`%`"]));
        assert!(!reads(&["GRANT INSERT, SHOW VIEW ON `shop`.* TO `cdc`@`%`"]));
        for line in [
            "GRANT SELECT, REPLICATION SLAVE ON *.* TO `cdc`@`%`",
            "GRANT ALL PRIVILEGES ON `shop`.* TO `cdc`@`%`",
            "GRANT SELECT ON `shop`.`orders` TO `cdc`@`%`",
            "GRANT SELECT (`id`, `note`), INSERT ON `shop`.`orders` TO `cdc`@`%`",
            "GRANT `readers`@`%` TO `cdc`@`%`",
        ] {
            assert!(reads(&["GRANT USAGE ON *.* TO `cdc`@`%`", line]), "{line}");
        }
    }
}
