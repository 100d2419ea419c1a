//! What an error of the driver or the server means: whether another try may work, and what to do. The server's texts may hold values of
//! rows, so only those of errors that name none are told.

use sluicegate_model::{Error, ErrorKind, change::Batch};

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Fault {
    /// A query failed for a reason that passes: it is tried again a number of times.
    Transient(Error),
    /// The connection cannot be made, or broke: tried again for a time.
    Broken(Error),
    /// Another try does not help.
    Final(Error),
    /// The rest of a result is not read, because nobody took a batch in time or the turn is over: its connection is closed, and only then
    /// the batch is sent.
    Left(Option<Box<Batch>>),
    /// Nobody takes items any more.
    Closed,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::Connection { Self::Broken(error) } else { Self::Final(error) }
    }
}

impl Fault {
    /// As an error; `None` when nobody takes items.
    pub(super) fn into_error(self) -> Option<Error> {
        match self {
            Self::Transient(error) | Self::Broken(error) | Self::Final(error) => Some(error),
            Self::Left(_) | Self::Closed => None,
        }
    }

    /// Says that the server refuses the source's `initial_query`: what a connection broke at is no fault of it.
    pub(super) fn of_initial_query(self) -> Self {
        let refused = |error: Error| {
            error.context("the source's `initial_query`").with_kind(ErrorKind::Precheck).remedy(
                "Correct `initial_query` at the source, with what the server answers to it in its own client, or leave it out; what it names \
                 has to be there, and the account needs the grants for it.",
            )
        };
        match self {
            Self::Transient(error) => Self::Transient(refused(error)),
            Self::Final(error) => Self::Final(refused(error)),
            fault @ (Self::Broken(_) | Self::Left(_) | Self::Closed) => fault.context("the source's `initial_query`"),
        }
    }

    /// Puts what was being done in front.
    pub(super) fn context(self, context: &str) -> Self {
        match self {
            Self::Transient(error) => Self::Transient(error.context(context)),
            Self::Broken(error) => Self::Broken(error.context(context)),
            Self::Final(error) => Self::Final(error.context(context)),
            fault @ (Self::Left(_) | Self::Closed) => fault,
        }
    }
}

/// What to do about errors of the server.
const PERMISSION: &str = "GRANT VIEW CHANGE TRACKING ON SCHEMA::… TO the account, and GRANT SELECT on the tables (with `record: tracking-only` on \
                          the columns of the key).";
const SERVER: &str = "Check host, port and firewall, and that the server is running.";
const QUERY: &str = "Raise the source's `query_timeout`, or look for what the query waits for: locks, or old statistics of the table's \
                     sys.change_tracking_<object id>.";
const LOGIN: &str = "Check user, password and database at the source, and that the login may connect to the database.";

/// What is done when a connection is made.
pub(super) const CONNECT: &str = "connect to";

/// An error of the driver while `doing` something at `address`.
pub(super) fn explain(address: &str, doing: &str, error: tiberius::error::Error) -> Fault {
    use tiberius::error::Error as Driver;
    let message = format!("cannot {doing} {address}");
    match &error {
        Driver::Server(token) => server(message, token),
        Driver::Tls(text) => {
            let certificate = text.contains("certificate");
            let error = Error::new(if certificate { ErrorKind::Precheck } else { ErrorKind::Connection }, format!("{message}: TLS failed"))
                .caused_by(short(text))
                .remedy("Check the server's certificate against `ca_file` and the host name, or set `tls` to what the server offers.");
            error.into()
        }
        Driver::Io { kind: std::io::ErrorKind::TimedOut, .. } => {
            let remedy = if doing == CONNECT { SERVER } else { QUERY };
            Fault::Broken(Error::new(ErrorKind::Connection, format!("{message}: no answer in time")).remedy(remedy))
        }
        Driver::Io { message: text, .. } => Fault::Broken(Error::new(ErrorKind::Connection, format!("{message}: {text}")).remedy(SERVER)),
        // of `char` and `varchar` in a code page
        Driver::Encoding(_) => Fault::Final(
            Error::new(ErrorKind::Source, format!("{message}: it gave text that is not of its collation's code page"))
                .remedy("Correct the rows, or leave the table out with `exclude`."),
        ),
        Driver::Utf16 | Driver::Utf8 => Fault::Final(
            Error::new(ErrorKind::Source, format!("{message}: it gave text that is no valid Unicode"))
                .remedy("Write `invalid_text: replace` at the source, correct the rows, or leave the table out with `exclude`."),
        ),
        Driver::Protocol(text) if text.contains("surrogate") || text.contains("UTF-16") || text.contains("UTF16") => Fault::Final(
            Error::new(ErrorKind::Source, format!("{message}: it gave text that is no valid Unicode"))
                .remedy("Write `invalid_text: replace` at the source, correct the rows, or leave the table out with `exclude`."),
        ),
        // the texts of the driver's other errors may quote what it could not read
        _ => Fault::Broken(
            Error::new(ErrorKind::Connection, format!("{message}: the answer cannot be read"))
                .remedy("Check that host and port are those of a SQL Server; if so, report it with the table's definition."),
        ),
    }
}

