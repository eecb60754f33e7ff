//! Where CRLs are put: the `Publisher` port (`ca_engine::port::publisher`).

mod bucket;
pub mod directory;
mod number;
#[cfg(feature = "aws-s3")]
pub mod s3;

pub use bucket::{BucketName, BucketProblem, KeyPrefix, S3Target};
pub use directory::DirectoryPublisher;
pub(crate) use directory::{is_file_of, put_newer_list};
#[cfg(feature = "aws-s3")]
pub use s3::S3Publisher;
