//! What a worker may touch. The service says what is wanted and where; the worker's operator says where it may be.

use ca_core::managed::definition::TargetDefinition;
use ca_core::managed::reach::TargetReach;

use crate::args::WorkerArgs;

/// The managed certificates of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    targets: TargetReach,
    only: Vec<String>,
}

impl Reach {
    /// As the command line has it.
    pub(super) fn of(args: &WorkerArgs) -> Self {
        let targets = TargetReach { directories: args.directory.clone(), secrets: Some(args.secret.clone()) };
        Self { targets, only: args.only.clone() }
    }

    /// Whether a managed certificate of this name and target is this worker's.
    pub(super) fn has(&self, name: &str, target: &TargetDefinition) -> bool {
        let is_named = self.only.is_empty() || self.only.iter().any(|only| only == name);
        is_named && self.targets.refusal(target).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_some_names_leaves_the_others_alone() {
        let targets = TargetReach { directories: vec!["/etc/web".into()], secrets: Some(Vec::new()) };
        let reach = Reach { targets, only: vec!["web".to_owned()] };
        let target = |path: &str| TargetDefinition::Directory { path: path.to_owned() };
        assert!(reach.has("web", &target("/etc/web/tls")) && !reach.has("web-2", &target("/etc/web/tls")));
        assert!(!reach.has("web", &target("/etc/other/tls")));
    }
}
