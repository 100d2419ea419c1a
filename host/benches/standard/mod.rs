//! The plugins that whole runs are measured with.

/// The three standard plugins at work on `shop.orders`: two columns filtered on, one masked, the table renamed.
pub const PLUGINS: &str = r#"
plugins:
  - use: filter
    config: { tables: [ { table: shop.orders, where: "status <> 'cancelled' AND amount >= 10" } ] }
  - use: map-names
    config: { tables: [ { from: shop.orders, to: sales.orders } ] }
  - use: rewrite-columns
    config: { tables: [ { table: sales.orders, columns: [ { column: email, mask: { first: 1, last: 4 } } ] } ] }
"#;
