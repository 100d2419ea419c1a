//! The pipeline file: one file, one pipeline. [`pipeline`] holds the validated form that the rest of the program works
//! with; the raw form, as people write it, never leaves this module.

pub mod pipeline;
mod secret;

pub use pipeline::{
    FileSink, GeneratorSource, KafkaSink, Keyless, MySqlSource, OnError, Pipeline, Plugin, PluginOrigin, RecordFormat, Roll, Sink,
    SinkKind, Source, StartAt, TablePatterns, TlsMode,
};
pub use secret::Secret;
