//! Several servers that may take each other's place: the first one that is up and holds the place is read from. The one that was
//! read from last is asked first, so that the server does not change without need.

use mysql_async::Conn;

use super::{
    connection::{Connector, Server},
    logging,
    position::{BinlogPosition, Flavour},
    precheck::{self, Faults},
    privileges::Privileges,
    proof::{self, Proof},
    stream,
};
use sluicegate_config::MySqlSource;
use sluicegate_model::{Error, ErrorKind, Result};

/// Connects to the first server, from the present one on, that can go on from a place; and what proves that.
///
/// # Errors
/// Of a single server, its own. Of several, `Connection` as long as one of them may come back or catch up; else the first one's refusal.
pub(super) async fn reach(connector: &Connector, place: &BinlogPosition) -> Result<(Conn, Server, Proof)> {
    let mut refusals = Refusals::default();
    loop {
        match try_present(connector, place).await {
            Ok(reached) => return Ok(reached),
            Err(error) => refusals.add(connector, error),
        }
        if refusals.are_all(connector) {
            return Err(refusals.into_error());
        }
    }
}

async fn try_present(connector: &Connector, place: &BinlogPosition) -> Result<(Conn, Server, Proof)> {
    let mut conn = connector.connect().await?;
    let server = connector.identify(&mut conn).await?;
    stream::check_same_server(place, &server, connector.address())?;
    if connector.servers() > 1 {
        // the first one was looked at when the run began
        let mut faults = Faults::default();
        logging::passed_on(connector, &mut conn, &mut faults).await?;
        faults.result(connector.address())?;
    }
    let proof = proof::prove(connector, &mut conn, &server, place).await.map_err(|error| match error.may_pass() {
        // it may catch up
        true => error.with_kind(ErrorKind::Connection),
        false => error,
    })?;
    Ok((conn, server, proof))
}

/// Looks whether the servers beside the present one, which is of this flavour, could take its place. What speaks against it is a warning:
/// a run begins without them.
pub(super) async fn look_at_others(connector: &Connector, configured: &MySqlSource, flavour: Flavour, faults: &mut Faults) {
    faults.item("hosts");
    for number in (0..connector.servers()).filter(|number| *number != connector.turn()) {
        let other = connector.only(number);
        let mut own = Faults::default();
        match look_at(&other, configured, flavour, &mut own).await {
            Ok(()) => {}
            Err(error) => own.add(error.chain(), error.remedy_text().unwrap_or_default()),
        }
        for (what, remedy) in own.faults() {
            faults.warn(format!("{} could not take over: {what}", other.address()), remedy);
        }
    }
    faults.pass(format!("{} servers could take over", connector.servers().saturating_sub(1)));
}

async fn look_at(other: &Connector, configured: &MySqlSource, flavour: Flavour, faults: &mut Faults) -> Result<()> {
    let mut conn = other.connect().await?;
    let server = other.identify(&mut conn).await?;
    if server.flavour != flavour {
        let what = format!("it is {}, where a place in the log of {} means nothing", server.flavour.connector(), flavour.connector());
        faults.add(what, "Name servers that replicate from each other.");
        return Ok(());
    }
    if !server.gtids {
        faults.add("gtid_mode is not ON", "Switch gtid_mode to ON on all servers.");
    }
    precheck::settings(other, &mut conn, &server, configured.row_image, faults).await?;
    Privileges::of(other, &mut conn).await?.of_the_log(faults);
    logging::passed_on(other, &mut conn, faults).await
}

/// Why no server was taken, in the order in which they were tried.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<Error>);

impl Refusals {
    /// The present server cannot be used: the next one becomes it.
    pub(super) fn add(&mut self, connector: &Connector, error: Error) {
        if connector.servers() > 1 {
            tracing::warn!(server = connector.address(), error = error.chain(), "cannot read from this server, trying the next one");
            connector.turn_to_next();
        }
        self.0.push(error);
    }

    /// Whether every server was tried.
    pub(super) fn are_all(&self, connector: &Connector) -> bool {
        self.0.len() >= connector.servers()
    }

    /// What all of them come to.
    pub(super) fn into_error(mut self) -> Error {
        if self.0.len() <= 1 {
            return self.0.pop().unwrap_or_else(|| Error::new(ErrorKind::Internal, "a source without a server"));
        }
        let may_pass = self.0.iter().any(|error| error.kind() == ErrorKind::Connection);
        let first = self.0.iter().find(|error| error.kind() != ErrorKind::Connection || may_pass);
        let (kind, remedy) = match first {
            Some(error) if !may_pass => (error.kind(), error.remedy_text().unwrap_or_default().to_owned()),
            _ => (
                ErrorKind::Connection,
                "Check that the servers are running and reachable, and that one of them has everything that was read.".to_owned(),
            ),
        };
        let all: Vec<String> = self.0.iter().map(Error::chain).collect();
        Error::new(kind, format!("none of the {} servers can be read from: {}", all.len(), all.join("; "))).remedy(remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kinds: &[ErrorKind]) -> (ErrorKind, String) {
        let errors = kinds.iter().enumerate().map(|(i, kind)| Error::new(*kind, format!("fault {i}")).remedy(format!("mend {i}")));
        let error = Refusals(errors.collect()).into_error();
        (error.kind(), error.to_string())
    }

    #[test]
    fn what_may_pass_at_one_server_is_waited_for_and_what_passes_at_none_is_final() {
        use ErrorKind::{Connection, Precheck, Source};
        assert_eq!(told(&[Source]), (Source, "fault 0\n  remedy: mend 0".to_owned()));
        let (kind, text) = told(&[Precheck, Source]);
        assert_eq!(kind, Precheck);
        assert!(text.contains("none of the 2 servers can be read from: fault 0; fault 1") && text.ends_with("mend 0"), "{text}");
        assert_eq!(told(&[Source, Connection]).0, Connection);
        assert_eq!(told(&[Connection, Connection]).0, Connection);
    }
}
