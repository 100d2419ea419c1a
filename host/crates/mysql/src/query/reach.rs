//! What a statement reaches besides the tables that it names: through views, triggers, cascades and functions. The log does not
//! say; MySQL's names the databases, and the server's catalogue has the rest as it is today.

use std::collections::HashSet;

use mysql_async::{Conn, prelude::Queryable};

use super::super::{
    statement::{Change, Logged, Syntax, Token, Tokens, Touched},
    stream::{Halt, Stream},
    survey::Spot,
};
use sluicegate_model::{
    ErrorKind, Result,
    change::TableName,
    finding::listed,
    limits::{CHECK_NAMES, REACHED_OBJECTS},
};

/// Something that changes rows when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Object {
    Table(TableName),
    /// A function or procedure, and whether it is one for sure: a name before a parenthesis may be anything.
    Routine(TableName, bool),
}

/// Of an `UPDATE` that names no table with a column.
const JOINED: &str = " (or of a table that is joined with it: the statement sets a column without its table's name)";

/// What a statement may change of what is captured.
pub(super) struct Reached {
    /// For people.
    pub what: String,
    /// The tables; others may be among them.
    pub touched: Touched,
    /// Why it may be that nothing of it is changed, for people; empty if that is sure.
    pub doubt: &'static str,
}

impl Reached {
    fn tables(tables: Vec<TableName>) -> Option<Self> {
        let what = listed(tables.iter().map(ToString::to_string).collect::<Vec<_>>().iter().map(String::as_str), CHECK_NAMES);
        (!tables.is_empty()).then_some(Self { what, touched: Touched::Tables(tables), doubt: "" })
    }

    fn database(database: &str) -> Option<Self> {
        Some(Self { what: format!("the database {database}"), touched: Touched::of_default(database), doubt: "" })
    }

    fn anything(what: String) -> Option<Self> {
        Some(Self { what, touched: Touched::Any, doubt: "" })
    }

    /// One of several databases.
    fn one_of(databases: &[&String]) -> Option<Self> {
        let mut reached = databases.first().and_then(|database| Self::database(database))?;
        if databases.len() > 1 {
            reached.touched = Touched::Any;
        }
        Some(reached)
    }
}

impl Stream {
    /// What the statement may change of what is captured; `None` = nothing. With `all` every table of it, else one.
    pub(super) async fn captured_by(
        &mut self,
        start: u64,
        logged: &Logged<'_>,
        change: &Change,
        all: bool,
    ) -> Result<Option<Reached>, Halt> {
        if change.maybe.is_empty() {
            return self.captured_by_named(logged, change, all).await;
        }
        let mut change = change.clone();
        let named = change.tables.len();
        for table in std::mem::take(&mut change.maybe) {
            if !self.reader.catalogue.captures(&table) || self.may_have(&table, &change.assigned, start).await? {
                change.tables.push(table);
            }
        }
        let sure = change.tables.get(..named).unwrap_or_default();
        let sure = sure.iter().any(|table| self.reader.catalogue.captures(table));
        let reached = self.captured_by_named(logged, &change, all).await?;
        Ok(reached.map(|reached| if sure { reached } else { Reached { doubt: JOINED, ..reached } }))
    }

    /// Whether the table may have one of these columns where the statement stands.
    async fn may_have(&mut self, table: &TableName, columns: &[String], start: u64) -> Result<bool, Halt> {
        let spot = Spot { file: self.place.file.clone(), position: start };
        let place = &self.place;
        let schema = match self.reader.catalogue.schemas.schema(table, &self.server, &spot, || place.resume()).await {
            Ok(schema) => schema,
            // a view, or a version that nobody knows
            Err(Halt::Failed(error)) if error.kind() == ErrorKind::Source => return Ok(true),
            Err(halt) => return Err(halt),
        };
        let has = |name: &String| schema.columns.iter().any(|column| column.name.to_lowercase() == name.to_lowercase());
        Ok(schema.columns.is_empty() || columns.iter().any(has))
    }

