//! An encrypted file: a header, then chunks of AES-256-GCM, the last of which says so. What was cut off, changed, put in another
//! order or taken from another file does not open.
//!
//! ```text
//! header  8 octets "CARTBAK" and the version, 4 iterations of PBKDF2-HMAC-SHA256 (big-endian), 32 salt
//! chunk   4 octets: the length of what follows, the top bit set for the last; then ciphertext and tag
//! ```
//! The key is derived from the passphrase and the salt, and so is of this file alone; the nonce of a chunk is its number and
//! whether it is the last (as in STREAM, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015); the
//! header is authenticated with every chunk.

use std::io::{self, Read, Write};
use std::num::NonZeroU32;

use ca_engine::port::entropy::Entropy;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::pbkdf2;
use zeroize::Zeroizing;

use crate::seal::Passphrase;

const MAGIC: &[u8; 8] = b"CARTBAK\x01";
const SALT: usize = 32;
const HEADER: usize = MAGIC.len() + 4 + SALT;
const TAG: usize = 16;
const CHUNK: usize = 1 << 16;
const LAST: u32 = 1 << 31;
/// OWASP's figure for PBKDF2-HMAC-SHA256.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(600_000).expect("cannot fail: not zero");
/// Whoever makes a file must not be able to hang who reads it.
const MOST_ITERATIONS: u32 = 20_000_000;

/// Encrypts what is written to it. Without [`ContainerWriter::finish`] the file does not open.
pub(crate) struct ContainerWriter<W> {
    out: W,
    cipher: Cipher,
    clear: Zeroizing<Vec<u8>>,
}

impl<W: Write> ContainerWriter<W> {
    /// Writes the header. Derives the key: a tenth of a second of CPU or more.
    pub(crate) fn new(mut out: W, passphrase: &Passphrase, entropy: &dyn Entropy) -> io::Result<Self> {
        let mut header = [0; HEADER];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&ITERATIONS.get().to_be_bytes());
        entropy.fill(&mut header[HEADER - SALT..]).map_err(io::Error::other)?;
        out.write_all(&header)?;
        let cipher = Cipher::derive(header, ITERATIONS, passphrase);
        Ok(Self { out, cipher, clear: Zeroizing::new(Vec::with_capacity(CHUNK)) })
    }

    /// Encrypts the last chunk; returns what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(self.clear.len() + TAG);
        chunk.extend_from_slice(&self.clear);
        self.clear.clear();
        self.cipher.seal(&mut chunk, is_last)?;
        let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
        self.out.write_all(&(if is_last { length | LAST } else { length }).to_be_bytes())?;
        self.out.write_all(&chunk)
    }
}

