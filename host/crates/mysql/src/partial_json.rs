//! Updates that log only the changed parts of JSON documents (`binlog_row_value_options = PARTIAL_JSON`): the after image is rebuilt
//! from the before image, so that the rest of the program sees an ordinary update.
//!
//! Layout: `Partial_update_rows_log_event` in `log_event.h`, `json_diff.cc` and `json_binary.h` of the MySQL server. Each after image
//! begins with its options and, with partial values, one bit for each JSON column; a partial value is a list of diffs.

use std::borrow::Cow;

use super::{
    cursor::{Cursor, Fault},
    decoder::Decoder,
    json::{self, Scalar},
};

/// Values that are keyed by text are ordered by length, then by bytes.
fn by_key(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    (a.len(), a).cmp(&(b.len(), b))
}

const BROKEN: Fault = Fault::Invalid("a partial update that does not fit the document before it");

/// A document that can be changed.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    Object(Vec<(Cow<'a, [u8]>, Node<'a>)>),
    Array(Vec<Node<'a>>),
    Scalar(Scalar<'a>),
}

/// The body of an update event whose images are whole, from that of a partial one. A rebuilt value of more than `most` bytes is
/// refused.
pub fn expand(decoders: &[Decoder], body: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    let mut rows = Cursor(body);
    rows.take(8)?;
    let extra = usize::from(rows.u16()?).checked_sub(2).ok_or(Fault::Truncated)?;
    rows.take(extra)?;
    let columns = usize::try_from(rows.lenenc()?).map_err(|_| Fault::Truncated)?;
    if columns != decoders.len() {
        return Err(Fault::Invalid("rows with another number of columns than their table"));
    }
    let bitmaps = rows.take(columns.div_ceil(8) * 2)?;
    if bitmaps.chunks(columns.div_ceil(8).max(1)).any(|bitmap| (0..columns).any(|i| bitmap[i >> 3] >> (i & 7) & 1 == 0)) {
        return Err(Fault::Invalid("a partial update of rows that do not hold every column (binlog_row_image is not FULL)"));
    }
    let mut whole = body[..body.len() - rows.len()].to_vec();
    while !rows.is_empty() {
        let before = rows;
        let documents = documents(decoders, &mut rows)?;
        whole.extend_from_slice(&before.0[..before.len() - rows.len()]);
        after_image(decoders, &documents, &mut rows, most, &mut whole)?;
    }
    Ok(whole)
}

/// The JSON values of an image, and `rows` behind it.
fn documents<'a>(decoders: &[Decoder], rows: &mut Cursor<'a>) -> Result<Vec<Option<&'a [u8]>>, Fault> {
    let nulls = rows.take(decoders.len().div_ceil(8))?;
    let mut documents = Vec::new();
    for (i, decoder) in decoders.iter().enumerate() {
        let null = nulls[i >> 3] >> (i & 7) & 1 == 1;
        let start = rows.0;
        if !null {
            decoder.skip(rows)?;
        }
        if let Decoder::Json { prefix } = decoder {
            documents.push(if null { None } else { start.get(usize::from(*prefix)..start.len() - rows.len()) });
        }
    }
    Ok(documents)
}

fn after_image(
    decoders: &[Decoder],
    documents: &[Option<&[u8]>],
    rows: &mut Cursor<'_>,
    most: usize,
    whole: &mut Vec<u8>,
) -> Result<(), Fault> {
    let partial = match rows.lenenc()? {
        0 => &[],
        1 => rows.take(documents.len().div_ceil(8))?,
        _ => return Err(Fault::Invalid("unknown options of a partial update")),
    };
    let nulls = rows.take(decoders.len().div_ceil(8))?;
    whole.extend_from_slice(nulls);
    let mut document = 0;
    for (i, decoder) in decoders.iter().enumerate() {
        let is_json = matches!(decoder, Decoder::Json { .. });
        if nulls[i >> 3] >> (i & 7) & 1 == 0 {
            if is_json && partial.get(document >> 3).is_some_and(|bits| bits >> (document & 7) & 1 == 1) {
                let length = rows.u32()? as usize;
                let diffs = rows.take(length)?;
                let before = documents.get(document).copied().flatten().ok_or(BROKEN)?;
                let rebuilt = if diffs.is_empty() { Cow::Borrowed(before) } else { Cow::Owned(rebuild(before, diffs)?) };
                if rebuilt.len() > most {
                    return Err(Fault::Invalid("a rebuilt JSON document of more than limits.row_bytes"));
                }
                let length = u32::try_from(rebuilt.len()).map_err(|_| Fault::Invalid("a JSON document of more than 4 GiB"))?;
                whole.extend_from_slice(&length.to_le_bytes());
                whole.extend_from_slice(&rebuilt);
            } else {
                let start = rows.0;
                decoder.skip(rows)?;
                whole.extend_from_slice(&start[..start.len() - rows.len()]);
            }
        }
        document += usize::from(is_json);
    }
    Ok(())
}

