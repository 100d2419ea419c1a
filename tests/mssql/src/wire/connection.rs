//! A connection: login, then one answer for each message.

use std::{
    collections::HashMap,
    io,
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    link::{Encryption, Link, Message},
    login::{self, Secured},
    request,
    token::{self, End},
};
use crate::{
    control::fault::Fault,
    engine::Server,
    error::SqlError,
    execute::{Answer, Parameter, ResultSet, Session, TransactionChange, declared},
    value::{Datum, convert},
};

/// Bytes that are gathered before they are sent.
const FLUSH: usize = 256 * 1024;

/// Sends a message in packets.
pub fn send(link: &mut Link, body: &[u8], packet_size: usize) -> io::Result<()> {
    let mut out = Packets { packet_size, number: 0 };
    link.write(&out.packed(body, true))
}

struct Packets {
    packet_size: usize,
    number: u8,
}

impl Packets {
    /// Whole packets of bytes; the last one of a message may be short.
    fn packed(&mut self, body: &[u8], last: bool) -> Vec<u8> {
        let most = self.packet_size - 8;
        let count = body.chunks(most).count().max(1);
        let mut out = Vec::with_capacity(body.len() + count * 8);
        for at in 0..count {
            let chunk = body.get(at * most..((at + 1) * most).min(body.len())).unwrap_or_default();
            self.number = self.number.wrapping_add(1);
            let length = (chunk.len() as u16 + 8).to_be_bytes();
            out.extend([4, u8::from(last && at + 1 == count), length[0], length[1], 0, 0, self.number, 0]);
            out.extend(chunk);
        }
        out
    }
}

