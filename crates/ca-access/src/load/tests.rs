//! Policies that are refused, and what is said of them.

use crate::{AccessError, CedarAuthorizer, SHIPPED_POLICIES, SHIPPED_SCHEMA};

fn refusal(policies: &str) -> AccessError {
    CedarAuthorizer::from_texts(policies, SHIPPED_SCHEMA).expect_err("refused")
}

#[test]
fn a_slip_in_the_syntax_is_found_by_its_line() {
    let error = refusal(
        "@id(\"a\") permit (principal, action, resource);\n\n@id(\"b\") permt (principal, action, resource);\n",
    );
    let AccessError::Policies { detail } = &error else { panic!("{error:?}") };
    assert!(detail.starts_with("line 3: "), "{detail}");
    let error = CedarAuthorizer::from_texts("", "entity Anonymous;\nentty Holder;\n").expect_err("refused");
    let AccessError::Schema { detail } = &error else { panic!("{error:?}") };
    assert!(detail.starts_with("line 2: "), "{detail}");
}

#[test]
fn every_policy_needs_a_name_of_its_own() {
    let rule = "permit (principal, action, resource);";
    let named = |id: &str| format!("@id(\"{id}\") {rule}\n");
    let second_unnamed = format!("{}{rule}", named("a"));
    assert_eq!(refusal(&second_unnamed), AccessError::MissingId { number: 2 });
    assert_eq!(refusal(&named("")), AccessError::MissingId { number: 1 });
    let thirteenth = (0..12).map(|number| named(&number.to_string())).collect::<String>() + rule;
    assert_eq!(refusal(&thirteenth), AccessError::MissingId { number: 13 }, "counted as numbers, not as texts");
    let twice = format!("{}{}", named("a"), named("a"));
    assert_eq!(refusal(&twice), AccessError::DuplicateId { id: "a".to_owned() });
}

#[test]
fn templates_are_refused() {
    let error = refusal("@id(\"a\") permit (principal == ?principal, action, resource);");
    assert_eq!(error, AccessError::Template { id: "a".to_owned() });
}

#[test]
fn what_does_not_fit_the_schema_is_refused() {
    for (rule, what) in [
        ("permit (principal is Person, action, resource);", "an entity type that is not there"),
        ("permit (principal, action == Action::\"Isue\", resource);", "an action that is not there"),
        ("permit (principal in Role::\"administratr\", action, resource);", "a role that is not there"),
        ("permit (principal, action, resource) when { resource.internal };", "an attribute that some lack"),
        (
            "permit (principal is EnrolmentToken, action, resource) when { principal.common_name == \"x\" };",
            "an optional attribute, unasked",
        ),
        (
            "permit (principal, action, resource) when { context.names.contains(\"x\") };",
            "a context that is not always there",
        ),
        ("permit (principal is Holder, action, resource) when { principal.certificate == \"x\" };", "another type"),
        (
            "forbid (principal is Job, action == Action::\"ListTokens\", resource is Token);",
            "a rule that never applies",
        ),
    ] {
        let error = refusal(&format!("@id(\"right\") permit (principal, action, resource);\n@id(\"wrong\") {rule}"));
        let AccessError::Invalid { faults } = &error else { panic!("{what}: {error:?}") };
        assert!(faults.iter().all(|fault| fault.starts_with("line 2: ")), "{what}: it is said where: {faults:?}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let error = refusal(
        "@id(\"one\") permit (principal is Person, action, resource);\n\
         @id(\"two\") permit (principal, action == Action::\"Isue\", resource);",
    );
    let AccessError::Invalid { faults } = error else { panic!("{error:?}") };
    for line in ["line 1: ", "line 2: "] {
        assert!(faults.iter().any(|fault| fault.starts_with(line)), "{line}: {faults:?}");
    }
}

#[test]
fn a_schema_must_describe_what_is_asked() {
    for (from, to) in [
        ("  renewal_open: Bool,\n", ""),
        ("  internal: Bool,\n};", "  internal: String,\n};"),
        ("\"administrator\", \"auditor\", \"registrar\"", "\"administrator\", \"auditor\""),
        ("action ExportKey appliesTo", "action ExportKeys appliesTo"),
        ("entity Job;", "entity Job { name: String };"),
        (
            "  principal: [Anonymous, Holder, ExpiredHolder, EnrolmentToken, LocalOperator, Job],\n  resource: [Token]",
            "  principal: [Holder],\n  resource: [Token]",
        ),
        ("    names: Set<String>,\n  },", "  },"),
    ] {
        let changed = SHIPPED_SCHEMA.replacen(from, to, 1);
        assert_ne!(changed, SHIPPED_SCHEMA, "{from}");
        let refused = CedarAuthorizer::from_texts("", &changed);
        assert!(matches!(refused, Err(AccessError::SchemaDoesNotFit { .. })), "{from}: {refused:?}");
    }
}

#[test]
fn a_schema_may_say_more_than_is_asked() {
    let longer =
        format!("{SHIPPED_SCHEMA}\nentity Team;\naction Brew appliesTo {{ principal: [Job], resource: [Service] }};\n");
    CedarAuthorizer::from_texts(SHIPPED_POLICIES, &longer).expect("what is never asked does no harm");
}
