//! Where certificates and their keys are wanted, as adapters behind the port: for the programs that deliver there.

use std::path::PathBuf;
use std::sync::Arc;

use ca_backends::target::DirectoryTarget;
use ca_engine::port::certificate_target::CertificateTarget;

/// A folder of this host that is switched as a whole. Its parent must exist.
pub fn directory(folder: PathBuf) -> Arc<dyn CertificateTarget> {
    Arc::new(DirectoryTarget::new(folder))
}
