//! The parts of a snapshot as octets: a letter, a length, and what belongs to it.

use std::io::{self, Read, Write};

use ca_core::time::Timestamp;
use ca_store::{SnapshotHeader, SnapshotKind, SnapshotPart, SnapshotSink, SnapshotSource};
use serde::{Deserialize, Serialize};

/// No part is longer, in octets: rows come in pieces.
const LONGEST: u32 = 1 << 30;

const HEADER: u8 = b'H';
const TABLE: u8 = b'T';
const OCTETS: u8 = b'O';
const END: u8 = b'E';

#[derive(Serialize, Deserialize)]
struct HeaderRecord {
    kind: String,
    schema_version: i64,
    months: Vec<String>,
    /// Which build made it, and when: for people.
    version: String,
    made_at: String,
}

#[derive(Serialize, Deserialize)]
struct TableRecord {
    name: String,
    columns: Vec<String>,
}

/// Writes a snapshot's parts, and tells how many octets went through, now and then.
pub(super) struct PartWriter<'a, W> {
    out: W,
    made_at: Timestamp,
    octets: u64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a, W: Write> PartWriter<'a, W> {
    pub(super) fn new(out: W, made_at: Timestamp, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { out, made_at, octets: 0, progress }
    }

    /// Says that this is all; returns what it was written to, and how many octets the record has.
    pub(super) fn finish(mut self) -> io::Result<(W, u64)> {
        self.write(END, &[])?;
        Ok((self.out, self.octets))
    }

    fn write(&mut self, letter: u8, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::other("a part is longer than a backup can hold"))?;
        self.out.write_all(&[letter])?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(content)
    }
}

impl<W: Write + Send> SnapshotSink for PartWriter<'_, W> {
    fn put(&mut self, part: SnapshotPart) -> io::Result<()> {
        match part {
            SnapshotPart::Header(header) => {
                let record = HeaderRecord {
                    kind: header.kind.as_str().to_owned(),
                    schema_version: header.schema_version,
                    months: header.months,
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    made_at: self.made_at.to_rfc3339(),
                };
                self.write(HEADER, &serde_json::to_vec(&record)?)
            }
            SnapshotPart::Table { name, columns } => {
                self.write(TABLE, &serde_json::to_vec(&TableRecord { name, columns })?)
            }
            SnapshotPart::Octets(octets) => {
                self.octets += octets.len() as u64;
                (self.progress)(self.octets);
                self.write(OCTETS, &octets)
            }
        }
    }
}

/// Reads what a [`PartWriter`] wrote.
pub(super) struct PartReader<'a, R> {
    input: R,
    octets: u64,
    is_ended: bool,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a, R: Read> PartReader<'a, R> {
    pub(super) fn new(input: R, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { input, octets: 0, is_ended: false, progress }
    }

    fn content(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut begin = [0; 5];
        self.input.read_exact(&mut begin)?;
        let [letter, length @ ..] = begin;
        let length = u32::from_be_bytes(length);
        if length > LONGEST {
            return Err(malformed("a part that is too long"));
        }
        // What is there decides how much memory is taken, not what is said.
        let mut content = Vec::new();
        if (&mut self.input).take(u64::from(length)).read_to_end(&mut content)? as u64 != u64::from(length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((letter, content))
    }
}

impl<R: Read + Send> SnapshotSource for PartReader<'_, R> {
    fn next(&mut self) -> io::Result<Option<SnapshotPart>> {
        if self.is_ended {
            return Ok(None);
        }
        let (letter, content) = self.content()?;
        Ok(Some(match letter {
            HEADER => {
                let record: HeaderRecord = serde_json::from_slice(&content)?;
                let kind = [SnapshotKind::Sqlite, SnapshotKind::Postgres];
                let kind = kind.into_iter().find(|kind| kind.as_str() == record.kind);
                SnapshotPart::Header(SnapshotHeader {
                    kind: kind.ok_or_else(|| malformed("a kind of database that is not known"))?,
                    schema_version: record.schema_version,
                    months: record.months,
                })
            }
            TABLE => {
                let TableRecord { name, columns } = serde_json::from_slice(&content)?;
                SnapshotPart::Table { name, columns }
            }
            OCTETS => {
                self.octets += content.len() as u64;
                (self.progress)(self.octets);
                SnapshotPart::Octets(content)
            }
            END => {
                self.is_ended = true;
                // To the end of what it is read from, which is whole only then.
                return match self.input.read(&mut [0])? {
                    0 => Ok(None),
                    _ => Err(malformed("something behind its end")),
                };
            }
            _ => return Err(malformed("a part that is not known")),
        }))
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it holds {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<SnapshotPart> {
        let months = vec!["2027_03".to_owned()];
        let columns = vec!["a".to_owned(), "b".to_owned()];
        vec![
            SnapshotPart::Header(SnapshotHeader { kind: SnapshotKind::Postgres, schema_version: 7, months }),
            SnapshotPart::Table { name: "serials".to_owned(), columns },
            SnapshotPart::Octets(vec![1; 3_000]),
            SnapshotPart::Octets(Vec::new()),
            SnapshotPart::Table { name: "roles".to_owned(), columns: Vec::new() },
        ]
    }

    fn written() -> Vec<u8> {
        let mut writer = PartWriter::new(Vec::new(), Timestamp::from_unix_seconds(1), &|_| {});
        for part in parts() {
            writer.put(part).expect("written");
        }
        let (octets, count) = writer.finish().expect("finished");
        assert_eq!(count, 3_000);
        octets
    }

    fn read(octets: &[u8]) -> io::Result<Vec<SnapshotPart>> {
        let mut reader = PartReader::new(octets, &|_| {});
        let mut parts = Vec::new();
        while let Some(part) = reader.next()? {
            parts.push(part);
        }
        Ok(parts)
    }

    #[test]
    fn parts_are_read_as_they_were_written() {
        assert_eq!(read(&written()).expect("whole"), parts());
    }

    #[test]
    fn an_end_that_is_missing_is_noticed() {
        let written = written();
        for length in [0, 1, 4, 5, 40, written.len() - 5, written.len() - 1] {
            read(&written[..length]).expect_err("cut off");
        }
        read(&[&written[..], b"x"].concat()).expect_err("something follows");
        read(&[b'O', 0xff, 0xff, 0xff, 0xff]).expect_err("too long");
    }
}
