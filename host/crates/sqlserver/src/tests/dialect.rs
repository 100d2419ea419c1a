//! Every text of SQL that is sent is T-SQL to an independent parser, too: sqlfluff. What it does not know is left out by name: `ALTER DATABASE` and
//! `ALTER TABLE` with CHANGE_TRACKING, which are told to users and not sent, and a bracket inside of a name, which has a test of its own.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;
use crate::column::CatalogueColumn;

/// Which of the texts the parser takes.
fn taken(texts: &[String]) -> Vec<bool> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/toolchain/sqlfluff.sh");
    let installed = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
    let installed = String::from_utf8(installed.stdout).expect("text");
    let python = installed.trim().strip_prefix("SQLFLUFF_PYTHON=").expect("sqlfluff is installed");
    let mut process = Command::new(python)
        .args(["-c", include_str!("dialect.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the parser runs");
    let mut to = process.stdin.take().expect("stdin");
    to.write_all(&serde_json::to_vec(texts).expect("JSON")).expect("the parser reads");
    drop(to);
    let ended = process.wait_with_output().expect("the parser ends");
    serde_json::from_slice(&ended.stdout).expect("the parser answers, see above")
}

fn named(table: &str) -> TableName {
    TableName { table: table.into(), ..name() }
}

fn of(table: &str, columns: &[CatalogueColumn], settings: &SqlServerSource) -> TrackedTable {
    TrackedTable::new(&named(table), columns, true, "", settings, 1000).unwrap()
}

fn texts() -> Vec<String> {
    let fixed = [
        sql::SESSION,
        sql::FACTS,
        sql::RETENTION,
        sql::DISCOVERY,
        sql::VIEWS,
        sql::CURRENT,
        sql::STANDING,
        sql::PERMISSIONS,
        sql::COLUMN_PERMISSION,
        sql::UNMASK,
        sql::HIDING,
        sql::MATCHES,
        sql::BEGIN,
        sql::COMMIT,
    ];
    let mut texts = fixed.map(str::to_owned).to_vec();
    texts.extend([true, false].map(sql::columns));
    texts.extend(["REPEATABLE READ", "SERIALIZABLE"].map(sql::isolation));
    texts.push(sql::changed(&["[dbo].[a]", "[dbo].[b]", "[dbo].[c]"], 2));
    let everything = of("orders of 2024", &columns(), &settings());
    texts.push(sql::changes(&everything, false, false, 0));
    texts.push(sql::changes(&everything, false, true, 1));
    texts.push(sql::rows(&everything, false, true, 1));
    let cut = SqlServerSource { text_limit: Some(80), binary_limit: Some(80), ..settings() };
    texts.push(sql::changes(&of("orders of 2024", &columns(), &cut), false, false, 0));
    let keys = SqlServerSource { tracking_only: true, ..settings() };
    texts.push(sql::changes(&of("orders of 2024", &columns(), &keys), true, true, 1));
    texts.extend(key_types().map(|column| sql::rows(&of("t", &[keyed(column, 1)], &keys), true, true, 0)));
    texts
}

#[test]
fn an_independent_parser_takes_every_text_and_no_mangled_one() {
    let texts = texts();
    for (text, taken) in texts.iter().zip(taken(&texts)) {
        assert!(taken, "{text}");
    }
    let changes = sql::changes(&of("t", &columns(), &settings()), false, true, 1);
    let mangled = [("@P1) AS c", "@P1 AS c"), ("ORDER BY", "ORDER"), ("AS c ", "c) "), (" ON t.", " t."), ("TOP (@P2)", "TOP")];
    let mangled = mangled.map(|(from, to)| {
        assert!(changes.contains(from), "{from}");
        changes.replacen(from, to, 1)
    });
    for (text, taken) in mangled.iter().zip(taken(&mangled)) {
        assert!(!taken, "{text}");
    }
}

#[test]
fn a_bracket_in_a_name_is_doubled_wherever_the_name_stands() {
    let of_columns =
        |note: &str| columns().map(|column| if column.name == "note" { CatalogueColumn { name: note.into(), ..column } } else { column });
    let writers: [fn(&TrackedTable) -> String; 2] = [|table| sql::changes(table, false, true, 1), |table| sql::rows(table, false, true, 1)];
    for write in writers {
        let plain = write(&of("odd_name", &of_columns("no_te"), &settings()));
        let odd = write(&of("odd]name", &of_columns("no]te"), &settings()));
        assert_eq!(odd, plain.replace("odd_name", "odd]]name").replace("no_te", "no]]te"));
    }
}
