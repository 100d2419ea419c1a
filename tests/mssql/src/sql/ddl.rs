//! Definitions: databases, schemas, tables, indexes, permissions.

use super::{
    ast::{AlterTable, ColumnDefinition, Constraint, CreateTable, DatabaseOption, Statement, TrackingOptions},
    lexer::Token,
    parser::Parser,
};
use crate::error::{Result, SqlError};

impl Parser {
    pub(super) fn create(&mut self) -> Result<Statement> {
        self.next();
        let unique = self.accept("UNIQUE");
        let _ = self.accept("CLUSTERED") || self.accept("NONCLUSTERED");
        if self.accept("INDEX") {
            let name = self.name_part()?;
            self.expect("ON")?;
            let table = self.name()?;
            self.expect_symbol("(")?;
            let columns = self.key_columns()?;
            self.expect_symbol(")")?;
            return Ok(Statement::CreateIndex { table, name, columns, unique });
        }
        if self.accept("TABLE") {
            return self.create_table();
        }
        if self.accept("SCHEMA") {
            return Ok(Statement::CreateSchema(self.name_part()?));
        }
        if self.accept("DATABASE") {
            return Ok(Statement::CreateDatabase(self.name_part()?));
        }
        Err(SqlError::unsupported(format_args!("CREATE {}", self.peek().near())))
    }

    fn create_table(&mut self) -> Result<Statement> {
        let name = self.name()?;
        if name.last().starts_with('#') {
            return Err(SqlError::unsupported("temporary tables"));
        }
        self.expect_symbol("(")?;
        let (columns, constraints) = self.elements()?;
        self.expect_symbol(")")?;
        if self.accept("ON") && !self.accept("PRIMARY") {
            self.any_name_part()?;
        }
        if self.peek_word("WITH") {
            return Err(SqlError::unsupported("CREATE TABLE … WITH"));
        }
        Ok(Statement::CreateTable(Box::new(CreateTable { name, columns, constraints })))
    }

    /// Columns and constraints, separated by commas.
    fn elements(&mut self) -> Result<(Vec<ColumnDefinition>, Vec<Constraint>)> {
        let (mut columns, mut constraints) = (Vec::new(), Vec::new());
        loop {
            match self.constraint()? {
                Some(constraint) => constraints.push(constraint),
                None => columns.push(self.column()?),
            }
            if !self.accept_symbol(",") || *self.peek() == Token::Symbol(")") {
                return Ok((columns, constraints));
            }
        }
    }

    fn key_columns(&mut self) -> Result<Vec<String>> {
        self.list(|p| {
            let column = p.any_name_part()?;
            if p.accept("DESC") {
                return Err(SqlError::unsupported("descending key columns"));
            }
            p.accept("ASC");
            Ok(column)
        })
    }

    fn constraint(&mut self) -> Result<Option<Constraint>> {
        let name = if self.accept("CONSTRAINT") { Some(self.name_part()?) } else { None };
        if self.accept("PRIMARY") {
            self.expect("KEY")?;
            let clustered = self.clustered();
            let mut columns = Vec::new();
            if self.accept_symbol("(") {
                columns = self.key_columns()?;
                self.expect_symbol(")")?;
            }
            return Ok(Some(Constraint::PrimaryKey { name, columns, clustered }));
        }
        if self.accept("UNIQUE") {
            self.clustered();
            let mut columns = Vec::new();
            if self.accept_symbol("(") {
                columns = self.key_columns()?;
                self.expect_symbol(")")?;
            }
            return Ok(Some(Constraint::Unique { name, columns }));
        }
        if self.accept("CHECK") {
            self.expect_symbol("(")?;
            let condition = self.expression()?;
            self.expect_symbol(")")?;
            return Ok(Some(Constraint::Check { name, condition }));
        }
        if self.peek_word("FOREIGN") || self.peek_word("REFERENCES") {
            return Err(SqlError::unsupported("foreign keys"));
        }
        if name.is_some() { Err(self.wrong()) } else { Ok(None) }
    }

    fn clustered(&mut self) -> Option<bool> {
        if self.accept("CLUSTERED") {
            Some(true)
        } else if self.accept("NONCLUSTERED") {
            Some(false)
        } else {
            None
        }
    }

