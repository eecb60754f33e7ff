//! A published list as clients may have it: as it is, and compressed by gzip. What must be made of it is made once, when somebody
//! asks for it first, as a stream into the spool.

use std::io::{self, Write};
use std::sync::Arc;

use ca_core::{crl, pem};
use ca_engine::port::list_octets::ListOctets;
use ca_engine::port::spool::{Spool, SpoolWriter};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

/// How the octets of a list are sent (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    /// As they are.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// A list below this is not compressed, in octets: it fits into a packet, and most of it are name, key identifier and signature.
const LEAST_COMPRESSED: u64 = 1_024;

/// Half of zlib's usual effort: serials are chance, so more takes two and a half times as long and saves 2 % of a list more.
const EFFORT: Compression = Compression::new(3);

/// One list, or all of them in one file; clones share what was made.
#[derive(Clone, Default)]
pub(crate) struct ServedList {
    etag: String,
    source: Source,
    gzip: Made,
}

#[derive(Clone)]
enum Source {
    Der(ListOctets),
    /// As PEM, one after the other. Most services have nobody who asks for it, and it is larger than the lists.
    Pem(Vec<ListOctets>, Made),
}

impl Default for Source {
    fn default() -> Self {
        Self::Pem(Vec::new(), Made::default())
    }
}

impl ServedList {
    /// One list.
    pub(crate) fn der(der: ListOctets, etag: String) -> Self {
        Self { etag, source: Source::Der(der), gzip: Made::default() }
    }

    /// Lists as PEM in one file.
    pub(crate) fn pem(lists: Vec<ListOctets>, etag: String) -> Self {
        Self { etag, source: Source::Pem(lists, Made::default()), gzip: Made::default() }
    }

    /// The entity tag of the list in a coding: another for each (RFC 9110 §8.8.3.3). That of gzip does not say which version of
    /// the compressor made the octets; no part of them is ever given, so that none can be put to a part of another's.
    pub(crate) fn etag(&self, coding: ContentCoding) -> String {
        match (coding, self.etag.strip_suffix('"')) {
            (ContentCoding::Gzip, Some(open)) => format!("{open}-gzip\""),
            _ => self.etag.clone(),
        }
    }

    /// Whether it is large enough for compression to gain anything.
    pub(crate) fn is_worth_compressing(&self) -> bool {
        let octets = match &self.source {
            Source::Der(der) => der.count(),
            Source::Pem(lists, _) => lists.iter().map(ListOctets::count).sum(),
        };
        octets >= LEAST_COMPRESSED
    }

    /// The octets in a coding. Takes a while when they are asked for first; who else asks meanwhile waits for the same.
    pub(crate) async fn octets(&self, coding: ContentCoding, spool: &Arc<dyn Spool>) -> io::Result<ListOctets> {
        let plain = match &self.source {
            Source::Der(der) => der.clone(),
            Source::Pem(lists, made) => {
                let (lists, spool) = (lists.clone(), Arc::clone(spool));
                made.get_or_make(move || concatenate(&lists, &*spool)).await?
            }
        };
        match coding {
            ContentCoding::Identity => Ok(plain),
            ContentCoding::Gzip => {
                let spool = Arc::clone(spool);
                self.gzip.get_or_make(move || compress(&plain, &*spool)).await
            }
        }
    }
}

/// Of the same octets, as their tags say.
impl PartialEq for ServedList {
    fn eq(&self, other: &Self) -> bool {
        self.etag == other.etag
    }
}

/// What is made once.
#[derive(Clone, Default)]
struct Made(Arc<OnceCell<ListOctets>>);

impl Made {
    /// What was made, or what `make` makes, on a thread that may wait. What failed is tried again by who asks next.
    async fn get_or_make(
        &self,
        make: impl FnOnce() -> io::Result<ListOctets> + Send + 'static,
    ) -> io::Result<ListOctets> {
        if let Some(made) = self.0.get() {
            return Ok(made.clone());
        }
        let cell = Arc::clone(&self.0);
        // On a task of its own: a request whose time is up must not take the work with it, or the largest lists were never done.
        let making = tokio::spawn(async move {
            let made = cell.get_or_try_init(|| async {
                tokio::task::spawn_blocking(make).await.map_err(io::Error::other).and_then(|made| made)
            });
            made.await.cloned()
        });
        making.await.map_err(io::Error::other)?
    }
}

fn compress(list: &ListOctets, spool: &dyn Spool) -> io::Result<ListOctets> {
    let mut encoder = GzEncoder::new(IntoSpool(spool.begin()?), EFFORT);
    for piece in list.pieces() {
        encoder.write_all(&piece?)?;
    }
    ListOctets::spooled(encoder.finish()?.0.finish()?)
}

struct IntoSpool(Box<dyn SpoolWriter>);

