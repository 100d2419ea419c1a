//! Functions of Change Tracking and of metadata.

use super::{
    evaluate::Typed,
    function::{Call, plain, takes},
    scope::Run,
};
use crate::{
    engine::{Table, table::same},
    error::{Ends, Result, SqlError},
    sql::ast::Name,
    value::{Datum, Kind, Type},
};

fn wrong_type(of: &Typed, argument: usize, function: &str) -> SqlError {
    let kind = if of.untyped { "NULL" } else { of.of.kind.name() };
    let text = format!("Argument data type {kind} is invalid for argument {argument} of {function} function.");
    SqlError::new(8116, text).ends(Ends::Batch)
}

/// The name in a text, of up to four parts in brackets or quotes.
fn parts(text: &str) -> Option<Name> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let close = match rest.chars().next()? {
            '[' => Some(']'),
            '"' => Some('"'),
            _ => None,
        };
        let mut part = String::new();
        if let Some(close) = close {
            rest = &rest[1..];
            loop {
                let at = rest.find(close)?;
                part.push_str(&rest[..at]);
                rest = &rest[at + 1..];
                match rest.strip_prefix(close) {
                    Some(after) => {
                        part.push(close);
                        rest = after;
                    }
                    None => break,
                }
            }
        } else {
            let at = rest.find('.').unwrap_or(rest.len());
            part.push_str(&rest[..at]);
            rest = &rest[at..];
        }
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Some(Name { parts }),
            None => return None,
        }
    }
}

fn table_named(text: &str, run: &Run<'_>) -> Option<(i64, std::sync::Arc<Table>)> {
    let found = run.find(&parts(text)?).ok().flatten()?;
    run.sees(found.0, &found.1).then_some(found)
}

fn table_of(id: Option<i64>, run: &Run<'_>) -> Option<std::sync::Arc<Table>> {
    let table = run.catalog.table_by_id(run.database, id?)?;
    run.sees(run.database, &table).then_some(table)
}

fn text_or_null(text: Option<&str>) -> Datum {
    text.map_or(Datum::Null, Datum::text)
}

