//! The generator with several lanes: to test what is promised of lanes, offsets and frontiers.
//!
//! Each lane is a shop of its own: lane `generator/2` has the database `shop_2`. What a change holds follows from its lane, the
//! lane's generation, and its number, never from the start. `turbulence` decides about the rest, with the places at which the start
//! begins: which lane gives how many changes next, in which order transactions come that do not touch the same rows, when a lane
//! fails and goes on in another order, and when a lane begins that no sink knows, and at which transaction. After some rounds of its
//! shop a lane begins anew: its generation is raised.

mod delivered;
mod lane;
mod ledger;
mod names;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

pub(crate) use self::ledger::Transactions;
use self::{
    delivered::Delivered,
    lane::{Ahead, LAST_GENERATION, LaneStream, Log},
};
use super::{Outlet, mixing::mix};
use sluicegate_config::{GeneratorSource, StartAt};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Item, LaneEvent, Mark, MarkKind, Offset},
    limits::Limits,
};
use sluicegate_source::Begin;

/// Purpose of [`mix`], beside those of the lanes.
const CHANCE: u64 = 19;

/// One in so many turns of a lane it fails.
const FAILS: u64 = 12;
/// A small batch has at most so many changes.
const SMALL: u64 = 4;
/// A lane that failed is passed over for fewer turns than this.
const RESTS: u64 = 12;
/// A lane that no sink knows begins within so many turns.
const BEGINS_WITHIN: u64 = 60;
/// It begins before one of so many transactions.
const BEGINS_BELOW: u64 = 20;

/// Whether the settings ask for lanes that are not the one of always.
pub(super) fn has_lanes(settings: &GeneratorSource) -> bool {
    settings.lanes > 1 || settings.turbulence.is_some()
}

/// The lanes in a sink's frontier.
fn places(settings: &GeneratorSource, frontier: &Frontier) -> Result<Vec<(u16, Delivered)>> {
    let place = |(lane, offset): (&sluicegate_model::change::Lane, &Offset)| {
        let number = names::lane_number(lane.name()).filter(|number| *number <= settings.lanes).ok_or_else(|| {
            let text = format!("the checkpoint holds progress in the lane `{lane}`, which the generator does not have with these settings");
            Error::new(ErrorKind::Config, text)
                .remedy("Set the generator's `lanes` and `turbulence` as they were, or remove the state file to begin anew.")
        })?;
        let place = Delivered::of(offset)?.into_owned();
        if place.seed != settings.seed {
            return Err(super::other_seed(place.seed, settings.seed));
        }
        if place.generation > LAST_GENERATION {
            return Err(Error::new(
                ErrorKind::State,
                format!("the checkpoint's place in the lane `{lane}` is beyond the generator's last one"),
            )
            .remedy("Remove the state file to begin anew."));
        }
        Ok((number, place))
    };
    frontier.lanes().map(place).collect()
}

/// Every lane that a sink knows, with the places of all that do.
fn known(settings: &GeneratorSource, frontiers: &[&Frontier]) -> Result<Vec<(u16, Vec<Delivered>)>> {
    let mut known: Vec<(u16, Vec<Delivered>)> = Vec::new();
    for frontier in frontiers {
        for (number, place) in places(settings, frontier)? {
            match known.iter_mut().find(|(known, _)| *known == number) {
                Some((_, places)) => places.push(place),
                None => known.push((number, vec![place])),
            }
        }
    }
    // a lane's beginning is stored for every sink before anything of it is delivered
    if let Some((number, _)) = known.iter().find(|(_, places)| places.len() < frontiers.len()) {
        let lane = names::lane(*number);
        return Err(Error::new(ErrorKind::State, format!("the checkpoint holds progress in the lane `{lane}` for some sinks only"))
            .remedy(format!(
                "`sluicegate checkpoint show` lists them: give each sink a place with `sluicegate checkpoint set --lane {lane}`."
            )));
    }
    known.sort_by_key(|(number, _)| *number);
    Ok(known)
}

/// Where each sink begins: see [`sluicegate_source::Source::check`].
pub(super) fn check(settings: &GeneratorSource, sinks: &[Begin]) -> Result<Vec<Frontier>> {
    let at: Vec<&Frontier> = sinks.iter().filter_map(|begin| if let Begin::At(frontier) = begin { Some(frontier) } else { None }).collect();
    let known = known(settings, &at)?;
    let beginning = |number: u16| (number, Delivered::beginning(settings.seed, 1));
    let (earliest, reached): (Vec<_>, Vec<_>) = if at.is_empty() {
        // with turbulence the others begin while the stream runs
        let first = if settings.turbulence.is_some() { 1 } else { settings.lanes };
        let lanes: Vec<_> = (1..=first).map(beginning).collect();
        (lanes.clone(), lanes)
    } else {
        let joined = |(number, places): &(u16, Vec<Delivered>)| (*number, all(places, Delivered::join, settings.seed));
        (known.iter().map(|(number, _)| beginning(*number)).collect(), known.iter().map(joined).collect())
    };
    let frontier = |lanes: &[(u16, Delivered)]| -> Frontier {
        lanes.iter().map(|(number, place)| (names::lane(*number), Offset::new(place.clone()))).collect()
    };
    let begin = |begin: &Begin| match begin {
        Begin::At(frontier) => Ok(frontier.clone()),
        Begin::First | Begin::Start(StartAt::Earliest) => Ok(frontier(&earliest)),
        // nothing is generated until somebody reads it
        Begin::Start(StartAt::Now) => Ok(frontier(&reached)),
        Begin::Start(_) => Err(super::no_positions()),
    };
    sinks.iter().map(begin).collect()
}

