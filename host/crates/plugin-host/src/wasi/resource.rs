//! WASI's resources. All but pollables are a type and a small number; none of them holds anything of the system. How many
//! of them an instance may hold is bounded.

use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, ResourceType, Val},
};

use super::{Guest, Refused};
use sluicegate_model::limits::PLUGIN_HANDLES;

/// The type of pollables.
pub(super) const POLLABLE: u32 = 0;
/// The type of output streams.
pub(super) const OUTPUT_STREAM: u32 = 1;
/// The first number of all other types.
const OTHERS: u32 = 2;

/// The resource types that one component imports, by number.
#[derive(Default)]
pub(super) struct Kinds(Vec<(ResourceType, u32)>);

impl Kinds {
    /// Gives a type its number; `None` when it has one.
    pub fn define(&mut self, interface: &str, name: &str, kind: ResourceType) -> Option<u32> {
        if self.number(kind).is_some() {
            return None;
        }
        let number = match (interface, name) {
            ("io/poll", "pollable") => POLLABLE,
            ("io/streams", "output-stream") => OUTPUT_STREAM,
            _ => OTHERS + self.0.len() as u32,
        };
        self.0.push((kind, number));
        Some(number)
    }

    /// The number of a type.
    pub fn number(&self, kind: ResourceType) -> Option<u32> {
        self.0.iter().find(|(known, _)| *known == kind).map(|(_, number)| *number)
    }
}

/// Defines a resource type under `name`.
pub(super) fn link(to: &mut LinkerInstance<'_, Guest>, name: &str, number: u32) -> wasmtime::Result<()> {
    to.resource(name, ResourceType::host_dynamic(number), move |mut store, rep| {
        store.data_mut().wasi.resources.remove(number, rep);
        Ok(())
    })
}

/// What stands for each handle among the arguments, in order. The handles are given back: ours are plain numbers.
pub(super) fn taken(store: &mut StoreContextMut<'_, Guest>, params: &[Val]) -> wasmtime::Result<Vec<u32>> {
    let mut found = Vec::new();
    params.iter().try_for_each(|value| take(store, value, &mut found))?;
    Ok(found)
}

fn take(store: &mut StoreContextMut<'_, Guest>, value: &Val, found: &mut Vec<u32>) -> wasmtime::Result<()> {
    let mut each = |value: &Val| take(store, value, found);
    match value {
        Val::Resource(handle) => {
            let owned = handle.owned();
            let handle = handle.try_into_resource_dynamic(&mut *store)?;
            if owned {
                store.data_mut().wasi.resources.remove(handle.ty(), handle.rep());
            }
            found.push(handle.rep());
            Ok(())
        }
        Val::List(values) | Val::Tuple(values) | Val::FixedLengthList(values) => match values.first() {
            // bytes, mostly: nothing to be found, and many of them
            Some(Val::U8(_)) => Ok(()),
            _ => values.iter().try_for_each(each),
        },
        Val::Record(fields) => fields.iter().try_for_each(|(_, value)| each(value)),
        Val::Map(entries) => entries.iter().try_for_each(|(key, value)| each(key).and_then(|()| each(value))),
        Val::Variant(_, Some(value)) | Val::Option(Some(value)) | Val::Result(Ok(Some(value)) | Err(Some(value))) => each(value),
        _ => Ok(()),
    }
}

/// What an instance holds.
#[derive(Default)]
pub(super) struct Resources {
    count: usize,
    /// When each pollable is ready that waits for a time. What stands for it is its index and 1; 0 is ready at any time.
    instants: Vec<Option<u64>>,
}

impl Resources {
    /// Counts one more.
    pub fn add(&mut self) -> wasmtime::Result<()> {
        if self.count >= PLUGIN_HANDLES {
            let what = format!("it holds more than {PLUGIN_HANDLES} resources of WASI");
            return Err(Refused::new(what, "look for streams and pollables that the plugin never drops").into());
        }
        self.count += 1;
        Ok(())
    }

    /// What stands for a pollable that is ready at `instant`, nanoseconds of the monotonic clock. It is counted when it is
    /// handed over.
    pub fn pollable(&mut self, instant: u64) -> u32 {
        let place = self.instants.iter().position(Option::is_none).unwrap_or(self.instants.len());
        match self.instants.get_mut(place) {
            Some(free) => *free = Some(instant),
            None => self.instants.push(Some(instant)),
        }
        place as u32 + 1
    }

    /// When a pollable is ready; 0 = at any time.
    pub fn instant(&self, rep: u32) -> u64 {
        rep.checked_sub(1).and_then(|place| self.instants.get(place as usize)).copied().flatten().unwrap_or(0)
    }

    fn remove(&mut self, number: u32, rep: u32) {
        self.count = self.count.saturating_sub(1);
        if number == POLLABLE
            && let Some(slot) = rep.checked_sub(1).and_then(|place| self.instants.get_mut(place as usize))
        {
            *slot = None;
        }
    }
}
