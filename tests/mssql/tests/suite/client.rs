//! The real driver, connected to a simulator.

use sluicegate_mssql_simulator::Simulator;
use tiberius::{AuthMethod, ColumnData, Config, EncryptionLevel, Query, Row, error::Error};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

pub type Driver = tiberius::Client<Compat<TcpStream>>;

/// A simulator with the tracked database `shop`, and the driver in it.
pub async fn shop() -> (Simulator, Client) {
    let simulator = Simulator::start();
    simulator.run("master", "CREATE DATABASE shop").expect("a database");
    simulator.run("shop", "ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON").expect("tracking");
    simulator.run("shop", "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON").expect("snapshots");
    let client = Client::connect(&simulator, "shop").await;
    (simulator, client)
}

/// The setup S of the facts: table t(id, a, b, c), tracked with columns, rows 1, 2, 3 as version 1.
pub async fn setup() -> (Simulator, Client) {
    let (simulator, mut client) = shop().await;
    client.run("CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int)").await;
    client.run("ALTER TABLE t ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)").await;
    client.run("INSERT t VALUES (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)").await;
    (simulator, client)
}

pub fn config(simulator: &Simulator, database: &str) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(simulator.port());
    config.database(database);
    config.authentication(AuthMethod::sql_server("sa", Simulator::PASSWORD));
    config.encryption(EncryptionLevel::NotSupported);
    config
}

pub async fn driver(config: Config) -> Result<Driver, Error> {
    let socket = TcpStream::connect(config.get_addr()).await?;
    socket.set_nodelay(true)?;
    Driver::connect(config, socket.compat_write()).await
}

pub struct Client {
    pub driver: Driver,
}

impl Client {
    pub async fn connect(simulator: &Simulator, database: &str) -> Self {
        Self { driver: driver(config(simulator, database)).await.expect("a login") }
    }

    pub async fn login(simulator: &Simulator, database: &str, user: &str, password: &str) -> Self {
        let mut config = config(simulator, database);
        config.authentication(AuthMethod::sql_server(user, password));
        Self { driver: driver(config).await.expect("a login") }
    }

    /// Runs a batch; its rows.
    pub async fn try_rows(&mut self, sql: &str) -> Result<Vec<Vec<Row>>, Error> {
        self.driver.simple_query(sql).await?.into_results().await
    }

    /// Runs a batch that succeeds.
    pub async fn run(&mut self, sql: &str) {
        self.try_rows(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// Runs a statement with parameters `@P1`, ….
    pub async fn with(&mut self, sql: &str, parameters: &[i64]) -> Result<Vec<Vec<Row>>, Error> {
        let mut query = Query::new(sql);
        parameters.iter().for_each(|p| query.bind(*p));
        query.query(&mut self.driver).await?.into_results().await
    }

    /// The rows of a batch's last result as text, values separated by spaces.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let results = self.try_rows(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        results.last().map(|rows| rows.iter().map(row_text).collect()).unwrap_or_default()
    }

    /// The only value of a batch.
    pub async fn value(&mut self, sql: &str) -> String {
        let mut rows = self.texts(sql).await;
        assert_eq!(rows.len(), 1, "{sql}");
        rows.remove(0)
    }

    /// The number, severity, state and text of the error that a batch ends in.
    pub async fn error(&mut self, sql: &str) -> (u32, u8, u8, String) {
        match self.try_rows(sql).await {
            Ok(_) => panic!("succeeded: {sql}"),
            Err(error) => server_error(&error),
        }
    }

    /// The number alone.
    pub async fn fails(&mut self, sql: &str) -> u32 {
        self.error(sql).await.0
    }

    /// The changes of `t`, as `key operation version/creation`, in the order of their keys.
    pub async fn changes(&mut self, last: &str) -> Vec<String> {
        let sql = format!(
            "SELECT id, SYS_CHANGE_OPERATION, SYS_CHANGE_VERSION, SYS_CHANGE_CREATION_VERSION FROM CHANGETABLE(CHANGES t, {last}) AS c ORDER BY id"
        );
        let results = self.try_rows(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let text = |row: &Row| {
            let values: Vec<String> = row.cells().map(|(_, value)| value_text(value)).collect();
            format!("{} {} {}/{}", values[0], values[1], values[2], if values[3] == "NULL" { "-" } else { &values[3] })
        };
        results[0].iter().map(text).collect()
    }
}

pub fn server_error(error: &Error) -> (u32, u8, u8, String) {
    match error {
        Error::Server(token) => (token.code(), token.class(), token.state(), token.message().to_owned()),
        other => panic!("not an error of the server: {other}"),
    }
}

pub fn row_text(row: &Row) -> String {
    row.cells().map(|(_, value)| value_text(value)).collect::<Vec<_>>().join(" ")
}

pub fn hex(bytes: &[u8]) -> String {
    format!("0x{}", bytes.iter().map(|b| format!("{b:02X}")).collect::<String>())
}

pub fn value_text(value: &ColumnData<'static>) -> String {
    fn or_null<T>(value: &Option<T>, text: impl Fn(&T) -> String) -> String {
        value.as_ref().map_or("NULL".to_owned(), text)
    }
    match value {
        ColumnData::U8(v) => or_null(v, ToString::to_string),
        ColumnData::I16(v) => or_null(v, ToString::to_string),
        ColumnData::I32(v) => or_null(v, ToString::to_string),
        ColumnData::I64(v) => or_null(v, ToString::to_string),
        ColumnData::F32(v) => or_null(v, ToString::to_string),
        ColumnData::F64(v) => or_null(v, ToString::to_string),
        ColumnData::Bit(v) => or_null(v, |b| u8::from(*b).to_string()),
        ColumnData::String(v) => or_null(v, ToString::to_string),
        ColumnData::Binary(v) => or_null(v, |b| hex(b)),
        ColumnData::Guid(v) => or_null(v, ToString::to_string),
        // the driver prints a fraction also where the scale has none
        ColumnData::Numeric(v) => or_null(v, |n| if n.scale() == 0 { n.value().to_string() } else { n.to_string() }),
        ColumnData::Xml(v) => or_null(v, ToString::to_string),
        other => format!("{other:?}"),
    }
}
