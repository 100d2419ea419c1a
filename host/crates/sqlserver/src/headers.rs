//! What Change Tracking says of a change, as columns that are delivered beside the record. Plugins see them as columns, too.

use super::{
    column::{CatalogueColumn, Column},
    value,
};
use sluicegate_config::{ChangeHeaders, SqlServerSource};
use sluicegate_model::{
    change::{self, ColumnInfo, DataType, NativeType, Place},
    json,
};

/// Bytes of a mask in front of the numbers of its columns.
const MASK_HEAD: usize = 4;

/// What one header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Header {
    Version,
    Creation,
    /// 1, 2 or 3.
    Code,
    Columns,
    Context,
    ContextText,
    /// The same for every row.
    Constant(Box<str>),
    /// The texts of StreamSets; the text `NULL` stands for NULL.
    TextCode,
    TextVersion,
    TextCreation,
    Letter,
    Mask,
    TextContext,
    /// Which values are cut.
    Cut,
}

/// The headers of a table's records.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers {
    headers: Vec<(String, Header)>,
    /// The columns by their numbers, those that are not delivered included.
    names: Vec<(i32, String)>,
}

/// What Change Tracking says of a row's change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tracked<'a> {
    pub(super) version: i64,
    pub(super) creation: Option<i64>,
    /// `I`, `U` or `D`, as the server says it.
    pub(super) operation: u8,
    /// What is delivered: insert 1, delete 2, update 3.
    pub(super) code: u8,
    /// Which columns were updated.
    pub(super) mask: Option<&'a [u8]>,
    pub(super) context: Option<&'a [u8]>,
    /// Whether changed columns are tracked.
    pub(super) tracks_columns: bool,
}

impl Headers {
    pub(super) fn new(settings: &SqlServerSource, table: &str, columns: &[Column], catalogue: &[CatalogueColumn]) -> Self {
        use Header::*;
        let kind = settings.headers;
        let named = |name: &str, header: Header| (name.to_owned(), header);
        let mut headers = match kind {
            ChangeHeaders::None => Vec::new(),
            ChangeHeaders::Plain => vec![
                named("change_version", Version),
                named("change_creation_version", Creation),
                named("change_operation", Code),
                named("change_columns", Columns),
                named("change_context", Context),
                named("change_context_text", ContextText),
            ],
            ChangeHeaders::StreamSets => {
                let mut all = vec![
                    named("sdc.operation.type", TextCode),
                    named("jdbc.SYS_CHANGE_VERSION", TextVersion),
                    named("jdbc.SYS_CHANGE_CREATION_VERSION", TextCreation),
                    named("jdbc.SYS_CHANGE_OPERATION", Letter),
                    named("jdbc.SYS_CHANGE_COLUMNS", Mask),
                    named("jdbc.SYS_CHANGE_CONTEXT", TextContext),
                    named("jdbc.tables", Constant(table.into())),
                ];
                for column in columns {
                    let name = &column.name;
                    all.push((format!("jdbc.{name}.jdbcType"), Constant(column.jdbc_type.to_string().into())));
                    if let Some((precision, scale)) = column.digits {
                        all.push((format!("jdbc.{name}.precision"), Constant(precision.to_string().into())));
                        all.push((format!("jdbc.{name}.scale"), Constant(scale.to_string().into())));
                    }
                }
                all
            }
        };
        if kind != ChangeHeaders::None && (settings.text_limit.is_some() || settings.binary_limit.is_some()) {
            headers.push(named("change_truncated", Cut));
        }
        Self { headers, names: catalogue.iter().map(|column| (column.id, column.name.clone())).collect() }
    }

