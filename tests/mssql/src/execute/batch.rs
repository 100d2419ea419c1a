//! Batches: statements one after the other.

use super::{
    ResultSet, change_table,
    compile::Compiler,
    define, define_database,
    evaluate::Env,
    query::Plan,
    scope::Scope,
    session::{Answer, Parameter, Session, Variables},
    write,
};
use crate::{
    error::{Ends, Result, SqlError},
    sql::{
        self,
        ast::{Expr, Isolation, Item, Name, Query, Setting, Statement},
    },
    value::{Datum, Kind, Type},
};

/// A loop that turns more often is refused.
const MOST_TURNS: usize = 1_000_000;

enum Flow {
    Next,
    Return,
}

impl Session {
    /// Runs a batch, and says whether it came to its end.
    pub fn batch(&mut self, sql: &str, parameters: &[Parameter], answer: &mut dyn Answer) -> bool {
        let mut variables: Variables = parameters.iter().map(|(name, of, value)| (name.to_lowercase(), (*of, value.clone()))).collect();
        let statements = match self.prepared(sql, &mut variables) {
            Ok(statements) => statements,
            Err(error) => {
                self.fail(&error, answer);
                return false;
            }
        };
        for statement in &statements {
            match self.guarded(statement, &mut variables, answer) {
                Ok(Flow::Next) => {}
                Ok(Flow::Return) => return true,
                Err(()) => return false,
            }
        }
        true
    }

    /// Parses a batch and checks what a real server checks before any statement of it runs (G81).
    fn prepared(&mut self, sql: &str, variables: &mut Variables) -> Result<Vec<Statement>> {
        let statements = sql::parse(sql)?;
        self.read(variables, |run| change_table::check_batch(&statements, run))?;
        Ok(statements)
    }

    /// Tells the client of an error; says whether the batch goes on.
    fn fail(&mut self, error: &SqlError, answer: &mut dyn Answer) -> bool {
        self.error = i64::from(error.number);
        self.row_count = 0;
        let ends = if self.xact_abort && error.number != 50000 && error.ends == Ends::Statement { Ends::Transaction } else { error.ends };
        if ends == Ends::Transaction || (self.xact_abort && self.count > 0) {
            self.rollback(answer);
        }
        answer.error(error);
        ends == Ends::Statement
    }

    fn guarded(&mut self, statement: &Statement, variables: &mut Variables, answer: &mut dyn Answer) -> std::result::Result<Flow, ()> {
        match self.statement(statement, variables, answer) {
            Ok(flow) => {
                self.error = 0;
                Ok(flow)
            }
            Err(error) => {
                if self.fail(&error, answer) {
                    Ok(Flow::Next)
                } else {
                    Err(())
                }
            }
        }
    }

