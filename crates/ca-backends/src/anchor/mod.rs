//! Where what was published is kept beside the database.

mod directory;
mod line;

pub use directory::DirectoryAnchor;
