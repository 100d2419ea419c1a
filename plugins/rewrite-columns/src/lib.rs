//! Standard plugin: drops, renames, masks, hashes, computes columns