/// The answer to one message.
struct Reply {
    link: Arc<Mutex<Link>>,
    packets: Packets,
    out: Vec<u8>,
    /// The end of a statement that is not written yet: whether more follows is not known.
    pending: Option<(End, u16, u64)>,
    end: End,
    /// The connection breaks off after so many rows.
    break_after: Option<usize>,
    broken: bool,
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reply {
    /// Room for further tokens: what came before is not the last.
    fn more(&mut self) -> &mut Vec<u8> {
        if let Some((end, status, count)) = self.pending.take() {
            token::done(&mut self.out, end, status | token::MORE, count);
        }
        &mut self.out
    }

    /// Sends whole packets of what is there.
    fn flush(&mut self) -> io::Result<()> {
        let most = self.packets.packet_size - 8;
        // something is left for the last packet
        let whole = self.out.len().saturating_sub(1) / most * most;
        if whole > 0 {
            let bytes: Vec<u8> = self.out.drain(..whole).collect();
            let packed = self.packets.packed(&bytes, false);
            lock(&self.link).write(&packed)?;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some((end, status, count)) = self.pending.take() {
            token::done(&mut self.out, end, status, count);
        }
        self.flush()?;
        let out = std::mem::take(&mut self.out);
        let packed = self.packets.packed(&out, true);
        lock(&self.link).write(&packed)
    }

    fn hang_up(&mut self) -> SqlError {
        self.broken = true;
        let most = self.packets.packet_size - 8;
        // what is left goes out first, so that the client has half of a result
        let out = std::mem::take(&mut self.out);
        for chunk in out.chunks(most) {
            let packed = self.packets.packed(chunk, false);
            let _ = lock(&self.link).write(&packed);
        }
        lock(&self.link).close();
        crate::engine::server::cancelled()
    }
}

impl Answer for Reply {
    fn rows(&mut self, set: &ResultSet) -> crate::error::Result<()> {
        let out = self.more();
        token::columns(out, &set.columns);
        for at in 0..set.rows.len() {
            if self.break_after == Some(0) {
                return Err(self.hang_up());
            }
            if let Some(left) = &mut self.break_after {
                *left -= 1;
            }
            token::row(&mut self.out, set, at)?;
            if self.out.len() > FLUSH && self.flush().is_err() {
                return Err(crate::engine::server::cancelled());
            }
        }
        Ok(())
    }

    fn done(&mut self, count: Option<u64>) {
        self.more();
        self.pending = Some((self.end, count.map_or(0, |_| token::COUNT), count.unwrap_or(0)));
    }

    fn info(&mut self, number: i32, text: &str) {
        let message = SqlError::new(number, text).class(if number == 0 { 0 } else { 10 });
        token::message(self.more(), &message);
    }

    fn error(&mut self, error: &SqlError) {
        // a cancelled statement is told of by the end of the answer alone (G117)
        if error.number == 0 {
            return;
        }
        token::message(self.more(), error);
        self.pending = Some((self.end, token::ERROR, 0));
    }

    fn transaction(&mut self, change: TransactionChange) {
        let number = match change {
            TransactionChange::Begun(n) | TransactionChange::Committed(n) | TransactionChange::RolledBack(n) => n.to_le_bytes(),
        };
        let begun = [&[8], number.as_slice(), &[0]].concat();
        let ended = [&[0, 8], number.as_slice()].concat();
        let out = self.more();
        match change {
            TransactionChange::Begun(_) => token::change(out, 8, &begun),
            TransactionChange::Committed(_) => token::change(out, 9, &ended),
            TransactionChange::RolledBack(_) => token::change(out, 10, &ended),
        }
    }

    fn database(&mut self, old: &str, new: &str) {
        token::change_text(self.more(), 1, new, old);
    }
}

/// What a connection keeps from message to message.
struct Connection {
    server: Arc<Server>,
    link: Arc<Mutex<Link>>,
    packet_size: usize,
    prepared: HashMap<i64, (String, String)>,
    next_handle: i64,
}

/// Serves a client until it goes.
pub fn serve(server: Arc<Server>, socket: TcpStream, encryption: &Encryption, id: i64) -> io::Result<()> {
    let mut link = Link::new(socket)?;
    let mut secured = false;
    if link.begins_with_tls()?
        && let Encryption::Offered(config) | Encryption::Required(config) = encryption
    {
        link.secure(config.clone(), false)?;
        secured = true;
    }
    let Some((link, mut session, packet_size)) = logged_in(&server, link, encryption, secured, id)? else { return Ok(()) };
    let mut connection = Connection { server, link, packet_size, prepared: HashMap::new(), next_handle: 0 };
    loop {
        let message = lock(&connection.link).read()?;
        if !connection.answer(message, &mut session)? {
            return Ok(());
        }
    }
}

type Started = (Arc<Mutex<Link>>, Session, usize);

fn logged_in(server: &Arc<Server>, mut link: Link, encryption: &Encryption, secured: bool, id: i64) -> io::Result<Option<Started>> {
    let mut message = link.read()?;
    let mut only_login = false;
    if message.kind == 0x12 {
        only_login = login::prelogin(&mut link, &message.body, encryption, secured)? == Secured::Login;
        message = link.read()?;
    }
    if message.kind != 0x10 {
        return Ok(None);
    }
    if only_login {
        link.unsecure()?;
    }
    let wanted = login::read(&message.body)?;
    if let Some(route) = server.faults.route().filter(|_| wanted.read_only) {
        let mut out = login::accepted("master", 4096);
        // before the end of the answer
        let end = out.split_off(out.len() - 13);
        login::routed(&mut out, &route.0, route.1);
        out.extend(end);
        send(&mut link, &out, 4096)?;
        return Ok(None);
    }
    let refuse = |link: &mut Link, errors: &[SqlError]| {
        let mut out = Vec::new();
        errors.iter().for_each(|e| token::message(&mut out, e));
        token::done(&mut out, End::Batch, token::ERROR, 0);
        send(link, &out, 4096).map(|()| None)
    };
    let failed = SqlError::new(18456, format!("Login failed for user '{}'.", wanted.user)).class(14);
    let Some(login) = server.login(&wanted.user, &wanted.password) else { return refuse(&mut link, &[failed]) };
    let name = if wanted.database.is_empty() { "master" } else { &wanted.database };
    let Some(database) = server.world().database(name).cloned() else {
        let text = format!("Cannot open database \"{name}\" requested by the login. The login failed.");
        return refuse(&mut link, &[SqlError::new(4060, text).class(11), failed]);
    };
    send(&mut link, &login::accepted(&database.name, wanted.packet_size), 4096)?;
    let link = Arc::new(Mutex::new(link));
    let watched = link.clone();
    let interrupted = Box::new(move || lock(&watched).interrupted());
    let session = Session::new(server.clone(), login, database.id, id, interrupted);
    Ok(Some((link, session, wanted.packet_size)))
}

impl Connection {
    fn reply(&self) -> Reply {
        Reply {
            link: self.link.clone(),
            packets: Packets { packet_size: self.packet_size, number: 0 },
            out: Vec::new(),
            pending: None,
            end: End::Batch,
            break_after: None,
            broken: false,
        }
    }

    /// Answers a message; false when the connection is over.
    fn answer(&mut self, message: Message, session: &mut Session) -> io::Result<bool> {
        let mut reply = self.reply();
        if message.status & 0x18 != 0 {
            session.reset(&mut reply);
            token::change(reply.more(), 18, &[0, 0]);
        }
        match message.kind {
            0x01 => {
                let sql = request::batch(&message.body);
                self.run(&sql, &[], session, &mut reply)?;
            }
            0x03 => {
                let call = request::call(&message.body)?;
                self.call(call, session, &mut reply)?;
            }
            0x0E => transaction(request::transaction(&message.body)?, session, &mut reply),
            0x06 => {
                token::done(reply.more(), End::Batch, token::ATTENTION, 0);
                reply.finish()?;
                return Ok(true);
            }
            _ => return Ok(false),
        }
        if reply.broken {
            return Ok(false);
        }
        if reply.pending.is_none() {
            reply.pending = Some((reply.end, 0, 0));
        }
        reply.finish()?;
        Ok(true)
    }

    /// Runs SQL, after whatever is planned to go wrong.
    fn run(&self, sql: &str, parameters: &[Parameter], session: &mut Session, reply: &mut Reply) -> io::Result<()> {
        let mut after = None;
        for fault in self.server.faults.due(session.id, sql) {
            match fault {
                Fault::Error(error) => {
                    if error.ends == crate::error::Ends::Transaction {
                        session.rollback(reply);
                    }
                    reply.error(&error);
                    return Ok(());
                }
                Fault::Disconnect => {
                    reply.hang_up();
                    return Ok(());
                }
                Fault::DisconnectAfterRows(rows) => reply.break_after = Some(rows),
                Fault::Hang => {
                    session.hang(reply);
                    return Ok(());
                }
                Fault::Before(run) => run(),
                Fault::After(run) => after = Some(run),
            }
        }
        session.batch(sql, parameters, reply);
        if let Some(run) = after {
            run();
        }
        Ok(())
    }

    fn call(&mut self, call: request::Call, session: &mut Session, reply: &mut Reply) -> io::Result<()> {
        reply.end = End::Statement;
        let text = |at: usize| call.parameters.get(at).and_then(|(_, _, value)| value.to_text()).unwrap_or_default();
        let mut handle = None;
        match call.name.to_ascii_lowercase().as_str() {
            "sp_executesql" => self.parameterized(&text(0), &text(1), call.parameters.get(2..).unwrap_or_default(), session, reply)?,
            "sp_prepare" => handle = Some(self.prepare(text(2), text(1))),
            "sp_prepexec" => {
                let (statement, declarations) = (text(2), text(1));
                handle = Some(self.prepare(statement.clone(), declarations.clone()));
                self.parameterized(&statement, &declarations, call.parameters.get(3..).unwrap_or_default(), session, reply)?;
            }
            "sp_execute" => {
                let number = call.parameters.first().and_then(|(_, _, value)| value.to_int()).unwrap_or(0);
                match self.prepared.get(&number).cloned() {
                    Some((statement, declarations)) => {
                        let given = call.parameters.get(1..).unwrap_or_default();
                        self.parameterized(&statement, &declarations, given, session, reply)?;
                    }
                    None => reply.error(&SqlError::new(8179, format!("Could not find prepared statement with handle {number}."))),
                }
            }
            "sp_unprepare" => {
                let number = call.parameters.first().and_then(|(_, _, value)| value.to_int()).unwrap_or(0);
                self.prepared.remove(&number);
            }
            "sp_reset_connection" => session.reset(reply),
            other => reply.error(&SqlError::unsupported(format_args!("the procedure {other}"))),
        }
        if reply.broken {
            return Ok(());
        }
        let out = reply.more();
        token::return_status(out, 0);
        if let Some(handle) = handle {
            token::return_int(out, 0, "", i32::try_from(handle).unwrap_or(0));
        }
        reply.end = End::Procedure;
        reply.pending = Some((End::Procedure, 0, 0));
        Ok(())
    }

    fn prepare(&mut self, statement: String, declarations: String) -> i64 {
        self.next_handle += 1;
        self.prepared.insert(self.next_handle, (statement, declarations));
        self.next_handle
    }

    fn parameterized(
        &self,
        statement: &str,
        declarations: &str,
        given: &[Parameter],
        session: &mut Session,
        reply: &mut Reply,
    ) -> io::Result<()> {
        let declared = match declared(declarations) {
            Ok(declared) => declared,
            Err(error) => {
                reply.error(&error);
                return Ok(());
            }
        };
        let mut parameters: Vec<Parameter> = Vec::new();
        for (at, (name, of)) in declared.iter().enumerate() {
            let found = given.iter().find(|(n, ..)| n.eq_ignore_ascii_case(name)).or_else(|| given.get(at).filter(|(n, ..)| n.is_empty()));
            let Some((_, from, value)) = found else {
                let text = format!("The parameterized query '{declarations}' expects the parameter '{name}', which was not supplied.");
                reply.error(&SqlError::new(8178, text));
                return Ok(());
            };
            let value = if value.is_null() { Ok(Datum::Null) } else { convert::convert(value, from, of, None) };
            match value {
                Ok(value) => parameters.push((name.clone(), *of, value)),
                Err(error) => {
                    reply.error(&error);
                    return Ok(());
                }
            }
        }
        if parameters.len() > 2100 {
            let text = "The incoming request has too many parameters. The server supports a maximum of 2100 parameters.";
            reply.error(&SqlError::new(8003, text));
            return Ok(());
        }
        self.run(statement, &parameters, session, reply)
    }
}

fn transaction(request: request::Transaction, session: &mut Session, reply: &mut Reply) {
    let again = |session: &mut Session, reply: &mut Reply, level: Option<Option<crate::sql::ast::Isolation>>| {
        if let Some(level) = level {
            if let Some(level) = level {
                session.set_isolation(level);
            }
            session.begin(reply);
        }
    };
    let done = match request {
        request::Transaction::Begin(level) => {
            again(session, reply, Some(level));
            Ok(())
        }
        request::Transaction::Commit { again: level } => session.commit(reply).map(|()| again(session, reply, level)),
        request::Transaction::Rollback { name, again: level } => {
            let name = Some(name.as_str()).filter(|n| !n.is_empty());
            session.rollback_to(name, reply).map(|()| again(session, reply, level))
        }
        request::Transaction::Save(name) => session.save(&name),
    };
    match done {
        Ok(()) => reply.done(None),
        Err(error) => reply.error(&error),
    }
}