    fn column(&mut self) -> Result<ColumnDefinition> {
        let name = self.any_name_part()?;
        let mut column = ColumnDefinition {
            name,
            data_type: None,
            collated: false,
            nullable: None,
            identity: None,
            default: None,
            computed: None,
            constraints: Vec::new(),
        };
        if self.accept("AS") {
            column.computed = Some(self.expression()?);
            let persisted = self.accept("PERSISTED");
            if persisted && self.accept("NOT") {
                self.expect("NULL")?;
                column.nullable = Some(false);
            }
        } else if matches!(self.peek(), Token::Symbol("," | ")")) && column.name.eq_ignore_ascii_case("timestamp") {
            // a rowversion column may go without a name of its own
            column.data_type = Some(crate::value::Kind::RowVersion.into());
        } else {
            let (of, collated) = self.data_type(1)?;
            column.data_type = Some(of);
            column.collated = collated;
        }
        loop {
            if self.accept("NULL") {
                column.nullable = Some(true);
            } else if self.peek_word("NOT") {
                self.next();
                self.expect("NULL")?;
                column.nullable = Some(false);
            } else if self.accept("IDENTITY") {
                let mut from = (1, 1);
                if self.accept_symbol("(") {
                    from.0 = self.whole()?;
                    self.expect_symbol(",")?;
                    from.1 = self.whole()?;
                    self.expect_symbol(")")?;
                }
                column.identity = Some(from);
            } else if self.peek_word("DEFAULT")
                || (self.peek_word("CONSTRAINT") && matches!(self.peek_at(2), Token::Word(w) if w.eq_ignore_ascii_case("DEFAULT")))
            {
                if self.accept("CONSTRAINT") {
                    self.name_part()?;
                }
                self.expect("DEFAULT")?;
                column.default = Some(self.expression()?);
            } else if let Some(mut constraint) = self.constraint()? {
                if let Constraint::PrimaryKey { columns, .. } | Constraint::Unique { columns, .. } = &mut constraint
                    && columns.is_empty()
                {
                    columns.push(column.name.clone());
                }
                column.constraints.push(constraint);
            } else {
                return Ok(column);
            }
        }
    }

    fn whole(&mut self) -> Result<i64> {
        let minus = self.accept_symbol("-");
        match self.next() {
            Token::Number(text) => text.parse::<i64>().map(|n| if minus { -n } else { n }).map_err(|_| SqlError::syntax(&text)),
            other => Err(SqlError::syntax(&other.near())),
        }
    }

    pub(super) fn drop(&mut self) -> Result<Statement> {
        self.next();
        let what = self.any_name_part()?.to_ascii_uppercase();
        let if_exists = self.accept("IF");
        if if_exists {
            self.expect("EXISTS")?;
        }
        match what.as_str() {
            "TABLE" => Ok(Statement::DropTable { names: self.list(Self::name)?, if_exists }),
            "DATABASE" => Ok(Statement::DropDatabase { name: self.name_part()?, if_exists }),
            "INDEX" => {
                let name = self.name_part()?;
                self.expect("ON")?;
                Ok(Statement::DropIndex { table: self.name()?, name })
            }
            _ => Err(SqlError::unsupported(format_args!("DROP {what}"))),
        }
    }

    pub(super) fn alter(&mut self) -> Result<Statement> {
        self.next();
        if self.accept("DATABASE") {
            let name = self.any_name_part()?;
            let name = if name.eq_ignore_ascii_case("CURRENT") { None } else { Some(name) };
            self.expect("SET")?;
            let options = self.list(Self::database_option)?;
            if self.accept("WITH") {
                let _ = self.accept("NO_WAIT");
                if self.accept("ROLLBACK") {
                    self.expect("IMMEDIATE")?;
                }
            }
            return Ok(Statement::AlterDatabase { name, options });
        }
        if !self.accept("TABLE") {
            return Err(SqlError::unsupported(format_args!("ALTER {}", self.peek().near())));
        }
        let name = self.name()?;
        let action = if self.accept("ENABLE") {
            if !self.accept("CHANGE_TRACKING") {
                return Err(SqlError::unsupported("ALTER TABLE … ENABLE of anything but CHANGE_TRACKING"));
            }
            let mut columns = false;
            if self.accept("WITH") {
                self.expect_symbol("(")?;
                self.expect("TRACK_COLUMNS_UPDATED")?;
                self.expect_symbol("=")?;
                columns = self.on()?;
                self.expect_symbol(")")?;
            }
            AlterTable::EnableTracking { columns }
        } else if self.accept("DISABLE") {
            if !self.accept("CHANGE_TRACKING") {
                return Err(SqlError::unsupported("ALTER TABLE … DISABLE of anything but CHANGE_TRACKING"));
            }
            AlterTable::DisableTracking
        } else if self.accept("ADD") {
            let (columns, constraints) = self.elements()?;
            AlterTable::Add(columns, constraints)
        } else if self.accept("DROP") {
            if self.accept("COLUMN") {
                AlterTable::DropColumn(self.list(Self::any_name_part)?)
            } else {
                self.accept("CONSTRAINT");
                AlterTable::DropConstraint(self.name_part()?)
            }
        } else if self.accept("ALTER") {
            self.expect("COLUMN")?;
            let name = self.any_name_part()?;
            let (data_type, collated) = self.data_type(1)?;
            let nullable = if self.accept("NULL") {
                Some(true)
            } else if self.accept("NOT") {
                self.expect("NULL")?;
                Some(false)
            } else {
                None
            };
            AlterTable::AlterColumn { name, data_type, collated, nullable }
        } else if self.peek_word("SWITCH") {
            return Err(SqlError::unsettled("ALTER TABLE … SWITCH"));
        } else {
            return Err(SqlError::unsupported(format_args!("ALTER TABLE … {}", self.peek().near())));
        };
        Ok(Statement::AlterTable(name, action))
    }