    /// The same, of a statement that names what it changes.
    async fn captured_by_named(&mut self, logged: &Logged<'_>, change: &Change, all: bool) -> Result<Option<Reached>, Halt> {
        let (catalogue, watch) = (&self.reader.catalogue, &self.reader.watch);
        let tables: Vec<_> = change.tables.iter().filter(|table| !watch.is_temporary(logged.thread, table)).cloned().collect();
        if let Some(table) = tables.iter().find(|table| catalogue.captures(table)).filter(|_| !all) {
            return Ok(Reached::tables(vec![table.clone()]));
        }
        // the server names the databases that it used: nothing of the others is reached
        let reached = logged.used.as_ref().map(|databases| databases.iter().filter(|d| catalogue.may_capture_in(d)).collect::<Vec<_>>());
        if reached.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let wide = reached.and_then(|databases| Reached::one_of(&databases));
        if change.tables.is_empty() && !change.complete {
            let default = || Reached::database(&logged.database).filter(|_| catalogue.may_capture_in(&logged.database));
            return Ok(wide.or_else(default));
        }
        // temporary tables have no triggers
        if tables.is_empty() && !change.tables.is_empty() && change.calls.is_empty() || watch.is_harmless(change) {
            return Ok(None);
        }
        let change = Change { tables, ..change.clone() };
        if !change.complete {
            return Ok(wide.or_else(|| Reached::anything("tables that cannot be told".to_owned())));
        }
        let found = self.look_up(logged, &change, all).await?;
        if found.is_none() {
            self.reader.watch.note_harmless(&change);
        }
        Ok(found)
    }

    /// Whether a rollback takes back what was changed of all these tables.
    pub(super) async fn are_transactional(&mut self, touched: &Touched) -> Result<bool> {
        let Touched::Tables(tables) = touched else { return Ok(false) };
        let mut conn = self.look_up_connection().await?;
        let query = "SELECT e.transactions FROM information_schema.tables t JOIN information_schema.engines e ON e.engine = t.engine \
            WHERE t.table_schema = ? AND t.table_name = ?";
        for table in tables {
            let key = (&table.database, &table.table);
            let transactions: Option<Option<String>> = self.reader.connector.within("query", conn.exec_first(query, key)).await?;
            // a view has no engine, and one that is gone may have had any
            if transactions.flatten().as_deref() != Some("YES") {
                self.reader.watch.conn = Some(conn);
                return Ok(false);
            }
        }
        self.reader.watch.conn = Some(conn);
        Ok(true)
    }

    async fn look_up_connection(&mut self) -> Result<Conn> {
        match self.reader.watch.conn.take() {
            Some(conn) => Ok(conn),
            None => self.reader.connector.connect().await,
        }
    }

    async fn look_up(&mut self, logged: &Logged<'_>, change: &Change, all: bool) -> Result<Option<Reached>> {
        let mut conn = self.look_up_connection().await?;
        let found = self.reaches(&mut conn, logged, change, all).await?;
        self.reader.watch.conn = Some(conn);
        Ok(found)
    }

    async fn reaches(&self, conn: &mut Conn, logged: &Logged<'_>, change: &Change, all: bool) -> Result<Option<Reached>> {
        let mut objects = Objects::default();
        objects.add(change, &logged.database);
        let mut found_databases: HashSet<String> = HashSet::new();
        let mut tables = Vec::new();
        let mut at = 0;
        while let Some(object) = objects.all.get(at).cloned() {
            at += 1;
            if at > REACHED_OBJECTS {
                return Ok(Reached::anything("tables that cannot be told".to_owned()));
            }
            match object {
                Object::Table(table) => {
                    found_databases.insert(table.database.clone());
                    if self.reader.catalogue.captures(&table) {
                        tables.push(table.clone());
                        if !all {
                            break;
                        }
                    }
                    if let Some(unknown) = self.behind_table(conn, &table, &mut objects).await? {
                        return Ok(Reached::anything(unknown));
                    }
                }
                Object::Routine(name, sure) => {
                    if let Some(unknown) = self.behind_routine(conn, &name, sure, &mut objects).await? {
                        return Ok(Reached::anything(unknown));
                    }
                }
            }
        }
        if !tables.is_empty() && !all {
            return Ok(Reached::tables(tables));
        }
        // a database that was used, of which neither the statement nor anything that was found speaks: something else is reached there
        let text = logged.text(&self.server.collations);
        let speaks = |database: &String| {
            *database == logged.database || found_databases.contains(database) || self.tokens(&text).any(|token| token.names(database))
        };
        let databases = logged.used.iter().flatten();
        let others: Vec<&String> = databases.filter(|d| self.reader.catalogue.may_capture_in(d) && !speaks(d)).collect();
        Ok(match (Reached::one_of(&others), Reached::tables(tables)) {
            (Some(others), Some(_)) => Some(Reached { touched: Touched::Any, ..others }),
            (others, tables) => others.or(tables),
        })
    }

