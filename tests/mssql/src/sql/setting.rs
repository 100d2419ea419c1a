//! SET of variables and of the session's options.

use super::{
    ast::{Isolation, Setting, Statement},
    lexer::Token,
    parser::Parser,
};
use crate::error::{Result, SqlError};

impl Parser {
    pub(super) fn set(&mut self) -> Result<Statement> {
        self.next();
        if let Token::Variable(name) = self.peek().clone() {
            self.next();
            self.expect_symbol("=")?;
            return Ok(Statement::Assign(name, self.expression()?));
        }
        let option = self.any_name_part()?.to_ascii_uppercase();
        let setting = match option.as_str() {
            "TRANSACTION" => {
                self.expect("ISOLATION")?;
                self.expect("LEVEL")?;
                Setting::Isolation(if self.accept("SNAPSHOT") {
                    Isolation::Snapshot
                } else if self.accept("SERIALIZABLE") {
                    Isolation::Serializable
                } else if self.accept("REPEATABLE") {
                    self.expect("READ")?;
                    Isolation::RepeatableRead
                } else {
                    self.expect("READ")?;
                    if self.accept("COMMITTED") {
                        Isolation::ReadCommitted
                    } else {
                        self.expect("UNCOMMITTED")?;
                        Isolation::ReadUncommitted
                    }
                })
            }
            "XACT_ABORT" => Setting::XactAbort(self.on()?),
            "NOCOUNT" => Setting::NoCount(self.on()?),
            "IMPLICIT_TRANSACTIONS" => Setting::ImplicitTransactions(self.on()?),
            "LOCK_TIMEOUT" => {
                let minus = self.accept_symbol("-");
                match self.next() {
                    Token::Number(n) => Setting::LockTimeout(n.parse::<i64>().unwrap_or(0) * if minus { -1 } else { 1 }),
                    other => return Err(SqlError::syntax(&other.near())),
                }
            }
            "DEADLOCK_PRIORITY" => {
                self.next();
                Setting::DeadlockPriority
            }
            // what drivers set at login, all of it the default that the simulator behaves by
            "ANSI_NULLS"
            | "ANSI_PADDING"
            | "ANSI_WARNINGS"
            | "ARITHABORT"
            | "CONCAT_NULL_YIELDS_NULL"
            | "QUOTED_IDENTIFIER"
            | "ANSI_NULL_DFLT_ON"
            | "ANSI_DEFAULTS" => match self.on()? {
                true => Setting::Other,
                false => return Err(SqlError::unsupported(format_args!("SET {option} OFF"))),
            },
            "CURSOR_CLOSE_ON_COMMIT" | "NUMERIC_ROUNDABORT" => match self.on()? {
                false => Setting::Other,
                true => return Err(SqlError::unsupported(format_args!("SET {option} ON"))),
            },
            "TEXTSIZE" => match self.next() {
                Token::Number(n) if n.parse::<i64>().is_ok_and(|n| n >= i64::from(i32::MAX) || n == 0) => Setting::Other,
                Token::Symbol("-") => {
                    self.next();
                    Setting::Other
                }
                _ => return Err(SqlError::unsupported("SET TEXTSIZE below the largest")),
            },
            "LANGUAGE" | "DATEFORMAT" => {
                let value = self.next().near();
                match value.to_ascii_lowercase().as_str() {
                    "us_english" | "mdy" => Setting::Other,
                    _ => return Err(SqlError::unsupported(format_args!("SET {option} {value}"))),
                }
            }
            _ => return Err(SqlError::unsupported(format_args!("SET {option}"))),
        };
        Ok(Statement::Set(setting))
    }
}