/// A call of one of these functions; none when the name is another's.
pub fn compile(upper: &str, arguments: &mut Vec<Typed>, run: &Run<'_>) -> Result<Option<Typed>> {
    let name = Type::from(Kind::NVarChar(Some(128)));
    let text = |arguments: &mut Vec<Typed>, at: usize| -> Result<()> {
        let argument = arguments.remove(at);
        arguments.insert(at, argument.assigned(Kind::NVarChar(Some(4000)).into())?);
        Ok(())
    };
    Ok(Some(match upper {
        "CHANGE_TRACKING_CURRENT_VERSION" => {
            takes(upper, arguments, 0, 0)?;
            run.touched.set(true);
            secondary(upper, run)?;
            plain(current_version, false, Vec::new(), Kind::BigInt, true)
        }
        "CHANGE_TRACKING_MIN_VALID_VERSION" => {
            takes(upper, arguments, 1, 1)?;
            if arguments[0].untyped || !matches!(arguments[0].of.kind, Kind::Int | Kind::SmallInt) {
                return Err(wrong_type(&arguments[0], 1, "change_tracking_min_valid_version"));
            }
            run.touched.set(true);
            secondary(upper, run)?;
            plain(min_valid_version, true, std::mem::take(arguments), Kind::BigInt, true)
        }
        "CHANGE_TRACKING_IS_COLUMN_IN_MASK" => {
            takes(upper, arguments, 2, 2)?;
            if arguments[0].untyped || !matches!(arguments[0].of.kind, Kind::Int | Kind::SmallInt | Kind::TinyInt) {
                return Err(wrong_type(&arguments[0], 1, "change_tracking_is_column_in_mask"));
            }
            if arguments[1].of.kind.is_text() {
                let of = arguments[1].of.kind.name();
                let text = format!(
                    "Implicit conversion from data type {of} to varbinary(max) is not allowed. Use the CONVERT function to run this query."
                );
                return Err(SqlError::new(257, text).state(3).ends(Ends::Batch));
            }
            let mask = arguments.remove(1).assigned(Kind::VarBinary(None).into())?;
            arguments.push(mask);
            plain(is_column_in_mask, false, std::mem::take(arguments), Kind::Bit, true)
        }
        "OBJECT_ID" => {
            takes(upper, arguments, 1, 2)?;
            text(arguments, 0)?;
            if arguments.len() == 2 {
                text(arguments, 1)?;
            }
            let body = |c: &Call<'_>| {
                if c.text(1).is_some_and(|t| !same(t.trim(), "U")) {
                    return Ok(Datum::Null);
                }
                Ok(c.text(0).and_then(|t| table_named(&t, c.run)).map(|(_, table)| table.definition.object_id).into())
            };
            plain(body, true, std::mem::take(arguments), Kind::Int, true)
        }
        "OBJECT_NAME" | "OBJECT_SCHEMA_NAME" => {
            takes(upper, arguments, 1, 1)?;
            let table: fn(&Call<'_>) -> Result<Datum> =
                |c| Ok(text_or_null(table_of(c.int(0), c.run).map(|t| t.definition.name.clone()).as_deref()));
            let schema: fn(&Call<'_>) -> Result<Datum> =
                |c| Ok(text_or_null(table_of(c.int(0), c.run).map(|t| t.definition.schema.clone()).as_deref()));
            plain(if upper == "OBJECT_NAME" { table } else { schema }, true, std::mem::take(arguments), name, true)
        }
        "COLUMNPROPERTY" => {
            takes(upper, arguments, 3, 3)?;
            text(arguments, 1)?;
            text(arguments, 2)?;
            plain(column_property, true, std::mem::take(arguments), Kind::Int, true)
        }
        "COL_NAME" => {
            takes(upper, arguments, 2, 2)?;
            let body = |c: &Call<'_>| {
                let table = table_of(c.int(0), c.run);
                let column = table.as_ref().and_then(|t| t.definition.columns.iter().find(|column| Some(i64::from(column.id)) == c.int(1)));
                Ok(text_or_null(column.map(|column| column.name.as_str())))
            };
            plain(body, true, std::mem::take(arguments), name, true)
        }
        "OBJECTPROPERTY" | "OBJECTPROPERTYEX" => {
            takes(upper, arguments, 2, 2)?;
            text(arguments, 1)?;
            let body = |c: &Call<'_>| {
                let table = table_of(c.int(0), c.run);
                match c.text(1).unwrap_or_default().to_ascii_lowercase().as_str() {
                    // no property of a real server, either (G94)
                    "tablehaschangetracking" => Ok(Datum::Null),
                    "isusertable" | "istable" => Ok(table.map(|_| 1).into()),
                    "tablehasprimarykey" => Ok(table.map(|t| i64::from(!t.definition.key.is_empty())).into()),
                    "tablehasidentity" => Ok(table.map(|t| i64::from(t.definition.columns.iter().any(|c| c.identity.is_some()))).into()),
                    other => Err(SqlError::unsupported(format_args!("the property {other} of an object"))),
                }
            };
            plain(body, true, std::mem::take(arguments), Kind::Int, true)
        }
        "SCHEMA_ID" => {
            takes(upper, arguments, 0, 1)?;
            if arguments.is_empty() {
                return Ok(Some(Typed::constant(Datum::Int(1), Kind::Int)));
            }
            text(arguments, 0)?;
            let body = |c: &Call<'_>| Ok(c.text(0).and_then(|t| c.run.here().ok()?.schema(&t)).into());
            plain(body, true, std::mem::take(arguments), Kind::Int, true)
        }
        "SCHEMA_NAME" => {
            takes(upper, arguments, 0, 1)?;
            if arguments.is_empty() {
                return Ok(Some(Typed::constant(Datum::text("dbo"), name)));
            }
            let body = |c: &Call<'_>| {
                let found = c.run.here()?.schemas.get(&c.int(0).unwrap_or(0));
                Ok(text_or_null(found.map(String::as_str)))
            };
            plain(body, true, std::mem::take(arguments), name, true)
        }
        "TYPE_NAME" => {
            takes(upper, arguments, 1, 1)?;
            let body = |c: &Call<'_>| {
                let types = super::catalog_views::types();
                Ok(types.rows.iter().find(|row| row.get(2).and_then(Datum::to_int) == c.int(0)).map_or(Datum::Null, |row| row[0].clone()))
            };
            plain(body, true, std::mem::take(arguments), name, true)
        }
        "DB_ID" => {
            takes(upper, arguments, 0, 1)?;
            if arguments.is_empty() {
                return Ok(Some(Typed::constant(Datum::Int(run.database), Kind::SmallInt)));
            }
            text(arguments, 0)?;
            let body = |c: &Call<'_>| Ok(c.text(0).and_then(|t| c.run.now.database(&t).map(|d| d.id)).into());
            plain(body, true, std::mem::take(arguments), Kind::SmallInt, true)
        }
        "DB_NAME" => {
            takes(upper, arguments, 0, 1)?;
            if arguments.is_empty() {
                return Ok(Some(Typed::constant(Datum::text(&run.here()?.name), name)));
            }
            let body = |c: &Call<'_>| Ok(text_or_null(c.int(0).and_then(|id| c.run.now.databases.get(&id)).map(|d| d.name.as_str())));
            plain(body, true, std::mem::take(arguments), name, true)
        }
        "DATABASEPROPERTYEX" => {
            takes(upper, arguments, 2, 2)?;
            text(arguments, 0)?;
            text(arguments, 1)?;
            plain(database_property, true, std::mem::take(arguments), Kind::Variant, true)
        }
        "SERVERPROPERTY" => {
            takes(upper, arguments, 1, 1)?;
            text(arguments, 0)?;
            plain(server_property, true, std::mem::take(arguments), Kind::Variant, true)
        }
        "SQL_VARIANT_PROPERTY" => {
            takes(upper, arguments, 2, 2)?;
            text(arguments, 1)?;
            plain(variant_property, true, std::mem::take(arguments), Kind::Variant, true)
        }
        "HAS_PERMS_BY_NAME" => {
            takes(upper, arguments, 3, 5)?;
            for at in 0..arguments.len() {
                text(arguments, at)?;
            }
            plain(has_permission, false, std::mem::take(arguments), Kind::Int, true)
        }
        "SUSER_SNAME" | "SUSER_NAME" | "ORIGINAL_LOGIN" | "SYSTEM_USER" => {
            takes(upper, arguments, 0, 0)?;
            Typed::constant(Datum::text(&run.login.name), name)
        }
        "USER_NAME" => {
            takes(upper, arguments, 0, 0)?;
            Typed::constant(Datum::text(if run.login.administrator { "dbo" } else { &run.login.name }), name)
        }
        "IS_SRVROLEMEMBER" => {
            takes(upper, arguments, 1, 1)?;
            Typed::constant(Datum::Int(i64::from(run.login.administrator)), Kind::Int)
        }
        "XACT_STATE" => {
            takes(upper, arguments, 0, 0)?;
            Typed::constant(Datum::Int(run.globals.state), Kind::SmallInt)
        }
        "IDENT_CURRENT" | "SCOPE_IDENTITY" => return Err(SqlError::unsupported(upper)),
        _ => return Ok(None),
    }))
}

