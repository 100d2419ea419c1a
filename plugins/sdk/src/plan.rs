//! What a plugin does to a table: a builder over the table's columns, from which the host's [`Plan`] is made.

use crate::{Column, DataType, Operations, Origin, OutputColumn, Plan, Table, TableName, pattern::nearest};

/// `database.table`, with a schema `database.schema.table`.
pub fn display_name(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{schema}.{}", name.database, name.table),
        None => format!("{}.{}", name.database, name.table),
    }
}

/// What stands at one place of the delivered columns.
#[derive(Clone, Debug)]
enum Output {
    Input(u32),
    Computed { data_type: DataType, input: Option<u32> },
}

/// A table, and what becomes of it. Nothing happens to a table on which no method was called that changes something.
#[derive(Clone, Debug)]
pub struct TablePlan {
    id: u32,
    table: Table,
    name: TableName,
    outputs: Vec<(String, Output)>,
    reads: Vec<u32>,
    operations: Operations,
    filters: bool,
    touched: bool,
}

/// One computed column of a planned table.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// Its delivered name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Where the column that it replaces stands among the columns read, if it replaces one of the same type.
    pub input: Option<usize>,
}

/// What [`Batch`](crate::Batch) needs to know of a planned table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Names and types of the columns read, in the order of [`Rows::columns`](crate::Rows::columns).
    pub reads: Vec<(String, DataType)>,
    /// The computed columns, in the order of [`Outcome::computed`](crate::Outcome::computed).
    pub computed: Vec<Computed>,
}

impl TablePlan {
    /// A plan that leaves `table` as it is.
    pub fn new(id: u32, table: Table) -> Self {
        let outputs = table.columns.iter().zip(0u32..).map(|(c, i)| (c.name.clone(), Output::Input(i))).collect();
        let name = table.name.clone();
        Self { id, table, name, outputs, reads: Vec::new(), operations: Operations::all(), filters: false, touched: false }
    }

    /// The number under which the host speaks of this table and schema version.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The table as it arrives.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The table's name as it arrives, `database.table`.
    pub fn display_name(&self) -> String {
        display_name(&self.table.name)
    }

