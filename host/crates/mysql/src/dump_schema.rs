//! Schemas out of `SHOW CREATE TABLE`, as it stands in a dump: read, never executed.

use super::schema::{CatalogueColumn, ROW_END, Schema};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName};

/// The schema of a table that a dump holds, in the form in which versions are kept.
///
/// # Errors
/// `Config`: the dump does not hold the table, or holds it otherwise than servers write it.
pub fn read(dump: &str, table: &TableName) -> Result<String> {
    let schema = parse(dump, &table.table).map_err(|what| {
        Error::new(ErrorKind::Config, format!("the dump cannot be used as the schema of {table}: {what}"))
            .remedy("Give it the output of SHOW CREATE TABLE, or a dump that mysqldump or mariadb-dump wrote with --no-data.")
    })?;
    serde_json::to_string(&schema).map_err(|e| Error::new(ErrorKind::Internal, "a schema cannot be written").caused_by(e))
}

fn parse(dump: &str, table: &str) -> Result<Schema, String> {
    let found: Vec<&str> = dump.match_indices("CREATE TABLE ").map(|(at, head)| &dump[at + head.len()..]).collect();
    let mut bodies = found.into_iter().filter_map(|rest| {
        let rest = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
        let (name, rest) = quoted(rest)?;
        // a database may stand before it
        let (name, rest) = rest.strip_prefix('.').and_then(quoted).unwrap_or((name, rest));
        (name == table).then(|| rest.trim_start())
    });
    let body = bodies.next().ok_or("it has no CREATE TABLE of that name, with the name in backticks")?;
    if bodies.next().is_some() {
        return Err("it has several tables of that name".into());
    }
    let (parts, options) = body.strip_prefix('(').and_then(parts).ok_or("the list of columns does not end")?;
    let options = options.split(';').next().unwrap_or_default();
    let default = option(options, "CHARSET=").or_else(|| option(options, "COLLATE=").map(charset_of));
    let mut columns = Vec::new();
    let mut keys = Vec::new();
    for part in parts {
        let part = part.trim();
        if part.starts_with('`') {
            columns.push(column(part, default)?);
        } else if let Some(list) = part.strip_prefix("PRIMARY KEY ") {
            keys = names(list);
        }
    }
    for column in &mut columns {
        // the server itself adds the end of versioned rows to the key
        if keys.contains(&column.name) && column.key != ROW_END {
            (column.key, column.nullable) = ("PRI".into(), Some(false));
        }
    }
    if columns.is_empty() {
        Err("it has no columns".into())
    } else {
        Ok(Schema { charset: default.map(str::to_owned), primary: !keys.is_empty(), ..Schema::of(columns) })
    }
}

/// A name in backticks, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('`')?;
        name.push_str(part);
        match behind.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

