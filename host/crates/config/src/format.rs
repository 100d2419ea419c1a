//! The form of delivered records: which format, and how it writes values.

use super::registry::Registry;

/// The form of a delivered record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Debezium's JSON envelope.
    Debezium,
    /// The row that Debezium's `ExtractNewRecordState` makes of the envelope.
    DebeziumFlattened,
    /// The row's columns and a few `_` fields.
    Flat,
    /// The row's columns alone.
    Plain,
    /// Maxwell's JSON.
    Maxwell,
    /// Canal's flat JSON.
    Canal,
    /// CloudEvents 1.0 as Debezium's converter makes them.
    CloudEvents,
    /// The rows that DTS writes.
    Dts,
    /// CSV: only in files.
    Csv,
    /// Avro: in Kafka with its schemas in a registry, in files with the schema in each.
    Avro,
    /// JSON documents with their schemas in a registry: only in Kafka.
    JsonSchema,
    /// Parquet: only in files.
    Parquet,
}

impl RecordFormat {
    /// Whether its records are JSON and nothing else.
    pub fn is_json(self) -> bool {
        !matches!(self, Self::Csv | Self::Avro | Self::JsonSchema | Self::Parquet)
    }

    /// Whether its schemas are in a registry, in Kafka.
    pub fn has_registry(self) -> bool {
        matches!(self, Self::Avro | Self::JsonSchema)
    }

    /// Every format, with its name in the pipeline file.
    pub const ALL: [(&'static str, Self); 12] = [
        ("debezium", Self::Debezium),
        ("debezium-flattened", Self::DebeziumFlattened),
        ("flat", Self::Flat),
        ("plain", Self::Plain),
        ("maxwell", Self::Maxwell),
        ("canal", Self::Canal),
        ("cloudevents", Self::CloudEvents),
        ("dts", Self::Dts),
        ("csv", Self::Csv),
        ("avro", Self::Avro),
        ("json-schema", Self::JsonSchema),
        ("parquet", Self::Parquet),
    ];

    /// Whether it has a record of a heartbeat.
    pub fn tells_heartbeats(self) -> bool {
        !matches!(self, Self::Csv | Self::Avro | Self::JsonSchema | Self::Parquet)
    }

    /// Whether it has a record of a changed schema.
    pub fn tells_schema_changes(self) -> bool {
        matches!(self, Self::Debezium | Self::DebeziumFlattened | Self::Flat | Self::Canal)
    }

    /// Whether its records have an id that follows from the position of the change and the number of its row alone.
    pub fn numbers_changes(self) -> bool {
        matches!(self, Self::CloudEvents | Self::Dts)
    }

    /// Its name in the pipeline file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

/// A format with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Which.
    pub record: RecordFormat,
    /// How values are written.
    pub values: ValueModes,
    /// Debezium: whether each record carries its schema.
    pub schemas: bool,
    /// Formats that are a row alone: what becomes of a delete.
    pub deletes: Deletes,
    /// Flattened: fields of the envelope that are added to the row.
    pub add_fields: Vec<AddedField>,
    /// DTS: how its own fields and the row's columns are called.
    pub naming: DtsNaming,
    /// Formats with a registry: what stands around a row's values.
    pub envelope: Envelope,
    /// Formats with a registry: where it is.
    pub registry: Option<Box<Registry>>,
}

impl From<RecordFormat> for Format {
    fn from(record: RecordFormat) -> Self {
        Self {
            record,
            values: ValueModes::default(),
            schemas: false,
            deletes: Deletes::default(),
            add_fields: Vec::new(),
            naming: DtsNaming::default(),
            envelope: Envelope::default(),
            registry: None,
        }
    }
}

/// What stands around the values of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// Debezium's, with both images of the row.
    #[default]
    Debezium,
    /// A few fields beside the columns.
    Flat,
}

/// How values are written where a format leaves it open. The names are those of Debezium's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueModes {
    /// `decimal.handling.mode`.
    pub decimal: DecimalMode,
    /// `time.precision.mode`.
    pub time: TimeMode,
    /// `bigint.unsigned.handling.mode`.
    pub bigint_unsigned: BigintUnsignedMode,
    /// `binary.handling.mode`.
    pub binary: BinaryMode,
    /// ENUM and SET.
    pub labels: LabelMode,
    /// GEOMETRY.
    pub geometry: GeometryMode,
    /// Whether BIT and VECTOR have Debezium's forms: a boolean or little-endian bytes, and a list of numbers.
    pub debezium: bool,
}

impl ValueModes {
    /// What Debezium's MySQL connector does without settings.
    pub const DEBEZIUM: Self = Self {
        decimal: DecimalMode::Precise,
        time: TimeMode::AdaptiveMicroseconds,
        bigint_unsigned: BigintUnsignedMode::Long,
        binary: BinaryMode::Bytes,
        labels: LabelMode::Labels,
        geometry: GeometryMode::Debezium,
        debezium: true,
    };

    /// The types of a typed format where they lose nothing.
    pub const TYPED: Self = Self {
        decimal: DecimalMode::Precise,
        time: TimeMode::AdaptiveMicroseconds,
        bigint_unsigned: BigintUnsignedMode::Precise,
        binary: BinaryMode::Bytes,
        labels: LabelMode::Labels,
        geometry: GeometryMode::Ewkb,
        debezium: false,
    };
}

