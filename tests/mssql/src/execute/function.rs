//! Functions of values.

use super::{
    compile::common_type,
    evaluate::{Env, Node, Typed},
    function_metadata as metadata,
    scope::Run,
};
use crate::{
    error::{Ends, Result, SqlError},
    sql::ast::Name,
    value::{Datum, Kind, Type, compare, time},
};

/// The arguments' values and types, the result's type.
pub struct Call<'a> {
    /// The values.
    pub values: &'a [Datum],
    /// Their types.
    pub types: &'a [Type],
    /// Of the result.
    pub of: &'a Type,
    /// What the statement runs with.
    pub run: &'a Run<'a>,
}

type Body = fn(&Call<'_>) -> Result<Datum>;

/// A function.
#[derive(Clone, Copy)]
pub struct Function {
    body: Body,
    /// NULL for a NULL among the arguments.
    strict: bool,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Function")
    }
}

impl Function {
    /// The value for a row.
    pub fn call(&self, arguments: &[Typed], of: &Type, env: &Env<'_>, run: &Run<'_>) -> Result<Datum> {
        let values = arguments.iter().map(|a| a.value(env, run)).collect::<Result<Vec<_>>>()?;
        if self.strict && values.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        let types: Vec<Type> = arguments.iter().map(|a| a.of).collect();
        (self.body)(&Call { values: &values, types: &types, of, run })
    }
}

impl Call<'_> {
    /// An argument as text.
    pub fn text(&self, at: usize) -> Option<String> {
        self.values.get(at)?.to_text()
    }

    /// An argument as a whole number.
    pub fn int(&self, at: usize) -> Option<i64> {
        self.values.get(at)?.to_int()
    }
}

fn units(value: Option<&Datum>) -> &[u16] {
    match value {
        Some(Datum::Text(units)) => units,
        _ => &[],
    }
}

fn made(body: Body, strict: bool, arguments: Vec<Typed>, of: impl Into<Type>, nullable: bool) -> Typed {
    Typed { node: Node::Function(Function { body, strict }, arguments), of: of.into(), nullable, untyped: false }
}

/// An error for a wrong number of arguments.
fn counted(name: &str, arguments: &[Typed], least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&arguments.len()) {
        return Ok(());
    }
    let text = if least == most {
        format!("The {} function requires {least} argument(s).", name.to_lowercase())
    } else {
        format!("The {} function requires {least} to {most} arguments.", name.to_lowercase())
    };
    Err(SqlError::new(if least == most { 174 } else { 189 }, text).class(15).ends(Ends::Batch))
}

fn as_text(value: Typed) -> Result<Typed> {
    let of = match value.of.kind {
        kind if kind.is_text() => value.of,
        Kind::Xml | Kind::Json | Kind::Vector(_) => Kind::NVarChar(None).into(),
        _ => Kind::NVarChar(Some(4000)).into(),
    };
    value.assigned(of)
}

fn bounded(of: Type) -> Type {
    let kind = match of.kind {
        Kind::Char(n) => Kind::VarChar(Some(n)),
        Kind::NChar(n) => Kind::NVarChar(Some(n)),
        Kind::Text => Kind::VarChar(None),
        Kind::NText => Kind::NVarChar(None),
        other => other,
    };
    Type { kind, collation: of.collation }
}

