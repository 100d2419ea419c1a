//! Wires source, plugins and sinks together.
