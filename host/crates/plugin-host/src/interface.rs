//! The versions of the plugin interface that this program has, 1.0.0 and the draft of 1.1: a component that was built for either,
//! an instance of it, and its calls. What 1.0.0 has not, it does not get; the rest of the host knows one form.

use std::borrow::Cow;

use wasmtime::{
    Store,
    component::{Component, InstancePre},
};

use super::{
    bindings::{
        GrantedPlugin, GrantedPluginPre, draft,
        draft::{
            exports::sluicegate::plugin1_1_0_draft::transform as draft_transform, sluicegate::plugin1_1_0_draft::types as draft_types,
        },
        exports::sluicegate::plugin::transform::Rows,
        sluicegate::plugin::types,
    },
    context::Context,
    guest::Guest,
};
use sluicegate_model::change::{BeforeImages, Capabilities, Column, Nulls, Values};

/// The draft, as components name it. Only the very same one is understood.
pub(super) const DRAFT: &str = "1.1.0-draft";

/// A component that was compiled, linked and checked to have every function of its version.
#[derive(Clone)]
pub(super) enum Linked {
    V1(GrantedPluginPre<Guest>),
    Draft(draft::GrantedPluginPre<Guest>),
}

/// An instance of it.
pub(super) enum Calls {
    V1(GrantedPlugin),
    Draft(draft::GrantedPlugin),
}

/// What a plugin answers to `plan`.
pub(super) struct Planned {
    pub plan: types::Plan,
    /// Whether it knows absent values.
    pub absent: bool,
}

/// What a plugin answers to `apply`.
pub(super) struct Answer {
    pub outcome: types::Outcome,
    /// For each computed column a bitmap of its absent values, or nothing; empty when the version has none.
    pub absent: Vec<Vec<u8>>,
}

/// Rows that are handed over.
pub(super) struct Handed<'a> {
    pub count: usize,
    /// The columns that the plan reads, each with `count` entries.
    pub columns: &'a [&'a Column],
    pub context: &'a Context<'a>,
}

type Called<T> = wasmtime::Result<Result<T, String>>;

impl Linked {
    pub fn new(version: &str, pre: InstancePre<Guest>) -> wasmtime::Result<Self> {
        if version == DRAFT { draft::GrantedPluginPre::new(pre).map(Self::Draft) } else { GrantedPluginPre::new(pre).map(Self::V1) }
    }

    pub fn component(&self) -> &Component {
        match self {
            Self::V1(pre) => pre.instance_pre().component(),
            Self::Draft(pre) => pre.instance_pre().component(),
        }
    }

    pub fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Calls> {
        match self {
            Self::V1(pre) => pre.instantiate(store).map(Calls::V1),
            Self::Draft(pre) => pre.instantiate(store).map(Calls::Draft),
        }
    }
}

impl Calls {
    pub fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<types::Description> {
        match self {
            Self::V1(plugin) => plugin.sluicegate_plugin_transform().call_describe(store),
            Self::Draft(plugin) => plugin.sluicegate_plugin1_1_0_draft_transform().call_describe(store),
        }
    }

    pub fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<()> {
        match self {
            Self::V1(plugin) => plugin.sluicegate_plugin_transform().call_configure(store, config),
            Self::Draft(plugin) => plugin.sluicegate_plugin1_1_0_draft_transform().call_configure(store, config),
        }
    }

    pub fn plan(
        &self,
        store: &mut Store<Guest>,
        id: u32,
        table: types::TableParam<'_>,
        capabilities: Capabilities,
    ) -> Called<Option<Planned>> {
        match self {
            Self::V1(plugin) => {
                let answer = plugin.sluicegate_plugin_transform().call_plan(store, id, table)?;
                Ok(answer.map(|plan| plan.map(|plan| Planned { plan, absent: false })))
            }
            Self::Draft(plugin) => {
                let answer = plugin.sluicegate_plugin1_1_0_draft_transform().call_plan(store, id, table, given(capabilities))?;
                Ok(answer.map(|plan| plan.map(planned)))
            }
        }
    }

