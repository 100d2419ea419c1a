//! The tables met last, with the names that their records got: for each row, a look into a short list.

use std::{collections::HashMap, sync::Arc};

use sluicegate_model::{Error, ErrorKind, Result, change::TableName};

use super::Variant;

/// Tables and names, both bounded: what is forgotten is worked out again.
pub struct RecentNames {
    tables: Vec<Known>,
    by_table: HashMap<TableName, usize>,
    most_tables: usize,
    most_variants: usize,
}

/// A table's names.
struct Known {
    table: TableName,
    /// Where no plugin chose anything.
    plain: Variants,
    /// By what plugins chose, where that is part of the name.
    chosen: HashMap<Box<str>, Variants>,
}

type Variants = Vec<(Variant, Arc<str>)>;

impl RecentNames {
    /// None yet. Of each table and choice, so many variants are kept.
    pub fn new(most_tables: usize, most_variants: usize) -> Self {
        Self { tables: Vec::new(), by_table: HashMap::new(), most_tables, most_variants }
    }

    /// A batch begins: numbers of tables that [`Self::table`] gave are void.
    pub fn begin(&mut self) {
        if self.tables.len() >= self.most_tables {
            self.clear();
        }
    }

    /// The number of a table, until the next [`Self::begin`].
    pub fn table(&mut self, table: &TableName) -> usize {
        if let Some(number) = self.by_table.get(table) {
            return *number;
        }
        self.tables.push(Known { table: table.clone(), plain: Vec::new(), chosen: HashMap::new() });
        self.by_table.insert(table.clone(), self.tables.len() - 1);
        self.tables.len() - 1
    }

    /// The table of a number.
    ///
    /// # Errors
    /// `Internal`: the number is void.
    pub fn name(&self, table: usize) -> Result<&TableName> {
        self.tables.get(table).map(|known| &known.table).ok_or_else(void)
    }

    /// The name that records got before.
    #[inline]
    pub fn find(&self, table: usize, chosen: Option<&str>, variant: Variant) -> Option<&Arc<str>> {
        let known = self.tables.get(table)?;
        let variants = match chosen {
            None => &known.plain,
            Some(chosen) => known.chosen.get(chosen)?,
        };
        variants.iter().find(|(of, _)| *of == variant).map(|(_, name)| name)
    }

    /// Notes the name that records get.
    ///
    /// # Errors
    /// As of [`Self::name`].
    pub fn note(&mut self, table: usize, chosen: Option<&str>, variant: Variant, name: Arc<str>) -> Result<()> {
        let known = self.tables.get_mut(table).ok_or_else(void)?;
        let variants = match chosen {
            None => &mut known.plain,
            Some(chosen) => known.chosen.entry(chosen.into()).or_default(),
        };
        if variants.len() >= self.most_variants {
            variants.remove(0);
        }
        variants.push((variant, name));
        Ok(())
    }

    /// How many tables are kept.
    pub fn tables(&self) -> usize {
        self.tables.len()
    }

    /// How many names of a table are kept, those that plugins chose left out.
    pub fn names(&self, table: usize) -> usize {
        self.tables.get(table).map_or(0, |known| known.plain.len())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.tables.clear();
        self.by_table.clear();
    }
}

fn void() -> Error {
    Error::new(ErrorKind::Internal, "a name for records of a table that the sink does not know")
}
