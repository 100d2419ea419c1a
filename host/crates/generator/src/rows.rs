//! The shop's tables, and row images of them as they are written, column by column.

use std::sync::Arc;

use super::shop::{Customer, Line, Order, Stage, decimal};
use sluicegate_model::change::{
    Column, ColumnInfo, DataType, Image, NativeType, Nulls, Place, Strings, Table, TableName, TableRows, Values, write_date, write_datetime,
};

/// Their names, by their index.
pub(super) const TABLES: [&str; 3] = ["customers", "orders", "order_lines"];

/// The shop's tables: `customers`, `orders`, `order_lines`.
pub(super) struct Tables(pub(super) [Arc<Table>; 3]);

impl Tables {
    /// The tables in the database of this name.
    pub(super) fn new(database: &str) -> Self {
        use DataType::*;
        use Role::*;
        let table = |name, columns| table(database, name, columns);
        Self([
            table(
                "customers",
                &[
                    ("id", Int64, "bigint", Key),
                    ("name", Text, "varchar(80)", Required),
                    ("email", Text, "varchar(120)", Required),
                    ("country", Text, "char(2)", Required),
                    ("joined", Date, "date", Required),
                    ("rating", Float64, "double", Nullable),
                    ("preferences", Json, "json", Nullable),
                ],
            ),
            table(
                "orders",
                &[
                    ("id", Int64, "bigint", Key),
                    ("customer_id", Int64, "bigint", Required),
                    ("order_no", Text, "varchar(20)", Required),
                    ("email", Text, "varchar(120)", Required),
                    ("status", Text, "enum('placed','paid','shipped','delivered','cancelled')", Required),
                    ("amount", Decimal, "decimal(12,2)", Required),
                    ("created_at", DateTime, "datetime(6)", Required),
                    ("note", Text, "varchar(200)", Nullable),
                ],
            ),
            table(
                "order_lines",
                &[
                    ("order_id", Int64, "bigint", Key),
                    ("line_no", Int64, "int", Key),
                    ("product", Text, "varchar(40)", Required),
                    ("quantity", UInt64, "int unsigned", Required),
                    ("price", Decimal, "decimal(10,2)", Required),
                    ("picked_at", DateTime, "datetime(6)", Nullable),
                ],
            ),
        ])
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Key,
    Required,
    Nullable,
}

fn table(database: &str, name: &str, columns: &[(&str, DataType, &str, Role)]) -> Arc<Table> {
    let columns = columns.iter().map(|&(name, data_type, native, role)| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::parse(native),
        nullable: role == Role::Nullable,
        primary_key: role == Role::Key,
        place: Place::Value,
    });
    Arc::new(Table { name: TableName::new(database, name), destination: None, columns: columns.collect() })
}

/// Bytes of the largest image of each table, generously.
pub(super) const LARGEST_IMAGE: usize = 256;

/// Images of `customers`.
#[derive(Default)]
pub(super) struct Customers {
    images: Vec<u8>,
    id: Vec<i64>,
    name: Strings,
    email: Strings,
    country: Strings,
    joined: Strings,
    rating: Vec<f64>,
    no_rating: Nulls,
    preferences: Strings,
    no_preferences: Nulls,
}

impl Customers {
    /// None yet, with room for as many.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            images: Vec::with_capacity(rows),
            id: Vec::with_capacity(rows),
            name: strings(rows, 16),
            email: strings(rows, 36),
            country: strings(rows, 2),
            joined: strings(rows, 10),
            rating: Vec::with_capacity(rows),
            preferences: strings(rows, 24),
            ..Self::default()
        }
    }

    /// Adds an image. `joined_us` is when the customer joined, `rated` whether the rating has happened.
    pub(super) fn push(&mut self, image: Image, customer: &Customer, joined_us: i64, rated: bool) -> u32 {
        let row = self.images.len();
        self.images.push(image as u8);
        self.id.push(customer.id as i64);
        customer.name(&mut self.name.data);
        self.name.finish_row();
        customer.email(&mut self.email.data);
        self.email.finish_row();
        self.country.push(customer.country().as_bytes());
        write_date(joined_us, &mut self.joined.data);
        self.joined.finish_row();
        let rating = customer.rating(rated);
        self.rating.push(rating.unwrap_or_default());
        if rating.is_none() {
            self.no_rating.set(row);
        }
        optional(customer.preferences(rated), row, &mut self.preferences, &mut self.no_preferences);
        row as u32
    }

    pub(super) fn into_rows(self, table: &Arc<Table>) -> TableRows {
        let columns = vec![
            full(Values::Int64(self.id)),
            full(Values::Text(self.name)),
            full(Values::Text(self.email)),
            full(Values::Text(self.country)),
            full(Values::Text(self.joined)),
            Column::of(Values::Float64(self.rating), self.no_rating),
            Column::of(Values::Text(self.preferences), self.no_preferences),
        ];
        TableRows { table: table.clone(), images: self.images, columns }
    }
}

