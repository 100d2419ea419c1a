//! Every bound of the program in one place. The pipeline file's `limits` may lower or raise them; nothing is unbounded.

use std::time::Duration;

/// Table versions that a sink's encoder keeps its plans for; past this they are made again.
pub const ENCODER_PLANS: usize = 4096;

/// Topics that a Kafka sink's `topic` template gives, at most: each is remembered with a table, so that no other table comes into
/// it by accident, and librdkafka remembers it, too. One more stops the pipeline.
pub const KAFKA_TOPICS: usize = 100_000;

/// Tables whose topics a Kafka sink finds without filling its template; past that it begins anew.
pub const KAFKA_TOPIC_TABLES: usize = 20_000;

/// Topics of one table that a Kafka sink finds without filling its template, where that depends on the operation or the time.
pub const KAFKA_TOPIC_VARIANTS: usize = 16;

/// Tables whose folders a file sink finds without filling its `path`; past that it begins anew.
pub const FILE_PATH_TABLES: usize = 20_000;

/// Folders of one table that a file sink finds without filling its `path`, where that depends on the operation or the time.
pub const FILE_PATH_VARIANTS: usize = 16;

/// How long a Kafka sink goes by what it knows of a topic's `max.message.bytes`.
pub const KAFKA_TOPIC_LIMIT_AGE: Duration = Duration::from_secs(300);

/// How long a Kafka sink with transactions may keep one open while further batches keep coming: [`KAFKA_TRANSACTION_COMMITS`] times as long
/// as the last commit took, but no shorter than [`KAFKA_SHORT_TRANSACTION`]. When none waits, it commits at once.
pub const KAFKA_TRANSACTION: Duration = Duration::from_millis(250);
/// See [`KAFKA_TRANSACTION`].
pub const KAFKA_SHORT_TRANSACTION: Duration = Duration::from_millis(10);
/// See [`KAFKA_TRANSACTION`].
pub const KAFKA_TRANSACTION_COMMITS: u32 = 3;

/// How long a Kafka sink with transactions waits for a first answer of the brokers before it asks for them; without one it asks all the same.
pub const KAFKA_FIRST_ANSWER: Duration = Duration::from_secs(1);
/// How long a reader of a topic of dead letters waits for open transactions: a commit is known before it is marked in each partition. What
/// is open then is read by the next command.
pub const KAFKA_LETTERS_MARKED: Duration = Duration::from_secs(2);

/// Tables of a transaction that a Kafka sink tells, at most: their names and counts stand in one record.
pub const KAFKA_TRANSACTION_TABLES: usize = 10_000;

/// What a Kafka sink reads of its positions topic at a start, in bytes. Compaction keeps it far below.
pub const KAFKA_POSITIONS_BYTES: usize = 1 << 30;

/// How often a Kafka sink writes a transaction again that the brokers aborted, before it stops.
pub const KAFKA_TRANSACTION_ATTEMPTS: u32 = 5;

/// How long it goes by Kafka's default when it could not ask.
pub const KAFKA_TOPIC_LIMIT_PAUSE: Duration = Duration::from_secs(60);

/// How long a Kafka sink goes by an access token that does not say until when it counts: then it looks for a new one.
pub const KAFKA_OPAQUE_TOKEN: Duration = Duration::from_secs(60);

/// Schemas whose ids in a registry a sink remembers; past this it asks anew.
pub const REGISTRY_IDS: usize = 10_000;

/// Tables and plugins of which it is noted what is done to columns, past which a renamed table stops the pipeline.
pub const TREATMENTS: usize = 100_000;
/// Columns of a table with other names that no row has come with yet.
pub const RENAMED_COLUMNS: usize = 10_000;
/// Logs of which it is noted how far other names were read: servers, and domains of MariaDB.
pub const RENAMED_LOGS: usize = 64;

/// Topics for which a schema's id stands ready with a table's encoder; past this it is looked for by the schema's hash. As many as a
/// template may give: a record of a known schema costs no hash.
pub const REGISTERED_TOPICS: usize = KAFKA_TOPICS;

/// How long a sink goes by a registry's refusal of a schema before it asks again.
pub const REGISTRY_REFUSAL: Duration = Duration::from_secs(30);

/// The first and the longest pause between two requests to a registry that is away; pauses double.
pub const REGISTRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Bytes of a registry's answer, at most: a schema comes back with its id where it has to be there already.
pub const REGISTRY_ANSWER_BYTES: u64 = 16 << 20;

