//! The validated pipeline: every value is usable as it stands.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

pub use sluicegate_table_pattern::TablePatterns;

use super::{
    Format, KafkaConnection, KafkaSecurity, KafkaSource, Secret, SqlServerSource,
    keys::RecordKeys,
    server::{Address, ClientCertificate, Heartbeat, Rate, TlsMode},
    template::{NameCase, Template},
};
use sluicegate_model::limits::{COPY_READERS, Limits, MOST_COPY_READERS};

/// One pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The file that it stands in, if any: watched for edits.
    pub file: Option<PathBuf>,
    /// Its name: labels logs and metrics.
    pub name: String,
    /// Labels of its metrics, beside the name.
    pub labels: BTreeMap<String, String>,
    /// Where changes come from.
    pub source: Source,
    /// What they pass through, in order.
    pub plugins: Vec<Plugin>,
    /// Where they go; at least one, names differ.
    pub sinks: Vec<Sink>,
    /// The checkpoint's SQLite file.
    pub state: PathBuf,
    /// Folder of the dead-letter files, made on first use; with a topic of letters, that of its copy, which commands make.
    pub dead_letter: PathBuf,
    /// The topic of letters, in place of files.
    pub letter_topic: Option<LetterTopic>,
    /// Folder of compiled plugins.
    pub cache: PathBuf,
    /// Where `/healthz`, `/readyz` and `/metrics` are served, if anywhere.
    pub http: Option<SocketAddr>,
    /// Whether plugins are swapped and rolled back there, too. Only where no other machine can reach the address.
    pub admin: bool,
    /// Threads that batches pass through the plugins on, each with instances of its own.
    pub workers: usize,
    /// All bounds.
    pub limits: Limits,
}

/// A Kafka topic of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterTopic {
    /// Its name.
    pub topic: String,
    /// The sink whose brokers have it.
    pub sink: String,
    /// That sink's settings.
    pub settings: Box<KafkaSink>,
}

/// A source's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one value a process")]
pub enum Source {
    /// The embedded shop.
    Generator(GeneratorSource),
    /// A MySQL or MariaDB server's binlog.
    MySql(MySqlSource),
    /// Tables of a SQL Server database that have Change Tracking.
    SqlServer(SqlServerSource),
    /// Topics of a Kafka cluster.
    Kafka(KafkaSource),
    /// Changes that were set aside. No pipeline file has it: a replay does.
    DeadLetters(Box<DeadLetterSource>),
}

/// A file of dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSource {
    /// The file.
    pub file: PathBuf,
    /// The source that the changes came from.
    pub origin: Source,
    /// Plugins that each of the changes has to have passed.
    pub passed: Vec<String>,
}

/// The embedded generator of a small shop's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorSource {
    /// The same seed gives the same changes.
    pub seed: u64,
    /// Changes a second; `None` = as fast as possible.
    pub rate: Option<u64>,
    /// How many changes in all, in each lane; `None` = without an end.
    pub changes: Option<u64>,
    /// Lanes, each with a shop of its own.
    pub lanes: u16,
    /// Seed of the disorder in which lanes and transactions come; `None` = in order.
    pub turbulence: Option<u64>,
}

impl Default for GeneratorSource {
    fn default() -> Self {
        Self { seed: 1, rate: None, changes: None, lanes: 1, turbulence: None }
    }
}

/// Where a source starts when there is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// With what is written from now on.
    Now,
    /// At the oldest position that the server still has.
    Earliest,
    /// Only of a sink: with a copy of the tables, and then with what is written from now on.
    Copy,
    /// At a position in a binlog file.
    File {
        /// The file's name, e.g. `binlog.000003`.
        file: String,
        /// Byte position in it, at the start of an event.
        position: u64,
    },
    /// After these GTIDs (MySQL: `uuid:1-5,…`; MariaDB: `0-2001-5,…`).
    Gtid(String),
}

