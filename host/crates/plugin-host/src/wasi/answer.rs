//! The closed answer of a function, from the type of its result: what asks for something is refused, what lists something
//! lists nothing.

use wasmtime::{
    StoreContextMut,
    component::{ResourceDynamic, Type, Val},
};

use super::{Guest, Refused, resource::Kinds};

/// The error cases of WASI that say no, the plainest first.
const REFUSALS: [&str; 10] = [
    "access-denied",
    "access",
    "not-permitted",
    "closed",
    "HTTP-request-denied",
    "not-supported",
    "unsupported",
    "forbidden",
    "invalid-argument",
    "internal-error",
];

/// What a function answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Nothing: it has no result.
    Nothing,
    /// This value, which holds no resource.
    Value(Val),
    /// A new resource.
    Resource {
        /// Its type.
        kind: u32,
        /// What stands for it; 0 = it does nothing.
        rep: u32,
    },
    /// A trap: there is no harmless answer of its type.
    Trap,
}

impl Answer {
    /// The closed answer of a function with such results.
    pub fn of(mut results: impl ExactSizeIterator<Item = Type>, kinds: &Kinds) -> Self {
        match (results.len(), results.next()) {
            (0, _) => Self::Nothing,
            (1, Some(Type::Own(kind))) => kinds.number(kind).map_or(Self::Trap, |kind| Self::Resource { kind, rep: 0 }),
            (1, Some(kind)) => closed(&kind).map_or(Self::Trap, Self::Value),
            _ => Self::Trap,
        }
    }

    /// Hands it over.
    pub fn give(self, store: &mut StoreContextMut<'_, Guest>, function: &str, results: &mut [Val]) -> wasmtime::Result<()> {
        let value = match self {
            Self::Nothing if results.is_empty() => return Ok(()),
            Self::Nothing | Self::Trap => return Err(refused(function)),
            Self::Value(value) => value,
            Self::Resource { kind, rep } => {
                store.data_mut().wasi.resources.add()?;
                Val::Resource(ResourceDynamic::new_own(rep, kind).try_into_resource_any(store)?)
            }
        };
        // wasmtime checks it against the type that the component declared
        match results {
            [result] => *result = value,
            _ => return Err(refused(function)),
        }
        Ok(())
    }
}

/// The trap of a function that is not given.
pub(super) fn refused(function: &str) -> wasmtime::Error {
    Refused::new(
        format!("it called {function}, which plugins are not given"),
        "take out what uses files, the network or the environment: a plugin has only its rows",
    )
    .into()
}

fn closed(kind: &Type) -> Option<Val> {
    match kind {
        Type::Option(_) => Some(Val::Option(None)),
        Type::List(_) => Some(Val::List(Vec::new())),
        Type::Result(result) => {
            let error = match result.err() {
                None => None,
                Some(Type::Enum(cases)) => {
                    let name = REFUSALS.iter().find(|name| cases.names().any(|n| n == **name))?;
                    Some(Box::new(Val::Enum((*name).into())))
                }
                Some(Type::Variant(variant)) => {
                    let (name, payload) = REFUSALS.iter().find_map(|name| {
                        let case = variant.cases().find(|case| case.name == *name)?;
                        match case.ty {
                            None => Some((name, None)),
                            Some(Type::Option(_)) => Some((name, Some(Box::new(Val::Option(None))))),
                            Some(_) => None,
                        }
                    })?;
                    Some(Box::new(Val::Variant((*name).into(), payload)))
                }
                Some(_) => return None,
            };
            Some(Val::Result(Err(error)))
        }
        _ => None,
    }
}
