//! What becomes of a change when a plugin has looked at its images, or could not look at one because a value that it reads is
//! absent.
//!
//! An update that a filter sees in one image only is decided so that a sink ends with the rows that pass the filter:
//!
//! | before | after | is delivered as |
//! |---|---|---|
//! | passes | passes | update |
//! | passes | fails | delete |
//! | fails | passes | insert; but the sink lacks the row: a value that is absent now would be missing for good, which is refused |
//! | fails | fails | nothing |
//! | cannot be told | passes | update; refused if a value is absent, because the sink may lack the row |
//! | cannot be told | fails | delete, which does no harm where the row is not |
//! | anything | cannot be told | refused; but where no value that the plugin reads was sent, none has changed, and the row passes as it did before |
//! | no image | passes, fails | as where it cannot be told |
//!
//! An inserted row has to be seen. A deleted row that cannot be seen is deleted.

use sluicegate_model::change::Operation;

/// What is known of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It stays.
    Stays,
    /// The plugin drops it.
    Goes,
    /// No value that the plugin reads was sent.
    Nothing,
    /// Some of the values that the plugin reads were not sent, or it looks at more than values.
    Part,
}

/// A change as a plugin saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub operation: Operation,
    /// The image before it; `None` = there is none.
    pub before: Option<Seen>,
    pub after: Option<Seen>,
    /// Whether the plugin may drop rows. If not, it only computes columns.
    pub filters: bool,
    /// Whether the after image holds every value that is delivered.
    pub whole: bool,
    /// Whether a deleted row can be told by its key alone.
    pub keyed: bool,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays as it is.
    Stays,
    /// Only the after image stays: an insert.
    Enters,
    /// Only the before image stays: a delete.
    Leaves,
    /// It has no before image, and the row is no longer one of those that pass: a delete, of which the after image tells the key.
    LeavesByKey,
    /// Nothing is delivered.
    Gone,
    /// It cannot be decided.
    Refused(Refusal),
}

/// Why a change cannot be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A value that the plugin reads is absent.
    Unread,
    /// The row passes now, and values of it are absent that no sink was given before.
    Incomplete,
    /// The row does not pass now, and nothing tells which one it was.
    NoOldRow,
}