    fn database_option(&mut self) -> Result<DatabaseOption> {
        let option = self.any_name_part()?.to_ascii_uppercase();
        Ok(match option.as_str() {
            "CHANGE_TRACKING" => {
                if self.accept_symbol("=") {
                    if self.on()? {
                        let options =
                            if *self.peek() == Token::Symbol("(") { self.tracking_options()? } else { TrackingOptions::default() };
                        DatabaseOption::TrackingOn(options)
                    } else {
                        DatabaseOption::TrackingOff
                    }
                } else {
                    DatabaseOption::TrackingChange(self.tracking_options()?)
                }
            }
            "ALLOW_SNAPSHOT_ISOLATION" => DatabaseOption::AllowSnapshot(self.on()?),
            "READ_COMMITTED_SNAPSHOT" => DatabaseOption::ReadCommittedSnapshot(self.on()?),
            "READ_ONLY" => DatabaseOption::ReadOnly(true),
            "READ_WRITE" => DatabaseOption::ReadOnly(false),
            "RECOVERY" => {
                self.any_name_part()?;
                DatabaseOption::Recovery
            }
            "COMPATIBILITY_LEVEL" => {
                self.expect_symbol("=")?;
                DatabaseOption::CompatibilityLevel(self.whole()?)
            }
            _ => return Err(SqlError::unsupported(format_args!("ALTER DATABASE SET {option}"))),
        })
    }

    fn tracking_options(&mut self) -> Result<TrackingOptions> {
        self.expect_symbol("(")?;
        let mut found = TrackingOptions::default();
        loop {
            let option = self.any_name_part()?.to_ascii_uppercase();
            let repeated = || {
                let text = format!(
                    "ALTER DATABASE change tracking option '{option}' was specified more than once. Each option can be specified only once."
                );
                SqlError::new(5091, text).class(15)
            };
            self.expect_symbol("=")?;
            match option.as_str() {
                "CHANGE_RETENTION" => {
                    let count = self.whole()?;
                    let word = self.any_name_part()?;
                    let (unit, minutes) = match word.to_ascii_uppercase().as_str() {
                        "MINUTES" => (1, 1),
                        "HOURS" => (2, 60),
                        "DAYS" => (3, 1440),
                        _ => {
                            let text = format!("'{word}' is not a recognized CHANGE RETENTION UNIT option.");
                            return Err(SqlError::new(155, text).class(15).state(2));
                        }
                    };
                    if count.checked_mul(minutes).is_none_or(|m| !(1..=i64::from(i32::MAX)).contains(&m)) {
                        let text = "The value for change tracking option 'CHANGE_RETENTION' is not valid. The value must be between 1 and 2147483647 minutes.";
                        return Err(SqlError::new(5092, text).class(15));
                    }
                    if found.retention.replace((count, unit)).is_some() {
                        return Err(repeated());
                    }
                }
                "AUTO_CLEANUP" => {
                    if found.auto_cleanup.replace(self.on()?).is_some() {
                        return Err(repeated());
                    }
                }
                _ => return Err(SqlError::syntax(&option)),
            }
            if !self.accept_symbol(",") {
                self.expect_symbol(")")?;
                return Ok(found);
            }
        }
    }

    pub(super) fn grant(&mut self) -> Result<Statement> {
        let revoke = match self.next() {
            Token::Word(word) if word.eq_ignore_ascii_case("GRANT") => false,
            Token::Word(word) if word.eq_ignore_ascii_case("REVOKE") => true,
            _ => return Err(SqlError::unsupported("DENY")),
        };
        let mut words = Vec::new();
        while !self.peek_word("ON") && !self.peek_word("TO") && !self.peek_word("FROM") && *self.peek() != Token::Symbol("(") {
            words.push(self.any_name_part()?.to_ascii_uppercase());
        }
        let mut columns = Vec::new();
        if self.accept_symbol("(") {
            columns.push(self.name_part()?);
            while self.accept_symbol(",") {
                columns.push(self.name_part()?);
            }
            self.expect_symbol(")")?;
        }
        let on = if self.accept("ON") {
            if self.accept("OBJECT") || self.accept("SCHEMA") {
                return Err(SqlError::unsupported("GRANT ON with a class; name the table"));
            }
            Some(self.name()?)
        } else {
            None
        };
        self.expect(if revoke { "FROM" } else { "TO" })?;
        Ok(Statement::Grant { permission: words.join(" "), columns, on, to: self.name_part()?, revoke })
    }
}
