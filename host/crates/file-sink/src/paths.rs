//! From a table, and what plugins chose, to a folder inside the sink's: by its `path` template.

use std::sync::Arc;

use super::naming::{escaped, is_folder};
use sluicegate_config::{Field, FileSink as Settings, NameCase, PathTemplate, Template};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::TableName,
    limits::{FILE_PATH_TABLES, FILE_PATH_VARIANTS},
};
use sluicegate_sink::route::{Claim, Given, GivenNames, Piece, RecentNames, Subject, Variant};

/// The template with the folders that it has given so far.
pub(super) struct Paths {
    case: NameCase,
    /// Whether the file system takes capital letters for small ones.
    ignores_case: bool,
    recent: RecentNames,
    given: GivenNames,
}

impl Paths {
    /// `None`: the sink has no template.
    pub(super) fn new(settings: &Settings, ignores_case: bool) -> Option<Self> {
        let PathTemplate { template, shared, case } = settings.path.clone()?;
        let given = GivenNames::new(template, shared);
        Some(Self { case, ignores_case, recent: RecentNames::new(FILE_PATH_TABLES, FILE_PATH_VARIANTS), given })
    }

    pub(super) fn template(&self) -> &Template {
        self.given.template()
    }

    /// Whether it says where records with this choice of a plugin go.
    pub(super) fn covers(&self, chosen: Option<&str>) -> bool {
        chosen.is_none() || self.template().has(Field::Destination)
    }

    /// A batch begins: numbers of tables that [`Self::table`] gave are void.
    pub(super) fn begin(&mut self) {
        self.recent.begin();
    }

    /// The number of a table, until the next [`Self::begin`].
    pub(super) fn table(&mut self, table: &TableName) -> usize {
        self.recent.table(table)
    }

    /// The folder of a table's records, where plugins chose `chosen`; `None` when they chose what can be no folder.
    ///
    /// # Errors
    /// `Sink`: there can be no such folder, or another table has it.
    pub(super) fn folder(&mut self, table: usize, chosen: Option<&str>, variant: Variant) -> Result<Option<Arc<str>>> {
        if let Some(folder) = self.recent.find(table, chosen, variant) {
            return Ok(Some(folder.clone()));
        }
        let name = self.recent.name(table)?.clone();
        let subject = Subject { table: &name, chosen, variant };
        let folder = self.filled(&subject, self.case);
        if !is_folder(&folder) {
            return if chosen.is_some() { Ok(None) } else { Err(bad_folder(&name)) };
        }
        let key = self.key(&folder);
        let folder: Arc<str> = folder.into();
        match self.given.claim(&subject, &key, &folder) {
            Claim::Shared(_) => {}
            Claim::LeftOut(given) => return Err(self.left_out(given, &name)),
            Claim::Meets(given) => return Err(self.meets(given, &subject, &folder)),
            Claim::New => self.given.give(&subject, key, folder.clone()),
        }
        self.recent.note(table, chosen, variant, folder.clone())?;
        Ok(Some(folder))
    }

    /// Forgets which tables these folders were given to: the sink has forgotten the folders.
    pub(super) fn forget(&mut self, folders: &[String]) {
        if folders.is_empty() {
            return;
        }
        for folder in folders {
            self.given.forget(&self.key(folder));
        }
        // they are claimed anew, if need be
        self.recent.clear();
    }

    /// Folders of the same key cannot stand side by side.
    fn key(&self, folder: &str) -> Box<str> {
        if self.ignores_case { folder.to_lowercase().into() } else { folder.into() }
    }

    fn filled(&self, subject: &Subject<'_>, case: NameCase) -> String {
        let mut out = String::new();
        subject.fill(self.template(), case, |piece| match piece {
            Piece::Text(text) | Piece::Chosen(text) => out.push_str(text),
            Piece::Name(name) => escaped(name, false, &mut out),
        });
        out
    }

    fn left_out(&self, given: &Given, table: &TableName) -> Error {
        let (first, folder, template) = (&given.table, &given.name, self.template());
        let field = given.left_out(template, table).name();
        let what = format!(
            "tables {first} and {table} would share the folder `{folder}`, because `{template}` leaves out `{{{field}}}`, in which they differ"
        );
        Error::new(ErrorKind::Sink, what).remedy(format!(
            "add `{{{field}}}` to the sink's `path`; or, if they are meant to share it, set `shared_path: allow`; then start again: nothing is lost"
        ))
    }

    fn meets(&self, given: &Given, subject: &Subject<'_>, folder: &str) -> Error {
        let (first, table, template) = (&given.table, subject.table, self.template());
        let as_is = |table| self.filled(&Subject { table, ..*subject }, NameCase::AsIs);
        let why = if *given.name != *folder {
            "because the file system takes capital letters for small ones".to_owned()
        } else if as_is(first) != as_is(table) {
            "because the sink's `name_case` makes their names the same".to_owned()
        } else {
            format!("because the parts of their names run together in `{template}`")
        };
        Error::new(ErrorKind::Sink, format!("tables {first} and {table} would share the folder `{folder}`, {why}")).remedy(
            "give one of the tables another name with the `map-names` plugin, or write another `path`; then start again: nothing is lost",
        )
    }
}

fn bad_folder(table: &TableName) -> Error {
    Error::new(ErrorKind::Sink, format!("the sink's `path` gives table {table} no name that a folder can have"))
        .remedy("write a `path` whose parts are never empty (`{schema}` is, where the source has none), begin with `.` or are longer than 255 bytes; then start again: nothing is lost")
}
