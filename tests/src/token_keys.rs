//! Authorities whose keys are in a token of SoftHSM, and how a service is told so.

use ca_test_services::SoftHsm;

/// A token, and the settings of a service that has its keys there.
pub struct TokenKeys {
    /// The token, labelled `hsm`.
    pub hsm: SoftHsm,
}

impl TokenKeys {
    /// The token's label.
    pub const LABEL: &str = "hsm";

    /// An empty token.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { hsm: SoftHsm::with_token(Self::LABEL)? })
    }

    /// All three authorities in the token, made there by `init`: the root and `tls` of one type, `document` of RSA, and the way
    /// to it.
    pub fn settings(&self, key_type: &str) -> Vec<(&'static str, String)> {
        let mut settings = self.way();
        let key = |object: &str| format!("pkcs11:token={};object={object}", Self::LABEL);
        settings.extend([
            ("CA__AUTHORITY__ROOT__KEY", key("root-ca")),
            ("CA__AUTHORITY__ROOT__KEY_TYPE", key_type.to_owned()),
            ("CA__AUTHORITY__TLS__KEY", key("tls-ca")),
            ("CA__AUTHORITY__TLS__KEY_TYPE", key_type.to_owned()),
            ("CA__AUTHORITY__DOCUMENT__KEY", key("document-ca")),
            ("CA__AUTHORITY__DOCUMENT__KEY_TYPE", "rsa2048".to_owned()),
        ]);
        settings
    }

    /// The way to the token alone.
    pub fn way(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CA__PKCS11__HSM__MODULE", SoftHsm::MODULE.to_owned()),
            ("CA__PKCS11__HSM__PIN_FILE", self.hsm.pin_file().display().to_string()),
            (SoftHsm::VARIABLE, self.hsm.configuration().display().to_string()),
        ]
    }
}

/// Settings as the harness takes them.
pub fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
