//! What a sink's template makes of a change, and which tables meet in a name.

mod recent;

pub use recent::RecentNames;

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use sluicegate_config::{Field, NameCase, Part, Template};
use sluicegate_model::change::{Operation, TableName, write_date};

const MICROS_OF_HOUR: i64 = 3_600_000_000;

/// What a template takes of a change beside its table and destination: the same for many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// The operation's name; empty where the template leaves it out.
    operation: &'static str,
    /// Hours since 1970, UTC; those of the day's begin where the template leaves the hour out.
    hour: i64,
}

impl Variant {
    /// What the template takes of a change that the source executed at `time_us`.
    pub fn of(template: &Template, operation: Operation, time_us: i64) -> Self {
        Self::named(template, operation.name(), time_us)
    }

    /// The same of a truncate.
    pub fn of_truncate(template: &Template, time_us: i64) -> Self {
        Self::named(template, "truncate", time_us)
    }

    fn named(template: &Template, operation: &'static str, time_us: i64) -> Self {
        let hour = time_us.div_euclid(MICROS_OF_HOUR);
        Self {
            operation: if template.has(Field::Operation) { operation } else { "" },
            hour: match (template.has(Field::Date), template.has(Field::Hour)) {
                (_, true) => hour,
                (true, false) => hour - hour.rem_euclid(24),
                (false, false) => 0,
            },
        }
    }
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The table, as it is delivered.
    pub table: &'a TableName,
    /// What a plugin chose.
    pub chosen: Option<&'a str>,
    /// What else the template takes of the change.
    pub variant: Variant,
}