/// The binary document that comes of `before` with the changes of `diffs`.
fn rebuild(before: &[u8], diffs: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut root = json::parse(before)?;
    let mut diffs = Cursor(diffs);
    while !diffs.is_empty() {
        let operation = diffs.u8()?;
        let path = std::str::from_utf8(diffs.lenenc_bytes()?).map_err(|_| BROKEN)?;
        let value = match operation {
            REPLACE | INSERT => Some(json::parse(diffs.lenenc_bytes()?)?),
            REMOVE => None,
            _ => return Err(BROKEN),
        };
        let mut legs = legs(path)?;
        let last = legs.pop().ok_or(BROKEN)?;
        apply(seek(&mut root, &legs)?, last, operation, value)?;
    }
    let mut document = Vec::new();
    let (kind, bytes) = encode(&root)?;
    document.push(kind);
    document.extend_from_slice(&bytes);
    Ok(document)
}

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leg {
    Member(String),
    Cell(Cell),
}

/// Which of an array's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// From the beginning.
    At(usize),
    /// So many before the last one.
    Last(usize),
}

impl Cell {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some(behind) = text.strip_prefix("last") else { return text.parse().ok().map(Self::At) };
        match behind.trim_start().strip_prefix('-') {
            Some(number) => number.trim().parse().ok().map(Self::Last),
            None => behind.trim().is_empty().then_some(Self::Last(0)),
        }
    }

    /// Its place in an array of so many cells, if it is there.
    fn of(self, cells: usize) -> Option<usize> {
        match self {
            Self::At(at) => Some(at).filter(|at| *at < cells),
            Self::Last(before) => cells.checked_sub(1)?.checked_sub(before),
        }
    }

    /// Where a new cell goes: what is beyond either end stands there.
    fn to_insert(self, cells: usize) -> usize {
        match self {
            Self::At(at) => at.min(cells),
            Self::Last(before) => cells.saturating_sub(1).saturating_sub(before),
        }
    }
}

/// The steps of a path such as `$.a[3]."b c"`.
fn legs(path: &str) -> Result<Vec<Leg>, Fault> {
    let mut rest = path.trim_start().strip_prefix('$').ok_or(BROKEN)?;
    let mut legs = Vec::new();
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            let (number, tail) = rest[1..].split_once(']').ok_or(BROKEN)?;
            legs.push(Leg::Cell(Cell::read(number).ok_or(BROKEN)?));
            rest = tail;
        } else if let Some(quoted) = rest.strip_prefix(".\"") {
            let end = closing_quote(quoted).ok_or(BROKEN)?;
            let name = rest.get(1..end + 3).ok_or(BROKEN)?;
            legs.push(Leg::Member(serde_json::from_str(name).map_err(|_| BROKEN)?));
            rest = &rest[end + 3..];
        } else if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            legs.push(Leg::Member(name[..end].to_owned()));
            rest = &name[end..];
        } else {
            return Err(BROKEN);
        }
    }
    Ok(legs)
}

/// Where the quote is that ends a quoted name.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn member(members: &[(Cow<'_, [u8]>, Node<'_>)], name: &str) -> Result<usize, usize> {
    members.binary_search_by(|(key, _)| by_key(key, name.as_bytes()))
}