/// The length of what begins with a quote, or of one character.
fn token(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if !matches!(first, '\'' | '"' | '`') {
        return Some(first.len_utf8());
    }
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        // a doubled quote is two quoted texts in a row
        match character {
            '\\' if first != '`' => drop(characters.next()),
            character if character == first => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Parts between commas, up to the bracket that closes, and what follows it.
fn parts(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut at, mut begin, mut depth) = (0, 0, 0_usize);
    let mut parts = Vec::new();
    loop {
        match text[at..].chars().next()? {
            '(' => depth += 1,
            ')' if depth == 0 => {
                parts.push(&text[begin..at]);
                return Some((parts, &text[at + 1..]));
            }
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
        at += token(&text[at..])?;
    }
}

/// The names in the list of a key.
fn names(list: &str) -> Vec<String> {
    let columns = list.trim_start().strip_prefix('(').and_then(parts).map(|(columns, _)| columns).unwrap_or_default();
    columns.into_iter().filter_map(|column| quoted(column.trim()).map(|(name, _)| name)).collect()
}

/// The word behind `name`.
fn option<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    Some(rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default())
}

/// The character set of a collation.
fn charset_of(collation: &str) -> &str {
    collation.split('_').next().unwrap_or(collation)
}

fn column(part: &str, default: Option<&str>) -> Result<CatalogueColumn, String> {
    let (name, rest) = quoted(part).ok_or("a column has no name")?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let data_type = rest[..end].to_ascii_lowercase();
    if data_type.is_empty() {
        return Err(format!("the column {name} has no type"));
    }
    let mut column_type = data_type.clone();
    let mut rest = &rest[end..];
    if let Some(inside) = rest.strip_prefix('(') {
        let (_, behind) = parts(inside).ok_or_else(|| format!("the type of the column {name} does not end"))?;
        column_type.push_str(&rest[..rest.len() - behind.len()]);
        rest = behind;
    }
    let attributes = outside_quotes(rest);
    for attribute in ["unsigned", "zerofill"] {
        if attributes.split_whitespace().take(2).any(|word| word == attribute) {
            column_type.push(' ');
            column_type.push_str(attribute);
        }
    }
    let textual = matches!(data_type.as_str(), "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set");
    let own = option(&attributes, "CHARACTER SET ").or_else(|| option(&attributes, "COLLATE ").map(charset_of));
    let charset = own.or(default).filter(|_| textual);
    if textual && charset.is_none() {
        return Err(format!("the character set of the column {name} is not in it"));
    }
    let row_end = attributes.contains("GENERATED ALWAYS AS ROW END");
    let key = if row_end { ROW_END.to_owned() } else { String::new() };
    let nullable = Some(!attributes.contains("NOT NULL") && !attributes.contains("GENERATED ALWAYS AS ROW "));
    Ok(CatalogueColumn { name, data_type, column_type, charset: charset.map(str::to_owned), key, nullable, bytes: None })
}

/// The text without what stands in quotes and brackets: comments, defaults, expressions.
fn outside_quotes(text: &str) -> String {
    let (mut kept, mut rest, mut depth) = (String::new(), text, 0_usize);
    while let Some(length) = token(rest) {
        let (token, behind) = rest.split_at(length);
        match token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            token if depth == 0 && !token.starts_with(['\'', '"', '`']) => kept.push_str(token),
            _ => {}
        }
        rest = behind;
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DUMP: &str = r"-- a dump
DROP TABLE IF EXISTS `t`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `other` (
  `x` int NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1;
CREATE TABLE `t` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `na``me` varchar(20) DEFAULT 'NOT NULL, )' COMMENT 'CHARACTER SET latin1',
  `e` enum('a,b','it''s','(') CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT 'a,b',
  `d` decimal(10,2) unsigned zerofill DEFAULT NULL,
  `g` int GENERATED ALWAYS AS ((`id` + length(_utf8mb4' unsigned'))) VIRTUAL,
  `u` uuid DEFAULT NULL,
  PRIMARY KEY (`id`,`na``me`(10)),
  KEY `k` (`d`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='x';
";

    #[test]
    fn a_table_of_a_dump_is_read() {
        let columns = parse(DUMP, "t").unwrap().columns;
        let told: Vec<String> = columns
            .iter()
            .map(|c| format!("{} {} {:?} {} {}", c.name, c.column_type, c.charset.as_deref().unwrap_or(""), c.key, c.nullable.unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                r#"id int(10) unsigned "" PRI false"#,
                r#"na`me varchar(20) "utf8mb4" PRI false"#,
                r#"e enum('a,b','it''s','(') "latin1"  false"#,
                r#"d decimal(10,2) unsigned zerofill ""  true"#,
                r#"g int ""  true"#,
                r#"u uuid ""  true"#,
            ]
        );
        assert_eq!(parse(DUMP, "other").unwrap().columns.len(), 1);
    }

    #[test]
    fn the_end_of_versioned_rows_is_marked() {
        let dump = "CREATE TABLE `v` (`id` int(11) NOT NULL, `s` timestamp(6) GENERATED ALWAYS AS ROW START, `e` timestamp(6) GENERATED ALWAYS AS ROW END,
            PRIMARY KEY (`id`,`e`), PERIOD FOR SYSTEM_TIME (`s`, `e`)) ENGINE=InnoDB DEFAULT CHARSET=latin1 WITH SYSTEM VERSIONING";
        let told: Vec<_> = parse(dump, "v").unwrap().columns.into_iter().map(|c| (c.name, c.key, c.nullable)).collect();
        let column = |name: &str, key: &str| (name.to_owned(), key.to_owned(), Some(false));
        assert_eq!(told, [column("id", "PRI"), column("s", ""), column("e", ROW_END)]);
    }

    #[test]
    fn a_dump_without_the_table_is_refused() {
        let error = read(DUMP, &TableName::new("d", "missing")).unwrap_err();
        let text = "the dump cannot be used as the schema of d.missing: it has no CREATE TABLE of that name, with the name in backticks";
        assert_eq!(error.message(), text);
        assert!(parse(&format!("{DUMP}{DUMP}"), "t").is_err());
        assert!(parse("CREATE TABLE `t` (`a` text)", "t").unwrap_err().contains("character set"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r"[`'(),\\a A=]{0,40}") {
            let _ = parse(&format!("CREATE TABLE `t` ({text}"), "t");
            let _ = parse(&text, "t");
        }
    }
}
