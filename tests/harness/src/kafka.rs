//! A Kafka broker, and reading topics back.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::Headers,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::instance::Instance;

/// How long one request to the broker may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Time until the broker has marked the end of a transaction that was committed, at most.
const MARKED: Duration = Duration::from_secs(5);

/// How long a [`Follower`] waits for a record.
const MOMENT: Duration = Duration::from_millis(100);
/// Records that it gives at a time, at most.
const FOLLOWED: usize = 10_000;
/// What a consumer tells while its broker is away, or has just come back.
const AWAY: [RDKafkaErrorCode; 5] = [
    RDKafkaErrorCode::BrokerTransportFailure,
    RDKafkaErrorCode::AllBrokersDown,
    RDKafkaErrorCode::Resolve,
    RDKafkaErrorCode::LeaderNotAvailable,
    RDKafkaErrorCode::NotLeaderForPartition,
];

/// A running broker. Topics are created on first use, with one partition.
pub struct Broker(Instance);

/// This run's shared broker; use topic names of your own.
pub fn shared() -> Broker {
    Broker(Instance::shared("kafka.sh"))
}

/// A broker of this test's own, with further listeners (`+NAME=PROTOCOL`, or `+NAME=PROTOCOL@PORT` of a proxy that leads there) and lines
/// of `server.properties` (`KEY=VALUE`).
pub fn start(properties: &[&str]) -> Broker {
    Broker(Instance::start("kafka.sh", properties))
}

/// A record as a consumer gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// Key.
    pub key: Option<String>,
    /// Value; `None` is a tombstone.
    pub value: Option<String>,
    /// The key's bytes, whatever they are.
    pub raw_key: Option<Vec<u8>>,
    /// The value's.
    pub raw_value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<String>)>,
}

impl Broker {
    /// `127.0.0.1:port`.
    pub fn brokers(&self) -> &str {
        self.0.value("BROKERS")
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.value("PORT").parse().expect("PORT is a number")
    }

    /// `localhost:port` of a further listener.
    pub fn listener(&self, name: &str) -> &str {
        self.0.value(name)
    }

