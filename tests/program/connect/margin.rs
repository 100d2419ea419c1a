//! How near the sinks' places are to what the server removes of its log.

use sluicegate_harness::{free_port, host::metric};

use super::*;

#[test]
fn c6_a_place_that_the_server_may_remove_soon_is_told_of_before_it_is_lost() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        let database = table(&server, "margin");
        let port = free_port();
        let source = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
        let text = |pace: &str, limits: &str| {
            let text = pipeline(&database, &source, limits).replace("prefix: t", &format!("prefix: t{pace}"));
            format!("{text}http: 127.0.0.1:{port}\n")
        };
        let host = Sluicegate::new(BINARY, &text("", ""));
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
        wait_for(&mut process, &host, 1);
        stop(process);
        // much that is not delivered, in a file that is no longer written to; another one stands before it
        server.sql("FLUSH BINARY LOGS");
        server.sql(&format!("INSERT INTO {database}.t VALUES {}", (2..=300).map(|id| format!("({id})")).collect::<Vec<_>>().join(",")));
        let (code, said) = check(&host);
        assert!(code == Some(0) && !said.contains("the server may remove"), "{said}");
        server.sql("FLUSH BINARY LOGS; SET GLOBAL binlog_expire_logs_seconds = 3000");
        let (code, said) = check(&host);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("warn  position: the oldest place of the sinks is in ") && said.contains("which the server may remove in "),
            "{said}"
        );
        assert!(said.contains("SET GLOBAL binlog_expire_logs_seconds = 6000"), "{said}");
        assert!(said.contains("warn  retention: binlogs are kept for 0.0 days"), "{said}");
        // a sink that takes one row a second stays there
        host.write_pipeline(&text(", rows_per_second: 1", ", batch_changes: 10"));
        let mut process = start(&host);
        process.wait_for_line("which the server may remove in ", PATIENCE);
        let shown = |name: &str| metric(port, &format!("sluicegate_source_log_{name}{{pipeline=\"connect\"}}"));
        process.wait_until("the margin is shown", PATIENCE, || shown("margin_seconds").is_some());
        assert!(shown("margin_seconds").is_some_and(|left| (2400.0..=3000.0).contains(&left)), "{:?}", shown("margin_seconds"));
        assert_eq!(shown("kept_seconds"), Some(3000.0));
        let before = shown("margin_files").expect("a number");
        // it may have delivered the first row of the next file
        let behind = server.query("SHOW BINARY LOGS").len() - before as usize - 1;
        assert!((1..=2).contains(&behind), "{behind} files behind the place");
        stop(process);
        // behind all of it, nothing is in danger
        host.write_pipeline(&text("", ""));
        let mut process = start(&host);
        wait_for(&mut process, &host, 300);
        server.sql(&format!("INSERT INTO {database}.t VALUES (301)"));
        wait_for(&mut process, &host, 301);
        stop(process);
        let (code, said) = check(&host);
        assert!(code == Some(0) && !said.contains("the server may remove"), "{said}");
    }
}
