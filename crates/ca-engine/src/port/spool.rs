//! Room for what is too much for memory: a list while it is made, and as long as it is served.
//!
//! Nothing here is durable or has a name: it goes with the last who reads it, or with the process. Writing and reading go to the
//! machine's memory of files, so that callers need no thread for them.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Keeps octets aside.
pub trait Spool: Send + Sync {
    /// Begins with nothing.
    fn begin(&self) -> io::Result<Box<dyn SpoolWriter>>;
}

/// Octets that are being put aside.
pub trait SpoolWriter: Send {
    /// Adds octets at the end. After an error the whole is lost.
    fn append(&mut self, octets: &[u8]) -> io::Result<()>;

    /// Ends writing.
    fn finish(self: Box<Self>) -> io::Result<Arc<dyn SpooledOctets>>;
}

/// Octets that were put aside. They do not change.
pub trait SpooledOctets: Send + Sync {
    /// How many there are.
    fn count(&self) -> u64;

    /// Fills `into` with those from `from` on; an error when there are not so many.
    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<()>;
}

impl fmt::Debug for dyn SpooledOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpooledOctets({})", self.count())
    }
}

/// Keeps octets in memory: where there are few.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemorySpool;

impl Spool for MemorySpool {
    fn begin(&self) -> io::Result<Box<dyn SpoolWriter>> {
        Ok(Box::new(InMemory::default()))
    }
}

/// The octets of [`MemorySpool`].
#[derive(Clone, Default)]
pub struct InMemory(Vec<u8>);

impl SpoolWriter for InMemory {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(octets);
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Arc<dyn SpooledOctets>> {
        Ok(Arc::from(self as Box<dyn SpooledOctets>))
    }
}

impl SpooledOctets for InMemory {
    fn count(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        let here = self.0.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(here.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