    /// The columns in which they are delivered.
    pub(super) fn columns(&self) -> impl Iterator<Item = ColumnInfo> + '_ {
        self.headers.iter().map(|(name, header)| ColumnInfo {
            name: name.clone(),
            data_type: match header {
                Header::Version | Header::Creation | Header::Code => DataType::Int64,
                Header::Context => DataType::Bytes,
                _ => DataType::Text,
            },
            native_type: NativeType::default(),
            nullable: true,
            primary_key: false,
            place: Place::Header,
        })
    }

    /// Appends those of a change to the columns; of a copied row those that are the same for every row.
    /// `cut`: which values are cut, as a JSON object; or nothing.
    pub(super) fn append(&self, tracked: Option<&Tracked<'_>>, cut: &[u8], columns: &mut [change::Column]) {
        for ((_, header), column) in self.headers.iter().zip(columns) {
            let given = match &mut column.values {
                change::Values::Int64(values) => {
                    let number = tracked.and_then(|tracked| number(header, tracked));
                    values.extend(number);
                    number.is_some()
                }
                change::Values::Text(strings) | change::Values::Bytes(strings) => {
                    let given = self.append_text(header, tracked, cut, &mut strings.data);
                    if given {
                        strings.finish_row();
                    }
                    given
                }
                _ => false,
            };
            if !given {
                column.push_null();
            }
        }
    }

    /// Writes a header's text; whether there is one, and otherwise nothing is written.
    fn append_text(&self, header: &Header, tracked: Option<&Tracked<'_>>, cut: &[u8], out: &mut Vec<u8>) -> bool {
        match (header, tracked) {
            (Header::Constant(constant), _) => out.extend_from_slice(constant.as_bytes()),
            (Header::Cut, _) => {
                out.extend_from_slice(cut);
                return !cut.is_empty();
            }
            (Header::TextCode, None) => out.push(b'1'),
            (Header::TextVersion | Header::TextCreation | Header::Letter | Header::Mask | Header::TextContext, None) => {
                out.extend_from_slice(b"NULL");
            }
            (_, None) => return false,
            (header, Some(tracked)) => return self.text(header, tracked, out),
        }
        true
    }

    /// Writes the text of a change's header; whether there is one.
    fn text(&self, header: &Header, tracked: &Tracked<'_>, out: &mut Vec<u8>) -> bool {
        let or_null = |bytes: Option<&[u8]>, out: &mut Vec<u8>| match bytes {
            Some(bytes) => value::hexadecimal(bytes, out),
            None => out.extend_from_slice(b"NULL"),
        };
        match header {
            Header::Version | Header::Code | Header::Creation | Header::Cut => return false,
            Header::Columns => return self.changed(tracked, out),
            Header::Context => match tracked.context {
                Some(context) => out.extend_from_slice(context),
                None => return false,
            },
            Header::ContextText => match tracked.context.and_then(context_text) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => return false,
            },
            Header::TextCode => out.push(b'0' + tracked.code),
            Header::TextVersion => out.extend_from_slice(tracked.version.to_string().as_bytes()),
            Header::TextCreation => match tracked.creation {
                Some(version) => out.extend_from_slice(version.to_string().as_bytes()),
                None => out.extend_from_slice(b"NULL"),
            },
            Header::Letter => out.push(tracked.operation),
            Header::Mask => or_null(tracked.mask, out),
            Header::TextContext => or_null(tracked.context, out),
            Header::Constant(text) => out.extend_from_slice(text.as_bytes()),
        }
        true
    }

    /// The columns that an update named, as a JSON list; `all` where it named each of them or none is told; nothing where columns are
    /// not tracked, or the row is gone.
    fn changed(&self, tracked: &Tracked<'_>, out: &mut Vec<u8>) -> bool {
        let Some(mask) = tracked.mask else {
            if !tracked.tracks_columns || tracked.operation == b'D' {
                return false;
            }
            out.extend_from_slice(b"all");
            return true;
        };
        out.push(b'[');
        let start = out.len();
        let ids = mask.get(MASK_HEAD..).unwrap_or_default().as_chunks::<4>().0;
        for id in ids {
            // of a column that was dropped there is no name
            if let Some((_, name)) = self.names.iter().find(|(known, _)| *known == i32::from_le_bytes(*id)) {
                if out.len() > start {
                    out.push(b',');
                }
                json::string(name.as_bytes(), out);
            }
        }
        out.push(b']');
        true
    }
}

/// The header of a change that is a number.
fn number(header: &Header, tracked: &Tracked<'_>) -> Option<i64> {
    match header {
        Header::Version => Some(tracked.version),
        Header::Creation => tracked.creation,
        Header::Code => Some(tracked.code.into()),
        _ => None,
    }
}

/// A context as text, if it is some: UTF-8, else UTF-16.
fn context_text(context: &[u8]) -> Option<String> {
    let printable = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    let end = context.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if let Some(text) = context.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).filter(|text| printable(text)) {
        return Some(text.to_owned());
    }
    let (units, []) = context.as_chunks::<2>() else { return None };
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let end = units.iter().rposition(|unit| *unit != 0).map_or(0, |last| last + 1);
    String::from_utf16(units.get(..end)?).ok().filter(|text| printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Vec<CatalogueColumn> {
        let column = |id, name: &str| CatalogueColumn { id, name: name.into(), ..CatalogueColumn::default() };
        vec![column(1, "id"), column(2, "a"), column(3, "b"), column(4, "c")]
    }

    fn changed(tracked: &Tracked<'_>) -> Option<String> {
        let headers = Headers { headers: Vec::new(), names: catalogue().into_iter().map(|column| (column.id, column.name)).collect() };
        let mut out = Vec::new();
        headers.changed(tracked, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn g50_g51_a_mask_names_columns_in_the_order_of_the_set_list() {
        let mask = |ids: &[u8]| [0_u8; 4].into_iter().chain(ids.iter().flat_map(|id| [*id, 0, 0, 0])).collect::<Vec<u8>>();
        fn tracked(mask: &[u8]) -> Tracked<'_> {
            Tracked { operation: b'U', mask: Some(mask), tracks_columns: true, ..Tracked::default() }
        }
        assert_eq!(changed(&tracked(&mask(&[3]))).as_deref(), Some(r#"["b"]"#));
        assert_eq!(changed(&tracked(&mask(&[4, 2]))).as_deref(), Some(r#"["c","a"]"#));
        // the number of a column that was dropped, and half a number at the end
        assert_eq!(changed(&tracked(&mask(&[9, 2])[..])).as_deref(), Some(r#"["a"]"#));
        assert_eq!(changed(&tracked(&mask(&[2, 3])[..10])).as_deref(), Some(r#"["a"]"#));
    }

    #[test]
    fn g58_no_mask_is_all_columns_only_where_columns_are_tracked() {
        let without = |operation, tracks_columns| changed(&Tracked { operation, tracks_columns, ..Tracked::default() });
        assert_eq!(without(b'U', true).as_deref(), Some("all"));
        assert_eq!(without(b'I', true).as_deref(), Some("all"));
        assert_eq!(without(b'D', true), None);
        assert_eq!(without(b'U', false), None);
    }

    #[test]
    fn d16_a_context_is_told_as_text_where_it_is_some() {
        assert_eq!(context_text(b"sync").as_deref(), Some("sync"));
        assert_eq!(context_text(b"sync\0\0\0").as_deref(), Some("sync"));
        assert_eq!(context_text(&[b's', 0, b'y', 0]).as_deref(), Some("sy"));
        assert_eq!(context_text(&[0xff, 0xfe, 0xfd]), None);
        assert_eq!(context_text(b""), None);
    }
}