impl<W: Write> Write for ContainerWriter<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        // The last chunk is sealed by `finish` alone: a full one waits until something follows it.
        if self.clear.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = octets.len().min(CHUNK - self.clear.len());
        self.clear.extend_from_slice(&octets[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives what a [`ContainerWriter`] was given, chunk by chunk after each was authenticated. The end is the end only when the last
/// chunk was there and nothing follows it.
pub(crate) struct ContainerReader<R> {
    input: R,
    cipher: Cipher,
    clear: Zeroizing<Vec<u8>>,
    position: usize,
    is_ended: bool,
}

impl<R: Read> ContainerReader<R> {
    /// Reads the header and derives the key.
    pub(crate) fn new(mut input: R, passphrase: &Passphrase) -> io::Result<Self> {
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it is too short to be a backup of this service"),
            _ => error,
        })?;
        if header[..7] != MAGIC[..7] {
            return Err(damaged("it is no backup of this service"));
        }
        if header[7] != MAGIC[7] {
            return Err(damaged("it was made by a newer version of this service"));
        }
        let mut iterations = [0; 4];
        iterations.copy_from_slice(&header[8..12]);
        let iterations = NonZeroU32::new(u32::from_be_bytes(iterations))
            .filter(|iterations| *iterations >= ITERATIONS && iterations.get() <= MOST_ITERATIONS)
            .ok_or_else(|| damaged("its header was changed"))?;
        let cipher = Cipher::derive(header, iterations, passphrase);
        Ok(Self { input, cipher, clear: Zeroizing::default(), position: 0, is_ended: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let cut_off = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("its end is missing: it was cut off"),
            _ => error,
        };
        let mut length = [0; 4];
        self.input.read_exact(&mut length).map_err(cut_off)?;
        let (length, is_last) = (u32::from_be_bytes(length) & !LAST, u32::from_be_bytes(length) & LAST != 0);
        let number = self.cipher.chunks;
        let wrong = || match number {
            0 => damaged("the passphrase does not open it: it was made with another one, or it was changed"),
            _ => damaged(&format!("it was changed: chunk {number} does not open")),
        };
        let length = usize::try_from(length).ok().filter(|length| (TAG..=CHUNK + TAG).contains(length));
        let mut chunk = Zeroizing::new(vec![0; length.ok_or_else(wrong)?]);
        self.input.read_exact(&mut chunk).map_err(cut_off)?;
        let clear = self.cipher.open(&mut chunk, is_last).ok_or_else(wrong)?;
        chunk.truncate(clear);
        self.clear = chunk;
        self.position = 0;
        if is_last {
            self.is_ended = true;
            if self.input.read(&mut [0])? != 0 {
                return Err(damaged("something follows its end"));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for ContainerReader<R> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        while self.position == self.clear.len() {
            if self.is_ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let taken = octets.len().min(self.clear.len() - self.position);
        octets[..taken].copy_from_slice(&self.clear[self.position..self.position + taken]);
        self.position += taken;
        Ok(taken)
    }
}

struct Cipher {
    key: LessSafeKey,
    header: [u8; HEADER],
    chunks: u64,
}

impl Cipher {
    fn derive(header: [u8; HEADER], iterations: NonZeroU32, passphrase: &Passphrase) -> Self {
        let mut octets = Zeroizing::new([0; 32]);
        let salt = &header[HEADER - SALT..];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, passphrase.as_bytes(), octets.as_mut());
        let key = UnboundKey::new(&AES_256_GCM, octets.as_ref());
        let key = LessSafeKey::new(key.expect("cannot fail: AES-256-GCM takes 32 octets, and the array has 32"));
        Self { key, header, chunks: 0 }
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::from(&self.header), chunk);
        sealed.map_err(|_| io::Error::other("a chunk could not be encrypted"))
    }

    /// How many octets of the chunk are clear now; `None` when it does not open.
    fn open(&mut self, chunk: &mut [u8], is_last: bool) -> Option<usize> {
        let nonce = self.nonce(is_last);
        self.key.open_in_place(nonce, Aad::from(&self.header), chunk).ok().map(|clear| clear.len())
    }

    /// A number is used once: the key is of one file, whose chunks are counted.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut octets = [0; 12];
        octets[3] = u8::from(is_last);
        octets[4..].copy_from_slice(&self.chunks.to_be_bytes());
        self.chunks += 1;
        Nonce::assume_unique_for_key(octets)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text, "the test".to_owned()).expect("long enough")
    }

    fn sealed(clear: &[u8]) -> Vec<u8> {
        let mut writer =
            ContainerWriter::new(Vec::new(), &passphrase("correct horse"), &SystemEntropy::new()).expect("a header");
        writer.write_all(clear).expect("written");
        writer.finish().expect("finished")
    }

    fn open(sealed: &[u8], with: &str) -> io::Result<Vec<u8>> {
        let mut clear = Vec::new();
        ContainerReader::new(sealed, &passphrase(with))?.read_to_end(&mut clear)?;
        Ok(clear)
    }

    /// One derivation: the cipher of a file that is opened again and again.
    fn reopened<'a>(original: &[u8], sealed: &'a [u8]) -> ContainerReader<&'a [u8]> {
        let mut header = [0; HEADER];
        header.copy_from_slice(&original[..HEADER]);
        let cipher = Cipher { key: known_key(&header), header, chunks: 0 };
        ContainerReader { input: &sealed[HEADER..], cipher, clear: Zeroizing::default(), position: 0, is_ended: false }
    }

    fn known_key(header: &[u8; HEADER]) -> LessSafeKey {
        Cipher::derive(*header, ITERATIONS, &passphrase("correct horse")).key
    }

    #[test]
    fn gives_what_it_was_given_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let clear: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).expect("small")).collect();
            let sealed = sealed(&clear);
            assert!(!sealed.windows(16).any(|part| length > 64 && part == &clear[..16]), "nothing is in clear");
            assert_eq!(open(&sealed, "correct horse").expect("opens"), clear, "{length}");
        }
    }

    #[test]
    fn opens_with_its_own_passphrase_only() {
        let error = open(&sealed(b"secret"), "battery staple").expect_err("another passphrase").to_string();
        assert!(error.contains("passphrase"), "{error}");
        for other in [&b"short"[..], &[0; 200], b"CARTBAK\x02 and more than forty-four octets follow here"] {
            open(other, "correct horse").expect_err("no such file");
        }
    }

    #[test]
    fn what_was_cut_off_or_changed_does_not_open() {
        let sealed = sealed(&vec![7; 2 * CHUNK + 40]);
        let starts = [HEADER, HEADER + 4 + CHUNK + TAG, HEADER + 2 * (4 + CHUNK + TAG), sealed.len() - 1];
        let read = |octets: &[u8]| {
            let mut clear = Vec::new();
            reopened(&sealed, octets).read_to_end(&mut clear).map(|_| clear)
        };
        read(&sealed).expect("opens");
        for start in starts {
            for offset in 0..6.min(sealed.len() - start) {
                let mut changed = sealed.clone();
                changed[start + offset] ^= 1;
                read(&changed).expect_err("changed");
                changed[start + offset] ^= 0x81;
                read(&changed).expect_err("changed");
            }
            read(&sealed[..start]).expect_err("cut off");
        }
        let (first, second) = (starts[0]..starts[1], starts[1]..starts[2]);
        let swapped = [&sealed[..HEADER], &sealed[second], &sealed[first.clone()], &sealed[starts[2]..]].concat();
        read(&swapped).expect_err("in another order");
        read(&[&sealed[..HEADER], &sealed[first.end..]].concat()).expect_err("a chunk is missing");
        read(&[&sealed[..], b"x"].concat()).expect_err("something follows");
    }
}