/// A piece of a filled template.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Text of the template, or that stands between two names.
    Text(&'a str),
    /// A part of the table's name.
    Name(&'a str),
    /// What a plugin chose.
    Chosen(&'a str),
}

impl<'a> Subject<'a> {
    /// Hands the pieces of the filled template to `put`, in order.
    pub fn fill(&self, template: &Template, case: NameCase, mut put: impl FnMut(Piece<'_>)) {
        let cased = |name: &str, put: &mut dyn FnMut(Piece<'_>)| match case {
            NameCase::AsIs => put(Piece::Name(name)),
            NameCase::Lower => put(Piece::Name(&name.to_lowercase())),
            NameCase::Upper => put(Piece::Name(&name.to_uppercase())),
        };
        let schema = self.table.schema.as_deref();
        for part in template.parts() {
            match part {
                Part::Text(text) => put(Piece::Text(text)),
                Part::Field(Field::Database) => cased(&self.table.database, &mut put),
                Part::Field(Field::Schema) => cased(schema.unwrap_or_default(), &mut put),
                Part::Field(Field::Table) => cased(&self.table.table, &mut put),
                Part::Field(Field::Destination) => match self.chosen {
                    Some(chosen) => put(Piece::Chosen(chosen)),
                    None => {
                        for name in [Some(self.table.database.as_str()), schema].into_iter().flatten() {
                            cased(name, &mut put);
                            put(Piece::Text("."));
                        }
                        cased(&self.table.table, &mut put);
                    }
                },
                Part::Field(Field::Operation) => put(Piece::Text(self.variant.operation)),
                Part::Field(Field::Date) => {
                    let mut date = Vec::new();
                    write_date(self.variant.hour.saturating_mul(MICROS_OF_HOUR), &mut date);
                    put(Piece::Text(&String::from_utf8_lossy(&date)));
                }
                Part::Field(Field::Hour) => {
                    let mut hour = String::new();
                    let _ = write!(hour, "{:02}", self.variant.hour.rem_euclid(24));
                    put(Piece::Text(&hour));
                }
            }
        }
    }

    /// What the template takes of the table's name, by itself and in place of what no plugin chose.
    fn taken(&self, template: &Template, unchosen: bool) -> Vec<Option<&'a str>> {
        let table = self.table;
        let (database, schema, name) = (Some(table.database.as_str()), table.schema.as_deref(), Some(table.table.as_str()));
        let mut taken = Vec::new();
        for part in template.parts() {
            match part {
                Part::Field(Field::Database) => taken.push(database),
                Part::Field(Field::Schema) => taken.push(schema),
                Part::Field(Field::Table) => taken.push(name),
                Part::Field(Field::Destination) if unchosen => taken.extend([database, schema, name]),
                Part::Text(_) | Part::Field(Field::Destination | Field::Operation | Field::Date | Field::Hour) => {}
            }
        }
        taken
    }
}

/// A name that a template has given, with the first table that got it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The name.
    pub name: Arc<str>,
    /// The table.
    pub table: TableName,
    /// Whether a plugin had chosen something.
    chosen: bool,
}

/// Whether a table may have a name.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// It may, and no table had it before.
    New,
    /// It may, with those that have it already.
    Shared(&'a Given),
    /// The template leaves out what the table differs in from the one that has it.
    LeftOut(&'a Given),
    /// The template tells the table from the one that has this name, or one that cannot stand beside it.
    Meets(&'a Given),
}

/// Every name that a template has given. None that is in use may be forgotten, or tables could meet in one.
#[derive(Debug)]
pub struct GivenNames {
    template: Template,
    /// Whether tables share a name where the template leaves out what they differ in.
    shared: bool,
    by_key: HashMap<Box<str>, Given>,
}

impl GivenNames {
    /// None yet.
    pub fn new(template: Template, shared: bool) -> Self {
        let shared = shared || template.gathers();
        Self { template, shared, by_key: HashMap::new() }
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_key.len()
    }

    /// Whether a table may have the name; names with the same `key` cannot stand side by side.
    pub fn claim(&self, subject: &Subject<'_>, key: &str, name: &str) -> Claim<'_> {
        let Some(given) = self.by_key.get(key) else { return Claim::New };
        let first = Subject { table: &given.table, ..*subject };
        // what is alike in what plugins chose is so because they want it; not what stands beside it
        let names = [Field::Database, Field::Schema, Field::Table].into_iter().any(|field| self.template.has(field));
        let picked = self.template.has(Field::Destination) && (subject.chosen.is_some() || given.chosen);
        let chosen = picked && !names;
        if *given.name != *name || first.taken(&self.template, !picked) != subject.taken(&self.template, !picked) {
            return Claim::Meets(given);
        }
        if given.table == *subject.table || self.shared || chosen { Claim::Shared(given) } else { Claim::LeftOut(given) }
    }

    /// Forgets the name of a key, which nothing has any more.
    pub fn forget(&mut self, key: &str) {
        self.by_key.remove(key);
    }

    /// Notes that a table has a name.
    pub fn give(&mut self, subject: &Subject<'_>, key: Box<str>, name: Arc<str>) {
        let given = Given { name, table: subject.table.clone(), chosen: subject.chosen.is_some() };
        self.by_key.insert(key, given);
    }
}

impl Given {
    /// The placeholder whose value another table differs in, although the template leaves it out.
    pub fn left_out(&self, template: &Template, other: &TableName) -> Field {
        let differs = |field: &Field| match field {
            Field::Database => self.table.database != other.database,
            Field::Schema => self.table.schema != other.schema,
            _ => self.table.table != other.table,
        };
        let fields = [Field::Database, Field::Schema, Field::Table];
        fields.into_iter().find(|field| differs(field) && !template.has(*field)).unwrap_or(Field::Table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, case: NameCase, table: &TableName, chosen: Option<&str>) -> String {
        let template: Template = template.parse().unwrap();
        // 2026-11-27 03:40 UTC
        let variant = Variant::of(&template, Operation::Update, 1_795_750_800_000_000);
        let mut out = String::new();
        Subject { table, chosen, variant }.fill(&template, case, |piece| match piece {
            Piece::Text(text) | Piece::Name(text) | Piece::Chosen(text) => out.push_str(text),
        });
        out
    }

    #[test]
    fn every_placeholder_stands_for_its_part_of_the_change() {
        let orders = TableName { schema: Some("dbo".into()), ..TableName::new("Shop", "Orders") };
        let all = "{database}-{schema}-{table}-{operation}-{date}-{hour}";
        assert_eq!(filled(all, NameCase::AsIs, &orders, None), "Shop-dbo-Orders-update-2026-11-27-03");
        assert_eq!(filled("x{destination}", NameCase::AsIs, &orders, None), "xShop.dbo.Orders");
        assert_eq!(filled("x{destination}", NameCase::AsIs, &orders, Some("eu")), "xeu");
    }

    #[test]
    fn c29_the_case_of_names_is_changed_and_nothing_else() {
        let orders = TableName::new("Shop", "Überweisung");
        assert_eq!(filled("CDC.{database}.{table}.{operation}", NameCase::Lower, &orders, None), "CDC.shop.überweisung.update");
        assert_eq!(filled("cdc.{database}.{table}.{operation}", NameCase::Upper, &orders, None), "cdc.SHOP.ÜBERWEISUNG.update");
        assert_eq!(filled("{destination}", NameCase::Upper, &orders, Some("eu")), "eu");
    }

    #[test]
    fn rows_of_an_hour_or_day_are_one_variant() {
        let of = |template: &str, operation, minutes: i64| Variant::of(&template.parse().unwrap(), operation, minutes * 60_000_000);
        let (insert, delete) = (Operation::Insert, Operation::Delete);
        assert_eq!(of("{table}", insert, 0), of("{table}", delete, 100_000));
        assert_eq!(of("{date}", insert, 0), of("{date}", delete, 24 * 60 - 1));
        assert_ne!(of("{date}", insert, 0), of("{date}", insert, -1));
        assert_ne!(of("{hour}", insert, 59), of("{hour}", insert, 60));
        assert_ne!(of("{operation}", insert, 0), of("{operation}", delete, 0));
    }
}
