//! Where the keys of the three authorities are.

use ca_api::authority::KeyHome;
use ca_e2e::kms::{KmsAuthorities, MadeKeys};
use ca_e2e::token_keys::TokenKeys;
use ca_test_doubles::KmsDouble;
use ca_test_services::SoftHsm;

/// A home of keys, or several, and the settings of a service that has its keys there.
pub(super) struct Home {
    /// The command that makes the hierarchy.
    pub(super) init: &'static [&'static str],
    /// The settings, as environment variables.
    pub(super) settings: Vec<(&'static str, String)>,
    /// Where the key of each authority is.
    pub(super) keys: [(&'static str, KeyHome); 3],
    /// Whether the root's key is a file of the data folder.
    pub(super) root_is_a_file: bool,
    /// What must be in no log and in no record.
    pub(super) secrets: Vec<&'static str>,
    /// AWS KMS, where keys are there.
    pub(super) kms: Option<KmsDouble>,
    /// A token, where keys are there.
    pub(super) token: Option<TokenKeys>,
}

impl Home {
    /// The service's own: the root's in a file, the others in the record.
    pub(super) fn software() -> Self {
        let settings = vec![
            ("CA__AUTHORITY__ROOT__KEY", "software:p384".to_owned()),
            ("CA__AUTHORITY__TLS__KEY", "software:p256".to_owned()),
            ("CA__AUTHORITY__DOCUMENT__KEY", "software:rsa2048".to_owned()),
        ];
        Self {
            init: &["init"],
            settings,
            keys: ["root", "tls", "document"].map(|id| (id, KeyHome::Software)),
            root_is_a_file: true,
            secrets: Vec::new(),
            kms: None,
            token: None,
        }
    }

    /// AWS KMS, at the double; `init` has it make the keys.
    pub(super) fn kms() -> anyhow::Result<Self> {
        let keys = MadeKeys::start()?;
        Ok(Self {
            init: &["init", "--yes"],
            settings: keys.settings(),
            keys: ["root", "tls", "document"].map(|id| (id, KeyHome::Kms)),
            root_is_a_file: false,
            secrets: vec![KmsAuthorities::SECRET],
            kms: Some(keys.kms),
            token: None,
        })
    }

    /// A token of SoftHSM; `init` makes the keys.
    pub(super) fn token() -> anyhow::Result<Self> {
        let token = TokenKeys::new()?;
        Ok(Self {
            init: &["init"],
            settings: token.settings("p384"),
            keys: ["root", "tls", "document"].map(|id| (id, KeyHome::Pkcs11)),
            root_is_a_file: false,
            secrets: vec![SoftHsm::PIN],
            kms: None,
            token: Some(token),
        })
    }

    /// The root's in a token, that of `tls` in KMS, made beforehand; that of `document` in the record.
    pub(super) fn mix() -> anyhow::Result<Self> {
        let (kms, token) = (KmsAuthorities::start()?, TokenKeys::new()?);
        let root = |(name, _): &(&str, String)| !name.starts_with("CA__AUTHORITY__") || name.contains("__ROOT__");
        let tls = |(name, _): &(&str, String)| !name.starts_with("CA__AUTHORITY__") || name.contains("__TLS__");
        let mut settings: Vec<_> = token.settings("p384").into_iter().filter(root).collect();
        settings.extend(kms.settings().into_iter().filter(tls));
        settings.push(("CA__AUTHORITY__DOCUMENT__KEY", "software:rsa2048".to_owned()));
        Ok(Self {
            init: &["init"],
            settings,
            keys: [("root", KeyHome::Pkcs11), ("tls", KeyHome::Kms), ("document", KeyHome::Software)],
            root_is_a_file: false,
            secrets: vec![SoftHsm::PIN, KmsAuthorities::SECRET],
            kms: Some(kms.kms),
            token: Some(token),
        })
    }
}