    /// Tells the plugin that a table is forgotten. `false`: its version has no such call.
    pub fn forget(&self, store: &mut Store<Guest>, id: u32) -> wasmtime::Result<bool> {
        match self {
            Self::V1(_) => Ok(false),
            Self::Draft(plugin) => plugin.sluicegate_plugin1_1_0_draft_transform().call_forget_table(store, id).map(|()| true),
        }
    }

    pub fn apply(&self, store: &mut Store<Guest>, id: u32, handed: &Handed<'_>) -> Called<Answer> {
        let width = handed.count.div_ceil(8);
        let nulls: Vec<_> = handed.columns.iter().map(|column| bitmap(&column.nulls, width)).collect();
        let columns = handed.columns.iter().zip(&nulls);
        let Context { images, operations, times, partners } = handed.context;
        let count = handed.count as u32;
        match self {
            Self::V1(plugin) => {
                let vectors: Vec<_> = columns.map(|(column, nulls)| types::VectorParam { values: values(&column.values), nulls }).collect();
                let rows = Rows { count, columns: &vectors, images, operations, times, partners };
                let answer = plugin.sluicegate_plugin_transform().call_apply(store, id, rows)?;
                Ok(answer.map(|outcome| Answer { outcome, absent: Vec::new() }))
            }
            Self::Draft(plugin) => {
                let absent: Vec<_> = handed.columns.iter().map(|column| bitmap(&column.absent, width)).collect();
                let vectors: Vec<_> = columns
                    .zip(&absent)
                    .map(|((column, nulls), absent)| draft_types::VectorParam { values: values(&column.values), nulls, absent })
                    .collect();
                let rows = draft_transform::Rows { count, columns: &vectors, images, operations, times, partners };
                let answer = plugin.sluicegate_plugin1_1_0_draft_transform().call_apply(store, id, rows)?;
                Ok(answer.map(answered))
            }
        }
    }
}

impl draft_types::Host for Guest {}

fn given(capabilities: Capabilities) -> draft_types::Capabilities {
    let before_images = match capabilities.before_images {
        BeforeImages::Whole => draft_types::BeforeImages::Whole,
        BeforeImages::Keys => draft_types::BeforeImages::Keys,
        BeforeImages::Deletes => draft_types::BeforeImages::Deletes,
    };
    draft_types::Capabilities { before_images, absent: capabilities.absent }
}

fn planned(plan: draft_types::Plan) -> Planned {
    let draft_types::Plan { delivers, origins, operations, reads, context, filters, absent } = plan;
    Planned { plan: types::Plan { delivers, origins, operations, reads, context, filters }, absent }
}

fn answered(outcome: draft_types::Outcome) -> Answer {
    let draft_types::Outcome { keep, computed, rejected } = outcome;
    let vector = |vector: draft_types::VectorResult| {
        let draft_types::VectorResult { values, nulls, absent } = vector;
        (types::VectorResult { values, nulls }, absent)
    };
    let (computed, absent) = computed.into_iter().map(vector).unzip();
    Answer { outcome: types::Outcome { keep, computed, rejected }, absent }
}

/// A bitmap as it crosses: nothing, or a bit for each row.
fn bitmap(bits: &Nulls, width: usize) -> Cow<'_, [u8]> {
    match &bits.0 {
        all if bits.none() => all[..0].into(),
        all if all.len() == width => all.as_slice().into(),
        all => {
            let mut padded = all.clone();
            padded.resize(width, 0);
            padded.into()
        }
    }
}

fn values(values: &Values) -> types::ValuesParam<'_> {
    match values {
        Values::Boolean(v) => types::ValuesParam::Booleans(v),
        Values::Int64(v) => types::ValuesParam::Int64s(v),
        Values::UInt64(v) => types::ValuesParam::Uint64s(v),
        Values::Float32(v) => types::ValuesParam::Float32s(v),
        Values::Float64(v) => types::ValuesParam::Float64s(v),
        Values::Text(s) => types::ValuesParam::Texts(types::StringsParam { offsets: &s.offsets, data: &s.data }),
        Values::Bytes(s) => types::ValuesParam::Bytes(types::StringsParam { offsets: &s.offsets, data: &s.data }),
    }
}
