//! What a source gives of each change, said before the first row comes.

/// Which part of the row as it was before an update or delete a source sends at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BeforeImages {
    /// The whole row.
    #[default]
    Whole,
    /// The key; of a table without one, the whole row.
    Keys,
    /// Of a deleted row the key, of an updated row nothing.
    Deletes,
}

/// What a source gives. Plans are made with it: what a plan relies on must be there for every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Its before images.
    pub before_images: BeforeImages,
    /// Whether values may be absent.
    pub absent: bool,
}
