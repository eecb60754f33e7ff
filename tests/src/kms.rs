//! A service whose authorities' keys lie in a double of KMS.

use ca_test_doubles::{KeySpec, KmsDouble};

use crate::stack::Site;

/// The double, and the ARNs of the keys of the root, of `tls` and of `document`.
pub struct KmsAuthorities {
    /// The double.
    pub kms: KmsDouble,
    /// The root's key: P-384.
    pub root: String,
    /// The key of `tls`: P-256.
    pub tls: String,
    /// The key of `document`: P-521.
    pub document: String,
}

impl KmsAuthorities {
    /// The secret key that the SDK is given; it must be in no log.
    pub const SECRET: &str = "a-secret-of-the-tests";

    /// Three new keys.
    pub fn start() -> anyhow::Result<Self> {
        let kms = KmsDouble::start()?;
        let [root, tls, document] =
            [KeySpec::EccNistP384, KeySpec::EccNistP256, KeySpec::EccNistP521].map(|spec| kms.create_key(spec));
        Ok(Self { kms, root, tls, document })
    }

    /// The settings of a service over them; credentials as an ECS task or a shell hands them to the SDK.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CA__AUTHORITY__ROOT__KEY", format!("kms:{}", self.root)),
            ("CA__AUTHORITY__TLS__KEY", format!("kms:{}", self.tls)),
            ("CA__AUTHORITY__DOCUMENT__KEY", format!("kms:{}", self.document)),
            ("CA__AWS__ENDPOINT_URL", self.kms.endpoint_url()),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }

    /// A data folder in which `init` has made the three authorities.
    pub fn initialised(&self, changes: &[(&str, &str)]) -> anyhow::Result<Site> {
        let settings = self.settings();
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).chain(changes.iter().copied()).collect();
        Site::initialised(&settings)
    }
}