/// A call as a compiled expression.
pub fn compile(name: &Name, mut arguments: Vec<Typed>, run: &Run<'_>) -> Result<Typed> {
    let upper = name.last().to_ascii_uppercase();
    if let Some(found) = metadata::compile(&upper, &mut arguments, run)? {
        return Ok(found);
    }
    let count = |least, most| counted(&upper, &arguments, least, most);
    match upper.as_str() {
        "ISNULL" => {
            count(2, 2)?;
            let of = if arguments[0].untyped { arguments[1].of } else { arguments[0].of };
            let nullable = arguments[1].nullable;
            let arguments = arguments.into_iter().map(|a| a.assigned(of)).collect::<Result<_>>()?;
            Ok(made(|c| Ok(if c.values[0].is_null() { c.values[1].clone() } else { c.values[0].clone() }), false, arguments, of, nullable))
        }
        "COALESCE" => {
            count(2, 64)?;
            let of = common_type(arguments.iter());
            let nullable = arguments.iter().all(|a| a.nullable);
            let arguments = arguments.into_iter().map(|a| a.assigned(of)).collect::<Result<_>>()?;
            Ok(made(|c| Ok(c.values.iter().find(|v| !v.is_null()).cloned().unwrap_or(Datum::Null)), false, arguments, of, nullable))
        }
        "NULLIF" => {
            count(2, 2)?;
            let of = arguments[0].of;
            let both = of.unify(arguments[1].of);
            let arguments = arguments.into_iter().map(|a| a.assigned(both)).collect::<Result<Vec<_>>>()?;
            let made = made(
                |c| {
                    let equal =
                        !c.values[0].is_null() && !c.values[1].is_null() && compare::order(&c.values[0], &c.values[1], &c.types[0]).is_eq();
                    Ok(if equal { Datum::Null } else { c.values[0].clone() })
                },
                false,
                arguments,
                both,
                true,
            );
            made.assigned(of)
        }
        "LEN" => {
            count(1, 1)?;
            let argument = as_text(arguments.remove(0))?;
            let nullable = argument.nullable;
            let length: Body = |c| {
                let units = units(c.values.first());
                let end = units.iter().rposition(|u| *u != 0x20).map_or(0, |at| at + 1);
                let pairs = if c.types[0].collation.counts_pairs() {
                    units[..end].iter().filter(|u| (0xDC00..0xE000).contains(*u)).count()
                } else {
                    0
                };
                Ok(Datum::Int(i64::try_from(end - pairs).unwrap_or(i64::MAX)))
            };
            Ok(made(length, true, vec![argument], Kind::Int, nullable))
        }
        "DATALENGTH" => {
            count(1, 1)?;
            let large = matches!(arguments[0].of.kind, Kind::VarChar(None) | Kind::NVarChar(None) | Kind::VarBinary(None));
            Ok(made(data_length, true, arguments, if large { Kind::BigInt } else { Kind::Int }, true))
        }
        "SUBSTRING" => {
            count(3, 3)?;
            substring(arguments)
        }
        "UNICODE" => {
            count(1, 1)?;
            let argument = as_text(arguments.remove(0))?;
            let body: Body = |c| {
                let units = units(c.values.first());
                let pair = c.types[0].collation.counts_pairs().then(|| char::decode_utf16(units.iter().copied()).next()).flatten();
                let first = match pair {
                    Some(Ok(character)) => Some(i64::from(u32::from(character))),
                    _ => units.first().map(|unit| i64::from(*unit)),
                };
                Ok(first.map_or(Datum::Null, Datum::Int))
            };
            Ok(made(body, true, vec![argument], Kind::Int, true))
        }
        "LEFT" | "RIGHT" => {
            count(2, 2)?;
            let length = arguments.pop().ok_or_else(|| SqlError::unsupported("no length"))?.assigned(Kind::Int.into())?;
            let text = as_text(arguments.remove(0))?;
            let (of, nullable) = (bounded(text.of), text.nullable);
            let left: Body = |c| cut(c, |all, n| (0, n.min(all)));
            let right: Body = |c| cut(c, |all, n| (all.saturating_sub(n), all));
            Ok(made(if upper == "LEFT" { left } else { right }, true, vec![text, length], of, nullable))
        }
        "UPPER" | "LOWER" | "LTRIM" | "RTRIM" | "TRIM" => {
            count(1, 1)?;
            let text = as_text(arguments.remove(0))?;
            let (of, nullable) = (bounded(text.of), text.nullable);
            let body: Body = match upper.as_str() {
                "UPPER" => |c| Ok(c.text(0).map_or(Datum::Null, |t| Datum::text(&t.to_uppercase()))),
                "LOWER" => |c| Ok(c.text(0).map_or(Datum::Null, |t| Datum::text(&t.to_lowercase()))),
                "LTRIM" => |c| Ok(c.text(0).map_or(Datum::Null, |t| Datum::text(t.trim_start_matches(' ')))),
                "RTRIM" => |c| Ok(c.text(0).map_or(Datum::Null, |t| Datum::text(t.trim_end_matches(' ')))),
                _ => |c| Ok(c.text(0).map_or(Datum::Null, |t| Datum::text(t.trim_matches(' ')))),
            };
            Ok(made(body, true, vec![text], of, nullable))
        }
        "REPLICATE" => {
            count(2, 2)?;
            let times = arguments.pop().ok_or_else(|| SqlError::unsupported("no number"))?.assigned(Kind::Int.into())?;
            let text = as_text(arguments.remove(0))?;
            let of = match text.of.kind {
                Kind::VarChar(None) | Kind::NVarChar(None) => text.of,
                kind => Type {
                    kind: if kind.is_wide() { Kind::NVarChar(Some(4000)) } else { Kind::VarChar(Some(8000)) },
                    collation: text.of.collation,
                },
            };
            let body: Body = |c| {
                let times = c.int(1).and_then(|n| usize::try_from(n).ok());
                let Some(times) = times else { return Ok(Datum::Null) };
                let most = match c.of.kind {
                    Kind::NVarChar(Some(n)) | Kind::VarChar(Some(n)) => usize::from(n),
                    _ => 64 << 20,
                };
                let one = units(c.values.first());
                if one.len().saturating_mul(times) > 64 << 20 {
                    return Err(SqlError::unsupported("a text so long"));
                }
                Ok(Datum::Text(one.iter().copied().cycle().take(one.len() * times).take(most).collect()))
            };
            Ok(made(body, true, vec![text, times], of, true))
        }
        "CONCAT" => {
            count(2, 254)?;
            let wide = arguments.iter().any(|a| a.of.kind.is_wide());
            let large = arguments.iter().any(|a| a.of.kind.is_large());
            let kind = match (wide, large) {
                (true, true) => Kind::NVarChar(None),
                (true, false) => Kind::NVarChar(Some(4000)),
                (false, true) => Kind::VarChar(None),
                (false, false) => Kind::VarChar(Some(8000)),
            };
            let arguments = arguments.into_iter().map(|a| a.assigned(kind.into())).collect::<Result<_>>()?;
            let body: Body = |c| Ok(Datum::Text(c.values.iter().flat_map(|v| units(Some(v)).iter().copied()).collect()));
            Ok(made(body, false, arguments, kind, false))
        }
        "REPLACE" => {
            count(3, 3)?;
            let of = bounded(arguments[0].of);
            let arguments = arguments.into_iter().map(as_text).collect::<Result<_>>()?;
            let body: Body =
                |c| Ok(c.text(0).zip(c.text(1)).zip(c.text(2)).map_or(Datum::Null, |((t, a), b)| Datum::text(&t.replace(&a, &b))));
            Ok(made(body, true, arguments, of, true))
        }
        "CHARINDEX" => {
            count(2, 2)?;
            let arguments = arguments.into_iter().map(as_text).collect::<Result<_>>()?;
            let body: Body = |c| {
                let (Some(a), Some(b)) = (c.text(0), c.text(1)) else { return Ok(Datum::Null) };
                let (a, b) = (a.to_lowercase(), b.to_lowercase());
                let at = b.find(&a).map_or(0, |at| b[..at].encode_utf16().count() + 1);
                Ok(Datum::Int(i64::try_from(at).unwrap_or(0)))
            };
            Ok(made(body, true, arguments, Kind::Int, true))
        }
        "QUOTENAME" => {
            count(1, 1)?;
            let arguments = arguments.into_iter().map(as_text).collect::<Result<_>>()?;
            let body: Body = |c| Ok(c.text(0).map_or(Datum::Null, |t| Datum::text(&format!("[{}]", t.replace(']', "]]")))));
            Ok(made(body, true, arguments, Kind::NVarChar(Some(258)), true))
        }
        "ABS" => {
            count(1, 1)?;
            let (of, nullable) = (arguments[0].of, arguments[0].nullable);
            let body: Body = |c| {
                Ok(match &c.values[0] {
                    Datum::Int(n) => Datum::Int(n.saturating_abs()),
                    Datum::Decimal(digits, scale) => Datum::Decimal(digits.abs(), *scale),
                    Datum::Float(f) => Datum::Float(f.abs()),
                    Datum::Money(n) => Datum::Money(n.saturating_abs()),
                    _ => return Err(SqlError::unsupported(format_args!("ABS of {}", c.types[0]))),
                })
            };
            Ok(made(body, true, arguments, of, nullable))
        }
        "GETDATE" | "GETUTCDATE" | "SYSDATETIME" | "SYSUTCDATETIME" => {
            count(0, 0)?;
            let kind = if upper.starts_with("GET") { Kind::DateTime } else { Kind::DateTime2(7) };
            Ok(Typed::constant(time::make(time::now(), kind)?, kind))
        }
        "IIF" | "CHOOSE" => Err(SqlError::unsupported(format_args!("{upper}; use CASE"))),
        _ if name.parts.len() > 1 => {
            let text = format!(
                "Cannot find either column \"{}\" or the user-defined function or aggregate \"{name}\", or the name is ambiguous.",
                name.parts[0]
            );
            Err(SqlError::new(4121, text).ends(Ends::Batch))
        }
        _ => Err(SqlError::unsupported(format_args!("the function {upper}"))),
    }
}

