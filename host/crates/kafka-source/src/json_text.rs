//! JSON as it is written: numbers keep their digits, and what stands inside a value keeps its text. Nothing of a number is decided here.

use std::borrow::Cow;

use sluicegate_model::limits::KAFKA_RECORD_DEPTH;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    String(Cow<'a, str>),
    /// From brace to brace, as it is written.
    Object(&'a str),
    /// From bracket to bracket, as it is written.
    Array(&'a str),
}

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The one value that a text holds.
pub(super) fn value(text: &str) -> Result<Json<'_>, Malformed> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(KAFKA_RECORD_DEPTH)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(Malformed) }
}

/// The members of the one object that a text holds, in order; `None`: it holds another value. That nothing stands behind the object is
/// known when they have come to their end.
pub(super) fn document(text: &str) -> Result<Option<Members<'_>>, Malformed> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    match reader.peek() {
        Some(b'{') => Ok(Some(Members { reader, began: false, depth: KAFKA_RECORD_DEPTH - 1, whole: true })),
        _ => value(text).map(|_| None),
    }
}

/// The members of an object that [`value`] gave, in order.
pub(super) fn members(object: &str) -> Members<'_> {
    Members { reader: Reader { text: object, at: 0 }, began: false, depth: KAFKA_RECORD_DEPTH, whole: false }
}

/// The elements of an array that [`value`] gave, in order.
pub(super) fn elements(array: &str) -> Elements<'_> {
    Elements { reader: Reader { text: array, at: 0 }, began: false }
}

/// See [`members`] and [`document`].
pub(super) struct Members<'a> {
    reader: Reader<'a>,
    began: bool,
    /// How many values may stand in one another in each of them.
    depth: usize,
    /// Whether nothing may stand behind the object.
    whole: bool,
}

impl<'a> Members<'a> {
    /// The next member's name. Its value is taken with [`Self::value`], [`Self::value_like`] or [`Self::object`] before the next name.
    pub(super) fn name(&mut self) -> Option<Result<Cow<'a, str>, Malformed>> {
        let open = if std::mem::replace(&mut self.began, true) { b',' } else { b'{' };
        match self.reader.next_inside(open, b'}') {
            Some(Ok(())) => Some(self.reader.name()),
            Some(Err(error)) => Some(Err(error)),
            None if self.whole => self.reader.end(b'}').err().map(Err),
            None => None,
        }
    }

    /// The value of the member whose name came last.
    pub(super) fn value(&mut self) -> Result<Json<'a>, Malformed> {
        self.reader.value(self.depth)
    }

    /// The same. Where the text of an object stands that was read before in this place, it is not read again.
    pub(super) fn value_like(&mut self, object: &str) -> Result<Json<'a>, Malformed> {
        self.reader.space();
        let start = self.reader.at;
        // an object's text ends with the object, whatever follows
        if !object.is_empty() && self.reader.text.as_bytes()[start..].starts_with(object.as_bytes()) {
            self.reader.at += object.len();
            return Ok(Json::Object(&self.reader.text[start..self.reader.at]));
        }
        self.value()
    }

    /// The members of the object that is the value of the member whose name came last; `None` where it is another value. When they
    /// have come to their end, [`Self::behind`] goes on.
    pub(super) fn object(&mut self) -> Result<Option<Self>, Malformed> {
        self.reader.space();
        if self.reader.peek() != Some(b'{') {
            return Ok(None);
        }
        let depth = self.depth.checked_sub(1).ok_or(Malformed)?;
        Ok(Some(Self { reader: Reader { ..self.reader }, began: false, depth, whole: false }))
    }

    /// Goes on behind an object whose members have come to their end.
    pub(super) fn behind(&mut self, object: Self) -> Result<(), Malformed> {
        self.reader.at = object.reader.at;
        self.reader.take(b'}')
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Cow<'a, str>, Json<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.name()?;
        Some(name.and_then(|name| Ok((name, self.value()?))))
    }
}

