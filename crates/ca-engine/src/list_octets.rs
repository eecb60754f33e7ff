//! The octets of a signed list: shared, never changed, and read in pieces, since a list may have hundreds of megabytes.

use std::fmt;
use std::io;
use std::sync::Arc;

use ca_core::hash::{Sha256, sha256};

use crate::port::spool::SpooledOctets;

/// The octets of a list, in memory or where the [`Spool`](crate::port::spool::Spool) put them, and their SHA-256.
#[derive(Clone)]
pub struct ListOctets(Arc<Parts>);

struct Parts {
    before: Vec<u8>,
    body: Option<Arc<dyn SpooledOctets>>,
    after: Vec<u8>,
    sha256: [u8; 32],
}

/// How many octets are read at a time.
pub const PIECE: usize = 1024 * 1024;

impl ListOctets {
    /// Octets that were put aside, between others. All are read once, for their digest.
    pub fn around(before: Vec<u8>, body: Arc<dyn SpooledOctets>, after: Vec<u8>) -> io::Result<Self> {
        let mut parts = Parts { before, body: Some(body), after, sha256: [0; 32] };
        let mut digest = Sha256::new();
        let (mut from, mut piece) = (0, Vec::new());
        while from < parts.count() {
            parts.read_piece(from, &mut piece)?;
            digest.update(&piece);
            from += piece.len() as u64;
        }
        parts.sha256 = digest.finish();
        Ok(Self(Arc::new(parts)))
    }

    /// Octets that were put aside.
    pub fn spooled(body: Arc<dyn SpooledOctets>) -> io::Result<Self> {
        Self::around(Vec::new(), body, Vec::new())
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// Their SHA-256.
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// Fills `into` with those from `from` on; an error when there are not so many.
    pub fn read(&self, from: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read(from, into)
    }

    /// All of them in order, [`PIECE`] at a time, the last piece shorter. An error comes in the place of the last when they are no
    /// longer those that were put aside: so nothing is passed on as the list that is not.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { octets: self, from: 0, digest: Some(Sha256::new()) }
    }

    /// All of them at once: where there is memory for that.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut all = vec![0; usize::try_from(self.count()).map_err(|_| io::ErrorKind::OutOfMemory)?];
        self.read(0, &mut all)?;
        Ok(all)
    }
}

impl Parts {
    fn count(&self) -> u64 {
        self.before.len() as u64 + self.body.as_ref().map_or(0, |body| body.count()) + self.after.len() as u64
    }

    fn read(&self, mut from: u64, mut into: &mut [u8]) -> io::Result<()> {
        let body = self.body.as_ref().map_or(0, |body| body.count());
        let mut passed = 0;
        let parts = [Part::Memory(&self.before), Part::Body(body), Part::Memory(&self.after)];
        for part in parts {
            let (start, end) = (passed, passed + part.count());
            passed = end;
            if into.is_empty() || from >= end {
                continue;
            }
            let here = usize::try_from(end - from).unwrap_or(usize::MAX).min(into.len());
            let (now, later) = into.split_at_mut(here);
            match (part, &self.body) {
                (Part::Body(_), Some(body)) => body.read(from - start, now)?,
                // Cannot lie outside of it: `from` and `here` are within the part.
                (Part::Memory(octets), _) => now.copy_from_slice(&octets[(from - start) as usize..][..here]),
                (Part::Body(_), None) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            from += here as u64;
            into = later;
        }
        if into.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn read_piece(&self, from: u64, piece: &mut Vec<u8>) -> io::Result<()> {
        let left = usize::try_from(self.count() - from).unwrap_or(usize::MAX);
        piece.resize(left.min(PIECE), 0);
        self.read(from, piece)
    }
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Memory(&'a [u8]),
    Body(u64),
}

impl Part<'_> {
    fn count(self) -> u64 {
        match self {
            Self::Memory(octets) => octets.len() as u64,
            Self::Body(count) => count,
        }
    }
}

/// [`ListOctets::pieces`].
pub struct Pieces<'a> {
    octets: &'a ListOctets,
    from: u64,
    /// None after the end.
    digest: Option<Sha256>,
}

impl Iterator for Pieces<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.octets.count();
        if self.from >= count {
            return None;
        }
        let mut digest = self.digest.take()?;
        let mut piece = Vec::new();
        if let Err(error) = self.octets.0.read_piece(self.from, &mut piece) {
            return Some(Err(error));
        }
        digest.update(&piece);
        self.from += piece.len() as u64;
        if self.from < count {
            self.digest = Some(digest);
        } else if digest.finish() != self.octets.sha256() {
            return Some(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the list has changed where it was put aside",
            )));
        }
        Some(Ok(piece))
    }
}