/// Rows of a row group of a Parquet file, at most.
pub const PARQUET_GROUP_ROWS: usize = 1 << 20;

/// Bytes of a row group before compression, at most; one larger row is a group by itself.
pub const PARQUET_GROUP_BYTES: usize = 16 << 20;

/// Bytes of rows that a sink of Parquet or Avro files gathers for all its tables; past that the largest row group or block is written.
pub const WHOLE_FILES_BYTES: usize = 64 << 20;

/// Bytes of a block of an Avro file before compression, at most; one larger row is a block by itself. Readers hold one block.
pub const AVRO_BLOCK_BYTES: usize = 256 << 10;

/// WASI resources (streams, pollables) that one plugin instance may hold; one more traps. So does one more than twice as many
/// handles of all kinds, its own resources among them.
pub const PLUGIN_HANDLES: usize = 4096;
/// Random bytes of one call, of the interface and of WASI; more trap.
pub const PLUGIN_RANDOM_BYTES: usize = 65_536;
/// Bytes that a plugin may write to stdout or stderr in one call; more trap.
pub const PLUGIN_WRITE_BYTES: usize = 65_536;
/// WASI functions and resources that a component may import, all versions together. WASI 0.2 has about 300.
pub const PLUGIN_WASI_ITEMS: usize = 4096;
/// Core instances of one component: the runtime of a scripting language is linked from some twenty core modules.
pub const PLUGIN_CORE_INSTANCES: usize = 256;
/// Tables of one component.
pub const PLUGIN_TABLES: usize = 64;
/// Entries of one table.
pub const PLUGIN_TABLE_ENTRIES: usize = 100_000;
/// Linear memories of one component; `plugin_memory` bounds them together.
pub const PLUGIN_MEMORIES: usize = 16;

/// Size of the JSON Schema that a plugin gives of its configuration, in bytes.
pub const PLUGIN_SCHEMA_BYTES: usize = 256 << 10;

/// Steps that such a schema may take at one place of a configuration: references, alternatives.
pub const PLUGIN_SCHEMA_DEPTH: usize = 32;

/// Parts of such a schema when each reference stands for what it refers to.
pub const PLUGIN_SCHEMA_PARTS: usize = 20_000;

/// How long checking a configuration with it may take.
pub const PLUGIN_SCHEMA_TIME: Duration = Duration::from_secs(10);

/// Faults of a configuration that one error lists.
pub const PLUGIN_SCHEMA_FAULTS: usize = 5;

/// Size of a file of rows for `plugin test` and `plugin bench`, in bytes.
pub const ROWS_FILE_BYTES: u64 = 64 << 20;

/// Size of the other files that are read for a plugin's author, in bytes: its configuration, a `package.json`.
pub const CONFIG_FILE_BYTES: u64 = 1 << 20;

