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
        ]
        .into_iter()
        .chain(way_to(&self.kms))
        .collect()
    }

    /// A data folder in which `init` has made the three authorities.
    pub fn initialised(&self, changes: &[(&str, &str)]) -> anyhow::Result<Site> {
        let settings = self.settings();
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).chain(changes.iter().copied()).collect();
        Site::initialised(&settings)
    }
}

/// A double that makes the keys of all three authorities when `init` asks for them.
pub struct MadeKeys {
    /// The double.
    pub kms: KmsDouble,
}

impl MadeKeys {
    /// Without any key.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self { kms: KmsDouble::start()? })
    }

    /// The settings of a service that has its keys made there: the root's of P-384, the others as they are by default. The role of
    /// the double's caller signs.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let created = || "kms:create".to_owned();
        vec![
            ("CA__AUTHORITY__ROOT__KEY", created()),
            ("CA__AUTHORITY__ROOT__KEY_TYPE", "p384".to_owned()),
            ("CA__AUTHORITY__TLS__KEY", created()),
            ("CA__AUTHORITY__DOCUMENT__KEY", created()),
            ("CA__AWS__REGION", "sa-east-1".to_owned()),
            ("CA__AWS__KMS__SIGNERS", "arn:aws:iam::111122223333:role/ca".to_owned()),
        ]
        .into_iter()
        .chain(way_to(&self.kms))
        .collect()
    }

    /// The ARNs of the keys that are there.
    pub fn arns(&self) -> Vec<String> {
        self.kms.with(|kms| kms.arns())
    }
}

fn way_to(kms: &KmsDouble) -> [(&'static str, String); 4] {
    [
        ("CA__AWS__ENDPOINT_URL", kms.endpoint_url()),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", KmsAuthorities::SECRET.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}