    /// The input column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.table.columns.iter().find(|c| c.name == name)
    }

    /// Whether the table has a column of that name.
    pub fn has(&self, name: &str) -> bool {
        self.column(name).is_some()
    }

    /// The index of an input column; an error that names the nearest one when there is no such column.
    pub fn index(&self, name: &str) -> Result<u32, String> {
        let names = || self.table.columns.iter().map(|c| c.name.as_str());
        if let Some((_, index)) = names().zip(0u32..).find(|(n, _)| *n == name) {
            return Ok(index);
        }
        Err(match nearest(name, names()) {
            Some(near) => format!("table {} has no column `{name}`; did you mean `{near}`?", self.display_name()),
            None => format!(
                "table {} has no column `{name}`; it has {}",
                self.display_name(),
                names().take(20).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
            ),
        })
    }

    /// Has the column handed to the plugin with every batch. Returns its place in [`Rows::columns`](crate::Rows::columns).
    pub fn read(&mut self, name: &str) -> Result<usize, String> {
        let index = self.index(name)?;
        Ok(self.read_index(index))
    }

    fn read_index(&mut self, index: u32) -> usize {
        match self.reads.iter().position(|read| *read == index) {
            Some(place) => place,
            None => {
                self.reads.push(index);
                self.reads.len() - 1
            }
        }
    }

    fn output_of(&mut self, name: &str) -> Result<&mut (String, Output), String> {
        let index = self.index(name)?;
        let table = display_name(&self.table.name);
        self.touched = true;
        self.outputs
            .iter_mut()
            .find(|(_, output)| matches!(output, Output::Input(i) | Output::Computed { input: Some(i), .. } if *i == index))
            .ok_or_else(|| format!("column `{name}` of table {table} was dropped before"))
    }

    /// Reads a column and delivers a computed one of the same type in its place.
    pub fn rewrite(&mut self, name: &str) -> Result<usize, String> {
        let index = self.index(name)?;
        let data_type = self.table.columns.get(index as usize).map_or(DataType::Text, |c| c.data_type);
        self.rewrite_as(name, data_type)
    }

    /// Reads a column and delivers a computed one of `data_type` in its place. Returns the place of the column read.
    pub fn rewrite_as(&mut self, name: &str, data_type: DataType) -> Result<usize, String> {
        let index = self.index(name)?;
        self.output_of(name)?.1 = Output::Computed { data_type, input: Some(index) };
        Ok(self.read_index(index))
    }

    /// Delivers a computed column in place of one that is not read.
    pub fn replace(&mut self, name: &str, data_type: DataType) -> Result<(), String> {
        self.output_of(name)?.1 = Output::Computed { data_type, input: None };
        Ok(())
    }

    /// Adds a computed column after the others.
    pub fn add(&mut self, name: &str, data_type: DataType) {
        self.touched = true;
        self.outputs.push((name.to_string(), Output::Computed { data_type, input: None }));
    }

    /// Delivers a column under another name. `name` is the input column's.
    pub fn rename(&mut self, name: &str, new: &str) -> Result<(), String> {
        self.output_of(name)?.0 = new.to_string();
        Ok(())
    }

    /// Does not deliver a column.
    pub fn drop_column(&mut self, name: &str) -> Result<(), String> {
        let index = self.index(name)?;
        self.output_of(name)?;
        self.outputs.retain(|(_, o)| !matches!(o, Output::Input(i) | Output::Computed { input: Some(i), .. } if *i == index));
        Ok(())
    }

    /// Delivers the table under another name.
    pub fn rename_table(&mut self, name: TableName) {
        self.touched |= name != self.table.name;
        self.name = name;
    }

    /// Says that rows may be dropped.
    pub fn filter_rows(&mut self) {
        self.filters = true;
        self.touched = true;
    }

    /// Operations that are delivered as planned so far.
    pub fn operations(&self) -> Operations {
        self.operations
    }

    /// Delivers only these operations; none of them drops the table.
    pub fn deliver(&mut self, operations: Operations) {
        self.touched |= operations != self.operations;
        self.operations = operations;
    }

    /// What [`Batch`](crate::Batch) needs to know.
    pub fn layout(&self) -> Layout {
        let column = |index: &u32| self.table.columns.get(*index as usize);
        let reads = self.reads.iter().filter_map(column).map(|c| (c.name.clone(), c.data_type)).collect();
        let computed = self.outputs.iter().filter_map(|(name, output)| match output {
            Output::Input(_) => None,
            Output::Computed { data_type, input } => Some(Computed {
                name: name.clone(),
                data_type: *data_type,
                input: input
                    .filter(|index| column(index).is_some_and(|c| c.data_type == *data_type))
                    .and_then(|index| self.reads.iter().position(|read| *read == index)),
            }),
        });
        Layout { reads, computed: computed.collect() }
    }

    /// The plan for the host: `None` when the table stays as it is. Two delivered columns of one name are an error.
    pub fn finish(self) -> Result<Option<Plan>, String> {
        if !self.touched {
            return Ok(None);
        }
        let mut names: Vec<&str> = self.outputs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first()) {
            return Err(format!("table {} would have two columns `{twice}`; rename or drop one of them", display_name(&self.table.name)));
        }
        let columns = self.outputs.into_iter().map(|(name, output)| OutputColumn {
            name,
            origin: match output {
                Output::Input(index) => Origin::Input(index),
                Output::Computed { data_type, .. } => Origin::Computed(data_type),
            },
        });
        Ok(Some(Plan {
            name: self.name,
            columns: columns.collect(),
            operations: self.operations,
            reads: self.reads,
            filters: self.filters,
        }))
    }
}
