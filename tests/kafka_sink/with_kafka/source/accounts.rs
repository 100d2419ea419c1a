//! What a member of a group says when its account lacks a grant.

use super::*;

const GRANTS: &str = "org.apache.kafka.tools.AclCommand";

/// A member whose account is called as it is.
fn member(broker: &Broker, account: &str) -> Sluicegate {
    let connection =
        format!("brokers: '{}', tls: disabled, sasl: {{ mechanism: plain, user: {account}, password: s3cret }}", broker.listener("OPEN"));
    Sluicegate::new(
        BINARY,
        &format!(
            "name: {account}
source: {{ type: kafka, {connection}, format: flat, topics: [granted.in], group: {account} }}
sinks: [{{ type: kafka, {connection}, topic: '{account}.out', format: flat, delivery: exactly-once }}]
limits: {{ checkpoint_interval: 100ms, connect_timeout: 5s }}
"
        ),
    )
}

#[test]
fn a_member_without_a_grant_stops_and_says_which_it_lacks() {
    let accounts = ["granted", "no-group", "sees-group", "no-topic"];
    let users: String = accounts.map(|account| format!(" user_{account}=\"s3cret\"")).concat();
    let broker = kafka::start(&[
        "+OPEN=SASL_PLAINTEXT",
        "listener.name.open.sasl.enabled.mechanisms=PLAIN",
        &format!("listener.name.open.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required{users};"),
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "allow.everyone.if.no.acl.found=true",
    ]);
    broker.create_topic("granted.in", 1);
    accounts.iter().for_each(|account| broker.create_topic(&format!("{account}.out"), 1));
    produce(&broker, "granted.in", 0, &[(Some(r#"{"id":1}"#), Some(&flat("c", 1)))]);
    // what nobody is named for, everybody may use; who may read, may describe
    let grants = [
        &["--allow-principal", "User:granted", "--operation", "Read", "--group", "no-group"][..],
        &["--allow-principal", "User:sees-group", "--operation", "Describe", "--group", "sees-group"],
        &["--allow-principal", "User:*", "--deny-principal", "User:no-topic", "--operation", "Read", "--topic", "granted.in"],
    ];
    std::thread::scope(|scope| {
        for grant in grants {
            let broker = &broker;
            scope.spawn(move || broker.tool(GRANTS, &[&["--add"], grant].concat()));
        }
    });
    let host = member(&broker, "granted");
    let mut process = host.spawn();
    process.wait_until("the record", PATIENCE, || !broker.records_so_far("granted.out").is_empty());
    stop(process);
    let (group, topic) = (
        ("the account may not be a member of the source's consumer group", "grant it READ on the group"),
        // whoever meets it first: the source that reads, or the sink that commits the source's offsets
        ("the account may not", "READ and DESCRIBE on the source's topics"),
    );
    // that a group may be seen, and not joined, is known once it is joined
    for (account, commands, (what, remedy)) in
        [("no-group", &["check", "run"][..], group), ("sees-group", &["run"], group), ("no-topic", &["check", "run"], topic)]
    {
        let host = member(&broker, account);
        for command in commands {
            let ended = host.run(&[command, "pipeline.yaml"], PATIENCE);
            let told = format!("{}{}", ended.stdout, ended.stderr);
            assert!(!ended.status.success() && told.contains(what) && told.contains(remedy), "{account}: {command}: {told}");
            assert!(!told.contains("s3cret"), "{told}");
        }
        assert_eq!(broker.records(&format!("{account}.out")), []);
    }
}
