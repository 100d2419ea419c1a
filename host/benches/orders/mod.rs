//! Orders of a shop in a real MariaDB, for its binlog to be read.

use sluicegate_harness::database::Server;

/// The most rows that one request of the client inserts.
const REQUEST: u64 = 1000;

/// Makes `shop.TABLE` and inserts the rows 0, 1, …, so many a transaction (a divisor of 1,000).
pub fn fill(server: &Server, table: &str, rows: u64, a_transaction: u64) {
    let mut client = server.client();
    client.sql(&format!(
        "CREATE DATABASE IF NOT EXISTS shop; CREATE TABLE shop.{table} (id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, \
         order_no VARCHAR(20) NOT NULL, email VARCHAR(120) NOT NULL, status ENUM('placed','paid','shipped','delivered','cancelled') NOT NULL, \
         amount DECIMAL(12,2) NOT NULL, created_at DATETIME(6) NOT NULL, note VARCHAR(200) NULL) CHARSET utf8mb4; USE shop"
    ));
    for from in (0..rows).step_by(REQUEST as usize) {
        let inserts = (from..from + REQUEST).step_by(a_transaction as usize).map(|from| {
            format!(
                "INSERT INTO shop.{table} SELECT n, n % 5000, CONCAT('SO-', LPAD(n, 9, '0')), CONCAT('customer', n % 5000, '@mail.example.org'), \
                 1 + n % 5, (n % 100000) / 7, '2024-01-01 10:00:00.123456' + INTERVAL n SECOND, IF(n % 3 = 0, 'leave it at the door', NULL) \
                 FROM (SELECT seq + {from} AS n FROM seq_0_to_{}) numbers",
                a_transaction - 1
            )
        });
        client.sql(&inserts.collect::<Vec<_>>().join(";"));
    }
}
