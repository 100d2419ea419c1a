//! Limits of rows, values and connections.

use super::server::*;

const T: &str = "id int NOT NULL PRIMARY KEY, v int NULL";

#[test]
fn a30_a_query_asks_for_as_many_rows_as_the_setting_says() {
    let mut database = Database::new();
    database.table("t", T);
    let rows: Vec<String> = (0..30).map(|id| format!("({id}, 0)")).collect();
    database.sql(&format!("INSERT dbo.t VALUES {}", rows.join(", ")));
    let Some(simulator) = database.simulator().cloned() else { return };
    for (start, part) in [("0", "LEFT OUTER JOIN [dbo].[t]"), ("snapshot-first", "FROM [dbo].[t] AS t")] {
        simulator.faults().record();
        let host = database.pipeline(&[&format!("tables: [{{ start: {start} }}]"), "headers: none", "fetch_rows: 7"]);
        drain(&host);
        let queries = simulator.faults().recorded().iter().filter(|text| text.contains(part)).count();
        // four that are full, and one that is not
        assert_eq!((records(&host).len(), queries), (30, 5), "{start}");
    }
}

#[test]
fn a31_large_values_are_cut_and_say_so() {
    let mut database = Database::new();
    let columns = "id int NOT NULL PRIMARY KEY, note nvarchar(max) NULL, doc varchar(max) NULL, old ntext NULL, x xml NULL, \
                   far varchar(max) COLLATE Cyrillic_General_CI_AS NULL, bin varbinary(max) NULL, short varchar(20) NULL";
    database.table("t", columns);
    let large = "N'abc😀def', 'grünes Haus', N'12345', N'<a>b</a>', N'Привет', 0x0102030405, 'not large'";
    database.sql(&format!("INSERT dbo.t VALUES (1, {large}), (2, N'abcd', 'grün', N'1234', NULL, N'Прив', 0x010203, 'x')"));
    let limits = ["text_limit: 4", "binary_limit: 3"];
    for start in ["0", "snapshot-first"] {
        let settings = [&format!("tables: [{{ start: {start} }}]"), limits[0], limits[1]];
        let host = database.pipeline(&settings);
        drain(&host);
        let all = records(&host);
        // a pair of surrogates is not cut in two
        let cut = "id=1 note=\"abc\" doc=\"grün\" old=\"1234\" x=\"<a>b\" far=\"Прив\" bin=\"AQID\" short=\"not large\"";
        assert_eq!(short(&all)[0].split_once(' ').unwrap().1, cut, "{start}");
        let told = r#"{"note":8,"doc":11,"old":5,"x":8,"far":6,"bin":5}"#;
        assert_eq!(all[0]["_headers"]["change_truncated"], told, "{start}");
        let whole = "id=2 note=\"abcd\" doc=\"grün\" old=\"1234\" x=null far=\"Прив\" bin=\"AQID\" short=\"x\"";
        assert_eq!(short(&all)[1].split_once(' ').unwrap().1, whole, "{start}");
        assert!(all[1]["_headers"].get("change_truncated").is_none(), "{start}");
    }
    let ended = database.pipeline(&["headers: none", limits[0]]).run(&["check", "pipeline.yaml"], PATIENCE);
    assert!(!ended.status.success() && ended.stderr.contains("values that are cut have to say so"), "{}", ended.stderr);
}

#[test]
fn a36_connections_that_wait_are_closed_and_old_ones_replaced() {
    let mut database = Database::new();
    for name in ["a", "b", "c"] {
        database.table(name, T);
        database.sql(&format!("INSERT dbo.{name} VALUES (1, 0)"));
    }
    let Some(simulator) = database.simulator().cloned() else { return };
    let own = simulator.connections();
    let host = database.pipeline(&["tables: [{ start: 0 }]", "headers: none", "threads: 3", "idle_timeout: 1s"]);
    let mut process = start(&host);
    wait_for(&mut process, &host, 3);
    process.wait_until("the only connection that has work", PATIENCE, || simulator.connections() == own + 1);
    database.sql("INSERT dbo.a VALUES (2, 0)");
    wait_for(&mut process, &host, 4);
    stop(process);
    let host = database.pipeline(&["headers: none", "max_lifetime: 1s"]);
    let mut process = start(&host);
    simulator.faults().record();
    let mut made = 0;
    process.wait_until("the third connection", PATIENCE, || {
        made += simulator.faults().recorded().iter().filter(|text| text.contains("SERVERPROPERTY")).count();
        made >= 2
    });
    assert!(simulator.connections() <= own + 2);
    stop(process);
}