/// How DECIMAL is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalMode {
    /// As text, with all places.
    #[default]
    String,
    /// As the bytes of the unscaled number; the scale stands in the schema.
    Precise,
    /// As a number of double precision.
    Double,
}

/// How DATE, TIME and DATETIME are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeMode {
    /// As the text that the database shows.
    #[default]
    Text,
    /// As numbers in the unit that the column's digits ask for.
    Adaptive,
    /// The same, but TIME always in microseconds.
    AdaptiveMicroseconds,
    /// As Kafka Connect's own types, in milliseconds.
    Connect,
    /// As ISO 8601 text.
    IsoString,
    /// As numbers of microseconds.
    Microseconds,
    /// As numbers of nanoseconds.
    Nanoseconds,
}

/// How BIGINT UNSIGNED is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BigintUnsignedMode {
    /// As an exact number.
    #[default]
    Exact,
    /// As a signed number of 64 bits: what is beyond becomes negative.
    Long,
    /// As the bytes of a decimal without places.
    Precise,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinaryMode {
    /// As text in base64.
    #[default]
    Base64,
    /// As bytes, which are base64 in JSON.
    Bytes,
    /// As text in the alphabet of base64 that is safe in addresses.
    Base64UrlSafe,
    /// As hexadecimal digits.
    Hex,
}

/// How ENUM and SET are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelMode {
    /// As their labels.
    #[default]
    Labels,
    /// As numbers: the place of the label, from 1; of a set the sum of its labels' bits.
    Numbers,
}

/// How GEOMETRY is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeometryMode {
    /// As the server's bytes: SRID and WKB.
    #[default]
    Native,
    /// As WKB, without the SRID.
    Wkb,
    /// As EWKB, which has the SRID in it.
    Ewkb,
    /// As the text of a GeoJSON object, without the SRID.
    GeoJson,
    /// As Debezium's object of `wkb` and `srid`.
    Debezium,
}

/// What becomes of deletes where a record is a row alone. The names are those of `delete.tombstone.handling.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deletes {
    /// A record without a value: only in Kafka.
    #[default]
    Tombstone,
    /// Nothing.
    Drop,
    /// The row with a field `__deleted`.
    Rewrite,
    /// Both, the row first: only in Kafka.
    RewriteWithTombstone,
}

impl Deletes {
    /// Whether a delete has a record with its row.
    pub fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }

    /// Whether a delete has a record without a value.
    pub fn leaves_tombstones(self) -> bool {
        matches!(self, Self::Tombstone | Self::RewriteWithTombstone)
    }
}

/// A field of Debezium's envelope in a flattened record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedField {
    /// Which.
    pub field: EnvelopeField,
    /// Its name in the record, with the prefix.
    pub name: String,
}

/// A field of Debezium's envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeField {
    /// `op`
    Op,
    /// `ts_ms` of the envelope.
    TsMs,
    /// `ts_us` of the envelope.
    TsUs,
    /// `ts_ns` of the envelope.
    TsNs,
    /// `source.ts_ms`
    SourceTsMs,
    /// `source.ts_us`
    SourceTsUs,
    /// `source.ts_ns`
    SourceTsNs,
    /// `version`
    Version,
    /// `connector`
    Connector,
    /// `name`
    Name,
    /// `snapshot`
    Snapshot,
    /// `db`
    Db,
    /// `schema`
    Schema,
    /// `table`
    Table,
    /// `server_id`
    ServerId,
    /// `gtid`
    Gtid,
    /// `file`
    File,
    /// `pos`
    Pos,
    /// `row`
    Row,
}

impl EnvelopeField {
    /// Every field, with its name in Debezium's setting `add.fields`.
    pub const ALL: [(&'static str, Self); 19] = [
        ("op", Self::Op),
        ("ts_ms", Self::TsMs),
        ("ts_us", Self::TsUs),
        ("ts_ns", Self::TsNs),
        ("source.ts_ms", Self::SourceTsMs),
        ("source.ts_us", Self::SourceTsUs),
        ("source.ts_ns", Self::SourceTsNs),
        ("version", Self::Version),
        ("connector", Self::Connector),
        ("name", Self::Name),
        ("snapshot", Self::Snapshot),
        ("db", Self::Db),
        ("schema", Self::Schema),
        ("table", Self::Table),
        ("server_id", Self::ServerId),
        ("gtid", Self::Gtid),
        ("file", Self::File),
        ("pos", Self::Pos),
        ("row", Self::Row),
    ];

    /// The field of that name, with or without `source.` in front where there is only one of it.
    pub fn named(name: &str) -> Option<Self> {
        let of = |wanted: &str| Self::ALL.iter().find(|(known, _)| *known == wanted).map(|(_, field)| *field);
        of(name).or_else(|| name.strip_prefix("source.").filter(|rest| !rest.starts_with("ts_") && *rest != "op").and_then(of))
    }
}

/// How the fields of a DTS row are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtsNaming {
    /// `new_dts_sync_dts_record_id`; columns keep their names.
    #[default]
    New,
    /// `dts_record_id`; columns have `dts_` in front, too.
    Previous,
}
