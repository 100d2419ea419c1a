//! The lane of a table while it is read: where it is, and what sinks had of it before this run.

use std::sync::Arc;

use super::{
    catalogue::Standing,
    place::{Ahead, Copied, CtPlace, Identity, Inside, lane},
    sql,
    table::TrackedTable,
};
use sluicegate_config::TrackedStart;
use sluicegate_model::{
    change::{Lane, Offset, TableName},
    now_us,
};

/// One table.
#[derive(Debug)]
pub(super) struct TrackedLane {
    pub(super) lane: Lane,
    pub(super) name: TableName,
    pub(super) quoted: String,
    /// Where the stream is.
    pub(super) place: CtPlace,
    /// Where it is once it is proven that everything before was there: without SNAPSHOT, of a result that was not read to its end.
    pub(super) unproven: Option<CtPlace>,
    /// Turns that it has had since it was found to have changes.
    pub(super) turns: u32,
    /// Places of sinks inside of versions, and in the copy.
    pub(super) sinks: Ahead,
    /// The last version of which a sink has something: a row that was inserted up to it is no news to all of them.
    pub(super) known: i64,
    pub(super) table: Option<Arc<TrackedTable>>,
    /// Whether its columns are read anew, even if it was not altered.
    pub(super) read_columns: bool,
    /// Where it begins anew.
    pub(super) start: TrackedStart,
    /// Why the stored place does not hold, known before the server is asked.
    pub(super) void: Option<String>,
    /// When its place was told last, microseconds since 1970.
    pub(super) told_us: i64,
    /// Changes and rows that were read since it was told to be drained.
    pub(super) news: u64,
    /// Whether it was said that the table is not there, or not tracked.
    pub(super) said_absent: bool,
    /// Whether it is not there because no entry matches it any more.
    pub(super) unmatched: bool,
    /// Whether the beginning of its copy was told in this run.
    pub(super) said_copy: bool,
    /// When its changes were asked for last, microseconds since 1970.
    pub(super) polled_us: i64,
    /// Whether it is still to be told that the table begins anew.
    pub(super) must_empty: bool,
    /// Rows that were copied in this run.
    pub(super) copied_rows: u64,
}

impl TrackedLane {
    /// A table at a place, of which no sink has more.
    pub(super) fn new(name: TableName, place: CtPlace, start: TrackedStart) -> Self {
        let schema = name.schema.as_deref().unwrap_or_default();
        Self {
            lane: lane(&name),
            quoted: sql::quoted_table(schema, &name.table),
            name,
            place,
            unproven: None,
            turns: 0,
            sinks: Ahead::default(),
            known: 0,
            table: None,
            read_columns: false,
            start,
            void: None,
            told_us: 0,
            news: 0,
            said_absent: false,
            unmatched: false,
            said_copy: false,
            polled_us: 0,
            must_empty: false,
            copied_rows: 0,
        }
    }

    /// A table at the least of the places of sinks.
    pub(super) fn meeting(name: TableName, places: &[CtPlace], start: TrackedStart) -> Option<Self> {
        let least = places.iter().min_by_key(|place| place.version)?;
        let mut place = least.clone();
        let mut own = Self::new(name, place.clone(), start);
        place.generation = places.iter().map(|place| place.generation).max()?;
        place.known = places.iter().map(|place| place.known).max()?;
        if places.iter().any(|other| other.generation != place.generation || other.identity != place.identity) {
            own.void = Some("the sinks have different beginnings of it".to_owned());
        }
        let at_least = || places.iter().filter(|other| other.version == least.version);
        if at_least().any(|other| other.inside != least.inside) {
            place.inside = None;
        }
        if places.iter().any(|other| other.copied != least.copied) {
            // from the beginning, but for those that are done, which is a copy's last place
            let left: Vec<&Copied> = places.iter().map(|other| &other.copied).filter(|copied| **copied != Copied::All).collect();
            place.copied = match left.as_slice() {
                [first, rest @ ..] if rest.iter().all(|other| other == first) => (*first).clone(),
                _ => Copied::Nothing,
            };
        }
        for other in places {
            if let Some(inside) = &other.inside
                && !own.sinks.inside.contains(inside)
            {
                own.sinks.inside.push(inside.clone());
            }
            if let Copied::Key(key) = &other.copied
                && other.copied != place.copied
                && !own.sinks.copied.contains(key)
            {
                own.sinks.copied.push(key.clone());
            }
        }
        own.known = places.iter().map(|place| place.version).max()?;
        own.place = place;
        Some(own)
    }

    pub(super) fn offset(&self) -> Offset {
        Offset::new(self.place.clone())
    }

    /// Places inside of versions that matter to what comes next: those of sinks, and its own.
    pub(super) fn insides(&self) -> Vec<Inside> {
        let mut all: Vec<Inside> = self.place.inside.iter().cloned().collect();
        all.extend(
            self.sinks
                .inside
                .iter()
                .filter(|inside| inside.version > self.place.version && !all.contains(inside))
                .cloned()
                .collect::<Vec<_>>(),
        );
        all
    }

    /// The version up to which a row that was inserted may be in a sink already; `None`: each may.
    pub(super) fn known(&self) -> Option<i64> {
        self.place.is_copied().then(|| self.known.max(self.place.known))
    }

    /// The lane begins anew: with the same generation raised, an empty table, and a copy from `version` on.
    pub(super) fn begin_anew(&mut self, identity: Identity, version: i64) {
        self.place = CtPlace::copy(identity, version, self.place.generation + 1);
        (self.sinks, self.known, self.void, self.said_copy) = (Ahead::default(), 0, None, false);
        (self.must_empty, self.copied_rows, self.unproven) = (true, 0, None);
    }