/// See [`elements`].
pub(super) struct Elements<'a> {
    reader: Reader<'a>,
    began: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Json<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let open = if std::mem::replace(&mut self.began, true) { b',' } else { b'[' };
        match self.reader.next_inside(open, b']')? {
            Ok(()) => Some(self.reader.value(KAFKA_RECORD_DEPTH)),
            Err(error) => Some(Err(error)),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// Goes on to the next member or element; `None` at the end.
    fn next_inside(&mut self, open: u8, close: u8) -> Option<Result<(), Malformed>> {
        self.space();
        if self.peek() == Some(close) && open == b',' {
            return None;
        }
        if let Err(error) = self.take(open) {
            return Some(Err(error));
        }
        self.space();
        // behind a comma something has to follow
        if self.peek() == Some(close) && open != b',' { None } else { Some(Ok(())) }
    }

    /// A member's name, with the colon.
    fn name(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.space();
        let name = self.string()?;
        self.take(b':')?;
        Ok(name)
    }

    /// Takes what closes the last value of the text.
    fn end(&mut self, close: u8) -> Result<(), Malformed> {
        self.take(close)?;
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed) }
    }

    /// `depth`: how many values may stand in one another.
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Malformed> {
        self.space();
        let start = self.at;
        Ok(match self.peek().ok_or(Malformed)? {
            b'"' => Json::String(self.string()?),
            b'{' => {
                self.pass(depth)?;
                Json::Object(&self.text[start..self.at])
            }
            b'[' => {
                self.pass(depth)?;
                Json::Array(&self.text[start..self.at])
            }
            b't' => self.word("true", Json::Bool(true))?,
            b'f' => self.word("false", Json::Bool(false))?,
            b'n' => self.word("null", Json::Null)?,
            _ => Json::Number(self.number()?),
        })
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Malformed> {
        let rest = self.text.get(self.at..).ok_or(Malformed)?;
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(Malformed)
        }
    }

    /// Passes over an object or an array.
    fn pass(&mut self, depth: usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let object = self.peek() == Some(b'{');
        let (open, close) = if object { (b'{', b'}') } else { (b'[', b']') };
        let mut lead = open;
        while let Some(inside) = self.next_inside(lead, close) {
            inside?;
            lead = b',';
            if object {
                self.space();
                self.pass_string()?;
                self.take(b':')?;
            }
            self.space();
            match self.peek() {
                Some(b'{' | b'[') => self.pass(depth)?,
                Some(b'"') => drop(self.pass_string()?),
                _ => drop(self.value(depth)?),
            }
        }
        self.take(close)
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.at;
        self.digits()?;
        if self.text.as_bytes()[whole] == b'0' && self.at > whole + 1 {
            return Err(Malformed);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Passes over a string; answers what stands between its quotes, and whether anything in it is escaped.
    fn pass_string(&mut self) -> Result<(&'a str, bool), Malformed> {
        if self.peek() != Some(b'"') {
            return Err(Malformed);
        }
        let start = self.at + 1;
        let mut escaped = false;
        let bytes = self.text.as_bytes();
        let mut at = start;
        loop {
            match bytes.get(at).ok_or(Malformed)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 1;
                    match bytes.get(at).ok_or(Malformed)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 1,
                        b'u' => {
                            let hex = bytes.get(at + 1..at + 5).ok_or(Malformed)?;
                            if !hex.iter().all(u8::is_ascii_hexdigit) {
                                return Err(Malformed);
                            }
                            at += 5;
                        }
                        _ => return Err(Malformed),
                    }
                }
                0..0x20 => return Err(Malformed),
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Ok((&self.text[start..at], escaped))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        match self.pass_string()? {
            (text, false) => Ok(Cow::Borrowed(text)),
            (text, true) => unescaped(text).map(Cow::Owned),
        }
    }
}

