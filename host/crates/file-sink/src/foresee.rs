//! What can be said before anything runs of the tables that would come: whether each can have a folder, and one of its own.

use std::sync::Arc;

use sluicegate_config::{Field, FileRecords, FileSink as Settings};
use sluicegate_model::{
    change::{Operation, Table},
    finding::Finding,
    limits::CHECK_NAMES,
    now_us,
};
use sluicegate_sink::route::Variant;

use super::{
    bad_table_folder,
    naming::{Naming, is_folder, table_folder},
    paths::Paths,
    root::Root,
};

/// Looks at the tables as they would be delivered.
pub fn foresee(settings: &Settings, tables: &[Arc<Table>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told = |error| {
        if findings.len() < CHECK_NAMES {
            findings.push(Finding::of("folders", &error));
        }
    };
    // a folder that is not there yet is made on a file system that is not known
    let naming = Naming { prefix: settings.prefix.clone(), records: settings.records, zstd: settings.zstd.is_some() };
    let ignores_case = match settings.folder.exists() {
        false => false,
        true => match Root::open(settings.folder.clone(), &naming).and_then(|root| root.ignores_case()) {
            Ok(ignores_case) => ignores_case,
            Err(error) => return vec![Finding::of("folders", &error)],
        },
    };
    if let Some(mut paths) = Paths::new(settings, ignores_case) {
        let operations: &[Operation] = match paths.template().has(Field::Operation) {
            true => &[Operation::Insert, Operation::Update, Operation::Delete],
            false => &[Operation::Insert],
        };
        for table in tables.iter() {
            if !paths.covers(table.destination.as_deref()) {
                continue;
            }
            let number = paths.table(&table.name);
            for operation in operations {
                let variant = Variant::of(paths.template(), *operation, now_us());
                // what a plugin chose is up to the policy
                if let Err(error) = paths.folder(number, table.destination.as_deref(), variant) {
                    told(error.not_ready());
                    break;
                }
            }
        }
    } else if settings.records != FileRecords::Lines {
        let plain = tables.iter().filter(|table| table.destination.is_none());
        for table in plain.filter(|table| !is_folder(&table_folder(&table.name))) {
            told(bad_table_folder(&table.name).not_ready());
        }
    }
    findings
}
