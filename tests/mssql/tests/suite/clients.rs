//! Microsoft's own clients get the same answers as the driver: the ODBC driver of mssql-python, and its client in Rust (mssql-tds).

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use sluicegate_mssql_simulator::Simulator;

use crate::histories::{TABLES, by_key, histories};

/// Histories that each client replays.
const HISTORIES: usize = 40;

struct Client {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Client {
    fn start(kind: &str, simulator: &Simulator) -> Self {
        let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let installed = Command::new(format!("{repository}/tests/toolchain/mssql-python.sh")).stderr(Stdio::inherit()).output();
        let output = String::from_utf8(installed.expect("the script runs").stdout).expect("text");
        let python = output.trim().strip_prefix("MSSQL_PYTHON=").expect("mssql-python is installed").to_owned();
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/answers.py"))
            .args([kind, &format!("127.0.0.1,{}", simulator.port()), Simulator::PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a client");
        let (to, from) = (process.stdin.take().expect("stdin"), BufReader::new(process.stdout.take().expect("stdout")));
        Self { process, to, from }
    }

    fn run(&mut self, statements: &[String]) -> Vec<Value> {
        writeln!(self.to, "{}", json!(statements)).expect("the client runs");
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the client answers");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("the client failed, see above: {e}: {statements:?}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn change(row: &Value) -> Value {
    let row = row.as_array().expect("a row");
    json!({ "key": row[5..], "op": row[2], "version": row[0], "creation": row[1], "columns": row[3], "context": row[4] })
}

fn replay(client: &mut Client, history: &Value) {
    let database = format!("h{}", history["history"]);
    let create =
        [format!("CREATE DATABASE {database}"), format!("ALTER DATABASE {database} SET CHANGE_TRACKING = ON"), format!("USE {database}")];
    client.run(&create);
    let steps: Vec<String> = history["steps"].as_array().expect("steps").iter().map(|s| s.as_str().expect("text").to_owned()).collect();
    let mut done = 0;
    for answer in history["answers"].as_array().expect("answers") {
        let upto = usize::try_from(answer["after_step"].as_u64().expect("a number")).expect("a step");
        client.run(&steps[done..upto]);
        done = upto;
        let mut asked = vec!["SELECT CHANGE_TRACKING_CURRENT_VERSION()".to_owned()];
        let mut expected = Vec::new();
        for table in TABLES {
            for (last, rows) in answer["tables"][table]["changes"].as_object().into_iter().flatten() {
                asked.push(format!("SELECT * FROM CHANGETABLE(CHANGES dbo.[{table}], {last}) AS c"));
                expected.push(by_key(rows.as_array().into_iter().flatten().cloned()));
            }
        }
        let found = client.run(&asked);
        let at = format!("history {} after step {upto}", history["history"]);
        assert_eq!(found[0], json!([[answer["current_version"]]]), "{at}");
        for ((rows, expected), sql) in found[1..].iter().zip(expected).zip(&asked[1..]) {
            assert_eq!(by_key(rows.as_array().into_iter().flatten().map(change)), expected, "{at}: {sql}");
        }
    }
    client.run(&["USE master".to_owned(), format!("DROP DATABASE {database}")]);
}

/// Values of many types, each as this client has to read it.
fn values(client: &mut Client) {
    let cases = [
        ("CAST(-2147483648 AS int)", json!(-2_147_483_648_i64)),
        ("CAST(9223372036854775807 AS bigint)", json!(9_223_372_036_854_775_807_i64)),
        ("CAST(255 AS tinyint)", json!(255)),
        ("CAST(1.5 AS float)", json!(1.5)),
        ("CAST('-12345678901234567890.1234' AS decimal(24,4))", json!("-12345678901234567890.1234")),
        ("CAST('922337203685477.5807' AS money)", json!("922337203685477.5807")),
        ("N'naïve 🦀'", json!("naïve 🦀")),
        ("CAST('naïve' AS varchar(10))", json!("naïve")),
        ("REPLICATE(CAST(N'é' AS nvarchar(max)), 9000)", json!("é".repeat(9000))),
        ("0x00FF", json!("0x00FF")),
        ("CAST('00112233-4455-6677-8899-AABBCCDDEEFF' AS uniqueidentifier)", json!("00112233-4455-6677-8899-AABBCCDDEEFF")),
        ("CAST('2020-02-29' AS date)", json!("2020-02-29")),
        ("CAST('2020-02-29 12:34:56.7890120' AS datetime2(6))", json!("2020-02-29T12:34:56.789012")),
        ("CAST('2020-02-29 12:34:56.789' AS datetime)", json!("2020-02-29T12:34:56.790000")),
        ("CAST('2020-02-29 12:34:56' AS smalldatetime)", json!("2020-02-29T12:35:00")),
        ("CAST(NULL AS nvarchar(5))", Value::Null),
    ];
    let statements: Vec<String> = cases.iter().map(|(sql, _)| format!("SELECT {sql}")).collect();
    for ((sql, expected), found) in cases.iter().zip(client.run(&statements)) {
        assert_eq!(found, json!([[expected]]), "{sql}");
    }
}

fn agrees(kind: &str) {
    let simulator = Simulator::start();
    let mut client = Client::start(kind, &simulator);
    values(&mut client);
    for history in histories().iter().take(HISTORIES) {
        replay(&mut client, history);
    }
}

#[test]
fn microsofts_odbc_driver_gets_the_same_answers() {
    agrees("odbc");
}

#[test]
fn microsofts_client_in_rust_gets_the_same_answers() {
    agrees("rust");
}