fn short(text: &str) -> String {
    text.split(". To connect anyway").next().unwrap_or_default().to_owned()
}

fn server(message: String, token: &tiberius::error::TokenError) -> Fault {
    let code = token.code();
    let (kind, remedy, told) = match code {
        // deadlock victim; lock time-out; snapshot conflicts with updates and with changes of a definition
        1205 | 1222 | 3960 | 3961 | 3966 => {
            return Fault::Transient(
                Error::new(ErrorKind::Source, format!("{message}: error {code}: {}", token.message()))
                    .remedy("It was tried again `retries` times: look for what holds locks on the table, or alters it again and again."),
            );
        }
        // the database or the server is being started, switched or moved; too many connections
        596
        | 921
        | 922
        | 927
        | 952
        | 976
        | 978
        | 983
        | 988
        | 6005
        | 17142
        | 10928
        | 10929
        | 40143
        | 40197
        | 40501
        | 40540
        | 40613
        | 49918..=49920 => {
            let remedy =
                "Check the database's name, that it is online, and that the login may use it; a running pipeline tries again by itself.";
            return Fault::Broken(
                Error::new(ErrorKind::Connection, format!("{message}: error {code}: {}", token.message())).remedy(remedy),
            );
        }
        911 | 916 | 4060 | 18452 | 18456 | 18486 | 18487 | 18488 => (ErrorKind::Precheck, LOGIN, true),
        229 | 230 | 262 | 297 | 300 => (ErrorKind::Precheck, PERMISSION, true),
        // it was allowed when the connection was made: a new one is asked
        3952 => {
            return Fault::Transient(
                Error::new(ErrorKind::Source, format!("{message}: error {code}: {}", token.message()))
                    .remedy("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON; or write `isolation: read-committed` at the source."),
            );
        }
        // the table is gone, altered, or not tracked: looked at anew by a retry
        207 | 208 | 4998 | 22105 => {
            return Fault::Transient(
                Error::new(ErrorKind::Source, format!("{message}: error {code}: {}", token.message()))
                    .remedy("ALTER TABLE … ENABLE CHANGE_TRACKING, or leave the table out with `exclude`."),
            );
        }
        22117 => (
            ErrorKind::Precheck,
            "Connect to the primary replica: leave `read_only_intent` out, and name the availability group's listener as `host`.",
            true,
        ),
        102 | 156 => (ErrorKind::Source, "Report it with the server's version: this text is not understood by the server.", true),
        // what ends a connection stands there
        _ if token.class() >= 20 => (ErrorKind::Source, "Look into the server's error log.", false),
        _ => (ErrorKind::Source, "Look the number up in the server's documentation, \"Database Engine events and errors\".", false),
    };
    let text = if told {
        format!("{message}: error {code}: {}", token.message())
    } else {
        format!("{message}: error {code}, severity {}", token.class())
    };
    match token.class() {
        // it ends the connection
        20.. => Fault::Broken(Error::new(ErrorKind::Connection, text).remedy(remedy)),
        // whatever it is, it may pass: memory, storage, another session
        _ if !told => Fault::Transient(Error::new(kind, text).remedy(remedy)),
        _ => Fault::Final(Error::new(kind, text).remedy(remedy)),
    }
}