    fn statement(&mut self, statement: &Statement, variables: &mut Variables, answer: &mut dyn Answer) -> Result<Flow> {
        match statement {
            Statement::Select(query) => self.select(query, variables, answer)?,
            Statement::Insert(insert) => {
                let count = self.write(variables, answer, |run| write::insert(insert, run))?;
                self.counted(count, answer);
            }
            Statement::Update(update) => {
                let count = self.write(variables, answer, |run| write::update(update, run))?;
                self.counted(count, answer);
            }
            Statement::Delete(delete) => {
                let count = self.write(variables, answer, |run| write::delete(delete, run))?;
                self.counted(count, answer);
            }
            Statement::Truncate(_)
            | Statement::CreateTable(_)
            | Statement::DropTable { .. }
            | Statement::AlterTable(..)
            | Statement::CreateIndex { .. }
            | Statement::DropIndex { .. } => {
                let alone = self.open(answer);
                let done = define::run(self, statement, variables);
                self.close(alone, done.is_ok());
                done?;
                answer.done(None);
            }
            Statement::CreateSchema(_)
            | Statement::CreateDatabase(_)
            | Statement::DropDatabase { .. }
            | Statement::AlterDatabase { .. }
            | Statement::Grant { .. } => {
                define_database::run(self, statement)?;
                answer.done(None);
            }
            Statement::Use(name) => {
                let world = self.server.world();
                let Some(database) = world.database(name) else {
                    let text = format!("Database '{name}' does not exist. Make sure that the name is entered correctly.");
                    return Err(SqlError::new(911, text).ends(Ends::Batch));
                };
                let old = self.database_name();
                self.database = database.id;
                answer.database(&old, &database.name);
                answer.info(5701, &format!("Changed database context to '{}'.", database.name));
            }
            Statement::Begin => {
                self.begin(answer);
                answer.done(None);
            }
            Statement::Commit => {
                self.commit(answer)?;
                answer.done(None);
            }
            Statement::Rollback(name) => {
                self.rollback_to(name.as_deref(), answer)?;
                answer.done(None);
            }
            Statement::Save(name) => {
                self.save(name)?;
                answer.done(None);
            }
            Statement::Set(setting) => {
                self.set(setting);
                answer.done(None);
            }
            Statement::Assign(name, value) => {
                let found = self.evaluate(value, variables)?;
                assign(name, found, variables)?;
            }
            Statement::Declare(declared) => {
                for (name, of, value) in declared {
                    let key = name.to_lowercase();
                    if variables.contains_key(&key) {
                        let text = format!(
                            "The variable name '{name}' has already been declared. Variable names must be unique within a query batch or stored procedure."
                        );
                        return Err(SqlError::new(134, text).class(15).ends(Ends::Batch));
                    }
                    variables.insert(key, (*of, Datum::Null));
                    if let Some(value) = value {
                        let found = self.evaluate(value, variables)?;
                        assign(name, found, variables)?;
                    }
                }
            }
            Statement::If(condition, then, otherwise) => {
                let branch = if self.holds(condition, variables)? { Some(then) } else { otherwise.as_ref() };
                if let Some(branch) = branch {
                    return self.nested(std::slice::from_ref(branch), variables, answer);
                }
            }
            Statement::While(condition, body) => {
                for _ in 0..MOST_TURNS {
                    if !self.holds(condition, variables)? {
                        return Ok(Flow::Next);
                    }
                    if (self.interrupted)() {
                        return Err(crate::engine::server::cancelled());
                    }
                    if let Flow::Return = self.nested(std::slice::from_ref(body), variables, answer)? {
                        return Ok(Flow::Return);
                    }
                }
                return Err(SqlError::unsupported("a loop of so many turns"));
            }
            Statement::Block(statements) => return self.nested(statements, variables, answer),
            Statement::Print(value) => {
                let (value, of) = self.evaluate(value, variables)?;
                let text = if value.is_null() { String::new() } else { crate::value::convert::print(&value, &of, None)? };
                answer.info(0, &text);
            }
            Statement::Throw(number, text) => {
                let (number, _) = self.evaluate(number, variables)?;
                let (text, _) = self.evaluate(text, variables)?;
                let number = number.to_int().and_then(|n| i32::try_from(n).ok()).unwrap_or(50000);
                return Err(SqlError::new(number, text.to_text().unwrap_or_default()).ends(Ends::Batch));
            }
            Statement::ExecuteText(text) => {
                let (text, _) = self.evaluate(text, variables)?;
                self.inner(&text.to_text().unwrap_or_default(), &[], answer)?;
            }
            Statement::Execute(name, arguments) => self.procedure(name, arguments, variables, answer)?,
            Statement::WaitFor(delay) => {
                let (delay, _) = self.evaluate(delay, variables)?;
                let until = delay.to_text().and_then(|t| milliseconds(&t)).ok_or_else(|| {
                    SqlError::new(148, "Incorrect time syntax in time string used with WAITFOR.").class(15).ends(Ends::Batch)
                })?;
                let end = std::time::Instant::now() + std::time::Duration::from_millis(until);
                self.server.wait(|| std::time::Instant::now() >= end, &*self.interrupted)?;
                answer.done(None);
            }
            Statement::Return => return Ok(Flow::Return),
        }
        Ok(Flow::Next)
    }

    /// Statements inside of another one. What fails is told at once; what ends the batch comes back as an end of it.
    fn nested<S: std::borrow::Borrow<Statement>>(
        &mut self,
        statements: &[S],
        variables: &mut Variables,
        answer: &mut dyn Answer,
    ) -> Result<Flow> {
        for statement in statements {
            match self.guarded(statement.borrow(), variables, answer) {
                Ok(Flow::Next) => {}
                Ok(Flow::Return) | Err(()) => return Ok(Flow::Return),
            }
        }
        Ok(Flow::Next)
    }

    fn inner(&mut self, sql: &str, parameters: &[Parameter], answer: &mut dyn Answer) -> Result<()> {
        let database = self.database;
        self.batch(sql, parameters, answer);
        self.database = database;
        Ok(())
    }

    fn counted(&mut self, count: u64, answer: &mut dyn Answer) {
        self.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        answer.done(if self.no_count { None } else { Some(count) });
    }

    fn select(&mut self, query: &Query, variables: &mut Variables, answer: &mut dyn Answer) -> Result<()> {
        if let Some(select) = query.selects.first().map(|(s, _)| s)
            && select.items.iter().any(|i| matches!(i, Item::Assign(..)))
        {
            return self.select_into(query, variables, answer);
        }
        let alone = self.implicit && self.count == 0 && query.selects.iter().any(|(s, _)| s.from.is_some());
        if alone {
            self.begin(answer);
        }
        let set = self.read(variables, |run| {
            let plan = Plan::compile(query, None, run)?;
            let rows = plan.rows(None, run)?;
            Ok(ResultSet { columns: plan.columns, rows })
        })?;
        self.row_count = i64::try_from(set.rows.len()).unwrap_or(i64::MAX);
        answer.rows(&set)?;
        // the rows carry their own number, with or without NOCOUNT
        answer.done(Some(u64::try_from(set.rows.len()).unwrap_or(0)));
        Ok(())
    }