fn secondary(function: &str, run: &Run<'_>) -> Result<()> {
    if run.here()?.secondary {
        let text = format!("The {function} function is not supported on a secondary replica.");
        return Err(SqlError::new(22117, text).ends(Ends::Batch));
    }
    Ok(())
}

fn current_version(c: &Call<'_>) -> Result<Datum> {
    let database = c.run.view.database(c.run.database)?;
    let tracked = c.run.here()?.tracking.is_some();
    Ok(tracked.then_some(database.version).into())
}

/// NULL where nothing is tracked, where nothing is, and where a permission is missing (G74).
fn min_valid_version(c: &Call<'_>) -> Result<Datum> {
    let Some(id) = c.int(0) else { return Ok(Datum::Null) };
    let Some(table) = c.run.view.table_by_id(c.run.database, id) else { return Ok(Datum::Null) };
    if !c.run.permitted(c.run.database, &table, "VIEW CHANGE TRACKING") {
        return Ok(Datum::Null);
    }
    Ok(table.tracking.as_ref().map(|t| t.min_valid).into())
}

fn is_column_in_mask(c: &Call<'_>) -> Result<Datum> {
    let Some(id) = c.int(0) else { return Ok(Datum::Null) };
    let Datum::Bytes(mask) = &c.values[1] else { return Ok(Datum::Bit(true)) };
    if mask.len() < 8 {
        let text = "The value supplied for the change_columns argument of CHANGE_TRACKING_IS_COLUMN_IN_MASK function is not valid. The value must be a bitmask returned by the CHANGETABLE(CHANGES ...) function.";
        return Err(SqlError::new(22101, text));
    }
    // the first four bytes do not count, nor does a part of an id at the end (G57)
    let ids = mask[4..].chunks_exact(4).map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    Ok(Datum::Bit(ids.into_iter().any(|found| found == id)))
}

fn column_property(c: &Call<'_>) -> Result<Datum> {
    let Some(table) = table_of(c.int(0), c.run) else { return Ok(Datum::Null) };
    let Some(at) = c.text(1).and_then(|name| table.definition.column(&name)) else { return Ok(Datum::Null) };
    let column = &table.definition.columns[at];
    let (_, precision, scale) = column.of.kind.sizes();
    let found = match c.text(2).unwrap_or_default().to_ascii_lowercase().as_str() {
        "columnid" => i64::from(column.id),
        "allowsnull" => i64::from(column.nullable),
        "isidentity" => i64::from(column.identity.is_some()),
        "iscomputed" => i64::from(column.computed.is_some()),
        "precision" => precision,
        "scale" => scale,
        other => return Err(SqlError::unsupported(format_args!("the property {other} of a column"))),
    };
    Ok(Datum::Int(found))
}