/// A MySQL or MariaDB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MySqlSource {
    /// The server, and those that may take its place, in the order in which they are tried.
    pub addresses: Vec<Address>,
    /// Account.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Transport security.
    pub tls: TlsMode,
    /// CA certificates (PEM) instead of the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// The certificate that we show the server.
    pub client: Option<ClientCertificate>,
    /// The id under which we register as a replica; `None` = another one at each start.
    pub server_id: Option<u32>,
    /// Which tables are captured.
    pub tables: TablePatterns,
    /// Where to start without a checkpoint.
    pub start: StartAt,
    /// The copy of the rows that the tables hold already.
    pub snapshot: Snapshot,
    /// How each side notices that the other is there.
    pub heartbeat: Heartbeat,
    /// How fast the log is read at most.
    pub rate: Rate,
    /// What it takes of rows that the server logged in part.
    pub row_image: RowImage,
    /// What to do about statements that change captured tables and are logged in place of the rows.
    pub statements: Unlogged,
    /// What to do about schema changes that take rows of captured tables along without naming them, or give them some.
    pub rows_by_ddl: Unlogged,
    /// Whether a sink tells changes of schemas.
    pub schema_changes: bool,
}

/// Whether a source takes rows that lack columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RowImage {
    /// No: every column has to be logged, or to follow from what is logged.
    #[default]
    Full,
    /// Yes: what is not logged is delivered as absent.
    Partial,
}

/// The copy of the rows that tables hold before their changes are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When.
    pub mode: SnapshotMode,
    /// Which of the captured tables.
    pub tables: TablePatterns,
    /// Whether tables that are captured only now are copied first.
    pub added: bool,
    /// Whether a copy that is not the table's first begins without a truncate.
    pub overwrites: bool,
    /// Rows a second at most; `None` = as fast as possible.
    pub rows_per_second: Option<u64>,
    /// Bytes a second of rows at most; `None` = as fast as possible.
    pub bytes_per_second: Option<u64>,
    /// Statements a second that read rows at most; `None` = as fast as possible.
    pub queries_per_second: Option<u64>,
    /// Tables that are read at the same time; `None` = [`COPY_READERS`](sluicegate_model::limits::COPY_READERS).
    pub readers: Option<u32>,
    /// The copy waits while more threads of the server run a statement.
    pub most_threads_running: Option<u64>,
    /// The copy waits while the server is further behind its own source.
    pub most_replication_lag: Option<Duration>,
    /// Which rows of which tables are copied, as conditions in the server's SQL. By database and table.
    pub conditions: BTreeMap<(String, String), String>,
    /// Whether rows may be locked against changes while they are read.
    pub share_locks: bool,
}

impl Snapshot {
    /// Tables that are read at the same time.
    pub fn readers(&self) -> u32 {
        self.readers.unwrap_or(COPY_READERS).clamp(1, MOST_COPY_READERS)
    }
}

/// When the rows of tables are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotMode {
    /// Never.
    #[default]
    Never,
    /// When there is no checkpoint yet; then the stream goes on.
    Initial,
    /// The same, and the run ends once everything has been copied.
    Only,
    /// When there is no checkpoint yet, and again when the server no longer has the changes that follow it.
    WhenNeeded,
}

/// What to do about changes whose rows the log does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlogged {
    /// The pipeline stops in front of them.
    Stop,
    /// A warning names the table; they are counted.
    Warn,
    /// The table is copied anew.
    Copy,
}

/// Where a plugin's component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginOrigin {
    /// One of the standard plugins in the program.
    Embedded(String),
    /// A file, watched for changes.
    File(PathBuf),
}

/// What becomes of a change that a plugin cannot handle, or a record that a sink cannot deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The pipeline stops; nothing is lost.
    Stop,
    /// It is skipped and counted.
    Skip,
    /// It is written, whole, to the dead-letter file, and counted.
    DeadLetter,
    /// Plugins only: it is delivered and counted, although the plugin filters, with the columns null that the plugin computes.
    /// Never with the values that these columns had before: the plugin may have been there to hide them.
    PassThrough,
}

