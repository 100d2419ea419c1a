//! A sink's format: its options belong to it, and fit the sink.

use std::time::Duration;

use super::{
    super::{
        AddedField, BigintUnsignedMode, BinaryMode, DecimalMode, Deletes, DtsNaming, Envelope, EnvelopeField, Field, FileRecords, Format,
        GeometryMode, KeyColumns, Keyless, LabelMode, PluginVersions, RecordFormat, SinkKind, TimeMode, ValueModes,
        raw::{
            RawBigintUnsignedMode, RawBinaryMode, RawDecimalMode, RawDeletes, RawDtsNaming, RawEnvelope, RawFormat, RawFormatName,
            RawFormatOptions, RawGeometryMode, RawLabelMode, RawTimeMode, RawValueDefaults,
        },
    },
    check::Check,
};

/// Formats that write values as the settings of values say.
const WITH_VALUE_MODES: [RecordFormat; 7] = [
    RecordFormat::Debezium,
    RecordFormat::DebeziumFlattened,
    RecordFormat::Flat,
    RecordFormat::Plain,
    RecordFormat::CloudEvents,
    RecordFormat::Avro,
    RecordFormat::JsonSchema,
];

impl Check<'_> {
    /// The format of a sink. `kafka`: whether it is one that has records without values.
    pub(super) fn format(&mut self, path: &str, raw: Option<RawFormat>, kafka: bool) -> Format {
        let RawFormat(raw) = raw.unwrap_or_else(|| RawFormat::named(RawFormatName::Debezium));
        let record = record(raw.name);
        self.belong(path, record, &raw);
        let schemas = raw.schemas.unwrap_or_default();
        let envelope = match raw.envelope {
            None | Some(RawEnvelope::Debezium) => Envelope::Debezium,
            Some(RawEnvelope::Flat) => Envelope::Flat,
        };
        let values = value_modes(&raw, record, schemas, envelope);
        if (schemas || record == RecordFormat::Avro) && values.bigint_unsigned == BigintUnsignedMode::Exact {
            self.refuse(
                format!("{path}.bigint_unsigned_handling_mode"),
                "a schema has no type of unsigned numbers of 64 bits",
                if schemas { "write `long` or `precise`, or leave `schemas` out" } else { "write `long` or `precise`" },
            );
        }
        Format {
            record,
            values,
            schemas,
            deletes: self.deletes(path, record, raw.delete_tombstone_handling_mode, kafka),
            add_fields: self.added_fields(path, &raw),
            naming: match raw.naming {
                None | Some(RawDtsNaming::New) => DtsNaming::New,
                Some(RawDtsNaming::Previous) => DtsNaming::Previous,
            },
            envelope,
            registry: self.registry(path, record, raw.registry, raw.subject, kafka).map(Box::new),
        }
    }

    /// Refuses options of other formats.
    fn belong(&mut self, path: &str, record: RecordFormat, raw: &RawFormatOptions) {
        use RecordFormat::{Avro, Debezium, DebeziumFlattened, Dts, JsonSchema, Plain};
        let given: [(&str, bool, &[RecordFormat]); 15] = [
            ("schemas", raw.schemas.is_some(), &[Debezium]),
            ("value_defaults", raw.value_defaults.is_some(), &WITH_VALUE_MODES),
            ("decimal_handling_mode", raw.decimal_handling_mode.is_some(), &WITH_VALUE_MODES),
            ("time_precision_mode", raw.time_precision_mode.is_some(), &WITH_VALUE_MODES),
            ("bigint_unsigned_handling_mode", raw.bigint_unsigned_handling_mode.is_some(), &WITH_VALUE_MODES),
            ("binary_handling_mode", raw.binary_handling_mode.is_some(), &WITH_VALUE_MODES),
            ("enum_handling_mode", raw.enum_handling_mode.is_some(), &WITH_VALUE_MODES),
            ("geometry_handling_mode", raw.geometry_handling_mode.is_some(), &WITH_VALUE_MODES),
            ("delete_tombstone_handling_mode", raw.delete_tombstone_handling_mode.is_some(), &[DebeziumFlattened, Plain]),
            ("add_fields", !raw.add_fields.is_empty(), &[DebeziumFlattened]),
            ("add_fields_prefix", raw.add_fields_prefix.is_some(), &[DebeziumFlattened]),
            ("naming", raw.naming.is_some(), &[Dts]),
            ("envelope", raw.envelope.is_some(), &[Avro, JsonSchema]),
            ("registry", raw.registry.is_some(), &[Avro, JsonSchema]),
            ("subject", raw.subject.is_some(), &[Avro, JsonSchema]),
        ];
        for (option, _, formats) in given.into_iter().filter(|(_, given, formats)| *given && !formats.contains(&record)) {
            let names: Vec<String> = formats.iter().map(|format| format!("`{}`", format.name())).collect();
            self.refuse(
                format!("{path}.{option}"),
                format!("the format `{}` has no such option", record.name()),
                format!("remove it; it is of {}", names.join(", ")),
            );
        }
    }

    fn deletes(&mut self, path: &str, record: RecordFormat, raw: Option<RawDeletes>, kafka: bool) -> Deletes {
        let deletes = match raw {
            Some(RawDeletes::Tombstone) => Deletes::Tombstone,
            Some(RawDeletes::Drop) => Deletes::Drop,
            Some(RawDeletes::Rewrite) => Deletes::Rewrite,
            Some(RawDeletes::RewriteWithTombstone) => Deletes::RewriteWithTombstone,
            None if kafka || record != RecordFormat::DebeziumFlattened => Deletes::Tombstone,
            None => Deletes::Rewrite,
        };
        let option = format!("{path}.delete_tombstone_handling_mode");
        match record {
            RecordFormat::DebeziumFlattened if !kafka && deletes.leaves_tombstones() => {
                self.refuse(option, "only Kafka has records without a value", "write `rewrite`, or `drop` if deletes are not wanted");
            }
            RecordFormat::Plain if deletes.rewrites() => {
                self.refuse(option, "a plain record cannot say that its row was deleted", "write `drop`, or use `debezium-flattened`");
            }
            RecordFormat::Plain if !kafka && deletes != Deletes::Drop => self.refuse(
                option,
                "a plain record cannot say that its row was deleted, and only Kafka has records without a value",
                "write `drop` if deletes are not wanted, or use another format: `debezium-flattened`, `flat`",
            ),
            _ => {}
        }
        deletes
    }

    fn added_fields(&mut self, path: &str, raw: &RawFormatOptions) -> Vec<AddedField> {
        let prefix = raw.add_fields_prefix.as_deref().unwrap_or("__");
        let mut added: Vec<AddedField> = Vec::new();
        for (i, text) in raw.add_fields.iter().enumerate() {
            let at = format!("{path}.add_fields[{i}]");
            let (known, name) = text.split_once(':').map_or((text.as_str(), None), |(known, name)| (known, Some(name)));
            let Some(field) = EnvelopeField::named(known) else {
                let names: Vec<&str> = EnvelopeField::ALL.iter().map(|(name, _)| *name).collect();
                self.refuse(at, "the envelope has no such field", format!("write one of {}", names.join(", ")));
                continue;
            };
            let name = format!("{prefix}{}", name.map_or_else(|| known.replace('.', "_"), str::to_owned));
            if added.iter().any(|other| other.name == name) || name == DELETED {
                self.refuse(at, "two fields of the record would have this name", "leave one of them out, or give it another name");
            }
            added.push(AddedField { field, name });
        }
        added
    }

    /// Has CSV in files only, which have no place for the plugins' versions.
    pub(super) fn csv(&mut self, path: &str, format: &Format, versions: PluginVersions, kind: &mut SinkKind) {
        if format.record != RecordFormat::Csv {
            return;
        }
        match kind {
            SinkKind::File(file) => {
                file.records = FileRecords::Csv;
                if file.path.as_ref().is_some_and(|path| path.shared || !path.template.has(Field::Table)) {
                    self.refuse(
                        format!("{path}.path"),
                        "tables would share a folder, and a CSV file holds the rows of one table",
                        "name `{database}` and `{table}` in it, and leave `shared_path` out",
                    );
                }
            }
            SinkKind::Stdout | SinkKind::Kafka(_) => {
                self.refuse(format!("{path}.format"), "CSV is for files", "use a sink of `type: file`, or another format");
            }
        }
        if versions != PluginVersions::Omitted {
            self.refuse(
                format!("{path}.plugin_versions"),
                "CSV has no place for the plugins' versions",
                "remove it, or use another format",
            );
        }
    }

    /// Finishes files that can be read as a whole only at intervals. Has Parquet in files only.
    pub(super) fn whole_files(&mut self, path: &str, format: &Format, kind: &mut SinkKind) {
        let (records, name) = match format.record {
            RecordFormat::Parquet => (FileRecords::Parquet, "Parquet"),
            RecordFormat::Avro => (FileRecords::Avro, "Avro"),
            _ => return,
        };
        match kind {
            SinkKind::File(file) => {
                file.records = records;
                if file.path.is_some() {
                    self.refuse(
                        format!("{path}.path"),
                        format!("each table has a folder of its own with {name}"),
                        "remove it, and `shared_path` and `name_case` with it; or use another format",
                    );
                }
                let every = *file.roll.every.get_or_insert(WHOLE_EVERY);
                if every > LONGEST_WHOLE {
                    self.refuse(
                        format!("{path}.roll.every"),
                        "the checkpoint would not move for longer than a day",
                        format!("write at most `24h`: {name} files are durable when they are finished"),
                    );
                }
            }
            SinkKind::Kafka(_) if records == FileRecords::Avro => {}
            SinkKind::Stdout if records == FileRecords::Avro => {
                self.refuse(
                    format!("{path}.format"),
                    "Avro is for Kafka and files",
                    "use a sink of `type: kafka` or `file`, or another format",
                );
            }
            SinkKind::Stdout | SinkKind::Kafka(_) => {
                self.refuse(format!("{path}.format"), "Parquet is for files", "use a sink of `type: file`, or another format");
            }
        }
    }

    /// Has formats with a registry in Kafka only (but for Avro in files), Avro with the primary key as the key.
    pub(super) fn with_registry(&mut self, path: &str, format: &Format, kind: &SinkKind) {
        if !format.record.has_registry() {
            return;
        }
        let SinkKind::Kafka(kafka) = kind else {
            if format.record == RecordFormat::Avro {
                return; // see `whole_files`
            }
            let what = format!("`{}` with a registry is for Kafka", format.record.name());
            self.refuse(format!("{path}.format"), what, "use a sink of `type: kafka`, or another format");
            return;
        };
        let chosen = |key: &KeyColumns| matches!(key, KeyColumns::Columns(_));
        let mut rules = kafka.keys.per_table.iter().filter_map(|rule| rule.key.as_ref());
        if format.record == RecordFormat::Avro && (chosen(&kafka.keys.key) || rules.any(chosen)) {
            self.refuse(
                format!("{path}.key"),
                "records of `avro` have the primary key as their key",
                "remove the columns, or use another format",
            );
        }
    }

    /// Lets the format decide about tombstones where it does.
    pub(super) fn tombstones(&mut self, path: &str, format: &Format, kind: SinkKind, given: Option<bool>) -> SinkKind {
        match kind {
            SinkKind::Kafka(kafka) if matches!(format.record, RecordFormat::DebeziumFlattened | RecordFormat::Plain) => {
                if given.is_some() {
                    self.refuse(
                        format!("{path}.tombstones"),
                        format!("the format `{}` decides about tombstones", format.record.name()),
                        "remove it, and set `delete_tombstone_handling_mode` of the format",
                    );
                }
                let no_key = |key: &KeyColumns| *key == KeyColumns::None;
                let rules = kafka.keys.per_table.iter().filter_map(|rule| rule.key.as_ref());
                if format.deletes == Deletes::Tombstone && (no_key(&kafka.keys.key) || rules.into_iter().any(no_key)) {
                    self.refuse(
                        format!("{path}.key"),
                        "a record without a key and without a value tells nothing, so that deletes would be lost",
                        "give the records a key, or set the format's `delete_tombstone_handling_mode` to another mode",
                    );
                }
                if format.deletes == Deletes::Tombstone && kafka.keyless == Keyless::NoKey {
                    self.refuse(
                        format!("{path}.keyless"),
                        "a record without a key and without a value tells nothing, so that deletes would be lost",
                        "write `keyless: whole-row`, or set the format's `delete_tombstone_handling_mode` to another mode",
                    );
                }
                SinkKind::Kafka(super::super::KafkaSink { tombstones: format.deletes.leaves_tombstones(), ..kafka })
            }
            kind => kind,
        }
    }
}