/// Entries of a Kafka source's `topics`.
pub const MOST_TOPIC_ENTRIES: usize = 1000;
/// Partitions that a Kafka source reads, each a lane. One more is an error.
pub const KAFKA_PARTITIONS: usize = 20_000;
/// Bytes of records that a Kafka source holds before they are read. librdkafka may overshoot it by one answer of each broker; what a
/// record's batch unpacks to counts once it is unpacked.
pub const KAFKA_READ_BYTES: usize = 16 << 20;
/// Bytes of one answer of a broker, unless one batch of records is larger.
pub const KAFKA_FETCH_BYTES: usize = 4 << 20;
/// Bytes of one partition in such an answer, unless one batch of records is larger.
pub const KAFKA_FETCH_PARTITION_BYTES: usize = 1 << 20;
/// Bytes of an answer that is taken at all.
pub const KAFKA_ANSWER_BYTES: usize = 100_000_000;
/// How often a Kafka source asks for topics and partitions that are new, and whether those that it reads are still the same.
pub const KAFKA_TOPICS_INTERVAL: Duration = Duration::from_secs(5);
/// How long a member of a group waits, when its partitions are to go to others, until what it read of them is committed.
pub const KAFKA_REVOKED_WITHIN: Duration = Duration::from_secs(60);
/// How long a transaction of a member of a group may be open: nobody goes on behind one that was left open before it has ended.
pub const KAFKA_GROUP_TRANSACTION: Duration = Duration::from_secs(30);
/// The longest `checkpoint_interval` of a member of a group: partitions change hands only once everything of them is committed.
pub const KAFKA_GROUP_INTERVAL: Duration = Duration::from_secs(10);
/// Versions of tables that a Kafka source knows at a time, and their bytes, for which each column counts; past either it begins anew.
pub const KAFKA_TABLE_VERSIONS: usize = 10_000;
/// See [`KAFKA_TABLE_VERSIONS`].
pub const KAFKA_VERSION_BYTES: usize = 64 << 20;
/// Bytes of the name of a table or column that is read from Kafka: servers take 512 at most.
pub const KAFKA_NAME_BYTES: usize = 1024;
/// Columns of a key that is read from Kafka: servers take 32 at most.
pub const KAFKA_KEY_COLUMNS: usize = 256;
/// Schemas in records that a Kafka source remembers to have read, and bytes of their texts and columns; past either it begins anew.
pub const KAFKA_SCHEMAS: usize = 10_000;
/// See [`KAFKA_SCHEMAS`].
pub const KAFKA_SCHEMA_BYTES: usize = 32 << 20;
/// Bytes of one of them. That of a row of MySQL's 4,096 columns has some 3 MiB.
pub const KAFKA_SCHEMA_LENGTH: usize = 8 << 20;
/// How deep values of a record that is read from Kafka may stand in one another.
pub const KAFKA_RECORD_DEPTH: usize = 128;
/// Columns that a row read from Kafka may have: MySQL's most is 4,096.
pub const KAFKA_COLUMNS: usize = 10_000;
/// The largest exponent, either way, of a number that is read as a decimal: it is written without one.
pub const KAFKA_EXPONENT: u32 = 400;

/// Servers of one source that may take each other's place.
pub const SOURCE_HOSTS: usize = 16;

/// Bytes of a file of certificates that a source or a sink trusts (`ca_file`), or shows, at most. The public authorities together have a quarter of it.
pub const CERTIFICATE_FILE_BYTES: u64 = 1 << 20;

/// Files and folders of a plugin's sources that `run --watch-build` follows.
pub const SOURCE_ENTRIES: usize = 4096;

/// Tables that a check reads from the server's catalogue and plans; it says how many more there are.
pub const CHECKED_TABLES: usize = 10_000;

/// Tables of which a first start notes what plugins do to their columns; of others it is noted once their rows come.
pub const FORESEEN_TABLES: usize = 20_000;

/// Tables that a start plans to see whether the configuration has an effect, beside the running pipeline.
pub const CHECKED_AT_START: usize = 2_000;

/// Tables of a server up to which a start warns of tables without a key, cascades and the like; with more of them only `check` does:
/// MariaDB opens every table to tell.
pub const SURVEYED_AT_START: usize = 2_000;

/// How long a query may take that looks at every table of a server.
pub const CATALOGUE_TIME: Duration = Duration::from_secs(300);

/// Warnings on the configuration that `/readyz` shows.
pub const SHOWN_WARNINGS: usize = 20;

/// Bytes free on a file system below which a check warns.
pub const DISK_WARNING: u64 = 1 << 30;

/// Names in one line of a check.
pub const CHECK_NAMES: usize = 20;

/// Links that are followed on the way to a watched file, as the kernel does.
pub const WATCHED_LINKS: usize = 40;

/// How often watched files are looked at where no event tells of a change: file systems over a network have none.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// How long a watched file that is open for writing, and is not written to, is waited for before it is read all the same.
pub const WRITER_PATIENCE: Duration = Duration::from_secs(60);

/// How long such sources have to be quiet before they are built again.
pub const SOURCE_QUIET: Duration = Duration::from_millis(200);

/// How long a file sink may hold a record back while further batches keep coming; when none waits, it is written at once.
pub const VISIBLE_WITHIN: Duration = Duration::from_millis(5);

/// The same for compressed files, also when nothing more waits: a reader needs the end of a compressed block, and blocks of a
/// few records compress badly.
pub const COMPRESSED_VISIBLE_WITHIN: Duration = Duration::from_millis(100);

/// How often a sink that gets nothing more is told so again, as long as it has something that is not durable.
pub const SINK_IDLE_INTERVAL: Duration = Duration::from_millis(20);

