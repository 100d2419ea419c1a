//! Builds the plugins of this repository into components
