//! The plugin host against real components, well-behaved and evil ones.

mod calls;
mod context;
mod draft;
mod drip;
mod faults;
mod files;
mod neighbour;
mod partial;
mod pipelines;
mod policies;
mod recovery;
mod released;
mod wasi;
mod workbench;
