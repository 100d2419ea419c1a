//! What statements in the log make of tables: the columns of the next version, out of those of the version before and the statement's
//! text. Only what is sure is answered; where a clause is not known, or a server decides by something that the log does not hold, the
//! answer is `None`, and the catalogue is asked.

mod alter;
mod altered;
mod attributes;
mod column;
mod data_type;
mod key;
mod statement;
mod table;
pub(super) mod values;

use super::{
    charset::Collations,
    internal,
    position::Flavour,
    schema::Schema,
    statement::{Syntax, Tokens},
};
use sluicegate_model::change::TableName;

pub(super) use self::table::Body;
pub(super) use self::{alter::Clause, key::Key};

/// What is known of the session that ran a statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session<'a> {
    /// The default database; empty = none.
    pub database: &'a str,
    /// Whose statement it is.
    pub flavour: Flavour,
    /// The server's collations.
    pub collations: &'a Collations,
    /// The character set that new databases have by default.
    pub server_charset: Option<&'a str>,
    /// REAL is FLOAT (`sql_mode` REAL_AS_FLOAT).
    pub real_as_float: bool,
    /// Whether a TIMESTAMP may be NULL unless it says otherwise; `None` where that is not known.
    pub explicit_timestamps: Option<bool>,
}

/// What a statement says of a character set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Characters {
    /// That of whatever holds it.
    Default,
    /// This one.
    Set(String),
}

/// One thing that a statement does. Statements that do several are several of these, in their order.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Makes a table.
    Create {
        /// Its name.
        table: TableName,
        /// Does nothing when there is one of that name.
        unless_there: bool,
        /// What it is made of.
        body: Body,
    },
    /// Changes a table.
    Alter {
        /// Its name.
        table: TableName,
        /// In their order.
        clauses: Vec<Clause>,
        /// Its new name.
        to: Option<TableName>,
    },
    /// Gives a table another name.
    Rename {
        /// Its name before.
        from: TableName,
        /// Its name now.
        to: TableName,
        /// Does nothing when there is none of that name.
        if_there: bool,
    },
    /// Makes a sequence, which the log takes for a table.
    Sequence(TableName),
    /// Removes a table or a sequence.
    Drop(TableName),
    /// A database has this character set by default from here on.
    Database {
        /// Its name.
        name: String,
        /// `None` where that is not known.
        charset: Option<String>,
        /// Whether it is new, and has no tables.
        empty: bool,
    },
}

impl Step {
    /// The tables whose columns have to be known, or are known then.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        let (one, other) = match self {
            Self::Create { table, body: Body::Like(model), .. } => (Some(table), Some(model)),
            Self::Create { table, .. } | Self::Sequence(table) | Self::Drop(table) => (Some(table), None),
            Self::Alter { table, to, .. } => (Some(table), to.as_ref()),
            Self::Rename { from, to, .. } => (Some(from), Some(to)),
            Self::Database { .. } => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// The database whose default character set it needs.
    pub fn database(&self) -> Option<&str> {
        match self {
            Self::Create { table, body: Body::Columns(definition), .. } if definition.needs_default() => Some(&table.database),
            Self::Alter { table, clauses, .. } if clauses.iter().any(Clause::needs_default) => Some(&table.database),
            _ => None,
        }
    }

    /// Changes every name of a table by `name`.
    pub fn with_names(mut self, name: impl Fn(&TableName) -> TableName) -> Self {
        let change = |table: &mut TableName| *table = name(table);
        match &mut self {
            Self::Create { table, body, .. } => {
                change(table);
                if let Body::Like(model) = body {
                    change(model);
                }
            }
            Self::Alter { table, to, .. } => {
                change(table);
                to.iter_mut().for_each(change);
            }
            Self::Rename { from, to, .. } => {
                change(from);
                change(to);
            }
            Self::Sequence(table) | Self::Drop(table) => change(table),
            Self::Database { name: database, .. } => *database = name(&TableName::new(database.as_str(), "")).database,
        }
        self
    }
}

/// What is known of a table at a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Presence {
    /// Nothing.
    #[default]
    Unknown,
    /// There is none of that name.
    Gone,
    /// Its schema.
    There(Schema),
}

/// Reads what a statement makes of tables and databases; `None` where that is not sure. What makes nothing of them is an empty list.
pub(super) fn read(text: &str, syntax: Syntax, session: &Session<'_>) -> Option<Vec<Step>> {
    statement::read(Tokens::new(text, syntax), session)
}

/// Does one step: `find` gives what is known of a table before it, and `keep` takes what is known then. `charset` is the default of the
/// database that the step asks for.
pub(super) fn apply(
    step: &Step,
    charset: Option<&str>,
    collations: &Collations,
    find: impl Fn(&TableName) -> Presence,
    mut keep: impl FnMut(TableName, Presence),
) {
    let there = |schema: Option<Schema>| schema.map_or(Presence::Unknown, |schema| Presence::There(Schema { applied: true, ..schema }));
    match step {
        Step::Create { table, unless_there, body } => {
            let made = match (find(table), unless_there) {
                (Presence::There(schema), true) => Presence::There(schema),
                (Presence::Unknown, true) => Presence::Unknown,
                _ => match body {
                    Body::Columns(definition) => there(definition.schema(charset, collations)),
                    Body::Like(model) => match find(model) {
                        Presence::There(schema) => there(Some(schema)),
                        _ => Presence::Unknown,
                    },
                },
            };
            keep(table.clone(), made);
        }
        Step::Alter { table, clauses, to } => {
            let altered = match find(table) {
                Presence::There(schema) if clauses.is_empty() => Presence::There(schema),
                Presence::There(schema) => there(altered::alter(schema, clauses, charset, collations)),
                known => known,
            };
            match to {
                Some(to) => move_to(table, to, altered, &mut keep),
                None => keep(table.clone(), altered),
            }
        }
        Step::Rename { from, to, if_there } => match find(from) {
            Presence::Gone => {}
            Presence::Unknown if *if_there => {
                keep(from.clone(), Presence::Unknown);
                keep(to.clone(), Presence::Unknown);
            }
            known => move_to(from, to, known, &mut keep),
        },
        Step::Sequence(table) => keep(table.clone(), Presence::There(internal::sequence())),
        Step::Drop(table) => keep(table.clone(), Presence::Gone),
        Step::Database { .. } => {}
    }
}

fn move_to(from: &TableName, to: &TableName, known: Presence, keep: &mut impl FnMut(TableName, Presence)) {
    // a table that was not there has not moved: another one may have the new name
    if known != Presence::Gone {
        keep(from.clone(), Presence::Gone);
        keep(to.clone(), known);
    }
}

#[cfg(test)]
mod tests;