fn all(places: &[Delivered], both: fn(&Delivered, &Delivered) -> Delivered, seed: u64) -> Delivered {
    places.iter().cloned().reduce(|one, two| both(&one, &two)).unwrap_or_else(|| Delivered::beginning(seed, 1))
}

/// For the fuzz target of positions: the changes behind a lane's place, or an error.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz(text: &str, seed: u64) {
    let settings = GeneratorSource { seed, lanes: 2, turbulence: Some(1), ..GeneratorSource::default() };
    let offset = Offset::from_json(text);
    let frontier = Frontier::of(names::lane(2), offset.clone());
    let Ok(known) = known(&settings, &[&frontier]) else { return };
    let place = all(&known[0].1, Delivered::meet, seed);
    assert!(place.covers(&place.meet(&place)) && place == place.join(&place));
    let mut stream = LaneStream::new(Log::new(&settings, 2), place, Some(1), &Limits::default());
    if let Some(batch) = stream.batch(8, 0) {
        assert!(batch.validate().is_ok());
        assert!(sluicegate_source::Ledger::had(&Transactions, &offset, &batch).is_ok_and(|had| had.is_empty()));
    }
}

/// Where lanes began in this run that no sink knew: at the same transaction in all sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginnings(Arc<Mutex<BTreeMap<u16, u64>>>);

impl Beginnings {
    /// The transaction at which the lane began, or now begins.
    fn of(&self, lane: u16, now: u64) -> u64 {
        // a panic elsewhere leaves no entry half done
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(lane).or_insert(now)
    }
}

/// A lane at its turn.
struct Turn {
    stream: LaneStream,
    /// Turns for which it is passed over.
    rests: u64,
    begun: bool,
    ended: bool,
}

/// Chance of one start.
struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    /// A number below `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        mix(self.seed, CHANCE, self.drawn) % below.max(1)
    }
}

/// Streams all lanes until `outlet` closes or all have ended.
pub(super) async fn run(
    settings: &GeneratorSource,
    limits: &Limits,
    beginnings: &Beginnings,
    sinks: &[Frontier],
    mut outlet: Outlet,
) -> Result<()> {
    let known = known(settings, &sinks.iter().collect::<Vec<_>>())?;
    let mut chance = settings.turbulence.map(|seed| {
        let mut places = DefaultHasher::new();
        sinks.iter().for_each(|frontier| frontier.to_string().hash(&mut places));
        Chance { seed: mix(seed, CHANCE, places.finish()), drawn: 0 }
    });
    let mut lanes = Vec::new();
    for number in 1..=settings.lanes {
        let (place, begun) = match (known.iter().find(|(known, _)| *known == number), &mut chance) {
            (Some((_, places)), _) => (all(places, Delivered::meet, settings.seed), true),
            (None, None) => (Delivered::beginning(settings.seed, 1), false),
            (None, Some(chance)) => {
                let below = beginnings.of(number, chance.draw(BEGINS_BELOW));
                (Delivered { below, ..Delivered::beginning(settings.seed, 1) }, false)
            }
        };
        let order = chance.as_mut().map(|chance| chance.draw(u64::MAX));
        let rests = chance.as_mut().filter(|_| !begun).map_or(0, |chance| chance.draw(BEGINS_WITHIN));
        let stream = LaneStream::new(Log::new(settings, number), place, order, limits);
        // the end of a lane that every sink has was told before
        let ended = begun && stream.ahead() == Ahead::End;
        lanes.push(Turn { stream, rests, begun, ended });
    }
    let (mut at, mut number) = (0, 0);
    while lanes.iter().any(|lane| !lane.ended) {
        at = match &mut chance {
            None => (at + 1) % lanes.len(),
            Some(chance) => chance.draw(lanes.len() as u64) as usize,
        };
        let Some(lane) = lanes.get_mut(at).filter(|lane| !lane.ended) else { continue };
        if lane.rests > 0 {
            lane.rests -= 1;
            continue;
        }
        let Some((due, room)) = outlet.next().await else { break };
        let item = lane.item(due, number, limits, chance.as_mut());
        if let Item::Rows(batch) = &item {
            number = batch.next_number();
        }
        room.send(item);
    }
    outlet.end();
    Ok(())
}

impl Turn {
    /// The lane's next item. `due`: how many changes it may have.
    fn item(&mut self, due: u64, number: u64, limits: &Limits, chance: Option<&mut Chance>) -> Item {
        let mark = |stream: &LaneStream, event| {
            Item::Mark(Mark { lane: stream.lane().clone(), offset: stream.offset(), kind: MarkKind::Lane(event) })
        };
        if !self.begun {
            self.begun = true;
            return mark(&self.stream, LaneEvent::Begins);
        }
        let mut most = due;
        if let Some(chance) = chance {
            if chance.draw(FAILS) == 0 {
                self.rests = chance.draw(RESTS);
                self.stream.restart(Some(chance.draw(u64::MAX)));
                return mark(&self.stream, LaneEvent::Failed);
            }
            // a third of the batches is small, so that places inside of several transactions occur
            let largest = if chance.draw(3) == 0 { SMALL } else { limits.batch_changes as u64 };
            most = most.min(1 + chance.draw(largest));
        }
        if self.stream.ahead() == Ahead::Changes
            && let Some(batch) = self.stream.batch(most, number)
        {
            return Item::Rows(batch);
        }
        if self.stream.ahead() == Ahead::Generation {
            self.stream.begin_anew();
            return mark(&self.stream, LaneEvent::Begins);
        }
        self.ended = true;
        mark(&self.stream, LaneEvent::Ends)
    }
}
