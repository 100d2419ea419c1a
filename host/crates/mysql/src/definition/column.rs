//! The definition of a column: its name, its type and what stands behind that.

use super::{
    super::{
        schema::{CatalogueColumn, ROW_END},
        statement::Tokens,
    },
    Characters, Key, Session,
    attributes::{self, Attributes},
    data_type::{self, DataType, Kind},
};
use sluicegate_model::change::NativeType;

/// A column as a statement defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Column {
    pub name: String,
    of: DataType,
    attributes: Attributes,
    /// Whether it may be NULL where it does not say so; `None` where that is not known.
    nullable: Option<bool>,
}

impl Column {
    /// Takes a definition, up to what stands behind it.
    pub fn read(tokens: &mut Tokens<'_>, session: &Session<'_>) -> Option<Self> {
        let name = tokens.name()?;
        let of = data_type::read(tokens, session)?;
        let attributes = attributes::read(tokens, session)?;
        let timestamp = matches!(of.kind, Kind::Plain { data_type: "timestamp", .. });
        let nullable = if timestamp { session.explicit_timestamps } else { Some(true) };
        Some(Self { name, of, attributes, nullable })
    }

    /// As the catalogue has it in a table of this character set, but for its keys. `converted` is the character set that the same statement
    /// converts the table to, which goes before what the column says.
    pub fn in_table(&self, default: Option<&str>, converted: Option<&str>) -> Option<CatalogueColumn> {
        let Attributes { unsigned, charset, counts, row_limit, row_end, bytes, .. } = &self.attributes;
        let textual = !matches!(self.of.kind, Kind::Plain { .. });
        let charset = match (charset, self.of.charset, bytes) {
            _ if !textual => None,
            (_, Some("binary"), _) | (_, _, true) => Some("binary"),
            (Some(Characters::Set(own)), None, _) => Some(own.as_str()),
            // NATIONAL and JSON have their own
            (None | Some(Characters::Default), Some(own), _) => Some(own),
            (Some(Characters::Set(set)), Some(own), _) if set == own => Some(own),
            (Some(_), Some(_), _) => return None,
            (None | Some(Characters::Default), None, _) => Some(default?),
        };
        let charset = charset.map(|own| converted.filter(|_| own != "binary").unwrap_or(own));
        let (data_type, mut column_type, bytes) = data_type::declare(&self.of.kind, charset)?;
        if *unsigned && !column_type.ends_with("unsigned") {
            column_type.push_str(" unsigned");
        }
        let labelled = matches!(self.of.kind, Kind::Labels { .. });
        let never = *counts || *row_limit || self.of.serial || self.attributes.primary;
        let nullable = if never { Some(false) } else { self.attributes.nullable.or(self.nullable) };
        Some(CatalogueColumn {
            name: self.name.clone(),
            data_type: data_type.to_owned(),
            column_type,
            charset: charset.filter(|charset| labelled || *charset != "binary").map(str::to_owned),
            key: if *row_end { ROW_END.to_owned() } else { String::new() },
            nullable,
            bytes,
        })
    }

    /// Its type with what the catalogue of the log leaves out: the digits that a floating-point number is rounded to.
    pub fn exact_type(&self, of: &CatalogueColumn) -> NativeType {
        match self.of.rounded {
            Some((digits, scale)) => {
                NativeType::parse(&of.column_type.replacen(&of.data_type, &format!("{}({digits},{scale})", of.data_type), 1))
            }
            None => of.native_type(),
        }
    }

    /// Whether it is computed from others.
    pub fn is_computed(&self) -> bool {
        self.attributes.computed
    }

    /// Whether it is of one of the TEXT types, without a length of its own.
    pub fn is_text(&self) -> bool {
        matches!(self.of.kind, Kind::Text(_, None)) && self.of.charset != Some("binary")
    }

    /// The keys that it makes.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let columns = || vec![self.name.clone()];
        let primary = self.attributes.primary.then(|| Key::primary(columns()));
        let unique = (self.attributes.unique || self.of.serial).then(|| Key::unique(None, columns(), true));
        primary.into_iter().chain(unique)
    }
}
