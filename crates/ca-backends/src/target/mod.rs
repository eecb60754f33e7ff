//! Where certificates are wanted whose rotation the service owns.

mod directory;

pub use directory::DirectoryTarget;