impl Write for IntoSpool {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.append(octets)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn concatenate(lists: &[ListOctets], spool: &dyn Spool) -> io::Result<ListOctets> {
    let mut writer = spool.begin()?;
    for list in lists {
        write_pem(list, &mut *writer)?;
    }
    ListOctets::spooled(writer.finish()?)
}

/// Appends a list as PEM, in pieces of whole lines.
fn write_pem(der: &ListOctets, writer: &mut dyn SpoolWriter) -> io::Result<()> {
    const PIECE: u64 = 16_384 * pem::LINE_OCTETS as u64;
    writer.append(format!("-----BEGIN {}-----\n", crl::PEM_LABEL).as_bytes())?;
    let (mut from, mut piece, mut text) = (0, Vec::new(), String::new());
    while from < der.count() {
        piece.resize((der.count() - from).min(PIECE) as usize, 0);
        der.read(from, &mut piece)?;
        text.clear();
        pem::append_lines(&mut text, &piece);
        writer.append(text.as_bytes())?;
        from += piece.len() as u64;
    }
    writer.append(format!("-----END {}-----\n", crl::PEM_LABEL).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ca_engine::port::list_octets::PIECE;
    use ca_engine::port::spool::MemorySpool;
    use flate2::read::GzDecoder;

    use super::*;

    /// Counts what is begun; the first few fail.
    struct Counting {
        begun: AtomicUsize,
        failing: usize,
    }

    impl Spool for Counting {
        fn begin(&self) -> io::Result<Box<dyn SpoolWriter>> {
            if self.begun.fetch_add(1, Ordering::Relaxed) < self.failing {
                return Err(io::ErrorKind::StorageFull.into());
            }
            MemorySpool.begin()
        }
    }

    fn counting(failing: usize) -> (Arc<Counting>, Arc<dyn Spool>) {
        let spool = Arc::new(Counting { begun: AtomicUsize::new(0), failing });
        (Arc::clone(&spool), spool)
    }

    fn list(count: usize) -> ServedList {
        let octets: Vec<u8> = (0..count).map(|place| (place / 3 + place / 1_000) as u8).collect();
        ServedList::der(octets.into(), "\"a\"".to_owned())
    }

    fn decoded(octets: &ListOctets) -> Vec<u8> {
        let (compressed, mut plain) = (octets.to_vec().expect("memory"), Vec::new());
        GzDecoder::new(&compressed[..]).read_to_end(&mut plain).expect("gzip");
        plain
    }

    #[tokio::test]
    async fn the_compressed_list_is_the_list() {
        for count in [0, 1_024, PIECE - 1, PIECE, 2 * PIECE + 5] {
            let (list, (_, spool)) = (list(count), counting(0));
            let plain = list.octets(ContentCoding::Identity, &spool).await.expect("memory");
            let compressed = list.octets(ContentCoding::Gzip, &spool).await.expect("memory");
            assert!(decoded(&compressed) == plain.to_vec().expect("memory"), "{count}");
            assert!(count == 0 || compressed.count() < plain.count());
        }
    }

    #[tokio::test]
    async fn a_file_of_lists_is_compressed_as_it_is_served() {
        let lists: Vec<ListOctets> = vec![vec![1; 2_000].into(), vec![2; 100].into()];
        let (list, (counted, spool)) = (ServedList::pem(lists, "\"a\"".to_owned()), counting(0));
        let compressed = list.octets(ContentCoding::Gzip, &spool).await.expect("memory");
        let plain = list.octets(ContentCoding::Identity, &spool).await.expect("memory");
        assert!(decoded(&compressed) == plain.to_vec().expect("memory"));
        assert_eq!(counted.begun.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn many_who_ask_at_once_have_it_made_once() {
        let (list, (counted, spool)) = (list(100_000), counting(0));
        let asking = (0..20).map(|_| list.octets(ContentCoding::Gzip, &spool));
        let all = futures::future::try_join_all(asking).await.expect("memory");
        assert!(all.iter().all(|octets| *octets == all[0]));
        assert_eq!(counted.begun.load(Ordering::Relaxed), 1);
        // Who has the same list of the next sequence of lists, too.
        list.clone().octets(ContentCoding::Gzip, &spool).await.expect("memory");
        assert_eq!(counted.begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn it_is_made_though_the_first_who_asked_went_away() {
        let (list, (counted, spool)) = (list(100_000), counting(0));
        {
            let mut asking = std::pin::pin!(list.octets(ContentCoding::Gzip, &spool));
            assert!(futures::poll!(&mut asking).is_pending());
        }
        assert!(list.octets(ContentCoding::Gzip, &spool).await.is_ok());
        assert_eq!(counted.begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_failed_is_tried_again() {
        let (list, (_, spool)) = (list(2_000), counting(1));
        assert!(list.octets(ContentCoding::Gzip, &spool).await.is_err());
        assert!(list.octets(ContentCoding::Identity, &spool).await.is_ok(), "it needs no room");
        assert!(list.octets(ContentCoding::Gzip, &spool).await.is_ok());
    }

    #[test]
    fn each_coding_has_a_tag_of_its_own() {
        assert_eq!(list(1).etag(ContentCoding::Identity), "\"a\"");
        assert_eq!(list(1).etag(ContentCoding::Gzip), "\"a-gzip\"");
    }

    #[test]
    fn small_lists_are_left_as_they_are() {
        assert!(!list(1_023).is_worth_compressing());
        assert!(list(1_024).is_worth_compressing());
        assert!(!ServedList::default().is_worth_compressing());
    }
}