fn seek<'n, 'a>(root: &'n mut Node<'a>, legs: &[Leg]) -> Result<&'n mut Node<'a>, Fault> {
    let mut node = root;
    for leg in legs {
        node = match (node, leg) {
            (Node::Array(cells), Leg::Cell(cell)) => cell.of(cells.len()).and_then(|at| cells.get_mut(at)),
            (Node::Object(members), Leg::Member(name)) => {
                let at = member(members, name).map_err(|_| BROKEN)?;
                members.get_mut(at).map(|(_, value)| value)
            }
            _ => None,
        }
        .ok_or(BROKEN)?;
    }
    Ok(node)
}

fn apply<'a>(parent: &mut Node<'a>, leg: Leg, operation: u8, value: Option<Node<'a>>) -> Result<(), Fault> {
    match (parent, leg, value) {
        (Node::Object(members), Leg::Member(name), value) => match (member(members, &name), value) {
            (Ok(at), Some(value)) if operation == REPLACE => members.get_mut(at).ok_or(BROKEN)?.1 = value,
            (Err(at), Some(value)) if operation == INSERT => members.insert(at, (Cow::Owned(name.into_bytes()), value)),
            (Ok(at), None) => drop(members.remove(at)),
            _ => return Err(BROKEN),
        },
        (Node::Array(cells), Leg::Cell(cell), Some(value)) if operation == INSERT => cells.insert(cell.to_insert(cells.len()), value),
        (Node::Array(cells), Leg::Cell(cell), Some(value)) => {
            *cell.of(cells.len()).and_then(|at| cells.get_mut(at)).ok_or(BROKEN)? = value;
        }
        (Node::Array(cells), Leg::Cell(cell), None) => drop(cells.remove(cell.of(cells.len()).ok_or(BROKEN)?)),
        _ => return Err(BROKEN),
    }
    Ok(())
}