impl Sight {
    pub fn verdict(self) -> Verdict {
        use Seen::{Goes, Nothing, Part, Stays};
        if self.operation == Operation::Delete {
            return if self.before == Some(Goes) { Verdict::Gone } else { Verdict::Stays };
        }
        let update = self.operation == Operation::Update;
        // of an update, what was not sent has not changed
        let after = match self.after {
            Some(Nothing) if update && !self.filters => Stays,
            Some(Nothing) if update => self.before.unwrap_or(Part),
            Some(seen) => seen,
            None => return Verdict::Gone,
        };
        match (self.before, after) {
            (_, Nothing | Part) => Verdict::Refused(Refusal::Unread),
            _ if !self.filters => Verdict::Stays,
            (None, Stays) if !update => Verdict::Stays,
            (None, Goes) if !update => Verdict::Gone,
            (Some(Stays), Stays) => Verdict::Stays,
            (Some(Stays), Goes) => Verdict::Leaves,
            (Some(Goes), Goes) => Verdict::Gone,
            (_, Stays) if !self.whole => Verdict::Refused(Refusal::Incomplete),
            (Some(Goes), Stays) => Verdict::Enters,
            (_, Stays) => Verdict::Stays,
            (Some(_), Goes) => Verdict::Leaves,
            (None, Goes) if self.keyed => Verdict::LeavesByKey,
            (None, Goes) => Verdict::Refused(Refusal::NoOldRow),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A row of the model's table: the column that the filter reads, and another one. The filter passes what is even.
    type Row = (u8, u8);

    fn passes(row: Row) -> bool {
        row.0.is_multiple_of(2)
    }

    /// How a value is sent.
    #[derive(Clone, Copy, Debug)]
    struct Sent {
        image: bool,
        filtered: bool,
        other: bool,
    }

    fn sent() -> impl Strategy<Value = Sent> {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(image, filtered, other)| Sent { image, filtered, other })
    }

    /// What the plugin sees of a row whose values were sent like that.
    fn seen(row: Row, sent: Sent) -> Option<Seen> {
        sent.image.then(|| match (sent.filtered, passes(row)) {
            (false, _) => Seen::Nothing,
            (true, true) => Seen::Stays,
            (true, false) => Seen::Goes,
        })
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, Row),
        Update(u8, Row, Sent, Sent),
        Delete(u8, Sent),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let (key, row) = (0..3_u8, (0..4_u8, 0..4_u8));
        let step = prop_oneof![
            (key.clone(), row.clone()).prop_map(|(key, row)| Step::Insert(key, row)),
            (key.clone(), row, sent(), sent()).prop_map(|(key, row, old, new)| Step::Update(key, row, old, new)),
            (key, sent()).prop_map(|(key, old)| Step::Delete(key, old)),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// A table changes, its changes pass a filter that sees only what was sent, and a sink upserts and deletes: where nothing
        /// was refused, the sink ends with the rows that pass, whole.
        #[test]
        fn a_sink_behind_a_filter_ends_with_the_rows_that_pass(steps in steps()) {
            let mut table: BTreeMap<u8, Row> = BTreeMap::new();
            let mut sink: BTreeMap<u8, (Option<u8>, Option<u8>)> = BTreeMap::new();
            for step in steps {
                let whole = Sent { image: true, filtered: true, other: true };
                let (key, operation, old, new, sent_old, mut sent_new) = match step {
                    Step::Insert(key, row) if !table.contains_key(&key) => (key, Operation::Insert, None, Some(row), whole, whole),
                    Step::Update(key, row, old, new) if table.contains_key(&key) => {
                        (key, Operation::Update, table.get(&key).copied(), Some(row), old, Sent { image: true, ..new })
                    }
                    Step::Delete(key, old) if table.contains_key(&key) => {
                        (key, Operation::Delete, table.get(&key).copied(), None, Sent { image: true, ..old }, whole)
                    }
                    _ => continue,
                };
                if let (Some(old), Some(new)) = (old, new) {
                    // what changed is sent, and what the before image has is taken from there: that is what a source promises
                    sent_new.filtered |= old.0 != new.0 || (sent_old.image && sent_old.filtered);
                    sent_new.other |= old.1 != new.1 || (sent_old.image && sent_old.other);
                }
                let sight = Sight {
                    operation,
                    before: old.and_then(|row| seen(row, sent_old)),
                    after: new.and_then(|row| seen(row, sent_new)),
                    filters: true,
                    whole: sent_new.filtered && sent_new.other,
                    keyed: true,
                };
                let verdict = sight.verdict();
                if matches!(verdict, Verdict::Refused(_)) {
                    continue;
                }
                match new {
                    Some(row) => drop(table.insert(key, row)),
                    None => drop(table.remove(&key)),
                }
                match (verdict, new) {
                    (Verdict::Stays | Verdict::Enters, Some(row)) => {
                        let held = sink.entry(key).or_default();
                        *held = (if sent_new.filtered { Some(row.0) } else { held.0 }, if sent_new.other { Some(row.1) } else { held.1 });
                    }
                    (Verdict::Stays | Verdict::Leaves | Verdict::LeavesByKey, _) => drop(sink.remove(&key)),
                    _ => {}
                }
                let expected: BTreeMap<_, _> =
                    table.iter().filter(|(_, row)| passes(**row)).map(|(key, row)| (*key, (Some(row.0), Some(row.1)))).collect();
                prop_assert_eq!(&sink, &expected, "{:?} gave {:?}", sight, verdict);
            }
        }
    }

    #[test]
    fn every_combination_has_its_verdict() {
        let mut told = String::new();
        let images = [None, Some(Seen::Stays), Some(Seen::Goes), Some(Seen::Nothing), Some(Seen::Part)];
        let name = |seen: Option<Seen>| seen.map_or("-".to_owned(), |seen| format!("{seen:?}"));
        for filters in [true, false] {
            for operation in [Operation::Insert, Operation::Update, Operation::Delete] {
                for before in images {
                    for after in images {
                        let fits = match operation {
                            Operation::Delete => before.is_some() && after.is_none(),
                            Operation::Update => after.is_some(),
                            _ => before.is_none() && after.is_some(),
                        };
                        // a plugin that only computes drops nothing
                        if !fits || !filters && [before, after].contains(&Some(Seen::Goes)) {
                            continue;
                        }
                        let verdicts: Vec<String> = [(true, true), (false, true), (true, false)]
                            .map(|(whole, keyed)| format!("{:?}", Sight { operation, before, after, filters, whole, keyed }.verdict()))
                            .to_vec();
                        let rest = match verdicts.as_slice() {
                            [all, partial, keyless] if all == partial && all == keyless => String::new(),
                            [_, partial, keyless] => format!("; partial {partial}; keyless {keyless}"),
                            _ => unreachable!("three"),
                        };
                        let what = if filters { "filter" } else { "compute" };
                        told += &format!("{what} {}: {} -> {}: {}{rest}\n", operation.name(), name(before), name(after), verdicts[0]);
                    }
                }
            }
        }
        insta::assert_snapshot!(told, @"
        filter insert: - -> Stays: Stays
        filter insert: - -> Goes: Gone
        filter insert: - -> Nothing: Refused(Unread)
        filter insert: - -> Part: Refused(Unread)
        filter update: - -> Stays: Stays; partial Refused(Incomplete); keyless Stays
        filter update: - -> Goes: LeavesByKey; partial LeavesByKey; keyless Refused(NoOldRow)
        filter update: - -> Nothing: Refused(Unread)
        filter update: - -> Part: Refused(Unread)
        filter update: Stays -> Stays: Stays
        filter update: Stays -> Goes: Leaves
        filter update: Stays -> Nothing: Stays
        filter update: Stays -> Part: Refused(Unread)
        filter update: Goes -> Stays: Enters; partial Refused(Incomplete); keyless Enters
        filter update: Goes -> Goes: Gone
        filter update: Goes -> Nothing: Gone
        filter update: Goes -> Part: Refused(Unread)
        filter update: Nothing -> Stays: Stays; partial Refused(Incomplete); keyless Stays
        filter update: Nothing -> Goes: Leaves
        filter update: Nothing -> Nothing: Refused(Unread)
        filter update: Nothing -> Part: Refused(Unread)
        filter update: Part -> Stays: Stays; partial Refused(Incomplete); keyless Stays
        filter update: Part -> Goes: Leaves
        filter update: Part -> Nothing: Refused(Unread)
        filter update: Part -> Part: Refused(Unread)
        filter delete: Stays -> -: Stays
        filter delete: Goes -> -: Gone
        filter delete: Nothing -> -: Stays
        filter delete: Part -> -: Stays
        compute insert: - -> Stays: Stays
        compute insert: - -> Nothing: Refused(Unread)
        compute insert: - -> Part: Refused(Unread)
        compute update: - -> Stays: Stays
        compute update: - -> Nothing: Stays
        compute update: - -> Part: Refused(Unread)
        compute update: Stays -> Stays: Stays
        compute update: Stays -> Nothing: Stays
        compute update: Stays -> Part: Refused(Unread)
        compute update: Nothing -> Stays: Stays
        compute update: Nothing -> Nothing: Stays
        compute update: Nothing -> Part: Refused(Unread)
        compute update: Part -> Stays: Stays
        compute update: Part -> Nothing: Stays
        compute update: Part -> Part: Refused(Unread)
        compute delete: Stays -> -: Stays
        compute delete: Nothing -> -: Stays
        compute delete: Part -> -: Stays
        ");
    }
}
