//! The handle of a running simulator.

use std::{
    collections::HashMap,
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::fault::{Fault, Faults};
use crate::{
    engine::{Database, Server, Table, World, server::Login},
    error::SqlError,
    execute::{Answer, ResultSet, Session, TransactionChange},
    wire::{self, Encryption},
};

/// What a simulator is started with.
#[derive(Debug)]
pub struct Builder {
    password: String,
    address: SocketAddr,
    encryption: Encryption,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            password: Simulator::PASSWORD.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            encryption: Encryption::NotSupported,
        }
    }
}

impl Builder {
    /// The password of `sa`.
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Where it listens; a free port of 127.0.0.1 otherwise.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Offers TLS with a certificate and its key; `required` takes nothing in clear. A wrong certificate is one that the client does not
    /// trust or that names another host.
    pub fn certificate(
        mut self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        required: bool,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // TLS 1.2, because a ticket of 1.3 would come inside of a packet (G121)
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let config = Arc::new(config);
        self.encryption = if required { Encryption::Required(config) } else { Encryption::Offered(config) };
        Ok(self)
    }

    /// Starts it.
    pub fn start(self) -> io::Result<Simulator> {
        let listener = TcpListener::bind(self.address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: Arc::new(Server::new(&self.password)),
            sockets: Mutex::default(),
            stopping: AtomicBool::new(false),
            next_session: AtomicI64::new(51),
            address,
        });
        let accepting = shared.clone();
        let encryption = self.encryption;
        thread::Builder::new().name("simulator".to_owned()).spawn(move || {
            for socket in listener.incoming() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                let (shared, encryption) = (accepting.clone(), encryption.clone());
                let id = shared.next_session.fetch_add(1, Ordering::Relaxed);
                if let Ok(copy) = socket.try_clone() {
                    shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).insert(id, copy);
                }
                let _ = thread::Builder::new().name(format!("session-{id}")).spawn(move || {
                    let closing = Closing { shared, id };
                    // a client that goes away, or sends what is no TDS, ends its connection and nothing else
                    let _ = wire::serve(closing.shared.server.clone(), socket, &encryption, id);
                });
            }
        })?;
        Ok(Simulator { shared, owner: true })
    }
}

#[derive(Debug)]
struct Shared {
    server: Arc<Server>,
    sockets: Mutex<HashMap<i64, TcpStream>>,
    stopping: AtomicBool,
    next_session: AtomicI64,
    address: SocketAddr,
}

/// Closes a client's socket however its session ends, also by a panic.
struct Closing {
    shared: Arc<Shared>,
    id: i64,
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(socket) = self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// A running simulator; it stops when the handle that started it goes. Clones are for faults that act on it.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    owner: bool,
}

impl Clone for Simulator {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), owner: false }
    }
}

/// All that was committed at a moment.
#[derive(Clone, Debug)]
pub struct Copy {
    world: Arc<World>,
}

/// What a batch that ran without a client answered.
#[derive(Debug, Default)]
struct Kept {
    sets: Vec<ResultSet>,
    errors: Vec<SqlError>,
}

impl Answer for Kept {
    fn rows(&mut self, set: &ResultSet) -> Result<(), SqlError> {
        self.sets.push(set.clone());
        Ok(())
    }

    fn done(&mut self, _: Option<u64>) {}

    fn info(&mut self, _: i32, _: &str) {}

    fn error(&mut self, error: &SqlError) {
        self.errors.push(error.clone());
    }

    fn transaction(&mut self, _: TransactionChange) {}

    fn database(&mut self, _: &str, _: &str) {}
}

impl Simulator {
    /// The password of `sa` when none is given.
    pub const PASSWORD: &'static str = "Sluice-gate-1";

    /// A file with the certificate of the authority of [`Self::secured`].
    pub const AUTHORITY: &'static str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/ca.pem");

    /// What it is started with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one on a free port of 127.0.0.1.
    pub fn start() -> Self {
        Builder::default().start().expect("a free port")
    }