/// Size of the file that lists a file sink's new destinations, in bytes: room for as many as `destinations` may be, at their
/// longest.
pub const DESTINATIONS_JOURNAL_BYTES: u64 = 8 << 20;

/// Threads that one pipeline's batches pass through the plugins on, at most.
pub const MOST_WORKERS: usize = 64;

/// Lanes that the generator has at most.
pub const GENERATOR_LANES: u16 = 64;

/// Batches that wait for each of several workers, and behind it.
pub const WORKER_QUEUE_BATCHES: usize = 2;

/// Bytes that an event of the binlog may have besides its rows: bitmaps, names of columns. An event out of a compressed
/// transaction may have these and two images of `row_bytes`.
pub const EVENT_HEAD_BYTES: usize = 1 << 20;

/// Versions of tables' schemas that come into the checkpoint before those that no sink needs any longer are removed. Between two such
/// times there is one small row for each schema change; equal schemas are stored once.
pub const HISTORY_VERSIONS: usize = 1000;

/// Databases whose schema changes as a whole are told apart; more count as a change of all.
pub const HISTORY_DATABASES: usize = 1000;

/// Columns of tables that are not captured, or not there, whose changes in the log are followed, in case they get the name of a captured
/// one; each table counts as one more. Beyond that all of them are forgotten.
pub const EVOLVED_COLUMNS: usize = 100_000;

/// How long a schema change may wait before the catalogue is asked for the new schema, when the log goes on without a pause.
pub const SCHEMA_WAIT: Duration = Duration::from_secs(1);

/// Tables that the catalogue is asked for one by one; for more of them it is asked for all.
pub const SCHEMA_QUERIES: usize = 16;

/// Tables, at most, of which the catalogue is asked which have a primary key when it is asked for all: MariaDB opens each of them for it.
pub const SCHEMA_KEYS: usize = 2_000;

/// Size of a dump that `schema import` reads, in bytes.
pub const SCHEMA_DUMP_BYTES: u64 = 64 << 20;

/// How often it is looked how near the sinks' places are to what the server removes of its log.
pub const MARGIN_INTERVAL: Duration = Duration::from_secs(60);

/// How often it is stored up to which place every schema change is kept. After a crash the log is searched from there.
pub const HISTORY_INTERVAL: Duration = Duration::from_secs(60);

/// Events that the dump of a MySQL server reads ahead; as many again may be in hand.
pub const DUMP_QUEUE_EVENTS: usize = 512;
/// Bytes of those events; a single larger one goes alone.
pub const DUMP_QUEUE_BYTES: usize = 512 << 10;

/// Tables that a SQL Server source reads at a time, each on a connection of its own.
pub const SQL_SERVER_THREADS: u64 = 64;
/// Databases that it reads.
pub const MOST_DATABASES: usize = 100;
/// Entries of its `tables`.
pub const MOST_TRACKED_ENTRIES: usize = 1000;
/// Entries of its `ignore_context`.
pub const MOST_CONTEXTS: usize = 100;
/// Batches that it reads of a table before another has its first turn, at most.
pub const MOST_VISIT_BATCHES: u64 = 100_000;
/// Rows that one query for changes asks for, at most; then the query is asked again.
pub const MOST_VISIT_ROWS: u64 = 1_000_000;
/// Characters or bytes at which large values may be cut, at most.
pub const MOST_CUT: u64 = 1 << 30;
/// Tables that it asks about in one batch whether they have changes: a request has 2,100 parameters at most.
pub const QUIET_TABLES: usize = 1000;
/// Of these, tables in one SELECT.
pub const QUIET_BRANCHES: usize = 100;
/// How often the place of a table without changes is stored, at most.
pub const QUIET_INTERVAL: Duration = Duration::from_secs(2);
/// The longest wait between two attempts of a query that failed for a reason that passes.
pub const QUERY_RETRY_PAUSE: Duration = Duration::from_secs(15);
/// Lanes whose places are told in one line of the log.
pub const LANES_IN_LOG: usize = 10;

/// How long a result stays open while nobody takes its rows; at most as long as the source's `query_timeout`. Then it is closed with its
/// connection, so that the server keeps no transaction and no lock for a slow output.
pub const OPEN_RESULT: Duration = Duration::from_secs(30);
/// How often a connection follows an availability group's routing before it gives up.
pub const MOST_ROUTES: usize = 4;

