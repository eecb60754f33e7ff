//! What a worker may touch. The service says what is wanted and where; the worker's operator says where it may be.

use std::path::{Component, Path, PathBuf};

use ca_core::managed::definition::TargetDefinition;

use crate::args::WorkerArgs;

/// The targets of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    directories: Vec<PathBuf>,
    secrets: Vec<String>,
    only: Vec<String>,
}

impl Reach {
    /// As the command line has it.
    pub(super) fn of(args: &WorkerArgs) -> Self {
        Self { directories: args.directory.clone(), secrets: args.secret.clone(), only: args.only.clone() }
    }

    /// Whether a managed certificate of this name and target is this worker's.
    pub(super) fn has(&self, name: &str, target: &TargetDefinition) -> bool {
        let is_named = self.only.is_empty() || self.only.iter().any(|only| only == name);
        is_named && self.has_target(target)
    }

    fn has_target(&self, target: &TargetDefinition) -> bool {
        match target {
            TargetDefinition::Directory { path } | TargetDefinition::Pkcs12 { path, .. } => {
                self.has_path(Path::new(path))
            }
            TargetDefinition::SecretsManager { secret, .. } => {
                // An ARN ends with the name and six characters of AWS' own.
                let name = secret.split_once(":secret:").map_or(secret.as_str(), |(_, name)| name);
                self.secrets
                    .iter()
                    .any(|prefix| secret.starts_with(prefix.as_str()) || name.starts_with(prefix.as_str()))
            }
        }
    }

    /// Below one of the folders, and not one of them itself: what is beside a target is written too.
    fn has_path(&self, path: &Path) -> bool {
        let is_plain = path.is_absolute()
            && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        is_plain && self.directories.iter().any(|folder| path != folder && path.starts_with(folder))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ca_core::managed::definition::SecretLayout;

    use super::*;

    fn reach() -> Reach {
        Reach { directories: vec!["/etc/web".into()], secrets: vec!["tls/".to_owned()], only: Vec::new() }
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
    fn files_lie_below_a_folder_of_the_worker() {
        let has = |path: &str| reach().has("web", &TargetDefinition::Directory { path: path.to_owned() });
        assert!(has("/etc/web/tls") && has("/etc/web/a/b"));
        for path in ["/etc/web", "/etc/webs/tls", "/etc/web/../passwd", "etc/web/tls", "/etc/shadow", ""] {
            assert!(!has(path), "{path}");
        }
        let pkcs12 = |path: &str| TargetDefinition::Pkcs12 { path: path.to_owned(), passphrase_file: "/p".to_owned() };
        assert!(reach().has("web", &pkcs12("/etc/web/app.p12")) && !reach().has("web", &pkcs12("/srv/app.p12")));
    }

    #[test]
    fn secrets_begin_as_the_worker_s_do() {
        let has = |name: &str| reach().has("web", &secret(name));
        assert!(has("tls/web"));
        assert!(has("arn:aws:secretsmanager:sa-east-1:111122223333:secret:tls/web-AbCdEf"));
        for name in ["other/tls/", "tl", "arn:aws:secretsmanager:sa-east-1:111122223333:secret:other/tls/-AbCdEf"] {
            assert!(!has(name), "{name}");
        }
        assert!(!Reach { secrets: Vec::new(), ..reach() }.has("web", &secret("tls/web")));
    }

    #[test]
    fn a_worker_of_some_names_leaves_the_others_alone() {
        let reach = Reach { only: vec!["web".to_owned()], ..reach() };
        assert!(reach.has("web", &secret("tls/web")) && !reach.has("web-2", &secret("tls/web")));
    }
}
