//! The functions of WASI that do something. All others give their closed answer.

use std::time::Duration;

use wasmtime::component::Val;

use super::{
    Guest, Refused, Stream,
    answer::{Answer, refused},
    resource::{OUTPUT_STREAM, POLLABLE},
};
use sluicegate_model::limits::{PLUGIN_HANDLES, PLUGIN_WRITE_BYTES};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    Exit,
    Output(Stream),
    CheckWrite,
    Write,
    WriteZeroes,
    Flush,
    Poll,
    Ready,
    Block,
    Now,
    SubscribeInstant,
    SubscribeDuration,
    Resolution,
    WallNow,
    WallResolution,
    RandomBytes,
    RandomNumber,
    RandomSeed,
}

impl Function {
    /// The function of this name, if it does something.
    pub fn of(interface: &str, name: &str) -> Option<Self> {
        Some(match (interface, name) {
            ("cli/exit", "exit" | "exit-with-code") => Self::Exit,
            ("cli/stdout", "get-stdout") => Self::Output(Stream::Stdout),
            ("cli/stderr", "get-stderr") => Self::Output(Stream::Stderr),
            ("io/streams", "[method]output-stream.check-write") => Self::CheckWrite,
            ("io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => Self::Write,
            ("io/streams", "[method]output-stream.write-zeroes" | "[method]output-stream.blocking-write-zeroes-and-flush") => {
                Self::WriteZeroes
            }
            ("io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => Self::Flush,
            ("io/poll", "poll") => Self::Poll,
            ("io/poll", "[method]pollable.ready") => Self::Ready,
            ("io/poll", "[method]pollable.block") => Self::Block,
            ("clocks/monotonic-clock", "now") => Self::Now,
            ("clocks/monotonic-clock", "resolution") => Self::Resolution,
            ("clocks/monotonic-clock", "subscribe-instant") => Self::SubscribeInstant,
            ("clocks/monotonic-clock", "subscribe-duration") => Self::SubscribeDuration,
            ("clocks/wall-clock", "now") => Self::WallNow,
            ("clocks/wall-clock", "resolution") => Self::WallResolution,
            ("random/random", "get-random-bytes") | ("random/insecure", "get-insecure-random-bytes") => Self::RandomBytes,
            ("random/random", "get-random-u64") | ("random/insecure", "get-insecure-random-u64") => Self::RandomNumber,
            ("random/insecure-seed", "insecure-seed") => Self::RandomSeed,
            _ => return None,
        })
    }

    /// Calls it. `handles` stands for the handles among `params`; `None` = the closed answer. The component declares the types of
    /// what it imports, so nothing is taken for granted about either.
    pub fn call(self, guest: &mut Guest, name: &str, params: &[Val], handles: &[u32]) -> wasmtime::Result<Option<Answer>> {
        let number = || match params {
            [.., Val::U64(number)] => Ok(*number),
            _ => Err(refused(name)),
        };
        // streams other than stdout and stderr are closed
        let stream = match handles {
            [1, ..] => Some(Stream::Stdout),
            [2, ..] => Some(Stream::Stderr),
            _ => None,
        };
        let world = &mut guest.wasi;
        let value = match self {
            Self::Exit => {
                return Err(
                    Refused::new("it ended itself (wasi:cli/exit)", "look at its log lines: a runtime ends so after a panic").into()
                );
            }
            Self::Output(stream) => return Ok(Some(Answer::Resource { kind: OUTPUT_STREAM, rep: stream as u32 + 1 })),
            Self::CheckWrite => match stream {
                Some(_) => ok(Some(Val::U64(PLUGIN_WRITE_BYTES as u64))),
                None => return Ok(None),
            },
            Self::Write => match (stream, params) {
                (Some(stream), [.., Val::List(bytes)]) => {
                    within(name, bytes.len() as u64)?;
                    let bytes: Vec<u8> =
                        bytes.iter().filter_map(|byte| if let Val::U8(byte) = byte { Some(*byte) } else { None }).collect();
                    guest.written(stream, &bytes);
                    ok(None)
                }
                _ => return Ok(None),
            },
            Self::WriteZeroes => match stream {
                Some(stream) => {
                    let count = number()?;
                    within(name, count)?;
                    guest.written(stream, &vec![0; count as usize]);
                    ok(None)
                }
                None => return Ok(None),
            },
            Self::Flush => match stream {
                Some(_) => ok(None),
                None => return Ok(None),
            },
            Self::Poll => {
                if handles.len() > PLUGIN_HANDLES || handles.is_empty() {
                    let what = format!("it polled {} pollables in one call, the limit is {PLUGIN_HANDLES}", handles.len());
                    return Err(Refused::new(what, "poll 1 or more, and fewer").into());
                }
                let instants: Vec<u64> = handles.iter().map(|handle| world.resources.instant(*handle)).collect();
                // time passes until the first of them is ready
                world.time.sleep_until(instants.iter().copied().min().unwrap_or(0));
                let now = world.time.monotonic();
                Val::List((0..).zip(&instants).filter(|(_, instant)| **instant <= now).map(|(place, _)| Val::U32(place)).collect())
            }
            Self::Ready => {
                let instant = handles.first().map_or(0, |handle| world.resources.instant(*handle));
                Val::Bool(instant <= world.time.read())
            }
            Self::Block => {
                let instant = handles.first().map_or(0, |handle| world.resources.instant(*handle));
                world.time.sleep_until(instant);
                return Ok(Some(Answer::Nothing));
            }
            Self::Now => Val::U64(world.time.read()),
            Self::Resolution => Val::U64(1),
            Self::SubscribeInstant => {
                let rep = world.resources.pollable(number()?);
                return Ok(Some(Answer::Resource { kind: POLLABLE, rep }));
            }
            Self::SubscribeDuration => {
                let instant = world.time.monotonic().saturating_add(number()?);
                let rep = world.resources.pollable(instant);
                return Ok(Some(Answer::Resource { kind: POLLABLE, rep }));
            }
            Self::WallNow => datetime(world.time.wall()),
            Self::WallResolution => datetime(Duration::from_micros(1)),
            Self::RandomBytes => Val::List(world.random.bytes(number()?)?.into_iter().map(Val::U8).collect()),
            Self::RandomNumber => Val::U64(world.random.number()?),
            Self::RandomSeed => Val::Tuple(vec![Val::U64(world.random.number()?), Val::U64(world.random.number()?)]),
        };
        Ok(Some(Answer::Value(value)))
    }
}

fn ok(value: Option<Val>) -> Val {
    Val::Result(Ok(value.map(Box::new)))
}

fn datetime(since_1970: Duration) -> Val {
    let fields = [("seconds", Val::U64(since_1970.as_secs())), ("nanoseconds", Val::U32(since_1970.subsec_nanos()))];
    Val::Record(fields.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// At most as much as a write may hold.
fn within(name: &str, count: u64) -> wasmtime::Result<()> {
    if count <= PLUGIN_WRITE_BYTES as u64 {
        return Ok(());
    }
    let what = format!("it wrote {count} bytes in one call of {name}, the limit is {PLUGIN_WRITE_BYTES}");
    Err(Refused::new(what, "write no more than `check-write` permits").into())
}