fn cut(c: &Call<'_>, range: fn(usize, usize) -> (usize, usize)) -> Result<Datum> {
    let units = units(c.values.first());
    let length = c
        .int(1)
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| SqlError::new(536, "Invalid length parameter passed to the LEFT or RIGHT function.").state(5))?;
    let (from, to) = range(units.len(), length);
    Ok(Datum::Text(units[from..to].into()))
}

fn data_length(c: &Call<'_>) -> Result<Datum> {
    let of = &c.types[0];
    let length = match &c.values[0] {
        Datum::Text(units) if of.kind.is_wide() => units.len() * 2,
        Datum::Text(units) => crate::value::text::encode(units, of.collation.code_page)?.len(),
        Datum::Bytes(bytes) => bytes.len(),
        Datum::Variant(inner) => {
            let types = [inner.0];
            let values = [inner.1.clone()];
            return data_length(&Call { values: &values, types: &types, of: c.of, run: c.run });
        }
        _ => usize::try_from(of.kind.sizes().0).unwrap_or(0),
    };
    Ok(Datum::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn substring(mut arguments: Vec<Typed>) -> Result<Typed> {
    let length = arguments.pop().ok_or_else(|| SqlError::unsupported("no length"))?.assigned(Kind::BigInt.into())?;
    let start = arguments.pop().ok_or_else(|| SqlError::unsupported("no start"))?.assigned(Kind::BigInt.into())?;
    let value = arguments.remove(0);
    let value = if value.of.kind.is_binary() { value } else { as_text(value)? };
    let (of, nullable) = match value.of.kind {
        Kind::Binary(n) => (Kind::VarBinary(Some(n)).into(), value.nullable),
        Kind::Image => (Kind::VarBinary(None).into(), value.nullable),
        Kind::RowVersion => (Kind::VarBinary(Some(8)).into(), value.nullable),
        _ => (bounded(value.of), value.nullable),
    };
    let body: Body = |c| {
        let (Some(start), Some(length)) = (c.int(1), c.int(2)) else { return Ok(Datum::Null) };
        if length < 0 {
            return Err(SqlError::new(537, "Invalid length parameter passed to the LEFT or SUBSTRING function.").state(3));
        }
        let all = match &c.values[0] {
            Datum::Text(units) => units.len(),
            Datum::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        let from = usize::try_from(start - 1).unwrap_or(0).min(all);
        let to = usize::try_from((start - 1).saturating_add(length)).unwrap_or(0).clamp(from, all.max(from)).min(all);
        Ok(match &c.values[0] {
            Datum::Text(units) => Datum::Text(units[from..to].into()),
            Datum::Bytes(bytes) => Datum::Bytes(bytes[from..to].into()),
            _ => Datum::Null,
        })
    };
    Ok(made(body, true, vec![value, start, length], of, nullable))
}

/// A function of metadata, for `function_metadata`.
pub fn plain(body: Body, strict: bool, arguments: Vec<Typed>, of: impl Into<Type>, nullable: bool) -> Typed {
    made(body, strict, arguments, of, nullable)
}

/// Checks a number of arguments, for `function_metadata`.
pub fn takes(name: &str, arguments: &[Typed], least: usize, most: usize) -> Result<()> {
    counted(name, arguments, least, most)
}

/// `@@NAME`
pub fn global(name: &str, run: &Run<'_>) -> Result<Typed> {
    let int = |n: i64| Ok(Typed::constant(Datum::Int(n), Kind::Int));
    let text = |text: &str| Ok(Typed::constant(Datum::text(text), Kind::NVarChar(Some(300))));
    match name.to_ascii_uppercase().as_str() {
        "@@TRANCOUNT" => int(run.globals.transactions),
        "@@ROWCOUNT" => int(run.globals.row_count),
        "@@ERROR" => int(run.globals.error),
        "@@SPID" => Ok(Typed::constant(Datum::Int(run.globals.session), Kind::SmallInt)),
        "@@VERSION" => text("Sluicegate Change Tracking simulator (a stand-in, not Microsoft SQL Server)"),
        "@@SERVERNAME" => text("SIMULATOR"),
        "@@LANGUAGE" => text("us_english"),
        "@@MICROSOFTVERSION" => int(0x1100_0FE1),
        "@@MAX_PRECISION" => Ok(Typed::constant(Datum::Int(38), Kind::TinyInt)),
        "@@DBTS" => {
            let last = run.server.last_row_version();
            Ok(Typed::constant(Datum::bytes(&last.to_be_bytes()), Kind::VarBinary(Some(8))))
        }
        _ => Err(SqlError::unsupported(format_args!("the variable {name}"))),
    }
}
