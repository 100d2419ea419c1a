//! Dead letters read back: which files there are, their lines, and what a letter says.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::row;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, Event, Image, NativeType, Operation, Place, Table, TableName, TableRows, Transaction},
};

/// Who set the letters of a file aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A plugin: the rows are the source's.
    Plugin,
    /// A sink: the rows are as the plugins made them.
    Sink,
    /// A source: the records are as they stand in their topic.
    Source,
}

impl Kind {
    /// As file names begin.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plugin => "plugin",
            Kind::Sink => "sink",
            Kind::Source => "source",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Plugin, Self::Sink, Self::Source].into_iter().find(|kind| kind.name() == name)
    }
}

/// A file of letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterFile {
    /// Who set them aside.
    pub kind: Kind,
    /// The plugin's or sink's name, or the kind of source.
    pub stage: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The files in a pipeline's dead-letter folder, sorted. None when there is no such folder.
///
/// # Errors
/// `Sink` when the folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<LetterFile>> {
    let unreadable = |e: io::Error| {
        Error::new(ErrorKind::Sink, format!("the dead-letter folder {} cannot be read", folder.display()))
            .caused_by(e)
            .remedy("run the command as the account that runs the pipeline")
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stage = |kind: Kind| {
            let coded = name.strip_prefix(kind.name())?.strip_prefix('.')?.strip_suffix(".ndjson")?;
            Some(LetterFile { kind, stage: decoded(coded)?, path: path.clone() })
        };
        files.extend([Kind::Plugin, Kind::Sink, Kind::Source].into_iter().find_map(stage));
    }
    files.sort();
    Ok(files)
}

/// A stage's name out of that of its file.
fn decoded(coded: &str) -> Option<String> {
    let mut parts = coded.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A line of a file: a letter, and where it stands.
#[derive(Debug)]
pub struct Line {
    /// Where it begins, in bytes.
    pub begin: u64,
    /// Where the next one begins.
    pub end: u64,
    /// Its text, without its end.
    pub text: Vec<u8>,
}

/// The lines of a file, one after the other. A last one without an end is left out: it is being written, or a crash tore it.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    at: u64,
}

impl Lines {
    /// Those from `begin` on, where a line begins.
    ///
    /// # Errors
    /// `Sink` when the file cannot be read.
    pub fn open(path: &Path, begin: u64) -> Result<Self> {
        let open = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(begin))?;
            Ok(file)
        };
        let file = open().map_err(|error| unreadable(path, error))?;
        Ok(Self { reader: BufReader::new(file), path: path.to_owned(), at: begin })
    }

    /// The next one, if there is one.
    ///
    /// # Errors
    /// As of [`Lines::open`].
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        let mut text = Vec::new();
        self.reader.read_until(b'\n', &mut text).map_err(|error| unreadable(&self.path, error))?;
        let begin = self.at;
        if text.pop() != Some(b'\n') {
            return Ok(None);
        }
        self.at += text.len() as u64 + 1;
        Ok(Some(Line { begin, end: self.at, text }))
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Sink, format!("the dead-letter file {} cannot be read", path.display()))
        .caused_by(error)
        .remedy("run the command as the account that runs the pipeline")
}

/// What a letter is of, whoever set it aside, and why it was.
#[derive(Debug)]
pub struct Heading {
    /// The table; of a record that could not be read, the topic.
    pub of: String,
    /// Why it was set aside.
    pub error: String,
    /// When.
    pub time: String,
}

#[derive(Deserialize)]
struct RawLetter {
    error: String,
    time: String,
    source: RawSource,
}

#[derive(Deserialize)]
struct RawSource {
    topic: String,
}

impl Heading {
    /// Reads that of a line. An error never shows what stands in it.
    ///
    /// # Errors
    /// `Sink`: it is no letter.
    pub fn read(kind: Kind, text: &[u8]) -> Result<Self> {
        if kind == Kind::Source {
            let RawLetter { error, time, source } = serde_json::from_slice(text).map_err(|error| no_letter(&error))?;
            return Ok(Self { of: source.topic, error, time });
        }
        let letter = Letter::read(text)?;
        Ok(Self { of: letter.name().to_string(), error: letter.error, time: letter.time })
    }
}

fn no_letter(error: &serde_json::Error) -> Error {
    let what = format!("it is no dead letter: {:?} at column {}", error.classify(), error.column());
    Error::new(ErrorKind::Sink, what).remedy("take the line out of the file, or restore it from a copy")
}

