//! What `ALTER TABLE` makes of a schema. Servers go over the table's columns first, in their order, and leave out what is dropped and
//! exchange what is changed, in its old place; then the columns that are added or moved take their places, in the order of the statement.

use super::{
    super::{
        charset::Collations,
        schema::{CatalogueColumn, ROW_END, Schema},
    },
    Characters, Key,
    alter::{Clause, Seat},
    data_type, key,
};

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A change of an old column.
struct Change<'a> {
    column: Option<&'a super::column::Column>,
    name: &'a str,
}

/// The schema behind the clauses; `None` where that is not sure. `database` is the default character set of the table's database.
pub(super) fn alter(before: Schema, clauses: &[Clause], database: Option<&str>, collations: &Collations) -> Option<Schema> {
    let Schema { columns: old, charset: old_charset, keys: mut known_keys, primary, .. } = before;
    let resolve = |said: &Characters| match said {
        Characters::Default => database.map(str::to_owned),
        Characters::Set(set) => (set == "binary" || collations.has(set)).then(|| set.clone()),
    };
    let (mut charset, mut converted) = (old_charset, None);
    for clause in clauses {
        match clause {
            Clause::Default(said) => charset = Some(resolve(said)?),
            Clause::Convert(said) => {
                let set = resolve(said)?;
                (charset, converted) = (Some(set.clone()), Some(set));
            }
            Clause::Unversioned if old.iter().any(|column| column.key == ROW_END) => return None,
            _ => {}
        }
    }
    let there = |name: &str| old.iter().any(|column| same(&column.name, name));
    let mut dropped: Vec<&str> = Vec::new();
    let mut changes: Vec<(&str, Change<'_>)> = Vec::new();
    for clause in clauses {
        let (old, change) = match clause {
            Clause::DropColumn { name, if_there } => {
                if !there(name) && *if_there {
                    continue;
                }
                there(name).then_some(())?;
                dropped.push(name);
                continue;
            }
            Clause::Change { old, column, if_there, .. } => {
                if !there(old) && *if_there {
                    continue;
                }
                (old, Change { column: Some(column), name: &column.name })
            }
            Clause::RenameColumn { from, to, if_there } => {
                if !there(from) && *if_there {
                    continue;
                }
                (from, Change { column: None, name: to })
            }
            _ => continue,
        };
        // twice, or one that is dropped, too
        if !there(old) || changes.iter().any(|(name, _)| same(name, old)) || dropped.iter().any(|name| same(name, old)) {
            return None;
        }
        changes.push((old, change));
    }
    if changes.iter().any(|(old, _)| dropped.iter().any(|name| same(name, old))) {
        return None;
    }
    let mut columns: Vec<CatalogueColumn> = Vec::new();
    for column in &old {
        if dropped.iter().any(|name| same(name, &column.name)) {
            continue;
        }
        let Some((_, change)) = changes.iter().find(|(name, _)| same(name, &column.name)) else {
            columns.push(convert(column.clone(), converted.as_deref())?);
            continue;
        };
        let mut new = match change.column {
            // MySQL makes a type of it that follows from the old one
            Some(definition) if converted.is_some() && definition.is_text() => return None,
            Some(definition) => definition.in_table(charset.as_deref(), converted.as_deref())?,
            None => convert(CatalogueColumn { name: change.name.to_owned(), ..column.clone() }, converted.as_deref())?,
        };
        if key::is_marked(column) {
            new.key.clone_from(&column.key);
        }
        columns.push(new);
    }
    for clause in clauses {
        let (column, seat) = match clause {
            Clause::Add { column, seat, unless_there } => {
                if *unless_there && there(&column.name) {
                    // and dropped by another clause: servers differ
                    if dropped.iter().any(|name| same(name, &column.name)) {
                        return None;
                    }
                    continue;
                }
                (column.in_table(charset.as_deref(), converted.as_deref())?, seat.as_ref())
            }
            Clause::Change { old, column, seat: Some(seat), .. } if there(old) => {
                let at = columns.iter().position(|other| same(&other.name, &column.name))?;
                (columns.remove(at), Some(seat))
            }
            _ => continue,
        };
        if columns.iter().any(|other| same(&other.name, &column.name)) {
            return None;
        }
        let at = match seat {
            None => columns.len(),
            Some(Seat::First) => 0,
            Some(Seat::After(name)) => columns.iter().position(|other| same(&other.name, name))? + 1,
        };
        columns.insert(at, column);
    }
    if columns.is_empty() {
        return None;
    }
    for clause in clauses {
        if let Clause::NeverNull(names) = clause {
            for name in names {
                columns.iter_mut().find(|column| same(&column.name, name))?.nullable = Some(false);
            }
        }
    }
    let foreign = clauses.iter().any(|clause| matches!(clause, Clause::UnknownKey));
    let renames: Vec<(&str, &str)> = changes.iter().map(|(old, change)| (*old, change.name)).collect();
    match &mut known_keys {
        Some(keys) => {
            change_keys(keys, clauses, &dropped, &renames)?;
            for primary in keys.iter().filter(|key| key.is_primary()) {
                key::set(&mut columns, &primary.columns, true)?;
            }
            key::mark(&mut columns, keys)?;
            if foreign && !keys.iter().any(Key::is_primary) {
                known_keys = None;
            }
        }
        None if primary => change_primary(&old, &mut columns, clauses, &dropped)?,
        None => change_marks(&old, &mut columns, clauses, &dropped)?,
    }
    let primary = primary || clauses.iter().any(|clause| matches!(clause, Clause::AddKey(key) if key.is_primary()));
    Some(Schema { charset, keys: known_keys, primary, ..Schema::of(columns) })
}

fn convert(column: CatalogueColumn, charset: Option<&str>) -> Option<CatalogueColumn> {
    match charset {
        Some(charset) => data_type::convert(column, charset),
        None => Some(column),
    }
}

/// All keys are known.
fn change_keys(keys: &mut Vec<Key>, clauses: &[Clause], dropped: &[&str], renames: &[(&str, &str)]) -> Option<()> {
    for key in &mut *keys {
        let had = !key.columns.is_empty();
        for column in &mut key.columns {
            // by the old names: two columns may exchange theirs
            if let Some((_, to)) = renames.iter().find(|(from, _)| same(from, column)) {
                (*to).clone_into(column);
            } else if dropped.iter().any(|name| same(name, column)) {
                column.clear();
            }
        }
        key.columns.retain(|column| !column.is_empty());
        if had && key.columns.is_empty() {
            key.name.clear();
        }
    }
    keys.retain(|key| !key.name.is_empty());
    for clause in clauses {
        match clause {
            Clause::DropPrimary => {
                keys.iter().any(Key::is_primary).then_some(())?;
                keys.retain(|key| !key.is_primary());
            }
            Clause::DropKey(name) => keys.retain(|key| !key.is_named(name)),
            Clause::RenameKey { from, to } => {
                keys.iter_mut().filter(|key| key.is_named(from)).for_each(|key| key.name.clone_from(to));
            }
            _ => {}
        }
    }
    clauses.iter().try_for_each(|clause| match clause {
        Clause::AddKey(key) => key::append(keys, key.clone()),
        _ => Some(()),
    })
}

/// Only the primary key is known: its columns hold no NULL, whatever is said of them, and other keys change nothing of it.
fn change_primary(old: &[CatalogueColumn], columns: &mut [CatalogueColumn], clauses: &[Clause], dropped: &[&str]) -> Option<()> {
    let drops = |clause: &Clause| match clause {
        Clause::DropPrimary => true,
        Clause::DropKey(name) => Key::primary(Vec::new()).is_named(name),
        _ => false,
    };
    let loses = old.iter().any(|column| key::is_marked(column) && dropped.iter().any(|name| same(name, &column.name)));
    if loses || clauses.iter().any(drops) {
        // of another key that may stand in for it, nothing is known
        return change_marks(old, columns, clauses, dropped);
    }
    columns.iter_mut().filter(|column| key::is_marked(column)).for_each(|column| column.nullable = Some(false));
    Some(())
}

/// Only the marks of the catalogue are known: whether they are of a primary key, or of another one that stands in for it, is not.
fn change_marks(old: &[CatalogueColumn], columns: &mut [CatalogueColumn], clauses: &[Clause], dropped: &[&str]) -> Option<()> {
    let primary = clauses.iter().find_map(|clause| match clause {
        Clause::AddKey(key) if key.is_primary() => Some(key),
        _ => None,
    });
    if let Some(primary) = primary {
        columns.iter_mut().filter(|column| key::is_marked(column)).for_each(|column| column.key.clear());
        return key::set(columns, &primary.columns, true);
    }
    let marked: Vec<&CatalogueColumn> = old.iter().filter(|column| key::is_marked(column)).collect();
    let is_dropped = |column: &&&CatalogueColumn| dropped.iter().any(|name| same(name, &column.name));
    let loses = marked.iter().any(|column| is_dropped(&column));
    let nullable = columns.iter().any(|column| key::is_marked(column) && column.nullable != Some(false));
    let keys_change = clauses.iter().any(|clause| matches!(clause, Clause::DropPrimary | Clause::DropKey(_)));
    // without a key, a column that is not NULL any more may make one of a unique one
    let may_gain = marked.is_empty()
        && clauses.iter().any(|clause| match clause {
            Clause::AddKey(key) => key.whole,
            Clause::Change { .. } => true,
            _ => false,
        });
    (!loses && !nullable && !keys_change && !may_gain).then_some(())
}