    /// Starts one with a certificate of [`Self::AUTHORITY`]: `right` names 127.0.0.1 and localhost, `wrong` another host. `required`: nothing in
    /// clear.
    pub fn secured(certificate: &str, required: bool) -> Self {
        let path = |end: &str| format!("{}/tests/certificates/{certificate}.{end}", env!("CARGO_MANIFEST_DIR"));
        let chain = vec![CertificateDer::from_pem_file(path("pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(path("key")).expect("a key");
        Builder::default().certificate(chain, key, required).expect("a certificate").start().expect("a free port")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// What is planned to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.server.faults
    }

    /// Plans a fault for the next request whose SQL contains a text.
    pub fn plan(&self, containing: &str, fault: Fault) {
        self.faults().plan(containing, fault);
    }

    /// Runs a batch as `sa` in a database, on the side of the server. The first error ends it.
    pub fn run(&self, database: &str, sql: &str) -> Result<Vec<ResultSet>, SqlError> {
        let server = &self.shared.server;
        let login = server.lock().logins.get("sa").cloned().ok_or_else(|| SqlError::new(18456, "There is no sa."))?;
        let id = server
            .world()
            .database(database)
            .map(|d| d.id)
            .ok_or_else(|| SqlError::new(911, format!("Database '{database}' does not exist.")))?;
        let mut session = Session::new(server.clone(), login, id, 50, Box::new(|| false));
        let mut kept = Kept::default();
        session.batch(sql, &[], &mut kept);
        match kept.errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(kept.sets),
        }
    }

    /// Adds a login that may do nothing until it is granted something.
    pub fn login(&self, name: &str, password: &str) {
        let login = Login { name: name.to_owned(), password: password.to_owned(), administrator: false };
        self.shared.server.lock().logins.insert(name.to_lowercase(), login);
    }

    fn database(&self, name: &str, change: impl FnOnce(&mut Database)) {
        self.shared.server.alter(|world| {
            let id = world.database(name).map(|d| d.id).expect("the database exists");
            change(world.database_mut(id).expect("the database exists"));
        });
    }

    fn table(&self, database: &str, table: &str, change: impl FnOnce(&mut Table)) {
        self.database(database, |database| {
            let (schema, name) = table.split_once('.').unwrap_or(("dbo", table));
            let mut found = Table::clone(database.table(schema, name).expect("the table exists"));
            change(&mut found);
            database.put(Arc::new(found));
        });
    }

    /// Cleans the history of all tables of a database up to a version (G70, G71).
    pub fn clean(&self, database: &str, up_to: i64) {
        self.clean_in_part(database, up_to, usize::MAX);
    }

    /// The same, but stops after so many rows of each table: the rest outlives the watermark (G72).
    pub fn clean_in_part(&self, database: &str, up_to: i64, rows: usize) {
        self.database(database, |database| {
            let tables: Vec<Arc<Table>> = database.tables.values().cloned().collect();
            for table in tables {
                let mut table = Table::clone(&table);
                if let Some(tracking) = &mut table.tracking {
                    tracking.clean(up_to, rows);
                    database.put(Arc::new(table));
                }
            }
            let old: Vec<i64> = database.commits.range(..=up_to).map(|(version, _)| *version).collect();
            old.iter().for_each(|version| {
                database.commits.remove_mut(version);
            });
        });
    }

    /// Sets the database's version: forward leaves a gap, as other tables' commits do (G35); back is what a restore does (G39).
    pub fn set_version(&self, database: &str, version: i64) {
        self.database(database, |database| database.version = version);
    }

    /// Sets a table's lowest valid version, also above the current one, as read-only replicas were seen to say (G89).
    pub fn set_min_valid_version(&self, database: &str, table: &str, version: i64) {
        self.table(database, table, |table| table.tracking.as_mut().expect("a tracked table").min_valid = version);
    }

    /// Makes a database a read-only replica that still answers, or the primary again.
    pub fn set_read_only(&self, database: &str, on: bool) {
        self.database(database, |database| database.read_only = on);
    }

    /// Makes a database a secondary replica, which refuses the functions of Change Tracking with 22117 (G89), or the primary again.
    pub fn set_secondary(&self, database: &str, on: bool) {
        self.database(database, |database| database.secondary = on);
    }

    /// Says of the last change of each key of a table that it was a delete, although the row is there: the server's bug of G28.
    pub fn report_deletes(&self, database: &str, table: &str) {
        self.table(database, table, |table| {
            let tracking = table.tracking.as_mut().expect("a tracked table");
            let last: Vec<_> = tracking.latest.iter().map(|(key, (version, _))| (*version, key.clone())).collect();
            for at in last {
                if let Some(entry) = tracking.history.get(&at).cloned() {
                    let mut entry = crate::engine::tracking::Entry::clone(&entry);
                    entry.ends_with_delete = true;
                    tracking.history.insert_mut(at, Arc::new(entry));
                }
            }
        });
    }

    /// Hides all rows of a table from every query, as a policy of row-level security does; CHANGETABLE tells their changes all the same.
    pub fn hide_rows(&self, database: &str, table: &str) {
        let id = self.object_id(database, table);
        self.database(database, |database| {
            database.hidden.insert(id);
        });
    }

    /// Says of a column in the catalog that it is encrypted by Always Encrypted.
    pub fn encrypt(&self, database: &str, table: &str, column_id: i32) {
        let id = self.object_id(database, table);
        self.database(database, |database| {
            database.encrypted.insert((id, column_id));
        });
    }

    /// Says of a column in the catalog that it is masked.
    pub fn mask(&self, database: &str, table: &str, column_id: i32) {
        let id = self.object_id(database, table);
        self.database(database, |database| {
            database.masked.insert((id, column_id));
        });
    }

    fn object_id(&self, database: &str, table: &str) -> i64 {
        let mut id = 0;
        self.table(database, table, |table| id = table.definition.object_id);
        id
    }

    /// CHANGETABLE gives its rows in no order (G19).
    pub fn shuffle(&self, on: bool) {
        self.shared.server.shuffles.store(on, Ordering::Relaxed);
    }

    /// How many rows CHANGETABLE has gone through: all after the version that it was given, however few of them a query wanted.
    pub fn tracked_rows(&self) -> u64 {
        self.shared.server.tracked_rows.load(Ordering::Relaxed)
    }

    /// `ProductVersion`, such as 13.0.5026.0 of 2016.
    pub fn set_product_version(&self, version: &str) {
        version.clone_into(&mut self.shared.server.version.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is committed now, for a failover to it later.
    pub fn copy(&self) -> Copy {
        Copy { world: self.shared.server.world() }
    }

    /// Fails over to an older copy: what was committed since is gone, and all clients are disconnected.
    pub fn fail_over(&self, to: &Copy) {
        self.disconnect();
        self.shared.server.alter(|world| *world = World::clone(&to.world));
    }

    /// Breaks all connections off.
    pub fn disconnect(&self) {
        for socket in self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if self.owner {
            self.shared.stopping.store(true, Ordering::SeqCst);
            self.disconnect();
            // wakes the thread that accepts
            let _ = TcpStream::connect(self.shared.address);
        }
    }
}
