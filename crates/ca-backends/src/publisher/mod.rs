//! Where CRLs are put: the `Publisher` port (`ca_engine::port::publisher`).

pub mod directory;

pub use directory::DirectoryPublisher;
pub(crate) use directory::{is_file_of, put_newer_list};
