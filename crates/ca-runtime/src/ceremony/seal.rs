//! What is sealed until its time: the container of backups, under a passphrase of its own.

use std::io::{Read, Write};
use std::path::Path;

use ca_engine::port::entropy::Entropy;
use zeroize::Zeroizing;

use super::CeremonyError;
use crate::backup::container::{ContainerReader, ContainerWriter};
use crate::seal::Passphrase;

/// Seals octets; some tenths of a second of CPU.
pub(super) fn seal(clear: &[u8], passphrase: &Passphrase, entropy: &dyn Entropy) -> std::io::Result<Vec<u8>> {
    let mut writer = ContainerWriter::new(Vec::new(), passphrase, entropy)?;
    writer.write_all(clear)?;
    writer.finish()
}

/// Opens what [`seal`] made.
pub(super) fn unseal(path: &Path, sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, CeremonyError> {
    let mut clear = Zeroizing::new(Vec::with_capacity(sealed.len()));
    ContainerReader::new(sealed, passphrase)
        .and_then(|mut reader| reader.read_to_end(&mut clear))
        .map_err(|error| CeremonyError::Sealed { path: path.to_path_buf(), detail: error.to_string() })?;
    Ok(clear)
}
