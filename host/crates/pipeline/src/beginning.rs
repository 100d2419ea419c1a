//! Where each sink begins: where its progress ends, or what the user says. A sink without progress beside anything that has some is a
//! question to the user. It may be new, or one that got another name, or the state file may be an old one; a guess would lose
//! changes in silence.

use super::next_run::Reset;
use sluicegate_config::{Delivery, Pipeline, SinkKind, Source, StartAt, Transactions};
use sluicegate_model::{Error, ErrorKind, Result, change::Frontier};
use sluicegate_source::Begin;
use sluicegate_state::Progress;

/// Where each sink of the pipeline begins, in their order. `stored`: the progress that sinks store themselves, in the same order. It
/// counts before the checkpoint's copy of it, which only says where lanes begin that the sink lacks.
///
/// # Errors
/// `Config`: a sink has no progress while others have, and its settings do not say where it begins.
pub(super) fn begins(progress: &[(String, Progress)], stored: &[Option<Frontier>], pipeline: &Pipeline) -> Result<Vec<Begin>> {
    let unused: Vec<&str> =
        progress.iter().map(|(name, _)| name.as_str()).filter(|name| pipeline.sinks.iter().all(|s| s.name != *name)).collect();
    let stored = stored.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let begins = pipeline.sinks.iter().zip(stored).map(|(sink, stored)| match progress.iter().find(|(name, _)| *name == sink.name) {
        Some((_, known)) => Ok(Begin::At(place(known, stored))),
        None if let Some(stored) = stored => Ok(Begin::At(stored.clone())),
        None if progress.is_empty() => Ok(sink.start.clone().map_or(Begin::First, Begin::Start)),
        None => match &sink.start {
            Some(start) => Ok(Begin::Start(start.clone())),
            None => Err(unknown(&sink.name, progress, &unused)),
        },
    });
    let begins = begins.collect::<Result<Vec<_>>>()?;
    for name in unused {
        tracing::info!(
            sink = name,
            "the checkpoint has a sink that the pipeline file does not; `sluicegate checkpoint drop` forgets its progress"
        );
    }
    Ok(begins)
}

/// Whether every sink begins with what is written from now on, so that the tables of today are those of the place.
pub(super) fn is_now(begins: &[Begin], pipeline: &Pipeline) -> bool {
    let Source::MySql(source) = &pipeline.source else { return false };
    begins.iter().all(|begin| match begin {
        Begin::First => source.start == StartAt::Now,
        Begin::Start(start) => matches!(start, StartAt::Now | StartAt::Copy),
        Begin::At(_) => false,
    })
}

/// Lets the sink of this index begin elsewhere.
pub(super) fn reset(begins: &mut [Begin], index: usize, reset: &Reset) {
    if let Some(begin) = begins.get_mut(index) {
        *begin = Begin::Start(reset.start.clone());
    }
}

/// Where a sink is that the checkpoint knows. `stored`: the progress that it stores itself.
pub(super) fn place(known: &Progress, stored: Option<&Frontier>) -> Frontier {
    let mut frontier = known.frontier.clone();
    stored.into_iter().flat_map(Frontier::lanes).for_each(|(lane, offset)| frontier.set(lane.clone(), offset.clone()));
    frontier
}

/// The error of a source that cannot go on where a sink is, with where the sink's progress stands: in Kafka it outlives the state file, and
/// one of that name may be another pipeline's.
pub(super) fn in_topics(error: Error, stored: &[Option<Frontier>], pipeline: &Pipeline) -> Error {
    // what else is wrong with a source has nothing to do with a place
    let text = error.to_string();
    if !text.contains("state file") && !text.contains("the checkpoint") {
        return error;
    }
    let places = pipeline.sinks.iter().zip(stored).filter_map(|(sink, stored)| match &sink.kind {
        SinkKind::Kafka(kafka) if stored.is_some() => match &kafka.delivery {
            Delivery::ExactlyOnce(Transactions { transactional_id, positions_topic }) => {
                Some(format!("that of the sink `{}` in the topic `{positions_topic}` (transactional_id `{transactional_id}`)", sink.name))
            }
            Delivery::AtLeastOnce => None,
        },
        _ => None,
    });
    let places: Vec<String> = places.collect();
    if places.is_empty() {
        return error;
    }
    let remedy = error.remedy_text().map(|remedy| format!("{}. ", remedy.trim_end_matches('.'))).unwrap_or_default();
    let remedy = format!(
        "{remedy}Progress stands in Kafka, too, and counts before the state file: {}. If it is another pipeline's, or to begin anew, give this pipeline another `name` and `state` file; where the sink sets `transactional_id` and `positions_topic`, change both, too",
        places.join(", ")
    );
    error.remedy(remedy)
}