/// Tables that are copied at the same time, unless `snapshot.readers` says otherwise.
pub const COPY_READERS: u32 = 2;
/// The most that it may say. Each has a connection.
pub const MOST_COPY_READERS: u32 = 16;
/// What the readers of copies ask of the stream and has to wait there: each asks for a chunk while the one before it waits.
pub const COPY_COMMANDS: usize = 4 * MOST_COPY_READERS as usize;
/// Rows of a table that its copy reads with one statement, at most.
pub const COPY_CHUNK_ROWS: usize = 8192;
/// Bytes of rows that copies hold, in two chunks for each reader. A chunk ends at its part of them, and the rest waits for the next
/// statement; one row may be larger.
pub const COPY_BYTES: usize = 16 << 20;
/// How long one of these statements may take.
pub const COPY_SELECT_TIME: Duration = Duration::from_secs(600);
/// Keys of changed rows that the stream keeps while chunks of their tables are read, two chunks for each reader. With more than its
/// part of them, a chunk is read again.
pub const COPY_KEYS: usize = 200_000;
/// Bytes of these keys.
pub const COPY_KEY_BYTES: usize = 16 << 20;
/// Tables that wait to be copied whose rows are estimated beforehand.
pub const COPY_ESTIMATES: usize = 1000;
/// How often a copy asks how loaded the server is.
pub const COPY_LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of batches of an open transaction that wait for its end, because the server may have taken some of its rows back. Of one
/// that is larger, the outcome is read ahead on a second connection, and it is streamed.
pub const HELD_BYTES: usize = 4 << 20;
/// Savepoints that such a transaction may have; of one with more, the outcome is read ahead, too.
pub const HELD_SAVEPOINTS: usize = 1000;
/// Savepoints of a transaction that are remembered. One with more is an error.
pub const SAVEPOINTS: usize = 100_000;
/// Parts of a large transaction that were taken back and that are remembered. One with more is an error.
pub const PARTS_TAKEN_BACK: usize = 1_000_000;
/// XA transactions that are prepared and have not ended, whose places an offset holds. Those of the oldest are forgotten past that:
/// they are searched for in the log when their end comes.
pub const PREPARED_TRANSACTIONS: usize = 1000;
/// Temporary tables of sessions whose statements are logged that a MySQL source remembers; changes of further ones count as changes
/// of a table.
pub const TEMPORARY_TABLES: usize = 10_000;
/// Statements that a MySQL source remembers to have found to reach no captured table; past that it looks them up again.
pub const HARMLESS_STATEMENTS: usize = 1_000;
/// Views, triggers, cascades and functions that it looks up for one statement; with more, any table may be reached.
pub const REACHED_OBJECTS: usize = 200;
/// Tables that it warns of within one minute, because the log does not hold their rows; further ones are only counted.
pub const TOLD_STATEMENTS: usize = 100;

/// How deep geometries may stand in one another; a value with more has no form but the server's own.
pub const GEOMETRY_DEPTH: usize = 64;

/// Requests to swap that wait for the thread that prepares chains; further ones are refused.
pub const SWAP_REQUESTS: usize = 8;
/// How long what a failed start stored waits to be taken back, where a look of the run before still holds the checkpoint.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// When outputs of an edited pipeline file are tried again that cannot be reached: for the first time, and at most.
pub const OUTPUTS_AGAIN: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(240));
/// Bytes of a request to begin an output at another place.
pub const RESET_BYTES: usize = 16 << 10;

/// Requests that wait for a running source, which answers one after the other.
pub const SOURCE_REQUESTS: usize = 8;

/// How long the end of a run waits for a commit of the checkpoint that is under way.
pub const LAST_COMMIT: Duration = Duration::from_secs(5);

/// The share of the time, one part in so many, that may go into copying batches for the rehearsals of new chains.
pub const SAMPLE_SHARE: u32 = 100;

/// Memory of the process beside what grows with the stream: its code, threads, tables, one event in the source's hand.
pub const PROCESS_BYTES: usize = 48 << 20;

/// The share of a cgroup's limit that a process takes for its budget if the settings say nothing, in percent.
pub const CGROUP_SHARE: u64 = 90;

/// The share of the machine's memory where there is no such limit, in percent.
pub const MACHINE_SHARE: u64 = 50;

/// What batches get of it, at most, if the settings say nothing, beside an answer of `plugin_output_bytes` for each worker.
pub const BATCHES_BYTES: usize = 1 << 30;