/// What a plugin may use beside its rows. By default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The time of day.
    pub clock: bool,
    /// Random bytes of the operating system.
    pub random: bool,
}

impl Grants {
    /// Everything that can be granted.
    pub const ALL: Self = Self { clock: true, random: true };
}

/// One plugin of the chain.
#[derive(Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name in logs and metrics; names differ.
    pub name: String,
    /// Where its component comes from.
    pub origin: PluginOrigin,
    /// Tables that it sees; the others pass by it. Matched against the names as they arrive at this plugin.
    pub tables: TablePatterns,
    /// What it is configured with, as JSON text.
    pub config: String,
    /// Policy.
    pub on_error: OnError,
    /// What it may use beside its rows.
    pub grants: Grants,
    /// Whether what it treats never passes untreated, whatever becomes of its entry in the pipeline file.
    pub fail_closed: bool,
}

impl fmt::Debug for Plugin {
    /// Without the configuration: it may hold secrets, a hash's salt say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .field("tables", &self.tables)
            .field("on_error", &self.on_error)
            .field("grants", &self.grants)
            .field("fail_closed", &self.fail_closed)
            .finish_non_exhaustive()
    }
}

/// How a record tells which plugins made it, with their versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PluginVersions {
    /// Not at all.
    #[default]
    Omitted,
    /// As a member of the record.
    Member,
    /// As a header beside it: only in Kafka.
    Header,
}

/// What becomes of the other outputs when one is slow or fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenSlow {
    /// They wait for it; a failure ends the run.
    #[default]
    Hold,
    /// It goes on by itself, with a stream of its own from where it is, until it has caught up.
    Apart,
}

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Its name in the checkpoint, in logs and in metrics.
    pub name: String,
    /// Where it begins while it has no progress but others have; `None` = such a start is refused.
    pub start: Option<StartAt>,
    /// What it writes.
    pub format: Format,
    /// Whether, and where, a record tells which plugins made it.
    pub plugin_versions: PluginVersions,
    /// Whether it tells changes of schemas.
    pub schema_changes: bool,
    /// Policy for single records.
    pub on_error: OnError,
    /// Policy for the whole output.
    pub when_slow: WhenSlow,
    /// How fast it takes changes at most.
    pub rate: Rate,
    /// Where it writes.
    pub kind: SinkKind,
}

/// A sink's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a few values a process")]
pub enum SinkKind {
    /// Standard output, one record a line.
    Stdout,
    /// NDJSON files.
    File(FileSink),
    /// A Kafka cluster.
    Kafka(KafkaSink),
}

/// When a file is closed and the next one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roll {
    /// After this many bytes on disk.
    pub bytes: u64,
    /// After this time, if it holds anything.
    pub every: Option<Duration>,
}

/// Where a file sink's records go inside its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    /// Template of the folders.
    pub template: Template,
    /// Whether tables share a folder where the template leaves out what they differ in.
    pub shared: bool,
    /// What becomes of the letters of names.
    pub case: NameCase,
}

/// NDJSON files in a folder, numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// The folder.
    pub folder: PathBuf,
    /// Folders inside it; `None` = none for lines, one for each table for CSV.
    pub path: Option<PathTemplate>,
    /// File names are `{prefix}-{number:08}.ndjson` (or `.csv`), with `.zst` behind when compressed.
    pub prefix: String,
    /// When to roll.
    pub roll: Roll,
    /// zstd level, if compressed.
    pub zstd: Option<i32>,
    /// How records stand in the files.
    pub records: FileRecords,
}

/// How records stand in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileRecords {
    /// One a line, those of all tables in one file.
    #[default]
    Lines,
    /// CSV, with a folder for each table.
    Csv,
    /// Parquet, with a folder for each table; files are finished together.
    Parquet,
    /// Avro's object container files, likewise.
    Avro,
}

impl FileRecords {
    /// Whether a file can be read once it is finished, so that files are finished at intervals, each table's in a folder of its own.
    pub fn are_whole(self) -> bool {
        matches!(self, Self::Parquet | Self::Avro)
    }
}

