//! The error that names a place whose schema is not known, with the ways on.

use std::sync::Arc;

use super::{Server, Spot};
use crate::position::{BinlogPosition, LANE};
use sluicegate_model::{
    Error, ErrorKind,
    change::{LanePlace, TableName},
};

/// Why the schema at a place is not known.
#[derive(Debug)]
pub(super) struct Unknown {
    pub here: Spot,
    /// Where the version that is not known begins.
    pub from: Arc<str>,
    /// Behind the last change of it that the log holds.
    pub changed: Option<Spot>,
}

impl Unknown {
    pub fn into_error(self, name: &TableName, server: &Server) -> Error {
        let Self { here, from, changed } = self;
        let why = match &changed {
            Some(_) => "the table was changed later, and the checkpoint has no version of its schema from before that",
            None => {
                "the server's catalogue does not show the table (it is gone, or the account lacks SELECT on it), and the checkpoint has no version of its schema"
            }
        };
        let import = format!(
            "If there is a dump of the schema from then, import it with `sluicegate schema import FILE --table '{name}' --place '{from}' DUMP.sql`. \
             Or leave the table out by adding '!{name}' to the source's tables"
        );
        let remedy = match changed {
            Some(behind) => format!(
                "{import}. Or let each sink go on behind the last change of the table, with `sluicegate checkpoint set FILE --sink NAME --force --lane {lane} \
                 --offset '{offset}'`, and copy the table anew: what stands between is not delivered. With binlog_row_metadata = FULL the log \
                 itself describes its rows from then on.",
                lane = LANE,
                offset = offset(&behind, server),
            ),
            None => format!("{import}: its changes are then not delivered. If the table is there, grant the account SELECT on it."),
        };
        Error::new(ErrorKind::Source, format!("the schema of {name} at {here} is not known: {why}")).remedy(remedy)
    }
}

/// A place of this server's log, by file and position alone.
fn offset(spot: &Spot, server: &Server) -> String {
    let place = BinlogPosition {
        flavour: server.flavour,
        server: server.identity.clone(),
        file: spot.file.clone(),
        position: spot.position,
        gtid_set: None,
        open: Vec::new(),
        prepared: Vec::new(),
        skip: None,
        created: None,
    };
    place.to_json()
}
