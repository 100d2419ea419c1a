//! Labels of ENUM and SET that the catalogue does not show as they are: its texts are in utf8mb3, and have a `?` in place of each
//! character beyond U+FFFF. The server is asked for these labels by their numbers, without a row being read.

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{connection::Connector, copy::quoted, native, schema::CatalogueColumn};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName};

/// Character sets with characters beyond U+FFFF.
const WIDE: [&str; 5] = ["utf8mb4", "utf16", "utf16le", "utf32", "gb18030"];
/// Labels that one statement asks for.
const ASKED: usize = 200;
/// What is said of labels that cannot be asked for.
const SHOWN_ONLY: &str = "this server cannot be asked for the column's labels as they are, but only as its catalogue shows them: in them a \
     `?` may stand for a character beyond U+FFFF, as for an emoji";

/// What a server's refusal of the question means.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// The table or the column is not there.
    Gone,
    /// The account may not read the table, or the column.
    Forbidden,
    /// The server knows no recursive queries: MySQL 5.7.
    Unknown,
    Other,
}

fn refusal(code: u16) -> Refusal {
    match code {
        1146 | 1054 => Refusal::Gone,
        1142 | 1143 => Refusal::Forbidden,
        1064 => Refusal::Unknown,
        _ => Refusal::Other,
    }
}

fn forbidden(table: &TableName, column: &str, user: &str) -> Error {
    let what = format!("the labels of column `{column}` of table {table} cannot be read: a `?` in one may stand for another character");
    Error::new(ErrorKind::Precheck, what).remedy(format!(
        "Let the account read the table: GRANT SELECT ON {}.{} TO '{user}'@'…'. No row of it is read for that.",
        quoted(&table.database),
        quoted(&table.table),
    ))
}

/// Puts the labels that the catalogue cannot show into the columns that it has of a table. Where the table is another one by now, they
/// stay as they are: then the catalogue's answer does not hold either.
pub(super) async fn complete(connector: &Connector, conn: &mut Conn, table: &TableName, columns: &mut [CatalogueColumn]) -> Result<()> {
    for column in columns.iter_mut().filter(|column| is_doubtful(column)) {
        let Some(labels) = column.native_type().labels().cloned() else { continue };
        let mut labels: Vec<String> = labels.iter().map(|label| (**label).to_owned()).collect();
        let is_set = column.data_type == "set";
        let doubtful: Vec<usize> = (0..labels.len()).filter(|at| labels.get(*at).is_some_and(|label| label.contains('?'))).collect();
        for places in doubtful.chunks(ASKED) {
            let query = question(table, &column.name, places.iter().map(|at| number(*at, is_set)));
            let answer = async {
                match conn.query::<Row, _>(query).await {
                    Err(mysql_async::Error::Server(error)) if refusal(error.code) != Refusal::Other => Ok(Err(error)),
                    other => other.map(Ok),
                }
            };
            let answers = match connector.within("query", answer).await? {
                Ok(answers) => answers,
                Err(error) => match refusal(error.code) {
                    Refusal::Forbidden => return Err(forbidden(table, &column.name, connector.user()).caused_by(error)),
                    Refusal::Unknown => {
                        tracing::warn!(%table, column = %column.name, "{SHOWN_ONLY}");
                        break;
                    }
                    Refusal::Gone | Refusal::Other => Vec::new(),
                },
            };
            let unusable = |_| Error::new(ErrorKind::Source, format!("the server gave labels of {table} that cannot be read"));
            let answers = answers.into_iter().map(|row| mysql_async::from_row_opt(row).map_err(unusable));
            let answers: Vec<(u64, String)> = answers.collect::<Result<_>>()?;
            for at in places {
                let answer = answers.iter().find(|(asked, _)| *asked == number(*at, is_set));
                if let (Some((_, found)), Some(label)) = (answer, labels.get_mut(*at))
                    && shown(found) == *label
                {
                    label.clone_from(found);
                }
            }
        }
        column.column_type = format!("{}({})", column.data_type, native::list(labels.iter().map(String::as_str)));
    }
    Ok(())
}

fn is_doubtful(column: &CatalogueColumn) -> bool {
    matches!(column.data_type.as_str(), "enum" | "set")
        && column.column_type.contains('?')
        && column.charset.as_deref().is_some_and(|charset| WIDE.contains(&charset))
}

/// The number of the label at this place.
fn number(at: usize, is_set: bool) -> u64 {
    if is_set { 1_u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or_default() } else { at as u64 + 1 }
}

/// As the catalogue shows it.
fn shown(label: &str) -> String {
    label.chars().map(|c| if u32::from(c) > 0xffff { '?' } else { c }).collect()
}

/// Asks for labels by their numbers: a recursive query has the types of its first part, and puts numbers into a column of the type.
fn question(table: &TableName, column: &str, numbers: impl Iterator<Item = u64>) -> String {
    let numbers: Vec<String> = numbers.map(|number| format!("SELECT {number} AS n")).collect();
    format!(
        "WITH RECURSIVE label (v) AS (SELECT t.{} FROM (SELECT 1 AS n) AS one LEFT JOIN {}.{} AS t ON 1 = 0 \
         UNION ALL SELECT asked.n FROM label, ({}) AS asked WHERE label.v IS NULL) SELECT CAST(v AS UNSIGNED), CONVERT(v USING utf8mb4) FROM label \
         WHERE v IS NOT NULL",
        quoted(column),
        quoted(&table.database),
        quoted(&table.table),
        numbers.join(" UNION ALL "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_the_catalogue_may_not_show_are_asked_for() {
        let column = |data_type: &str, column_type: &str, charset: &str| CatalogueColumn {
            name: "c".into(),
            data_type: data_type.into(),
            column_type: column_type.into(),
            charset: Some(charset.into()),
            key: String::new(),
            nullable: None,
            bytes: None,
        };
        assert!(is_doubtful(&column("enum", "enum('?','x')", "utf8mb4")));
        assert!(is_doubtful(&column("set", "set('a?')", "gb18030")));
        assert!(!is_doubtful(&column("enum", "enum('x')", "utf8mb4")));
        assert!(!is_doubtful(&column("enum", "enum('?')", "latin1")));
        assert!(!is_doubtful(&column("varchar", "varchar(9) /* ? */", "utf8mb4")));
        assert_eq!((number(0, false), number(2, false), number(0, true), number(63, true)), (1, 3, 1, 1 << 63));
        assert_eq!(shown("a😀é日"), "a?é日");
    }

    #[test]
    fn a_refused_question_ends_the_start_only_where_the_labels_could_be_had_with_a_grant() {
        use Refusal::{Forbidden, Gone, Other, Unknown};
        let all = [1146, 1054, 1142, 1143, 1064, 1205].map(refusal);
        assert_eq!(all, [Gone, Gone, Forbidden, Forbidden, Unknown, Other]);
        let error = forbidden(&TableName::new("shop", "or`ders"), "mood", "cdc");
        assert_eq!(
            error.message(),
            "the labels of column `mood` of table shop.`or``ders` cannot be read: a `?` in one may stand for another character"
        );
        assert!(error.remedy_text().is_some_and(|remedy| remedy.contains("GRANT SELECT ON `shop`.`or``ders` TO 'cdc'@'…'")), "{error}");
    }
}