/// A change's letter as it stands in its file.
#[derive(Debug, Deserialize)]
pub struct Letter {
    /// Why the change was set aside.
    pub error: String,
    /// When.
    pub time: String,
    source: Source,
    database: String,
    schema: Option<String>,
    table: String,
    /// What happened to the row.
    pub operation: String,
    /// The plugins that ran, with their versions.
    #[serde(default)]
    pub plugins: Option<String>,
    #[serde(default)]
    destination: Option<String>,
    /// Letters of earlier versions have none.
    #[serde(default)]
    columns: Option<Vec<LetterColumn>>,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Source {
    file: String,
    position: u64,
    row: u32,
    transaction: Option<String>,
    server_id: u32,
    time: Option<String>,
}

/// A column, as letters describe it.
#[derive(Debug, Deserialize)]
struct LetterColumn {
    name: String,
    #[serde(rename = "type", deserialize_with = "data_type")]
    data_type: DataType,
    #[serde(default)]
    native: String,
    #[serde(default)]
    nullable: bool,
    #[serde(default)]
    key: bool,
    #[serde(default)]
    place: LetterPlace,
}

/// A type by the name that it is written with.
fn data_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
    use DataType::*;
    const ALL: [DataType; 13] = [Boolean, Int64, UInt64, Float32, Float64, Decimal, Text, Bytes, Date, Time, DateTime, Timestamp, Json];
    let name = Value::deserialize(deserializer)?;
    ALL.into_iter().find(|data_type| serde_json::json!(data_type) == name).ok_or_else(|| D::Error::custom("no type of a column"))
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LetterPlace {
    #[default]
    Value,
    Header,
    Destination,
}

/// What a column is in a letter.
pub(super) fn column(info: &ColumnInfo) -> Value {
    let mut column =
        serde_json::json!({ "name": info.name, "type": info.data_type, "native": info.native_type.to_string(), "nullable": info.nullable });
    if info.primary_key {
        column["key"] = true.into();
    }
    match info.place {
        Place::Value => {}
        Place::Header => column["place"] = "header".into(),
        Place::Destination => column["place"] = "destination".into(),
    }
    column
}

impl Letter {
    /// Reads a line. An error never shows what stands in it.
    ///
    /// # Errors
    /// `Sink`: it is no letter.
    pub fn read(text: &[u8]) -> Result<Self> {
        serde_json::from_slice(text).map_err(|error| no_letter(&error))
    }

    /// The table that the change is of.
    pub fn name(&self) -> TableName {
        TableName { database: self.database.clone(), schema: self.schema.clone(), table: self.table.clone() }
    }

    /// The table with its columns, as the rows stand in the letter.
    ///
    /// # Errors
    /// `Sink`: an earlier version of the program wrote it, which noted no types.
    pub fn described(&self) -> Result<Table> {
        let refused = |what: &str| {
            Error::new(ErrorKind::Sink, format!("the letter {what}")).remedy("deal with it by hand: `sluicegate dlq show` prints it")
        };
        let columns = self.columns.as_ref().ok_or_else(|| refused("has no types of columns, which earlier versions did not note"))?;
        let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refused("has two columns of one name, of which only one is kept"));
        }
        let columns = columns.iter().map(|column| ColumnInfo {
            name: column.name.clone(),
            data_type: column.data_type,
            native_type: NativeType::parse(&column.native),
            nullable: column.nullable,
            primary_key: column.key,
            place: match column.place {
                LetterPlace::Value => Place::Value,
                LetterPlace::Header => Place::Header,
                LetterPlace::Destination => Place::Destination,
            },
        });
        Ok(Table { name: self.name(), destination: self.destination.clone(), columns: columns.collect() })
    }

    /// What happened to the row.
    ///
    /// # Errors
    /// `Sink`: no such thing can happen to one.
    pub fn operation(&self) -> Result<Operation> {
        let all = [Operation::Snapshot, Operation::Insert, Operation::Update, Operation::Delete];
        all.into_iter().find(|operation| operation.name() == self.operation).ok_or_else(|| {
            Error::new(ErrorKind::Sink, "the letter's operation is none").remedy("take the line out of the file, or restore it from a copy")
        })
    }

    /// Where the change stood, as event and transaction of a batch, and its row in the event.
    pub fn place(&self) -> (Event, Transaction, u32) {
        let source = &self.source;
        let time = source.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let event = Event {
            position: source.position,
            time_us: time.map_or(0, jiff::Timestamp::as_microsecond),
            server_id: source.server_id,
            ..Event::default()
        };
        let transaction = Transaction {
            id: source.transaction.as_deref().map(Arc::from),
            file: Arc::from(source.file.as_str()),
            position: source.position,
            complete: true,
        };
        (event, transaction, source.row)
    }

    /// Appends the images to the rows of the letter's table, the one before the change first. Answers which there are.
    ///
    /// # Errors
    /// `Sink`: a value is none of its column's type.
    pub fn push(&self, rows: &mut TableRows) -> Result<(bool, bool)> {
        let mut push = |image: Image, values: &Option<Map<String, Value>>| match values {
            Some(values) => row::push(rows, image, values).map(|()| true).map_err(|column| {
                Error::new(ErrorKind::Sink, format!("the letter's value of the column `{column}` is not of its type"))
                    .remedy("take the line out of the file, or restore it from a copy")
            }),
            None => Ok(false),
        };
        Ok((push(Image::Before, &self.before)?, push(Image::After, &self.after)?))
    }
}