impl From<Vec<u8>> for ListOctets {
    fn from(octets: Vec<u8>) -> Self {
        let sha256 = sha256(&octets);
        Self(Arc::new(Parts { before: octets, body: None, after: Vec::new(), sha256 }))
    }
}

impl From<&[u8]> for ListOctets {
    fn from(octets: &[u8]) -> Self {
        octets.to_vec().into()
    }
}

/// Of the same octets, as their digests say.
impl PartialEq for ListOctets {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count() && self.sha256() == other.sha256()
    }
}

impl Eq for ListOctets {}

impl fmt::Debug for ListOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListOctets({}, sha256 {})", self.count(), hex::encode(self.sha256()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::spool::{MemorySpool, Spool};

    fn spooled(octets: &[u8]) -> Arc<dyn SpooledOctets> {
        let mut writer = MemorySpool.begin().expect("memory");
        octets.chunks(1_000).for_each(|piece| writer.append(piece).expect("memory"));
        writer.finish().expect("memory")
    }

    #[test]
    fn parts_are_read_as_one_whole() {
        let all: Vec<u8> = (0..300_u16).map(|number| number.to_le_bytes()[0]).collect();
        let list = ListOctets::around(all[..7].to_vec(), spooled(&all[7..290]), all[290..].to_vec()).expect("memory");
        assert_eq!((list.count(), list.sha256(), list.to_vec().expect("memory")), (300, sha256(&all), all.clone()));
        assert_eq!(list, ListOctets::from(all.clone()));
        for start in 0..300 {
            for end in [start, start + 1, (start + 8).min(300), 300] {
                let mut part = vec![0; end - start];
                list.read(start as u64, &mut part).expect("within");
                assert_eq!(part, all[start..end], "{start} to {end}");
            }
        }
        assert!(list.read(299, &mut [0; 2]).is_err() && list.read(301, &mut [0; 1]).is_err());
    }

    #[test]
    fn pieces_are_all_of_it() {
        for count in [0, 1, PIECE, PIECE + 1, 2 * PIECE + 5] {
            let all: Vec<u8> = (0..count).map(|place| (place / 3 + place / 1_000) as u8).collect();
            let list = ListOctets::around(vec![1], spooled(&all), vec![2]).expect("memory");
            let pieces: Vec<_> = list.pieces().collect::<io::Result<_>>().expect("unchanged");
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            assert_eq!(pieces.concat(), [&[1][..], &all, &[2]].concat());
        }
    }

    /// Octets that are others each time.
    struct Rotten(std::sync::atomic::AtomicU8);

    impl SpooledOctets for Rotten {
        fn count(&self) -> u64 {
            10
        }

        fn read(&self, _: u64, into: &mut [u8]) -> io::Result<()> {
            into.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            Ok(())
        }
    }

    #[test]
    fn what_has_changed_is_not_passed_on() {
        let list = ListOctets::spooled(Arc::new(Rotten(0.into()))).expect("read once");
        let pieces: Vec<_> = list.pieces().collect();
        assert!(matches!(&pieces[..], [Err(error)] if error.kind() == io::ErrorKind::InvalidData));
    }
}