    /// Adds what a change of the table reaches: through a view, by triggers, by cascades.
    async fn behind_table(&self, conn: &mut Conn, table: &TableName, objects: &mut Objects) -> Result<Option<String>> {
        let connector = &self.reader.connector;
        let key = (&table.database, &table.table);
        let query = "SELECT view_definition FROM information_schema.views WHERE table_schema = ? AND table_name = ?";
        let view: Option<Option<String>> = connector.within("query", conn.exec_first(query, key)).await?;
        if let Some(definition) = view {
            let definition = definition.unwrap_or_default();
            if definition.is_empty() {
                return Ok(Some(format!("what the view {table} shows")));
            }
            objects.add_names(self.tokens(&definition), &table.database);
        }
        let query = "SELECT action_statement FROM information_schema.triggers WHERE event_object_schema = ? AND event_object_table = ?";
        let triggers: Vec<String> = connector.within("query", conn.exec(query, key)).await?;
        for body in triggers {
            objects.add_body(self.tokens(&body), &table.database);
        }
        let query = "SELECT constraint_schema, table_name FROM information_schema.referential_constraints \
            WHERE unique_constraint_schema = ? AND referenced_table_name = ? \
            AND (delete_rule NOT IN ('RESTRICT', 'NO ACTION') OR update_rule NOT IN ('RESTRICT', 'NO ACTION'))";
        let cascades: Vec<(String, String)> = connector.within("query", conn.exec(query, key)).await?;
        for (database, child) in cascades {
            objects.push(Object::Table(TableName::new(database, child)));
        }
        Ok(None)
    }

    /// Adds what a function or procedure changes. Answers with what cannot be told.
    async fn behind_routine(&self, conn: &mut Conn, name: &TableName, sure: bool, objects: &mut Objects) -> Result<Option<String>> {
        let query = "SELECT routine_definition FROM information_schema.routines WHERE routine_schema = ? AND routine_name = ?";
        let bodies: Vec<Option<String>> = self.reader.connector.within("query", conn.exec(query, (&name.database, &name.table))).await?;
        let unknown = || Ok(Some(format!("what {name}() changes")));
        if bodies.is_empty() && sure {
            return unknown();
        }
        for body in bodies {
            let Some(body) = body else { return unknown() };
            if !objects.add_body(self.tokens(&body), &name.database) {
                return unknown();
            }
        }
        Ok(None)
    }

    fn tokens<'t>(&self, text: &'t str) -> Tokens<'t> {
        Tokens::new(text, Syntax { lower_case_names: self.server.lower_case_names, ..Syntax::of(self.server.flavour) })
    }
}

/// What was found so far, each once.
#[derive(Debug, Default)]
struct Objects {
    all: Vec<Object>,
    seen: HashSet<Object>,
}

impl Objects {
    fn push(&mut self, object: Object) {
        if self.seen.insert(object.clone()) {
            self.all.push(object);
        }
    }