fn variant(value: Datum, kind: Kind) -> Datum {
    Datum::Variant(std::sync::Arc::new((kind.into(), value)))
}

fn variant_text(text: &str) -> Datum {
    variant(Datum::text(text), Kind::NVarChar(Some(128)))
}

fn database_property(c: &Call<'_>) -> Result<Datum> {
    let Some(database) = c.text(0).and_then(|name| c.run.now.database(&name).cloned()) else { return Ok(Datum::Null) };
    Ok(match c.text(1).unwrap_or_default().to_ascii_lowercase().as_str() {
        "ischangetrackingenabled" => variant(Datum::Int(i64::from(database.tracking.is_some())), Kind::TinyInt),
        "updateability" => variant_text(if database.read_only || database.secondary { "READ_ONLY" } else { "READ_WRITE" }),
        "status" => variant_text("ONLINE"),
        "collation" => variant_text(&database.collation.name),
        "useraccess" => variant_text("MULTI_USER"),
        "recovery" => variant_text("FULL"),
        other => return Err(SqlError::unsupported(format_args!("the property {other} of a database"))),
    })
}

fn server_property(c: &Call<'_>) -> Result<Datum> {
    let version = c.run.server.product_version();
    let major = version.split('.').next().unwrap_or("17").to_owned();
    Ok(match c.text(0).unwrap_or_default().to_ascii_lowercase().as_str() {
        "productversion" => variant_text(&version),
        "productmajorversion" => variant_text(&major),
        "productlevel" => variant_text("RTM"),
        "edition" => variant_text("Developer Edition (64-bit)"),
        "engineedition" => variant(Datum::Int(3), Kind::Int),
        "servername" | "machinename" => variant_text("SIMULATOR"),
        "collation" => variant_text("SQL_Latin1_General_CP1_CI_AS"),
        "ishadrenabled" => variant(Datum::Int(0), Kind::Int),
        "isintegratedsecurityonly" => variant(Datum::Int(0), Kind::Int),
        "instancename" => Datum::Null,
        other => return Err(SqlError::unsupported(format_args!("the property {other} of the server"))),
    })
}

fn variant_property(c: &Call<'_>) -> Result<Datum> {
    let (of, _) = match &c.values[0] {
        Datum::Variant(inner) => (inner.0, ()),
        _ => (c.types[0], ()),
    };
    let (length, precision, scale) = of.kind.sizes();
    Ok(match c.text(1).unwrap_or_default().to_ascii_lowercase().as_str() {
        "basetype" => variant_text(of.kind.name()),
        "precision" => variant(Datum::Int(precision), Kind::Int),
        "scale" => variant(Datum::Int(scale), Kind::Int),
        "maxlength" => variant(Datum::Int(length), Kind::Int),
        "collation" if of.kind.is_text() => variant_text(&of.collation.name),
        "collation" => Datum::Null,
        other => return Err(SqlError::unsupported(format_args!("the property {other} of a variant"))),
    })
}

fn has_permission(c: &Call<'_>) -> Result<Datum> {
    let (name, class) = (c.text(0), c.text(1));
    let Some(permission) = c.text(2).map(|p| p.to_ascii_uppercase()) else { return Ok(Datum::Null) };
    let run = c.run;
    match class.as_deref().map(str::to_ascii_uppercase).as_deref() {
        Some("OBJECT") => {
            let Some((database, table)) = name.and_then(|n| table_named(&n, run)) else { return Ok(Datum::Null) };
            let has = match (c.text(3), c.text(4).map(|class| class.to_ascii_uppercase()).as_deref()) {
                (None, None) => run.permitted(database, &table, &permission),
                (Some(column), Some("COLUMN")) if table.definition.column(&column).is_some() => {
                    run.permitted_column(database, &table, &permission, &column)
                }
                _ => return Ok(Datum::Null),
            };
            Ok(Datum::Int(i64::from(has)))
        }
        Some("DATABASE") => {
            let database = match name {
                Some(name) => run.now.database(&name).cloned(),
                None => run.now.databases.get(&run.database).cloned(),
            };
            let Some(database) = database else { return Ok(Datum::Null) };
            Ok(Datum::Int(i64::from(run.login.administrator || database.may(&run.login.name, &permission, 0))))
        }
        None if name.is_none() => Ok(Datum::Int(i64::from(run.login.administrator))),
        other => Err(SqlError::unsupported(format_args!("HAS_PERMS_BY_NAME of the class {other:?}"))),
    }
}