/// How often files are finished that can be read as a whole only, and how seldom they may be.
const WHOLE_EVERY: Duration = Duration::from_secs(60);
const LONGEST_WHOLE: Duration = Duration::from_secs(24 * 3600);

/// The member of a flattened record that says that its row was deleted.
const DELETED: &str = "__deleted";

fn record(name: RawFormatName) -> RecordFormat {
    match name {
        RawFormatName::Debezium => RecordFormat::Debezium,
        RawFormatName::DebeziumFlattened => RecordFormat::DebeziumFlattened,
        RawFormatName::Flat => RecordFormat::Flat,
        RawFormatName::Plain => RecordFormat::Plain,
        RawFormatName::Maxwell => RecordFormat::Maxwell,
        RawFormatName::Canal => RecordFormat::Canal,
        RawFormatName::CloudEvents => RecordFormat::CloudEvents,
        RawFormatName::Dts => RecordFormat::Dts,
        RawFormatName::Csv => RecordFormat::Csv,
        RawFormatName::Avro => RecordFormat::Avro,
        RawFormatName::JsonSchema => RecordFormat::JsonSchema,
        RawFormatName::Parquet => RecordFormat::Parquet,
    }
}

fn value_modes(raw: &RawFormatOptions, record: RecordFormat, schemas: bool, envelope: Envelope) -> ValueModes {
    let defaults = match (raw.value_defaults, record, envelope) {
        (Some(RawValueDefaults::Debezium), ..) => ValueModes::DEBEZIUM,
        (Some(RawValueDefaults::Sluicegate), ..) => ValueModes::default(),
        (None, RecordFormat::Avro, Envelope::Flat) => ValueModes::TYPED,
        (None, RecordFormat::Avro | RecordFormat::JsonSchema, Envelope::Debezium) => ValueModes::DEBEZIUM,
        (None, ..) if schemas => ValueModes::DEBEZIUM,
        (None, ..) => ValueModes::default(),
    };
    let decimal = raw.decimal_handling_mode.map(|mode| match mode {
        RawDecimalMode::String => DecimalMode::String,
        RawDecimalMode::Precise => DecimalMode::Precise,
        RawDecimalMode::Double => DecimalMode::Double,
    });
    let time = raw.time_precision_mode.map(|mode| match mode {
        RawTimeMode::Text => TimeMode::Text,
        RawTimeMode::Adaptive => TimeMode::Adaptive,
        RawTimeMode::AdaptiveTimeMicroseconds => TimeMode::AdaptiveMicroseconds,
        RawTimeMode::Connect => TimeMode::Connect,
        RawTimeMode::Isostring => TimeMode::IsoString,
        RawTimeMode::Microseconds => TimeMode::Microseconds,
        RawTimeMode::Nanoseconds => TimeMode::Nanoseconds,
    });
    let bigint_unsigned = raw.bigint_unsigned_handling_mode.map(|mode| match mode {
        RawBigintUnsignedMode::Exact => BigintUnsignedMode::Exact,
        RawBigintUnsignedMode::Long => BigintUnsignedMode::Long,
        RawBigintUnsignedMode::Precise => BigintUnsignedMode::Precise,
    });
    let binary = raw.binary_handling_mode.map(|mode| match mode {
        RawBinaryMode::Base64 => BinaryMode::Base64,
        RawBinaryMode::Bytes => BinaryMode::Bytes,
        RawBinaryMode::Base64UrlSafe => BinaryMode::Base64UrlSafe,
        RawBinaryMode::Hex => BinaryMode::Hex,
    });
    let labels = raw.enum_handling_mode.map(|mode| match mode {
        RawLabelMode::Labels => LabelMode::Labels,
        RawLabelMode::Numbers => LabelMode::Numbers,
    });
    let geometry = raw.geometry_handling_mode.map(|mode| match mode {
        RawGeometryMode::Native => GeometryMode::Native,
        RawGeometryMode::Wkb => GeometryMode::Wkb,
        RawGeometryMode::Ewkb => GeometryMode::Ewkb,
        RawGeometryMode::GeoJson => GeometryMode::GeoJson,
        RawGeometryMode::Debezium => GeometryMode::Debezium,
    });
    ValueModes {
        decimal: decimal.unwrap_or(defaults.decimal),
        time: time.unwrap_or(defaults.time),
        bigint_unsigned: bigint_unsigned.unwrap_or(defaults.bigint_unsigned),
        binary: binary.unwrap_or(defaults.binary),
        labels: labels.unwrap_or(defaults.labels),
        geometry: geometry.unwrap_or(defaults.geometry),
        debezium: defaults.debezium,
    }
}