/// Images of `orders`.
#[derive(Default)]
pub(super) struct Orders {
    images: Vec<u8>,
    id: Vec<i64>,
    customer_id: Vec<i64>,
    order_no: Strings,
    email: Strings,
    status: Strings,
    amount: Strings,
    created_at: Strings,
    note: Strings,
    no_note: Nulls,
}

impl Orders {
    /// None yet, with room for as many.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            images: Vec::with_capacity(rows),
            id: Vec::with_capacity(rows),
            customer_id: Vec::with_capacity(rows),
            order_no: strings(rows, 12),
            email: strings(rows, 36),
            status: strings(rows, 9),
            amount: strings(rows, 7),
            created_at: strings(rows, 26),
            note: strings(rows, 12),
            ..Self::default()
        }
    }

    /// Adds an image of an order placed at `placed_us`.
    pub(super) fn push(&mut self, image: Image, order: &Order, placed_us: i64, stage: Stage) -> u32 {
        let row = self.images.len();
        let customer = order.customer();
        self.images.push(image as u8);
        self.id.push(order.id as i64);
        self.customer_id.push(customer.id as i64);
        order.number(&mut self.order_no.data);
        self.order_no.finish_row();
        customer.email(&mut self.email.data);
        self.email.finish_row();
        self.status.push(stage.text().as_bytes());
        decimal(order.cents(), &mut self.amount.data);
        self.amount.finish_row();
        write_datetime(placed_us, &mut self.created_at.data);
        self.created_at.finish_row();
        optional(order.note(stage), row, &mut self.note, &mut self.no_note);
        row as u32
    }

    pub(super) fn into_rows(self, table: &Arc<Table>) -> TableRows {
        let columns = vec![
            full(Values::Int64(self.id)),
            full(Values::Int64(self.customer_id)),
            full(Values::Text(self.order_no)),
            full(Values::Text(self.email)),
            full(Values::Text(self.status)),
            full(Values::Text(self.amount)),
            full(Values::Text(self.created_at)),
            Column::of(Values::Text(self.note), self.no_note),
        ];
        TableRows { table: table.clone(), images: self.images, columns }
    }
}

/// Images of `order_lines`.
#[derive(Default)]
pub(super) struct OrderLines {
    images: Vec<u8>,
    order_id: Vec<i64>,
    line_no: Vec<i64>,
    product: Strings,
    quantity: Vec<u64>,
    price: Strings,
    picked_at: Strings,
    not_picked: Nulls,
}

impl OrderLines {
    /// None yet, with room for as many.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self {
            images: Vec::with_capacity(rows),
            order_id: Vec::with_capacity(rows),
            line_no: Vec::with_capacity(rows),
            product: strings(rows, 14),
            quantity: Vec::with_capacity(rows),
            price: strings(rows, 6),
            picked_at: strings(rows, 4),
            ..Self::default()
        }
    }

    /// Adds an image; `picked_us` is when it was picked, if it has been.
    pub(super) fn push(&mut self, image: Image, order: &Order, line_no: u64, line: &Line, picked_us: Option<i64>) -> u32 {
        let row = self.images.len();
        self.images.push(image as u8);
        self.order_id.push(order.id as i64);
        self.line_no.push(line_no as i64);
        self.product.push(line.product.as_bytes());
        self.quantity.push(line.quantity);
        decimal(line.cents, &mut self.price.data);
        self.price.finish_row();
        match picked_us {
            Some(time_us) => write_datetime(time_us, &mut self.picked_at.data),
            None => self.not_picked.set(row),
        }
        self.picked_at.finish_row();
        row as u32
    }

    pub(super) fn into_rows(self, table: &Arc<Table>) -> TableRows {
        let columns = vec![
            full(Values::Int64(self.order_id)),
            full(Values::Int64(self.line_no)),
            full(Values::Text(self.product)),
            full(Values::UInt64(self.quantity)),
            full(Values::Text(self.price)),
            Column::of(Values::Text(self.picked_at), self.not_picked),
        ];
        TableRows { table: table.clone(), images: self.images, columns }
    }
}

/// Room for as many texts of about so many bytes.
fn strings(rows: usize, bytes: usize) -> Strings {
    let mut offsets = Vec::with_capacity(rows + 1);
    offsets.push(0);
    Strings { offsets, data: Vec::with_capacity(rows * bytes) }
}

/// A column without nulls.
fn full(values: Values) -> Column {
    Column::of(values, Nulls::default())
}

fn optional(value: Option<&str>, row: usize, strings: &mut Strings, nulls: &mut Nulls) {
    match value {
        Some(text) => strings.push(text.as_bytes()),
        None => {
            nulls.set(row);
            strings.finish_row();
        }
    }
}