    /// SELECT @a = …, @b = …: the values of the last row.
    fn select_into(&mut self, query: &Query, variables: &mut Variables, answer: &mut dyn Answer) -> Result<()> {
        let mut plain = query.clone();
        let Some((select, _)) = plain.selects.first_mut() else { return Ok(()) };
        let mut names = Vec::new();
        for item in &mut select.items {
            match item {
                Item::Assign(name, value) => {
                    names.push(name.clone());
                    *item = Item::Expr(value.clone(), None);
                }
                _ => {
                    let text = "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.";
                    return Err(SqlError::new(141, text).class(15).ends(Ends::Batch));
                }
            }
        }
        let (columns, rows) = self.read(variables, |run| {
            let compiled = Plan::compile(&plain, None, run)?;
            let rows = compiled.rows(None, run)?;
            Ok((compiled.columns, rows))
        })?;
        self.row_count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        if let Some(row) = rows.last() {
            for ((name, column), value) in names.iter().zip(&columns).zip(row.iter()) {
                assign(name, (value.clone(), column.of), variables)?;
            }
        }
        answer.done(None);
        Ok(())
    }

    fn evaluate(&mut self, value: &Expr, variables: &Variables) -> Result<(Datum, Type)> {
        self.read(variables, |run| {
            let scope = Scope::default();
            let compiled = Compiler { scope: &scope, run }.value(value)?;
            Ok((compiled.value(&Env::default(), run)?, compiled.of))
        })
    }

    fn holds(&mut self, condition: &Expr, variables: &Variables) -> Result<bool> {
        self.read(variables, |run| {
            let scope = Scope::default();
            let compiled = Compiler { scope: &scope, run }.condition(condition)?;
            Ok(compiled.holds(&Env::default(), run)? == Some(true))
        })
    }

    fn set(&mut self, setting: &Setting) {
        match setting {
            Setting::Isolation(level) => self.isolation = *level,
            Setting::XactAbort(on) => self.xact_abort = *on,
            Setting::NoCount(on) => self.no_count = *on,
            Setting::ImplicitTransactions(on) => self.implicit = *on,
            Setting::LockTimeout(ms) => self.lock_timeout = *ms,
            Setting::DeadlockPriority | Setting::Other => {}
        }
    }

    /// Sets the isolation level, as the transaction manager's requests do.
    pub fn set_isolation(&mut self, level: Isolation) {
        self.isolation = level;
    }

    fn procedure(
        &mut self,
        name: &Name,
        arguments: &[(Option<String>, Expr)],
        variables: &Variables,
        answer: &mut dyn Answer,
    ) -> Result<()> {
        let mut values = Vec::new();
        for (name, value) in arguments {
            // a bare word is a text to a procedure
            let value = match value {
                Expr::Column(word) => Expr::Literal(Datum::text(&word.to_string()), Kind::NVarChar(Some(4000)).into()),
                other => other.clone(),
            };
            values.push((name.clone(), self.evaluate(&value, variables)?));
        }
        let text = |at: usize| values.get(at).and_then(|(_, (value, _))| value.to_text()).unwrap_or_default();
        match name.last().to_ascii_lowercase().as_str() {
            "sp_executesql" => {
                let declared = declared(&text(1))?;
                let mut parameters = Vec::new();
                for (at, (name, of)) in declared.iter().enumerate() {
                    let given = values.iter().skip(2).find(|(n, _)| n.as_ref().is_some_and(|n| n.eq_ignore_ascii_case(name)));
                    let given = given.or_else(|| values.get(at + 2).filter(|(n, _)| n.is_none()));
                    let (value, from) = given.map(|(_, v)| v.clone()).ok_or_else(|| {
                        SqlError::new(8178, format!("The parameterized query expects the parameter '{name}', which was not supplied."))
                    })?;
                    parameters.push((name.clone(), *of, crate::value::convert::convert(&value, &from, of, None)?));
                }
                self.inner(&text(0), &parameters, answer)
            }
            "sp_rename" => {
                let alone = self.open(answer);
                let done = define::rename(self, &text(0), &text(1), &text(2), variables);
                self.close(alone, done.is_ok());
                done?;
                answer.info(15477, "Caution: Changing any part of an object name could break scripts and stored procedures.");
                Ok(())
            }
            _ => Err(SqlError::unsupported(format_args!("the procedure {name}"))),
        }
    }
}

/// The parameters that a text such as `@a int, @b nvarchar(10)` declares.
pub fn declared(text: &str) -> Result<Vec<(String, Type)>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match sql::parse(&format!("DECLARE {text}"))?.as_slice() {
        [Statement::Declare(found)] => Ok(found.iter().map(|(name, of, _)| (name.clone(), *of)).collect()),
        _ => Err(SqlError::syntax(text)),
    }
}

fn assign(name: &str, (value, from): (Datum, Type), variables: &mut Variables) -> Result<()> {
    let Some((of, place)) = variables.get_mut(&name.to_lowercase()) else {
        let text = format!("Must declare the scalar variable \"{name}\".");
        return Err(SqlError::new(137, text).class(15).state(2).ends(Ends::Batch));
    };
    *place = super::evaluate::cast(&value, &from, of, None)?;
    Ok(())
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut parts = text.trim().split(':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().map_or(Some(0.0), |s| s.parse().ok())?;
    Some((hours * 60 + minutes) * 60_000 + (seconds * 1000.0) as u64)
}
