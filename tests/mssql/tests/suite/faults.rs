//! What goes wrong on command, logins, TLS: facts G91, G117, G121, G138, G150.

use std::time::Duration;

use sluicegate_mssql_simulator::{Fault, Simulator, SqlError};
use tiberius::{AuthMethod, EncryptionLevel, error::Error};

use crate::client::{Client, config, driver, server_error, setup};

#[tokio::test]
async fn g91_a_wrong_login_or_database_is_refused() {
    let simulator = Simulator::start();
    for (user, password) in [("sa", "wrong"), ("nobody", "x"), ("sa", "")] {
        let mut config = config(&simulator, "master");
        config.authentication(AuthMethod::sql_server(user, password));
        let error = driver(config).await.expect_err("refused");
        let (number, class, state, text) = server_error(&error);
        assert_eq!((number, class, state), (18456, 14, 1), "{user}");
        assert!(text.starts_with("Login failed for user"), "{text}");
    }
    let error = driver(config(&simulator, "nosuch")).await.expect_err("refused");
    assert_eq!(server_error(&error).0, 4060);
    let mut client = Client::connect(&simulator, "master").await;
    assert_eq!(client.fails("USE nosuch").await, 911);
}

#[tokio::test]
async fn the_connection_breaks_off_inside_a_result() {
    let (simulator, mut client) = setup().await;
    simulator.plan("FROM t", Fault::DisconnectAfterRows(2));
    assert!(client.try_rows("SELECT * FROM t ORDER BY id").await.is_err());
    simulator.plan("FROM t", Fault::Disconnect);
    let mut client = Client::connect(&simulator, "shop").await;
    assert!(client.try_rows("SELECT * FROM t").await.is_err());
    let mut client = Client::connect(&simulator, "shop").await;
    assert_eq!(client.texts("SELECT * FROM t").await.len(), 3);
    assert_eq!(simulator.faults().left(), 0);
}

#[tokio::test]
async fn g92_a_planned_deadlock_rolls_the_transaction_back() {
    let (simulator, mut client) = setup().await;
    client.run("BEGIN TRAN; UPDATE t SET a = 9").await;
    simulator.plan("CHANGETABLE", Fault::deadlock());
    let (number, class, ..) = client.error("SELECT * FROM CHANGETABLE(CHANGES t, 0) AS c").await;
    assert_eq!((number, class), (1205, 13));
    assert_eq!(client.value("SELECT @@TRANCOUNT").await, "0");
}

#[tokio::test]
async fn any_error_can_be_planned() {
    let (simulator, mut client) = setup().await;
    simulator.plan("FROM t", Fault::Error(SqlError::new(823, "The disk is gone.").class(24)));
    assert_eq!(client.fails("SELECT * FROM t").await, 823);
}

#[tokio::test]
async fn g117_g138_a_command_that_hangs_is_cancelled() {
    let (simulator, client) = setup().await;
    drop(client);
    simulator.plan("FROM t", Fault::Hang);
    let mut config = config(&simulator, "shop");
    config.command_timeout(Some(Duration::from_millis(200)));
    let mut client = Client { driver: driver(config).await.expect("a login") };
    let error = client.try_rows("SELECT * FROM t").await.expect_err("a timeout");
    assert!(!matches!(error, Error::Server(_)), "{error}");
    // its stream is out of step; another connection is not
    let mut other = Client::connect(&simulator, "shop").await;
    assert_eq!(other.texts("SELECT * FROM t").await.len(), 3);
}

#[tokio::test]
async fn a_cleanup_or_truncate_comes_between_two_queries() {
    let (simulator, mut client) = setup().await;
    let actor = simulator.clone();
    simulator.plan("CHANGETABLE", Fault::Before(Box::new(move || actor.clean("shop", 1))));
    let min = "SELECT CHANGE_TRACKING_MIN_VALID_VERSION(OBJECT_ID('t'))";
    assert_eq!(client.value(min).await, "0");
    assert!(client.changes("0").await.is_empty());
    assert_eq!(client.value(min).await, "1");
    let actor = simulator.clone();
    let truncate = move || {
        actor.run("shop", "TRUNCATE TABLE t").expect("truncated");
    };
    simulator.plan("CHANGETABLE", Fault::After(Box::new(truncate)));
    client.changes("0").await;
    assert_eq!(client.value("SELECT COUNT(*) FROM t").await, "0");
}

#[tokio::test]
async fn g121_tls_is_shaken_inside_of_packets_and_a_wrong_certificate_is_refused() {
    let right = Simulator::secured("right", true);
    let with = |simulator: &Simulator, level: EncryptionLevel| {
        let mut config = config(simulator, "master");
        config.encryption(level);
        config.trust_cert_ca(Simulator::AUTHORITY);
        config
    };
    let mut client = Client { driver: driver(with(&right, EncryptionLevel::Required)).await.expect("a login over TLS") };
    let long = "SELECT REPLICATE(CAST('x' AS varchar(max)), 100000)";
    assert_eq!(client.value(long).await.len(), 100_000);
    assert!(driver(with(&right, EncryptionLevel::NotSupported)).await.is_err(), "nothing in clear");
    let wrong = Simulator::secured("wrong", true);
    assert!(driver(with(&wrong, EncryptionLevel::Required)).await.is_err(), "a certificate of another host");
    let mut untrusting = config(&right, "master");
    untrusting.encryption(EncryptionLevel::Required);
    assert!(driver(untrusting).await.is_err(), "a certificate of an unknown authority");
    let offered = Simulator::secured("right", false);
    for level in [EncryptionLevel::Off, EncryptionLevel::On, EncryptionLevel::NotSupported] {
        let mut client = Client { driver: driver(with(&offered, level)).await.unwrap_or_else(|e| panic!("{level:?}: {e}")) };
        assert_eq!(client.value("SELECT 1").await, "1");
    }
}

#[tokio::test]
async fn a_reader_is_routed_elsewhere() {
    let (simulator, client) = setup().await;
    drop(client);
    simulator.faults().route_read_only(Some(("127.0.0.1".to_owned(), 4711)));
    let mut config = config(&simulator, "shop");
    config.readonly(true);
    match driver(config).await.err() {
        Some(Error::Routing { host, port }) => assert_eq!((host.as_str(), port), ("127.0.0.1", 4711)),
        other => panic!("not routed: {other:?}"),
    }
}
