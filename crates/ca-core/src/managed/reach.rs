//! Which targets a process may touch. A definition says where a certificate is wanted; where it may be is said by whoever runs the process:
//! who defines certificates need have no right on its host.

use std::path::{Component, Path, PathBuf};

use super::definition::TargetDefinition;

/// The targets of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetReach {
    /// Folders below which files are written and passphrases read; none where there is none.
    pub directories: Vec<PathBuf>,
    /// How the names of secrets begin, or their ARNs; absent: whatever AWS lets the process write.
    pub secrets: Option<Vec<String>>,
}

impl TargetReach {
    /// Why a target is out of reach; `None` when it is within.
    pub fn refusal(&self, target: &TargetDefinition) -> Option<String> {
        let outside = match target {
            TargetDefinition::Directory { path } => [path].into_iter().find(|path| !self.has_path(path)),
            TargetDefinition::Pkcs12 { path, passphrase_file } => {
                [path, passphrase_file].into_iter().find(|path| !self.has_path(path))
            }
            TargetDefinition::SecretsManager { secret, .. } => Some(secret).filter(|secret| !self.has_secret(secret)),
        };
        outside.map(|what| format!("{what} is not below what this process may touch"))
    }

    /// Below one of the folders, and not one of them itself: what is beside a target is written too.
    fn has_path(&self, path: &str) -> bool {
        let path = Path::new(path);
        let is_plain = path.is_absolute()
            && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        is_plain && self.directories.iter().any(|folder| path != folder && path.starts_with(folder))
    }

    fn has_secret(&self, secret: &str) -> bool {
        // An ARN ends with the name and six characters of AWS' own.
        let name = secret.split_once(":secret:").map_or(secret, |(_, name)| name);
        let begins = |prefix: &String| secret.starts_with(prefix.as_str()) || name.starts_with(prefix.as_str());
        self.secrets.as_ref().is_none_or(|prefixes| prefixes.iter().any(begins))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::definition::SecretLayout;
    use super::*;

    fn reach() -> TargetReach {
        TargetReach { directories: vec!["/etc/web".into()], secrets: Some(vec!["tls/".to_owned()]) }
    }

    fn has(reach: &TargetReach, target: &TargetDefinition) -> bool {
        reach.refusal(target).is_none()
    }

    fn secret(name: &str) -> TargetDefinition {
        TargetDefinition::SecretsManager {
            secret: name.to_owned(),
            region: None,
            create: false,
            layout: SecretLayout::Json,
            kms_key: None,
            tags: BTreeMap::new(),
            replicas: BTreeMap::new(),
        }
    }

    #[test]
    fn files_lie_below_a_folder() {
        let folder = |path: &str| has(&reach(), &TargetDefinition::Directory { path: path.to_owned() });
        assert!(folder("/etc/web/tls") && folder("/etc/web/a/b"));
        for path in ["/etc/web", "/etc/webs/tls", "/etc/web/../passwd", "etc/web/tls", "/etc/shadow", ""] {
            assert!(!folder(path), "{path}");
        }
        let target = TargetDefinition::Directory { path: "/etc/web/tls".to_owned() };
        assert!(!has(&TargetReach::default(), &target), "no folder is no file");
    }

    /// A passphrase that can be chosen among all files of a host could be one that seals keys: whoever gets the file it protects would try
    /// guesses at it.
    #[test]
    fn a_passphrase_lies_there_too() {
        let pkcs12 = |path: &str, passphrase_file: &str| {
            let (path, passphrase_file) = (path.to_owned(), passphrase_file.to_owned());
            has(&reach(), &TargetDefinition::Pkcs12 { path, passphrase_file })
        };
        assert!(pkcs12("/etc/web/app.p12", "/etc/web/passphrase"));
        assert!(!pkcs12("/srv/app.p12", "/etc/web/passphrase"));
        assert!(!pkcs12("/etc/web/app.p12", "/var/lib/ca/seal.passphrase"));
    }

    #[test]
    fn secrets_begin_as_is_said() {
        assert!(has(&reach(), &secret("tls/web")));
        assert!(has(&reach(), &secret("arn:aws:secretsmanager:sa-east-1:111122223333:secret:tls/web-AbCdEf")));
        for name in ["other/tls/", "tl", "arn:aws:secretsmanager:sa-east-1:111122223333:secret:other/tls/-AbCdEf"] {
            assert!(!has(&reach(), &secret(name)), "{name}");
        }
        assert!(!has(&TargetReach { secrets: Some(Vec::new()), ..reach() }, &secret("tls/web")));
        assert!(has(&TargetReach { secrets: None, ..reach() }, &secret("other/web")), "as AWS lets it");
    }
}