    fn add(&mut self, change: &Change, database: &str) {
        for table in &change.tables {
            self.push(Object::Table(table.clone()));
        }
        for (own, name) in &change.calls {
            // `INSERT INTO shop.t (…)` looks like a call
            let table = own.as_ref().is_some_and(|own| change.tables.iter().any(|t| t.database == *own && t.table == *name));
            if !table {
                let routine = TableName::new(own.as_deref().unwrap_or(database), name);
                self.push(Object::Routine(routine, own.is_some()));
            }
        }
    }

    /// Every name in a view's definition, where the server writes tables with their database.
    fn add_names(&mut self, mut tokens: Tokens<'_>, database: &str) {
        let mut change = Change::of(TableName::new("", ""), tokens);
        change.tables.clear();
        while tokens.peek().is_some() {
            let mut ahead = tokens;
            match ahead.table("") {
                Some(table) => {
                    self.push(Object::Table(table));
                    tokens = ahead;
                }
                None => drop(tokens.next()),
            }
        }
        change.calls.retain(|(own, _)| own.is_some());
        self.add(&change, database);
    }

    /// The statements in a body. `false` = it runs text that is not known.
    fn add_body(&mut self, mut tokens: Tokens<'_>, database: &str) -> bool {
        let mut change = Change::of(TableName::new("", ""), tokens);
        change.tables.clear();
        let mut condition = false;
        let mut known = change.complete;
        loop {
            let statement = tokens;
            let Some(token) = tokens.next() else { break };
            let is = |words: &[&str]| words.iter().any(|word| token.is(word));
            // ON DUPLICATE KEY UPDATE, FOR UPDATE; INSERT('text', 1, 2, 'x')
            let function = tokens.peek() == Some(Token::Sign('('));
            if is(&["INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD"]) && !condition && !function {
                match Change::read(statement, database) {
                    Some(found) => {
                        known &= found.complete;
                        change.tables.extend(found.tables.into_iter().chain(found.maybe));
                    }
                    None => known = false,
                }
            } else if is(&["CALL"]) {
                let mut ahead = tokens;
                let first = ahead.name();
                let second = if ahead.sign('.') { ahead.name() } else { None };
                match (first, second) {
                    (Some(own), Some(name)) => change.calls.push((Some(own), name)),
                    (Some(name), None) => change.calls.push((Some(database.to_owned()), name)),
                    _ => known = false,
                }
            } else if is(&["EXECUTE"]) {
                known = false;
            }
            condition = is(&["KEY", "FOR"]);
        }
        self.add(&change, database);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::position::Flavour, *};

    fn found(text: &str, view: bool) -> (Vec<String>, bool) {
        let mut objects = Objects::default();
        let tokens = Tokens::new(text, Syntax::of(Flavour::MySql));
        let known = if view {
            objects.add_names(tokens, "d");
            true
        } else {
            objects.add_body(tokens, "d")
        };
        let names = objects.all.into_iter().filter_map(|object| match object {
            Object::Table(table) => Some(table.to_string()),
            Object::Routine(name, true) => Some(format!("{name}()")),
            Object::Routine(_, false) => None,
        });
        (names.collect(), known)
    }

    #[test]
    fn the_tables_that_a_body_changes_are_found() {
        let body = "BEGIN DECLARE stock INT; INSERT INTO shop.stock (id) VALUES (x) ON DUPLICATE KEY UPDATE v = INSERT('a', 1, 1, 'b'); \
            SELECT 1 INTO y FROM u FOR UPDATE; UPDATE t SET a = 1; CALL p; CALL other.q(1); DELETE FROM v; RETURN 1; END";
        let tables = ["shop.stock", "d.t", "d.v", "other.q()", "d.p()"].map(str::to_owned).to_vec();
        assert_eq!(found(body, false), (tables, true));
        assert!(!found("BEGIN PREPARE s FROM @x; EXECUTE s; END", false).1, "text that is not known");
    }

    #[test]
    fn the_tables_of_a_view_are_found() {
        let definition = "select `a`.`t`.`id` AS `id` from (`shop`.`t` `a` join `other`.`u`) where `other`.`f`(1)";
        let names = found(definition, true).0;
        assert!(["shop.t", "other.u", "other.f()"].iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
    }
}
