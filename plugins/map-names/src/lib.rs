//! Standard plugin: renames databases, schemas, tables and columns