    /// Runs one of Kafka's own tools on it, by the name of its class, and gives what it printed.
    #[track_caller]
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        self.0.run("tool", &[&[class], arguments].concat())
    }

    /// Makes a topic; one that exists already is a fault.
    #[track_caller]
    pub fn create_topic(&self, topic: &str, partitions: i32) {
        self.create_topic_with(topic, partitions, &[]);
    }

    /// The same, with settings of the topic's own.
    #[track_caller]
    pub fn create_topic_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("an admin client can be made");
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        let options = AdminOptions::new().operation_timeout(Some(REQUEST));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        let results = runtime.block_on(admin.create_topics([&topic], &options)).expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic}: {code}"));
        }
    }

    /// A record in a topic's first partition, in a transaction that stays open.
    #[track_caller]
    pub fn open_transaction(&self, topic: &str) -> OpenTransaction {
        let mut config = self.config();
        let producer: BaseProducer = config.set("transactional.id", format!("open-{topic}")).create().expect("a producer can be made");
        producer.init_transactions(REQUEST).expect("transactions can begin");
        producer.begin_transaction().expect("a transaction can begin");
        producer.send(BaseRecord::<str, str>::to(topic).partition(0).key("open").payload("open")).expect("a record can be sent");
        producer.flush(REQUEST).expect("the record is acknowledged");
        OpenTransaction(producer)
    }

    /// Removes a topic.
    #[track_caller]
    pub fn delete_topic(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("an admin client can be made");
        let options = AdminOptions::new().operation_timeout(Some(REQUEST));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        let results = runtime.block_on(admin.delete_topics(&[topic], &options)).expect("the broker answers");
        results.into_iter().for_each(|result| drop(result.unwrap_or_else(|(topic, code)| panic!("topic {topic}: {code}"))));
    }

    /// Every record of a topic up to its present end, partition by partition in offset order. A topic that does not exist has none.
    #[track_caller]
    pub fn records(&self, topic: &str) -> Vec<Record> {
        // a producer's commit returns before the broker has marked the transaction's end in each partition
        self.read(topic, Some(MARKED))
    }

    /// The same without waiting for the end of what is in a transaction: for a program that writes on, or was killed.
    #[track_caller]
    pub fn records_so_far(&self, topic: &str) -> Vec<Record> {
        self.read(topic, None)
    }

    fn consumer(&self, isolation: &str) -> BaseConsumer {
        self.config()
            .set("group.id", "sluicegate-tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "false")
            .set("isolation.level", isolation)
            .set("allow.auto.create.topics", "false")
            .create()
            .expect("a consumer can be made")
    }

    /// `marked`: how long open transactions are waited for; what stands behind one that stays open is not read.
    #[track_caller]
    fn read(&self, topic: &str, marked: Option<Duration>) -> Vec<Record> {
        let consumer = self.consumer("read_committed");
        let everything = marked.map(|most| (self.consumer("read_uncommitted"), most));
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST).expect("the broker answers");
        let partitions: Vec<i32> = metadata.topics().iter().flat_map(|t| t.partitions().iter().map(|p| p.id())).collect();
        let mut records = Vec::new();
        for partition in partitions {
            // a partition that has just been made has no leader yet
            let ends = |consumer: &BaseConsumer| {
                crate::until_some("the partition's ends", REQUEST, || consumer.fetch_watermarks(topic, partition, REQUEST).ok())
            };
            let (low, mut high) = ends(&consumer);
            if let Some((everything, most)) = &everything {
                let (_, end) = ends(everything);
                crate::wait::within(*most, || {
                    (_, high) = ends(&consumer);
                    (high >= end).then_some(())
                });
            }
            if low == high {
                continue;
            }
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition, Offset::Offset(low)).expect("an offset is valid");
            consumer.assign(&list).expect("a partition can be assigned");
            let end = Instant::now() + REQUEST;
            loop {
                match consumer.poll(Duration::from_millis(100)) {
                    // the first record behind the mark of a transaction's end comes with it
                    Some(message) => {
                        let message = message.expect("the topic can be read");
                        records.extend((message.offset() < high).then(|| record(&message)));
                    }
                    None => assert!(Instant::now() < end, "{topic}/{partition}: not read to {high} within {REQUEST:?}"),
                }
                // the position passes control records, too
                let at = consumer.position().expect("a position is known").find_partition(topic, partition).map(|p| p.offset());
                if matches!(at, Some(Offset::Offset(next)) if next >= high) {
                    break;
                }
            }
        }
        records
    }

    /// The same once there are at least `count` of them.
    #[track_caller]
    pub fn wait_for_records(&self, topic: &str, count: usize, deadline: Duration) -> Vec<Record> {
        crate::until_some(&format!("{count} records in {topic}"), deadline, || {
            let records = self.records_so_far(topic);
            (records.len() >= count).then_some(records)
        })
    }

    /// Reads what is committed in these topics, of so many partitions each, from their beginning on, again and again.
    #[track_caller]
    pub fn follow(&self, topics: &[String], partitions: i32) -> Follower {
        let consumer = self.consumer("read_committed");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..partitions {
                list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset is valid");
            }
        }
        consumer.assign(&list).expect("partitions can be assigned");
        Follower(consumer)
    }

    /// Ends it in order. Not for the shared broker.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// kill -9. Not for the shared broker.
    pub fn kill9(&self) {
        self.0.kill9();
    }

    /// Goes on with the same data, port and properties after [`Broker::stop`] or [`Broker::kill9`].
    pub fn start_again(&mut self) {
        self.0.start_again();
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers());
        config
    }
}

/// A consumer that reads on, also when its broker was away.
pub struct Follower(BaseConsumer);

impl Follower {
    /// The committed records that came since the last call; none when nothing comes for a moment.
    #[track_caller]
    pub fn read(&self) -> Vec<Record> {
        let mut records = Vec::new();
        while records.len() < FOLLOWED
            && let Some(message) = self.0.poll(MOMENT)
        {
            match message {
                Ok(message) => records.push(record(&message)),
                Err(KafkaError::MessageConsumption(code)) if AWAY.contains(&code) => {}
                Err(error) => panic!("the topics cannot be read: {error}"),
            }
        }
        records
    }
}

/// A transaction that readers of what is committed do not pass.
pub struct OpenTransaction(BaseProducer);

impl OpenTransaction {
    /// Ends it; nobody sees its record.
    #[track_caller]
    pub fn abort(self) {
        self.0.abort_transaction(REQUEST).expect("a transaction can be aborted");
    }
}

fn record(message: &impl Message) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(text),
        value: message.payload().map(text),
        raw_key: message.key().map(<[u8]>::to_vec),
        raw_value: message.payload().map(<[u8]>::to_vec),
        headers: message
            .headers()
            .map_or_else(Vec::new, |headers| headers.iter().map(|header| (header.key.to_owned(), header.value.map(text))).collect()),
    }
}
