//! What a plugin does to a table: a builder over the table's columns, from which the host's [`Plan`] is made.

use crate::{
    Column, Context, DataType, Operations, Place, Plan, Table, TableName,
    pattern::{display_name, find_name, nearest},
};

/// One delivered column.
#[derive(Clone, Debug)]
struct Output {
    /// As it is delivered.
    column: Column,
    /// The input column that it is, untouched.
    origin: Option<u32>,
    /// The input column that it stands in for.
    replaces: Option<u32>,
}

impl Output {
    fn is_of(&self, input: u32) -> bool {
        self.origin == Some(input) || self.replaces == Some(input)
    }
}

/// A table, and what becomes of it. Nothing happens to a table on which no method was called that changes something.
///
/// Columns are named as they arrive. Headers that plugins before this one set are columns of the place `header`; methods
/// that take a column's name mean those of the place `value`.
#[derive(Clone, Debug)]
pub struct TablePlan {
    id: u32,
    table: Table,
    name: TableName,
    destination: Option<String>,
    outputs: Vec<Output>,
    reads: Vec<u32>,
    operations: Operations,
    context: Context,
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
    /// Where it is delivered.
    pub place: Place,
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
        let outputs = table
            .columns
            .iter()
            .zip(0u32..)
            .map(|(column, i)| Output { column: column.clone(), origin: Some(i), replaces: None })
            .collect();
        Self {
            id,
            name: table.name.clone(),
            destination: table.destination.clone(),
            table,
            outputs,
            reads: Vec::new(),
            operations: Operations::all(),
            context: Context::empty(),
            filters: false,
            touched: false,
        }
    }

    /// The number under which the host speaks of this table and version of its columns.
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

    /// The input column of that name, in any case if it is the only one.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.find(Place::Value, name).and_then(|index| self.table.columns.get(index as usize))
    }

    /// The index of the column of that name: see [`find_name`].
    fn find(&self, place: Place, name: &str) -> Option<u32> {
        let columns = || self.table.columns.iter().zip(0u32..).filter(|(column, _)| column.place == place);
        find_name(name, columns().map(|(column, _)| column.name.as_str())).and_then(|at| columns().nth(at)).map(|(_, index)| index)
    }

    /// Whether the table has a column of that name.
    pub fn has(&self, name: &str) -> bool {
        self.column(name).is_some()
    }

    /// The index of an input column; an error that names the nearest one when there is no such column.
    pub fn index(&self, name: &str) -> Result<u32, String> {
        self.index_in(Place::Value, name)
    }

    fn index_in(&self, place: Place, name: &str) -> Result<u32, String> {
        if let Some(index) = self.find(place, name) {
            return Ok(index);
        }
        let names = || self.table.columns.iter().filter(|c| c.place == place).map(|c| c.name.as_str());
        let what = if place == Place::Header { "header" } else { "column" };
        Err(match nearest(name, names()) {
            Some(near) => format!("table {} has no {what} `{name}`; did you mean `{near}`?", self.display_name()),
            None => format!(
                "table {} has no {what} `{name}`; it has {}",
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

    /// The same for a header that a plugin before this one set; [`Row`](crate::Row) knows it by its name, too.
    pub fn read_header(&mut self, name: &str) -> Result<usize, String> {
        let index = self.index_in(Place::Header, name)?;
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

    /// Has [`Row::image`](crate::Row::image), [`operation`](crate::Row::operation), [`time`](crate::Row::time) or
    /// [`other`](crate::Row::other) known for every row.
    pub fn ask(&mut self, context: Context) {
        self.context |= context;
    }

    fn output_of(&mut self, name: &str) -> Result<&mut Output, String> {
        let index = self.index(name)?;
        let table = display_name(&self.table.name);
        self.touched = true;
        self.outputs
            .iter_mut()
            .find(|output| output.is_of(index))
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
        self.replace(name, data_type)?;
        self.read(name)
    }

    /// Delivers a computed column in place of one that is not read. It keeps the column's name and its part in the key.
    pub fn replace(&mut self, name: &str, data_type: DataType) -> Result<(), String> {
        let index = self.index(name)?;
        let output = self.output_of(name)?;
        (output.origin, output.replaces) = (None, Some(index));
        if output.column.data_type != data_type {
            (output.column.data_type, output.column.native_type) = (data_type, String::new());
        }
        output.column.nullable = true;
        Ok(())
    }

    /// Adds a computed column after the others.
    pub fn add(&mut self, name: &str, data_type: DataType) {
        self.add_in(Place::Value, name, data_type);
    }

    /// Adds a computed header to the table's records; rows for which it is null have none.
    pub fn add_header(&mut self, name: &str, data_type: DataType) {
        self.add_in(Place::Header, name, data_type);
    }

    fn add_in(&mut self, place: Place, name: &str, data_type: DataType) {
        self.touched = true;
        let column = Column { name: name.to_string(), data_type, native_type: String::new(), nullable: true, primary_key: false, place };
        self.outputs.push(Output { column, origin: None, replaces: None });
    }

    /// Delivers a column as a header of the record as well; its values never enter the plugin.
    pub fn copy_to_header(&mut self, name: &str, header: &str) -> Result<(), String> {
        let index = self.index(name)?;
        if let Some(column) = self.table.columns.get(index as usize) {
            let column = Column { name: header.to_string(), primary_key: false, place: Place::Header, ..column.clone() };
            self.outputs.push(Output { column, origin: Some(index), replaces: None });
        }
        self.touched = true;
        Ok(())
    }

    /// Sends the table's records to this Kafka topic, or folder of the file sink.
    pub fn send_to(&mut self, destination: &str) {
        self.touched = true;
        self.destination = Some(destination.to_string());
    }

    /// Lets each row choose its destination, with [`Row::send_to`](crate::Row::send_to); rows that do not go where the table goes.
    pub fn choose_destinations(&mut self) {
        self.outputs.retain(|output| output.column.place != Place::Destination);
        self.add_in(Place::Destination, "destination", DataType::Text);
    }

    /// Delivers a column under another name. `name` is the input column's.
    pub fn rename(&mut self, name: &str, new: &str) -> Result<(), String> {
        self.output_of(name)?.column.name = new.to_string();
        Ok(())
    }

    /// Makes these columns, and no others, the key of the table's records. The names are those of the input columns.
    pub fn set_key(&mut self, names: &[&str]) -> Result<(), String> {
        for name in names {
            self.output_of(name)?;
        }
        let indices = names.iter().map(|name| self.index(name)).collect::<Result<Vec<_>, _>>()?;
        for output in &mut self.outputs {
            output.column.primary_key = output.column.place == Place::Value && indices.iter().any(|index| output.is_of(*index));
        }
        Ok(())
    }

    /// Does not deliver a column.
    pub fn drop_column(&mut self, name: &str) -> Result<(), String> {
        let index = self.index(name)?;
        self.output_of(name)?;
        self.outputs.retain(|output| output.column.place != Place::Value || !output.is_of(index));
        Ok(())
    }

    /// Does not deliver the table.
    pub fn drop_table(&mut self) {
        self.deliver(Operations::empty());
    }

    /// Delivers the table under another name.
    pub fn rename_table(&mut self, name: TableName) {
        self.touched |= name != self.table.name;
        self.name = name;
    }

    /// Says that rows may be dropped or rejected.
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
        let computed = self.outputs.iter().filter(|output| output.origin.is_none()).map(|output| Computed {
            name: output.column.name.clone(),
            data_type: output.column.data_type,
            place: output.column.place,
            input: output
                .replaces
                .filter(|index| column(index).is_some_and(|c| c.data_type == output.column.data_type))
                .and_then(|index| self.reads.iter().position(|read| *read == index)),
        });
        Layout { reads, computed: computed.collect() }
    }

    /// The plan for the host: `None` when the table stays as it is. Two delivered columns of one name are an error.
    pub fn finish(self) -> Result<Option<Plan>, String> {
        if !self.touched {
            return Ok(None);
        }
        let mut names: Vec<(Place, &str)> = self.outputs.iter().map(|o| (o.column.place, o.column.name.as_str())).collect();
        names.sort_unstable_by_key(|(place, name)| (*place as u8, *name));
        if let Some((_, twice)) = names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first()) {
            return Err(format!("table {} would have two columns `{twice}`; rename or drop one of them", display_name(&self.table.name)));
        }
        let (columns, origins) = self.outputs.into_iter().map(|output| (output.column, output.origin)).unzip();
        Ok(Some(Plan {
            delivers: Table { name: self.name, destination: self.destination, columns },
            origins,
            operations: self.operations,
            reads: self.reads,
            context: self.context,
            filters: self.filters,
        }))
    }
}