/// The text of a string whose escapes are well formed.
fn unescaped(text: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).ok_or(Malformed)?;
        let mut taken = at + 2;
        match escape {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let unit = |at: usize| rest.get(at..at + 4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
                let first = unit(taken).ok_or(Malformed)?;
                taken += 4;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) && rest.get(taken..taken + 2) == Some("\\u") {
                    units.extend(unit(taken + 2));
                    taken += 6;
                }
                // half of a pair is no text
                out.push_str(&String::from_utf16(&units).map_err(|_| Malformed)?);
            }
            other => out.push(char::from(*other)),
        }
        rest = rest.get(taken..).ok_or(Malformed)?;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// What [`value`] reads, with everything inside it, as the library for JSON has it.
    fn rebuilt(text: &str) -> Result<Value, Malformed> {
        Ok(match value(text)? {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(text) => serde_json::from_str(text).map_err(|_| Malformed)?,
            Json::String(text) => Value::String(text.into_owned()),
            Json::Object(text) => {
                let mut object = serde_json::Map::new();
                for member in members(text) {
                    let (name, _) = member?;
                    object.insert(name.into_owned(), Value::Null);
                }
                for member in members(text) {
                    let (name, value) = member?;
                    object.insert(name.into_owned(), of(value)?);
                }
                Value::Object(object)
            }
            Json::Array(text) => Value::Array(elements(text).map(|element| of(element?)).collect::<Result<_, _>>()?),
        })
    }

    fn of(value: Json<'_>) -> Result<Value, Malformed> {
        match value {
            Json::Object(text) | Json::Array(text) | Json::Number(text) => rebuilt(text),
            Json::Null => Ok(Value::Null),
            Json::Bool(b) => Ok(Value::Bool(b)),
            Json::String(text) => Ok(Value::String(text.into_owned())),
        }
    }

    type All<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

    /// The members of a document, where objects are gone into.
    fn in_place(text: &str) -> Result<Option<All<'_>>, Malformed> {
        let Some(mut members) = document(text)? else { return Ok(None) };
        let mut all = Vec::new();
        while let Some(name) = members.name() {
            let (name, start) = (name?, members.reader.at);
            let value = match members.object()? {
                Some(mut object) => {
                    object.by_ref().try_for_each(|member| member.map(drop))?;
                    members.behind(object)?;
                    Json::Object(text[start..members.reader.at].trim_start())
                }
                None => members.value()?,
            };
            all.push((name, value));
        }
        Ok(Some(all))
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::hash_map(any::<String>(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_the_library_writes_is_read_alike(json in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
            prop_assert_eq!(rebuilt(&text), Ok(json));
        }

        /// In one pass, and with an object read in its place.
        #[test]
        fn the_members_of_a_document_are_those_of_its_value(text in "[{},:\"ab\\\\1 ]{0,14}", json in any_json(), behind in "[ },x]{0,2}") {
            for text in [text, format!("{json}{behind}"), format!("{{\"a\":{json},\"b\" : {{\"c\": {json}}}}}{behind}")] {
                let whole = value(&text).and_then(|whole| match whole {
                    Json::Object(object) => members(object).collect::<Result<Vec<_>, _>>().map(Some),
                    _ => Ok(None),
                });
                let document = document(&text).and_then(|document| document.map(Iterator::collect::<Result<Vec<_>, _>>).transpose());
                prop_assert_eq!(&document, &whole, "{}", text);
                prop_assert_eq!(in_place(&text), whole, "{}", text);
            }
        }

        /// Nothing is taken for JSON that the library does not take; numbers beyond its range aside.
        #[test]
        fn what_is_no_json_is_refused(text in "[\\[\\]{},:\"\\\\a1e0.+ -]{0,12}") {
            let library = serde_json::from_str::<Value>(&text);
            prop_assert_eq!(rebuilt(&text).is_ok(), library.is_ok(), "{:?} {:?}", library, text);
        }
    }

    #[test]
    fn numbers_and_nested_values_keep_their_text() {
        assert_eq!(value("-12.500"), Ok(Json::Number("-12.500")));
        assert_eq!(value(" {\"a\" : 1.0} "), Ok(Json::Object("{\"a\" : 1.0}")));
        assert_eq!(value("[1, 2]"), Ok(Json::Array("[1, 2]")));
        for text in
            ["", "01", "1.", ".5", "+1", "1e", "nul", "\"a", "{", "[1,]", "{\"a\":1,}", "{,}", "1 2", "\"\\ud800\"", "\"\\x\"", "\"\u{1}\""]
        {
            assert_eq!(rebuilt(text), Err(Malformed), "{text}");
        }
        assert_eq!(rebuilt("\"\\ud83d\\ude00\\n\""), Ok(Value::from("😀\n")));
    }

    #[test]
    fn a_text_that_was_read_before_is_not_read_again() {
        let text = r#"{"a": {"b":1} ,"c":2}"#;
        for (like, read) in [(r#"{"b":1}"#, r#"{"b":1}"#), (r#"{"b":2}"#, r#"{"b":1}"#), ("", r#"{"b":1}"#)] {
            let mut members = document(text).unwrap().unwrap();
            assert_eq!(members.name(), Some(Ok("a".into())));
            assert_eq!(members.value_like(like), Ok(Json::Object(read)));
            assert_eq!(members.next(), Some(Ok(("c".into(), Json::Number("2")))));
            assert_eq!(members.next(), None);
        }
    }

    #[test]
    fn values_that_stand_too_deep_are_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value(&nested(KAFKA_RECORD_DEPTH)).is_ok());
        assert_eq!(value(&nested(KAFKA_RECORD_DEPTH + 1)), Err(Malformed));
        assert_eq!(value(&nested(1_000_000)), Err(Malformed));
        let inside = |depth: usize| format!("{{\"a\":{}}}", nested(depth));
        let read = |text: &str| document(text).unwrap().unwrap().next().unwrap().is_ok();
        assert!(read(&inside(KAFKA_RECORD_DEPTH - 1)) && !read(&inside(KAFKA_RECORD_DEPTH)));
    }
}
