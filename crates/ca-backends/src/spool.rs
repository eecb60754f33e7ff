//! Where lists lie while they are made and served: in memory up to some megabytes, else in a file without a name.
//!
//! The file's name goes as soon as it is made, so that nothing is left behind by a process that dies, and nobody else can change it.
//! Nothing waits for the disk here: what is written stays in the machine's memory of files as long as there is room.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use ca_engine::port::spool::{InMemory, Spool, SpoolWriter, SpooledOctets};

/// So many octets stay in memory: some 100,000 entries.
const MOST_IN_MEMORY: usize = 4 * 1024 * 1024;

/// A folder that takes what does not fit into memory.
#[derive(Clone, Debug)]
pub struct FileSpool {
    folder: PathBuf,
}

impl FileSpool {
    /// In `folder`, which exists and is on a disk with room for twice the largest list.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Spool for FileSpool {
    fn begin(&self) -> io::Result<Box<dyn SpoolWriter>> {
        Ok(Box::new(Writing { folder: self.folder.clone(), memory: Vec::new(), file: None, count: 0 }))
    }
}

struct Writing {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    count: u64,
}

impl SpoolWriter for Writing {
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + octets.len() > MOST_IN_MEMORY {
            let mut file = tempfile::tempfile_in(&self.folder)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(octets)?,
            None => self.memory.extend_from_slice(octets),
        }
        self.count += octets.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<Arc<dyn SpooledOctets>> {
        match self.file {
            Some(file) => Ok(Arc::new(InFile { file, count: self.count })),
            None => {
                let mut memory = Box::new(InMemory::default());
                memory.append(&self.memory)?;
                memory.finish()
            }
        }
    }
}

struct InFile {
    file: File,
    count: u64,
}

impl SpooledOctets for InFile {
    fn count(&self) -> u64 {
        self.count
    }

    fn read(&self, from: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_is_given_in_memory_or_in_a_file_without_a_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = FileSpool::new(folder.path().to_owned());
        for count in [0, 1, MOST_IN_MEMORY, MOST_IN_MEMORY + 1, 3 * MOST_IN_MEMORY + 7] {
            let all: Vec<u8> = (0..count).map(|place| (place % 251) as u8).collect();
            let mut writer = spool.begin().expect("begun");
            all.chunks(1_000_000).for_each(|piece| writer.append(piece).expect("room"));
            let kept = writer.finish().expect("ended");
            assert_eq!(kept.count(), count as u64);
            let mut read = vec![0; count];
            kept.read(0, &mut read).expect("all of it");
            assert!(read == all);
            let mut last = vec![0; count.min(10)];
            kept.read((count - last.len()) as u64, &mut last).expect("the end");
            assert_eq!(last, all[count - last.len()..]);
            assert!(kept.read(count as u64, &mut [0]).is_err(), "there is nothing after the end");
            assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        }
    }

    #[test]
    fn says_it_when_the_folder_is_gone() {
        let spool = FileSpool::new(PathBuf::from("/nonexistent/spool"));
        let mut writer = spool.begin().expect("nothing is needed yet");
        assert!(writer.append(&vec![0; MOST_IN_MEMORY]).is_ok());
        assert!(writer.append(&[0]).is_err());
    }
}