    /// Whether everything up to a version was read.
    pub(super) fn has(&self, version: i64) -> bool {
        self.place.is_copied() && self.place.version >= version
    }

    /// Whether it is to be read and cannot be.
    pub(super) fn is_missed(&self) -> bool {
        self.said_absent && !self.unmatched
    }

    /// Whether its place should be told, though nothing was delivered.
    pub(super) fn is_quiet_for(&self, time: std::time::Duration) -> bool {
        now_us() - self.told_us >= i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
    }
}

/// What the server's answer means for a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The changes after it are there, up to this version.
    Fine(i64),
    /// They are not, for a reason.
    Lost(String),
    /// The table is not there, or not tracked.
    Absent(&'static str),
    /// The account may not know.
    Forbidden,
    /// The server's numbers contradict each other: it is a replica that is behind.
    Incoherent,
}

/// Whether the server has everything after a place. The identity is looked at before the minimum version: after a TRUNCATE, and after
/// tracking was enabled anew, a reader that had everything is not below the minimum.
pub(super) fn judge(place: &CtPlace, database: &Arc<str>, standing: Option<&Standing>) -> Verdict {
    let Some(standing) = standing else { return Verdict::Absent("it is not there, or the account cannot see it") };
    let (Some(begin), Some(current)) = (standing.begin, standing.current) else { return Verdict::Absent("Change Tracking is off") };
    let own = &place.identity;
    if own.database != *database {
        return Verdict::Lost("the database is another one than before, or was restored".to_owned());
    }
    if own.object != standing.object {
        return Verdict::Lost("the table was dropped and created anew".to_owned());
    }
    if own.begin != begin {
        return Verdict::Lost("the table was truncated, or Change Tracking was enabled anew".to_owned());
    }
    let Some(minimum) = standing.minimum else { return Verdict::Forbidden };
    if minimum > current {
        return Verdict::Incoherent;
    }
    if current < place.reached() {
        return Verdict::Lost(format!(
            "the database's version {current} is before the place's {}: an older copy of it was restored",
            place.reached()
        ));
    }
    if place.version < minimum {
        return Verdict::Lost(format!("changes up to version {minimum} were cleaned up, the place is {}", place.version));
    }
    Verdict::Fine(current)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(version: i64) -> CtPlace {
        CtPlace::behind(Identity { database: "5 2024".into(), object: 7, begin: 3 }, version)
    }

    fn standing(object: i32, begin: Option<i64>, minimum: Option<i64>, current: i64) -> Standing {
        Standing { current: Some(current), object, begin, minimum, tracks_columns: false, modified: "".into() }
    }

    fn verdict(version: i64, standing: &Standing) -> Verdict {
        judge(&place(version), &"5 2024".into(), Some(standing))
    }

    fn lost(version: i64, standing: &Standing) -> bool {
        matches!(verdict(version, standing), Verdict::Lost(_))
    }

    #[test]
    fn g62_d12_a_place_below_the_minimum_is_lost_and_one_at_it_is_not() {
        assert_eq!(verdict(10, &standing(7, Some(3), Some(10), 12)), Verdict::Fine(12));
        assert!(lost(9, &standing(7, Some(3), Some(10), 12)));
    }

    #[test]
    fn g64_g65_g66_a_reader_that_had_everything_notices_a_truncate_and_tracking_enabled_anew() {
        assert!(lost(12, &standing(7, Some(12), Some(12), 12)));
    }

    #[test]
    fn g29_a_table_that_was_created_anew_is_another_one() {
        assert!(lost(12, &standing(8, Some(3), Some(3), 12)));
    }

    #[test]
    fn g38_g39_d20_a_counter_that_went_back_and_another_database_are_lost_places() {
        assert!(lost(12, &standing(7, Some(3), Some(3), 11)));
        assert!(matches!(judge(&place(12), &"6 2024".into(), Some(&standing(7, Some(3), Some(3), 12))), Verdict::Lost(_)));
    }

    #[test]
    fn d20_rows_of_a_version_that_is_gone_are_lost_also_where_they_were_a_part_of_it_came_early_or_were_copied() {
        let standing = standing(7, Some(3), Some(3), 12);
        let part = Inside { version: 13, key: Arc::from([Box::from("k")]) };
        for place in [CtPlace { inside: Some(part), ..place(12) }, CtPlace { known: 13, ..place(12) }] {
            assert!(matches!(judge(&place, &"5 2024".into(), Some(&standing)), Verdict::Lost(_)), "{place:?}");
        }
        assert_eq!(judge(&CtPlace { known: 12, ..place(9) }, &"5 2024".into(), Some(&standing)), Verdict::Fine(12));
    }

    #[test]
    fn g74_no_minimum_is_a_missing_permission_and_g89_one_above_the_current_version_a_replica() {
        assert_eq!(verdict(12, &standing(7, Some(3), None, 12)), Verdict::Forbidden);
        assert_eq!(verdict(12, &standing(7, Some(3), Some(13), 12)), Verdict::Incoherent);
    }

    #[test]
    fn a_table_that_is_gone_or_not_tracked_is_not_lost() {
        assert!(matches!(judge(&place(12), &"5 2024".into(), None), Verdict::Absent(_)));
        assert!(matches!(verdict(12, &standing(7, None, None, 12)), Verdict::Absent(_)));
    }
}