/// The kind of a value and its bytes, as the server stores them in large documents.
fn encode(node: &Node<'_>) -> Result<(u8, Vec<u8>), Fault> {
    let values = match node {
        Node::Scalar(scalar) => return Ok((scalar.kind, scalar.data.to_vec())),
        Node::Object(members) => members.iter().map(|(_, value)| encode(value)).collect::<Result<Vec<_>, _>>()?,
        Node::Array(cells) => cells.iter().map(encode).collect::<Result<Vec<_>, _>>()?,
    };
    let keys: Vec<&[u8]> = if let Node::Object(members) = node { members.iter().map(|(key, _)| &**key).collect() } else { Vec::new() };
    let too_large = |_| Fault::Invalid("a JSON document of more than 4 GiB");
    let number = |value: usize| u32::try_from(value).map(u32::to_le_bytes).map_err(too_large);
    let mut next = 8 + 6 * keys.len() + 5 * values.len();
    let mut head = number(values.len())?.to_vec();
    // the size, known at the end
    head.extend_from_slice(&[0; 4]);
    let mut heap: Vec<u8> = Vec::new();
    for key in &keys {
        head.extend_from_slice(&number(next)?);
        head.extend_from_slice(&u16::try_from(key.len()).map_err(too_large)?.to_le_bytes());
        heap.extend_from_slice(key);
        next += key.len();
    }
    for (kind, bytes) in &values {
        head.push(*kind);
        if json::is_inline(*kind, 4) {
            let mut entry = [0; 4];
            entry.get_mut(..bytes.len()).ok_or(BROKEN)?.copy_from_slice(bytes);
            head.extend_from_slice(&entry);
        } else {
            head.extend_from_slice(&number(next)?);
            heap.extend_from_slice(bytes);
            next += bytes.len();
        }
    }
    head[4..8].copy_from_slice(&number(next)?);
    head.extend_from_slice(&heap);
    Ok((if matches!(node, Node::Array(_)) { json::LARGE_ARRAY } else { json::LARGE_OBJECT }, head))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn text(document: &[u8]) -> String {
        let mut out = Vec::new();
        json::write(document, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// `{"a": [1, 2, {"b": "xxx…"}], "d": 1.5, "long": "yyy…"}` as MySQL 9.7 logged it.
    const BEFORE: &str = "000300ad00190001001a0001001b000400021f000b61000c690061646c6f6e6703004200050100050200000d00010035000b0001000c0c00622878787878787878787878787878787878787878787878787878787878787878787878787878787878000000000000f83f4379797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979";

    #[test]
    fn the_servers_own_diffs_give_the_servers_own_document() {
        // UPDATE … SET j = JSON_SET(j, '$.a[2].b', 'ZZ', '$.d', 2.5), as MySQL 9.7 logged it
        let diffs = bytes("0008242e615b325d2e62040c025a5a0003242e64070ff60402018205");
        let rebuilt = rebuild(&bytes(BEFORE), &diffs).unwrap();
        assert!(text(&rebuilt).starts_with(r#"{"a": [1, 2, {"b": "ZZ"}], "d": 2.5, "long": "yyy"#));
        let removed = rebuild(&rebuilt, &bytes("0206242e615b315d")).unwrap();
        assert!(text(&removed).starts_with(r#"{"a": [1, {"b": "ZZ"}], "d": 2.5, "#));
        let inserted = rebuild(&removed, &bytes("010b242e226e6577206b6579220b0f0a080000000000bab219")).unwrap();
        assert!(text(&inserted).ends_with(r#", "new key": "2024-02-29"}"#));
    }

    #[test]
    fn paths_have_members_cells_and_quoted_names() {
        let expected = [Leg::Member("a".into()), Leg::Cell(Cell::At(3)), Leg::Member("b \"]. c".into()), Leg::Member("ü".into())];
        assert_eq!(legs(r#"$.a[3]."b \"]. c".ü"#).unwrap(), expected);
        let expected = [Leg::Cell(Cell::Last(0)), Leg::Cell(Cell::Last(2)), Leg::Cell(Cell::At(1))];
        assert_eq!(legs("$[last][ last - 2 ][ 1 ]").unwrap(), expected);
        assert!(legs("$[last+1]").is_err());
        assert!(legs("$[lastly]").is_err());
        assert!(legs("a").is_err());
        assert!(legs("$[x]").is_err());
        assert!(legs(r#"$."a"#).is_err());
    }

    #[test]
    fn cells_are_counted_from_either_end() {
        let cell = |text| Cell::read(text).unwrap();
        assert_eq!([0, 1, 3].map(|cells| cell("last").of(cells)), [None, Some(0), Some(2)]);
        assert_eq!([1, 2, 3].map(|cells| cell("last-1").of(cells)), [None, Some(0), Some(1)]);
        assert_eq!([0, 1, 3].map(|cells| cell("1").of(cells)), [None, None, Some(1)]);
        assert_eq!([0, 1, 3].map(|cells| cell("last-1").to_insert(cells)), [0, 0, 1]);
        assert_eq!([0, 1, 3].map(|cells| cell("5").to_insert(cells)), [0, 1, 3]);
        let last = rebuild(&bytes(BEFORE), &bytes("000b242e615b6c6173742d315d03050900")).unwrap();
        assert!(text(&last).starts_with(r#"{"a": [1, 9, {"b": "xxx"#), "{}", text(&last));
    }

    #[test]
    fn a_diff_that_does_not_fit_is_an_error() {
        for diff in ["0203242e7a", "0206242e615b395d", "0103242e64020401", "0003242e7a020401"] {
            assert_eq!(rebuild(&bytes(BEFORE), &bytes(diff)), Err(BROKEN), "{diff}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_document_or_an_error(before: Vec<u8>, diffs: Vec<u8>, body: Vec<u8>) {
            let _ = rebuild(&before, &diffs);
            let _ = expand(&[Decoder::Int32, Decoder::Json { prefix: 4 }], &body, 1 << 16);
        }

        #[test]
        fn garbled_updates_end_in_an_error_or_a_document(at in 0..160_usize, byte: u8) {
            let mut before = bytes(BEFORE);
            let at = at % before.len();
            before[at] = byte;
            if let Ok(document) = rebuild(&before, &bytes("0206242e615b315d")) {
                let mut out = Vec::new();
                let _ = json::write(&document, &mut out);
            }
        }
    }
}
