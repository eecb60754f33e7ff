//! The TBSCertificate encoder.
