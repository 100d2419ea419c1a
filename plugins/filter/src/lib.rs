//! Standard plugin: keeps the rows that an SQL condition matches