/// What a Kafka sink does with tables without a primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyless {
    /// An error that names the table.
    Stop,
    /// All columns together are the key.
    WholeRow,
    /// Records without a key, all in one partition of the topic so that their order is kept.
    NoKey,
}

/// What a Kafka sink promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// After a crash, the records since the last checkpoint come again.
    AtLeastOnce,
    /// Records are written in transactions, together with the sink's progress.
    ExactlyOnce(Transactions),
}

/// What transactions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transactions {
    /// Names the sink to the brokers: a producer that comes later under this name shuts out the one before.
    pub transactional_id: String,
    /// The compacted topic that holds the sink's progress.
    pub positions_topic: String,
}

/// What becomes of a transaction of the source that does not fit into one of Kafka's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongTransactions {
    /// It is committed in parts, and told.
    #[default]
    Cut,
    /// An error.
    Stop,
}

/// Headers that tell of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordHeaders {
    /// What happened to the row.
    pub operation: bool,
    /// Its lane, its place in the source's log, and its transaction.
    pub position: bool,
    /// When the source executed it.
    pub source_time: bool,
    /// The pipeline's labels.
    pub labels: BTreeMap<String, String>,
}

/// What a Kafka sink does about topics that are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TopicCreation {
    /// The brokers make them with the first record, if they are set to.
    #[default]
    Automatic,
    /// An error, before the first record.
    MustExist,
    /// The sink makes them.
    Create(TopicSettings),
}

/// The settings of topics that a sink makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// Partitions; `None` = as the brokers are set.
    pub partitions: Option<u64>,
    /// Brokers that hold each partition; `None` = as the brokers are set.
    pub replication_factor: Option<u64>,
    /// Kafka's topic configuration.
    pub config: BTreeMap<String, String>,
}

/// Records that say that a Kafka sink delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    /// Where they go.
    pub topic: String,
    /// Time from one to the next, at least.
    pub every: Duration,
}

/// A Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSink {
    /// `host:port,…`.
    pub brokers: String,
    /// TLS and login; `None` = plain text without a login, or what `options` say of them.
    pub security: Option<KafkaSecurity>,
    /// Template of the topics.
    pub topic: Template,
    /// The topic to which changes of schemas are told, if they are.
    pub schema_topic: Option<String>,
    /// Heartbeats, if there are any.
    pub heartbeats: Option<Heartbeats>,
    /// Whether tables share a topic where the template leaves out what they differ in.
    pub shared_topic: bool,
    /// What becomes of the letters of names in a topic.
    pub name_case: NameCase,
    /// What is done about topics that are not there.
    pub topics: TopicCreation,
    /// Headers of all records.
    pub headers: RecordHeaders,
    /// Keys of records, and what decides their partitions.
    pub keys: RecordKeys,
    /// Whether a delete is followed by a record without a value.
    pub tombstones: bool,
    /// Tables without a primary key.
    pub keyless: Keyless,
    /// Whether records may come again after a crash.
    pub delivery: Delivery,
    /// With transactions: whether they are committed where transactions of the source end and nowhere else, and what becomes of those that
    /// are too long for it.
    pub align: Option<LongTransactions>,
    /// The topic to which the source's transactions are told, if they are. Then records say which one they belong to.
    pub transaction_topic: Option<String>,
    /// The topic of dead letters, if these brokers have it.
    pub letter_topic: Option<String>,
    /// Whether the offsets of the source's consumer group are its progress.
    pub in_group: bool,
    /// How long a record may wait for the broker's acknowledgement before the pipeline stops.
    pub delivery_timeout: Duration,
    /// Further librdkafka settings; those that would break order or durability are refused when the file is read.
    pub options: BTreeMap<String, Secret>,
}

impl KafkaSink {
    /// How its brokers are reached.
    pub fn connection(&self) -> KafkaConnection<'_> {
        KafkaConnection { of: "sink", brokers: &self.brokers, security: self.security.as_ref(), options: &self.options }
    }
}
