//! Slices leave out what cannot apply, and nothing else.

use super::*;
use crate::load::{read_policies, read_schema};
use crate::{SHIPPED_POLICIES, SHIPPED_SCHEMA};

fn slices(policies: &str) -> Slices {
    let vocabulary = Vocabulary::new().expect("words");
    let schema = read_schema(SHIPPED_SCHEMA).expect("shipped");
    let policies = read_policies(policies).expect("policies");
    slice(&policies, &schema, &vocabulary).expect("slices")
}

fn ids(slices: &Slices, key: SliceKey) -> Vec<String> {
    let mut ids: Vec<_> = slices[&key].policies.policies().map(|policy| policy.id().to_string()).collect();
    ids.sort();
    ids
}

#[test]
fn a_slice_holds_only_policies_that_can_apply() {
    let slices = slices(SHIPPED_POLICIES);
    assert_eq!(
        ids(&slices, (PrincipalKind::Holder, Action::ExportKey, ResourceKind::Authority)),
        ["administrator-may-do-everything"]
    );
    assert_eq!(
        ids(&slices, (PrincipalKind::Holder, Action::ReadAudit, ResourceKind::Service)),
        ["administrator-may-do-everything", "auditor-may-read-everything",]
    );
    assert_eq!(
        ids(&slices, (PrincipalKind::EnrolmentToken, Action::IssueCertificate, ResourceKind::Profile)),
        [
            "internal-profiles-are-the-service-s-own",
            "token-may-ask-for-names-it-is-bound-to",
            "token-may-ask-for-the-common-name-it-is-bound-to",
        ]
    );
    assert_eq!(ids(&slices, (PrincipalKind::Anonymous, Action::ReadAudit, ResourceKind::Service)), [""; 0]);
    let asked: usize = ASKED.iter().map(|(_, resources)| resources.len()).sum();
    assert_eq!(slices.len(), PrincipalKind::ALL.len() * asked);
}

/// Every form that the head of a policy can have, and the questions it must be looked at for.
#[test]
fn every_form_of_a_head_reaches_what_it_names() {
    let (holder, job) = (PrincipalKind::Holder, PrincipalKind::Job);
    let (read, list) = (Action::ReadProfile, Action::ListTokens);
    let (profile, service) = (ResourceKind::Profile, ResourceKind::Service);
    let all = [(holder, read, profile), (holder, read, service), (holder, list, service), (job, read, profile)];
    for (head, reached) in [
        ("principal, action, resource", [true, true, true, true]),
        ("principal is Job, action, resource", [false, false, false, true]),
        ("principal == Job::\"x\", action, resource", [false, false, false, true]),
        ("principal in Role::\"auditor\", action, resource", [true, true, true, false]),
        ("principal is Holder in Role::\"auditor\", action, resource", [true, true, true, false]),
        ("principal in Job::\"x\", action, resource", [false, false, false, true]),
        ("principal, action == Action::\"ReadProfile\", resource", [true, true, false, true]),
        ("principal, action in Action::\"Read\", resource", [true, true, true, true]),
        (
            "principal, action in [Action::\"ListTokens\", Action::\"CreateToken\"], resource",
            [false, false, true, false],
        ),
        ("principal, action, resource is Service", [false, true, true, false]),
        ("principal, action, resource == Profile::\"server\"", [true, false, false, true]),
        ("principal, action, resource in Profile::\"server\"", [true, false, false, true]),
        ("principal, action, resource is Profile in Profile::\"server\"", [true, false, false, true]),
    ] {
        let slices = slices(&format!("@id(\"x\") permit ({head});"));
        let found = all.map(|key| !ids(&slices, key).is_empty());
        assert_eq!(found, reached, "{head}");
    }
}