fn unknown(sink: &str, progress: &[(String, Progress)], unused: &[&str]) -> Error {
    let known: Vec<String> = progress.iter().map(|(name, _)| format!("`{name}`")).collect();
    let known = known.join(", ");
    let renamed = match unused {
        [before] => format!("if it is `{before}` under another name, run `sluicegate checkpoint set FILE --sink {sink} --from {before}`"),
        _ => format!("if it goes on for another sink, run `sluicegate checkpoint set FILE --sink {sink} --from NAME`"),
    };
    Error::new(
        ErrorKind::Config,
        format!("the sink `{sink}` has no progress in the checkpoint, which has that of {known}: where it begins is not known"),
    )
    .remedy(format!("{renamed}; if it is new, give it a `start` in the pipeline file: `now`, `earliest`, `copy` or a position"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_config as config;
    use sluicegate_model::change::{Lane, Offset};

    fn pipeline(sinks: &str) -> Pipeline {
        let text = format!("name: p\nsource: {{ type: generator }}\nsinks: [{sinks}]\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.yaml");
        std::fs::write(&path, text).unwrap();
        config::load(&path).unwrap()
    }

    fn progress(names: &[&str]) -> Vec<(String, Progress)> {
        let frontier = Frontier::of(Lane::new("generator"), Offset::from_json("7"));
        names.iter().map(|n| ((*n).to_owned(), Progress { frontier: frontier.clone(), state: String::new() })).collect()
    }

    const A: &str = "{ type: stdout, name: a }";

    #[test]
    fn a_renamed_sink_is_a_question_and_not_a_start_at_now() {
        let error = begins(&progress(&["before"]), &[], &pipeline(A)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        insta::assert_snapshot!(error, @r"
        the sink `a` has no progress in the checkpoint, which has that of `before`: where it begins is not known
          remedy: if it is `before` under another name, run `sluicegate checkpoint set FILE --sink a --from before`; if it is new, give it a `start` in the pipeline file: `now`, `earliest`, `copy` or a position
        ");
    }

    #[test]
    fn a_new_sink_beside_one_with_progress_begins_where_its_settings_say() {
        let two = format!("{A}, {{ type: file, name: b, folder: out }}");
        insta::assert_snapshot!(begins(&progress(&["a"]), &[], &pipeline(&two)).unwrap_err(), @r"
        the sink `b` has no progress in the checkpoint, which has that of `a`: where it begins is not known
          remedy: if it goes on for another sink, run `sluicegate checkpoint set FILE --sink b --from NAME`; if it is new, give it a `start` in the pipeline file: `now`, `earliest`, `copy` or a position
        ");
        let two = format!("{A}, {{ type: file, name: b, folder: out, start: now }}");
        let begins = begins(&progress(&["a"]), &[], &pipeline(&two)).unwrap();
        assert!(matches!(begins[..], [Begin::At(_), Begin::Start(_)]), "{begins:?}");
    }

    #[test]
    fn what_a_sink_stores_itself_counts_before_the_checkpoint() {
        let at = |lane: &str, offset: &str| Frontier::of(Lane::new(lane), Offset::from_json(offset));
        let mut known = at("generator", "7");
        known.set(Lane::new("late"), Offset::from_json("1"));
        let progress = [("a".to_owned(), Progress { frontier: known, state: String::new() })];
        let begins = begins(&progress, &[Some(at("generator", "9"))], &pipeline(A)).unwrap();
        let [Begin::At(frontier)] = &begins[..] else { panic!("{begins:?}") };
        let offset = |lane: &str| frontier.get(lane).map(Offset::to_json);
        assert_eq!((offset("generator"), offset("late")), (Some("9".to_owned()), Some("1".to_owned())));
        let begins = super::begins(&[], &[Some(at("generator", "9"))], &pipeline(A)).unwrap();
        assert!(matches!(&begins[..], [Begin::At(_)]), "a state file that was lost: {begins:?}");
    }

    #[test]
    fn progress_that_stands_in_kafka_is_named_with_what_begins_anew() {
        let sinks = "{ type: kafka, brokers: 'k:9092', topic: t, delivery: exactly-once }";
        let at = Frontier::of(Lane::new("binlog"), Offset::from_json("7"));
        let refused =
            || Error::new(ErrorKind::State, "the place is of another source").remedy("give this pipeline a state file of its own");
        insta::assert_snapshot!(in_topics(refused(), &[Some(at)], &pipeline(sinks)), @r"
        the place is of another source
          remedy: give this pipeline a state file of its own. Progress stands in Kafka, too, and counts before the state file: that of the sink `kafka` in the topic `sluicegate.positions.p.kafka` (transactional_id `sluicegate.p.kafka`). If it is another pipeline's, or to begin anew, give this pipeline another `name` and `state` file; where the sink sets `transactional_id` and `positions_topic`, change both, too
        ");
        for stored in [vec![None], Vec::new()] {
            assert_eq!(in_topics(refused(), &stored, &pipeline(sinks)).remedy_text(), refused().remedy_text());
        }
    }

    #[test]
    fn a_first_start_needs_no_answer() {
        let begins = begins(&[], &[], &pipeline(A)).unwrap();
        assert!(matches!(begins[..], [Begin::First]));
    }
}
