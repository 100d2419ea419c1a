//! MariaDB and MySQL servers, and a blocking client.

use std::{
    path::Path,
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mysql_async::{Conn, Opts, OptsBuilder, Row, Value, prelude::Queryable};
use tokio::runtime::{self, Runtime};

use crate::{instance::Instance, wait::until};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// MariaDB, from the system's packages.
    MariaDb,
    /// MySQL 9, from a folder.
    MySql,
}

/// A row as the server's text protocol gives it; bytes that are not UTF-8 come as `0x…`.
pub type TextRow = Vec<Option<String>>;

/// A running server. It listens on 127.0.0.1, has the binlog on (ROW, FULL images, FULL metadata, GTIDs) and an account with all rights.
pub struct Server {
    flavor: Flavor,
    instance: Instance,
}

impl Server {
    pub(crate) fn shared(flavor: Flavor) -> Self {
        Self { flavor, instance: Instance::shared(script(flavor)) }
    }

    pub(crate) fn start(flavor: Flavor, options: &[&str]) -> Self {
        Self { flavor, instance: Instance::start(script(flavor), options) }
    }

    /// Which one.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.instance.value("PORT").parse().expect("PORT is a number")
    }

    /// The account, which has all rights.
    pub fn user(&self) -> &str {
        self.instance.value("USER")
    }

    /// Its password.
    pub fn password(&self) -> &str {
        self.instance.value("PASSWORD")
    }

    /// Its folder: `error.log`, `data/binlog.*`.
    pub fn folder(&self) -> &Path {
        self.instance.folder()
    }

    /// For connections of the test's own with `mysql_async`.
    pub fn opts(&self) -> Opts {
        self.opts_as(self.user(), self.password())
    }

    /// The same with another account.
    pub fn opts_as(&self, user: &str, password: &str) -> Opts {
        OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port()).user(Some(user)).pass(Some(password)).into()
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.opts())
    }

    /// Runs statements (separated by `;`) on a new connection.
    #[track_caller]
    pub fn sql(&self, statements: &str) {
        self.client().sql(statements);
    }

    /// A query's rows, over a new connection.
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<TextRow> {
        self.client().query(query)
    }

    /// Makes a database that no other test uses and gives its name: `prefix_…`.
    pub fn database(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4"));
        name
    }

    /// Removes every binlog file but the newest. Not for the shared server.
    ///
    /// A server keeps, without a word, the file that a connection reads, and notices only at its next write that nobody is there.
    #[track_caller]
    pub fn purge_logs(&self) {
        until("the binlogs are purged", Duration::from_secs(60), || {
            let newest = self.query("SHOW BINARY LOGS").pop().expect("a file").remove(0).expect("a name");
            self.sql(&format!("PURGE BINARY LOGS TO '{newest}'"));
            self.query("SHOW BINARY LOGS").len() == 1
        });
    }

    /// Ends it in order. Not for the shared server.
    pub fn stop(&self) {
        self.instance.stop();
    }

    /// kill -9. Not for the shared server.
    pub fn kill9(&self) {
        self.instance.kill9();
    }

    /// Goes on with the same data, port and options after [`Server::stop`] or [`Server::kill9`].
    pub fn start_again(&mut self) {
        self.instance.start_again();
    }
}

fn script(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::MariaDb => "mariadb.sh",
        Flavor::MySql => "mysql.sh",
    }
}

/// One connection, for transactions and session variables. Errors panic with the server's message.
pub struct Client {
    runtime: Runtime,
    connection: Option<Conn>,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(opts: Opts) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let connection = runtime.block_on(Conn::new(opts)).unwrap_or_else(|error| panic!("cannot connect: {error}"));
        Self { runtime, connection: Some(connection) }
    }

    /// Runs statements, separated by `;`.
    #[track_caller]
    pub fn sql(&mut self, statements: &str) {
        if let Err(error) = self.try_sql(statements) {
            panic!("{error}\n  in: {statements}");
        }
    }

    /// The same; the server's error is for the caller to judge.
    pub fn try_sql(&mut self, statements: &str) -> Result<(), mysql_async::Error> {
        let connection = self.connection.as_mut().expect("open until dropped");
        self.runtime.block_on(connection.query_drop(statements))
    }

    /// A query's rows, in the text protocol's form.
    #[track_caller]
    pub fn query(&mut self, query: &str) -> Vec<TextRow> {
        let connection = self.connection.as_mut().expect("open until dropped");
        let rows: Vec<Row> = match self.runtime.block_on(connection.query(query)) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}\n  in: {query}"),
        };
        rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect()
    }

    /// A query's only value.
    #[track_caller]
    pub fn value(&mut self, query: &str) -> Option<String> {
        let rows = self.query(query);
        rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or_else(|| panic!("no rows\n  in: {query}"))
    }

    /// Every row of a table, as text, in the order of its first column and then the others.
    #[track_caller]
    pub fn table(&mut self, table: &str) -> Vec<TextRow> {
        let mut rows = self.query(&format!("SELECT * FROM {table}"));
        // numbers in the order of numbers: shorter first
        rows.sort_by_cached_key(|row| row.iter().map(|v| v.as_ref().map(|v| (v.len(), v.clone()))).collect::<Vec<_>>());
        rows
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // the server may be gone: closing politely is all there is to try
            let _ = self.runtime.block_on(connection.disconnect());
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => format!("0x{}", error.as_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>()),
        }),
        other => panic!("not a value of the text protocol: {other:?}"),
    }
}