/// How much longer a value may get in a record: a control character becomes `\u0000`.
pub const ENCODED_GROWTH: usize = 6;

/// How long an output that is apart may hold the others back when it joins them again: it reads on to the place where they wait.
/// Longer than [`POSITION_INTERVAL`], within which every stream tells of its place.
pub const JOIN_HOLD: Duration = Duration::from_secs(3);

/// How long it leaves them alone after it did not get there in that time.
pub const JOIN_PAUSE: Duration = Duration::from_secs(30);

/// How often an output that is apart looks where the others are.
pub const JOIN_INTERVAL: Duration = Duration::from_millis(20);

/// How often it is measured which output holds the others back by the memory that its batches take.
pub const HELD_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of records that a sink may have in hand beside its buffers without asking the budget.
pub const ENCODED_BYTES: usize = 2 << 20;

/// The process's memory: plugins, buffers and batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// [`CGROUP_SHARE`] of the cgroup's limit; without one, [`MACHINE_SHARE`] of the machine's memory, of which batches get at most
    /// [`BATCHES_BYTES`] and an answer for each worker.
    #[default]
    Unset,
    /// So many bytes.
    Bytes(u64),
    /// So many percent of the cgroup's limit, or of the machine's memory where there is none.
    Percent(u64),
}

/// The bounds of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The process's memory. Plugin instances (each worker has one of each plugin, and a swap as many again) and the sinks' buffers are
    /// taken off first; the rest is what batches may take, from the source until the last sink has let go. The oldest batch in flight
    /// may overdraw by what one batch takes: `batch_bytes` or a larger row, `plugin_output_bytes` for each plugin, and its records.
    pub memory: Memory,
    /// Changes in a batch, at most.
    pub batch_changes: usize,
    /// Bytes of source data in a batch, at most; a single larger row makes a batch of its own.
    pub batch_bytes: usize,
    /// Batches that wait between two stages (source to plugins, plugins to each sink).
    pub queue_batches: usize,
    /// How long a batch may wait for more changes before it goes on.
    pub batch_wait: Duration,
    /// Time between two checkpoints while records flow.
    pub checkpoint_interval: Duration,
    /// Linear memory of one plugin instance, in bytes.
    pub plugin_memory: usize,
    /// An instance whose memory has grown past this is replaced at the next batch boundary (linear memory never shrinks).
    pub plugin_memory_watermark: usize,
    /// Time of one call into a plugin that runs: `plan` and `apply`.
    pub plugin_call: Duration,
    /// Time of each step of a plugin's start: instantiation, `describe` and `configure`. Longer than a call, because language
    /// runtimes initialise themselves then.
    pub plugin_start: Duration,
    /// Time in which a component has to be compiled: small ones take milliseconds, the runtimes of scripting languages some 20
    /// seconds on a free machine. Compiling cannot be interrupted: what takes longer is refused at once,
    /// but goes on in the background. One component is compiled at a time, so there is never more than one such straggler;
    /// the next one waits for it, within its own time.
    pub plugin_compile: Duration,
    /// Bytes that a plugin may answer with for the rows of one batch, all columns together: in one `apply`, and in all of them where
    /// it fails and is asked about parts of the batch.
    pub plugin_output_bytes: usize,
    /// Size of a plugin file, in bytes.
    pub plugin_file_bytes: u64,
    /// How long it may take to find the rows of one batch that a plugin fails on, when its policy is not to stop.
    pub plugin_recovery: Duration,
    /// The longest pause before a plugin is started again that handled nothing of batch after batch; pauses double from 10 ms
    /// on, and the first success ends them.
    pub plugin_restart_pause: Duration,
    /// Changes in a row that a plugin may fail on (not: reject) before the pipeline stops, whatever the plugin's policy: one
    /// that fails on everything must not empty the stream into the dead-letter file.
    pub plugin_failed_changes: usize,
    /// Tables whose versions are remembered, and versions of tables whose plans are. A plugin that has planned more is made
    /// anew, and plans those that still have changes again.
    pub known_tables: usize,
    /// How long a plugin file has to be quiet before it is read.
    pub plugin_debounce: Duration,
    /// Log lines that a plugin instance may write in a second; more are counted, not printed.
    pub plugin_log_lines: u32,
    /// Bytes of one log line or message of a plugin.
    pub plugin_message_bytes: usize,
    /// A single row's image in the source's own form, in bytes; a larger one is an error that names its table. An event that
    /// comes compressed may have two, and `EVENT_HEAD_BYTES`; one that is larger is an error.
    pub row_bytes: usize,
    /// Encoded records that a file or stdout sink gathers before it writes them, in bytes; a single larger record goes by itself.
    pub sink_buffer_bytes: usize,
    /// Headers that one record may have, the program's own not counted.
    pub record_headers: usize,
    /// Bytes of those headers, names and values together.
    pub record_header_bytes: usize,
    /// Different destinations that plugins may choose for one sink: folders of a file sink in all, topics of a Kafka sink
    /// since its start. One more stops the pipeline.
    pub destinations: usize,
    /// Files that one file sink keeps open, one for each destination; the one written longest ago is synced and closed for
    /// the next.
    pub open_files: usize,
    /// Records that wait for a Kafka broker's acknowledgement, at most.
    pub kafka_queue_records: usize,
    /// Bytes of records that wait for a Kafka broker's acknowledgement, at most.
    pub kafka_queue_bytes: usize,
    /// Size of one dead-letter file, in bytes; a full one stops the pipeline.
    pub dead_letter_bytes: u64,
    /// How long connecting and single requests to a server may take.
    pub connect_timeout: Duration,
    /// How long a server or broker that cannot be reached is tried again before the program gives up: at the start, and when the
    /// source's connection breaks later.
    pub retry_window: Duration,
    /// How long whatever else may pass is tried again once a pipeline has streamed, by starting it over at its checkpoint: a server that
    /// refuses the login, a sink that cannot write. At most `retry_window`.
    pub other_retry_window: Duration,
    /// How long, in all, an output with `when_slow: apart` may hold the others back since it last had nothing to do; then it goes apart.
    pub apart_after: Duration,
    /// How long draining may take after SIGTERM before the program ends without it (nothing is lost: the checkpoint stays behind).
    pub drain_timeout: Duration,
    /// Connections to the HTTP address at a time; where there are more, those that have been idle for the longest are cut.
    pub http_connections: usize,
    /// How long one of them may last; see [`Limits::swap_answer`] for the one exception.
    pub http_connection_time: Duration,
    /// How long the source may be away, silent, or a sink without progress, before `/readyz` says so.
    pub stalled_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Memory::Unset,
            batch_changes: 1024,
            batch_bytes: 4 << 20,
            queue_batches: 4,
            batch_wait: Duration::from_millis(5),
            checkpoint_interval: Duration::from_millis(500),
            plugin_memory: 64 << 20,
            plugin_memory_watermark: 32 << 20,
            plugin_call: Duration::from_secs(1),
            plugin_start: Duration::from_secs(10),
            plugin_compile: Duration::from_secs(300),
            plugin_output_bytes: 64 << 20,
            plugin_file_bytes: 64 << 20,
            plugin_recovery: Duration::from_secs(60),
            plugin_restart_pause: Duration::from_secs(1),
            plugin_failed_changes: 1000,
            known_tables: 20_000,
            plugin_debounce: Duration::from_millis(100),
            plugin_log_lines: 100,
            plugin_message_bytes: 1 << 10,
            row_bytes: 256 << 20,
            sink_buffer_bytes: 256 << 10,
            record_headers: 64,
            record_header_bytes: 64 << 10,
            destinations: 1000,
            open_files: 64,
            kafka_queue_records: 100_000,
            kafka_queue_bytes: 32 << 20,
            dead_letter_bytes: 1 << 30,
            connect_timeout: Duration::from_secs(10),
            retry_window: Duration::from_secs(12 * 3600),
            other_retry_window: Duration::from_secs(600),
            apart_after: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            http_connections: 16,
            http_connection_time: Duration::from_secs(60),
            stalled_after: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// How long a request for a swap waits for its outcome: while its component is compiled and started, and as long as a
    /// connection may last for all else (plans, the rehearsal, the worker's next gap, other swaps before it). What takes longer goes
    /// on, and is answered with 202.
    pub fn swap_answer(&self) -> Duration {
        // instantiation, `describe` and `configure`
        self.plugin_compile + 3 * self.plugin_start + self.http_connection_time
    }
}

/// Longest time between two batches while the source's position moves, changes or not.
pub const POSITION_INTERVAL: Duration = Duration::from_secs(2);
