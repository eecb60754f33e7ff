//! Certificate templates: everything a certificate will say.
