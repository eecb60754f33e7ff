//! The graph of crates: imports go to lower layers only, and pure crates take from outside what the rules list.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::manifest::Member;
use crate::rules::Rules;

/// Every fault of the graph of crates, in words.
pub(crate) fn check(rules: &Rules, members: &[Member]) -> Vec<String> {
    let mut faults = faults_of_the_rules(rules, members);
    for member in members {
        let Some(rule) = rules.crates.get(&member.name) else {
            faults.push(format!("{} has no layer; give it one in xtask/layers.toml", member.name));
            continue;
        };
        for kit in member.testkits.iter().filter(|_| rule.layer < PROGRAMS_OF_THE_HOUSE) {
            faults.push(format!("{} must not build {kit} with its testkit; that is for dev-dependencies", member.name));
        }
        for import in &member.dependencies {
            if rules.crates.contains_key(import) {
                if !rule.imports.contains(import) {
                    faults.push(format!(
                        "{} (L{}) must not import {import}; it may import {}",
                        member.name,
                        rule.layer,
                        listed(&rule.imports)
                    ));
                }
            } else if let Some(allowed) = rules.externals.get(&member.name)
                && !allowed.contains(import)
            {
                faults.push(format!(
                    "{} must not depend on {import}; it may depend on {}",
                    member.name,
                    listed(allowed)
                ));
            }
        }
    }
    faults
}

/// Faults of the rules themselves: an import that goes up or sideways, a name that is no member.
fn faults_of_the_rules(rules: &Rules, members: &[Member]) -> Vec<String> {
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut faults = Vec::new();
    for (name, rule) in &rules.crates {
        for import in &rule.imports {
            match rules.crates.get(import) {
                None => faults.push(format!("the rules let {name} import {import}, which has no layer")),
                Some(lower) if lower.layer >= rule.layer => faults.push(format!(
                    "the rules let {name} (L{}) import {import} (L{}), which is not below it",
                    rule.layer, lower.layer
                )),
                Some(_) => {}
            }
        }
    }
    for name in rules.externals.keys().chain(rules.rooms.keys()) {
        if !names.contains(name.as_str()) {
            faults.push(format!("the rules speak of {name}, which is no member of the workspace"));
        }
    }
    faults
}

/// The crates by layer, what each imports, and what its tests use besides.
pub(crate) fn picture(rules: &Rules, members: &[Member]) -> String {
    let mut rows: Vec<_> = members
        .iter()
        .map(|member| (rules.crates.get(&member.name).map_or(u8::MAX, |rule| rule.layer), member))
        .collect();
    rows.sort_by_key(|(layer, _)| *layer);
    let ours = |names: &BTreeSet<String>| {
        names.iter().filter(|name| rules.crates.contains_key(*name)).cloned().collect::<Vec<_>>().join(" ")
    };
    let mut text = String::from("crates\n");
    for (layer, member) in rows {
        let imports = ours(&member.dependencies);
        let tests = ours(&member.dev_dependencies);
        let _ = write!(text, "  L{layer}  {:<12}", member.name);
        if !imports.is_empty() {
            let _ = write!(text, "-> {imports}");
        }
        if !tests.is_empty() {
            let _ = write!(text, "  (tests: {tests})");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The layer of tests, benches and checks, which ship nothing.
const PROGRAMS_OF_THE_HOUSE: u8 = 5;

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        toml::from_str(
            r#"
            [crates]
            low = { layer = 0, imports = [] }
            middle = { layer = 1, imports = ["low"] }
            high = { layer = 2, imports = ["low"] }
            [externals]
            low = ["serde"]
            "#,
        )
        .expect("rules")
    }

    fn member(name: &str, dependencies: &[&str]) -> Member {
        Member {
            name: name.to_owned(),
            folder: std::path::PathBuf::new(),
            dependencies: dependencies.iter().map(ToString::to_string).collect(),
            dev_dependencies: BTreeSet::new(),
            testkits: BTreeSet::new(),
        }
    }

    fn faults(name: &str, dependencies: &[&str]) -> Vec<String> {
        let mut members =
            vec![member("low", &["serde"]), member("middle", &["low", "tokio"]), member("high", &["low"])];
        members.retain(|other| other.name != name);
        members.push(member(name, dependencies));
        check(&rules(), &members)
    }

    #[test]
    fn imports_that_the_rules_allow_are_no_fault() {
        assert_eq!(faults("middle", &["low"]), Vec::<String>::new());
    }

    #[test]
    fn an_import_upward_is_a_fault() {
        assert_eq!(faults("low", &["middle"]), ["low (L0) must not import middle; it may import nothing"]);
    }

    #[test]
    fn a_lower_layer_that_is_not_listed_is_a_fault() {
        assert_eq!(faults("high", &["middle"]), ["high (L2) must not import middle; it may import low"]);
    }

    #[test]
    fn a_pure_crate_takes_nothing_else_from_outside() {
        assert_eq!(faults("low", &["tokio"]), ["low must not depend on tokio; it may depend on serde"]);
    }

    #[test]
    fn a_testkit_does_not_ship() {
        let mut high = member("high", &["low"]);
        high.testkits.insert("low".to_owned());
        assert_eq!(
            check(&rules(), &[member("low", &[]), high]),
            ["high must not build low with its testkit; that is for dev-dependencies"]
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_a_fault() {
        assert_eq!(faults("new", &[]), ["new has no layer; give it one in xtask/layers.toml"]);
    }

    #[test]
    fn rules_that_point_upward_are_a_fault() {
        let mut rules = rules();
        rules.crates.get_mut("low").expect("low").imports.push("high".to_owned());
        let found = check(&rules, &[member("low", &[])]);
        assert_eq!(found, ["the rules let low (L0) import high (L2), which is not below it"]);
    }
}
