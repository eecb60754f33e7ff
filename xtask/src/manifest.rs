//! The workspace as its manifests describe it: members and what they depend on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    /// The package's name.
    pub(crate) name: String,
    /// Where its manifest lies.
    pub(crate) folder: PathBuf,
    /// The packages it is built from: normal and build dependencies, those of single targets included.
    pub(crate) dependencies: BTreeSet<String>,
    /// The packages its tests use besides, those of its feature `testkit` included.
    pub(crate) dev_dependencies: BTreeSet<String>,
    /// The packages it is built from with their feature `testkit`, which is for tests.
    pub(crate) testkits: BTreeSet<String>,
}

/// Reads every member that the manifest in `root` names, in its order.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>> {
    let workspace = table(&root.join("Cargo.toml"))?;
    let paths = workspace
        .get("workspace")
        .and_then(|section| section.get("members"))
        .and_then(Value::as_array)
        .context("the root manifest lists no workspace.members")?;
    paths
        .iter()
        .map(|path| {
            let folder = root.join(path.as_str().context("workspace.members holds something that is no text")?);
            let manifest = table(&folder.join("Cargo.toml"))?;
            member(folder.clone(), &manifest).with_context(|| format!("{} has no package name", folder.display()))
        })
        .collect()
}

fn table(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

fn member(folder: PathBuf, manifest: &Table) -> Option<Member> {
    let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
    let mut member = Member {
        name,
        folder,
        dependencies: BTreeSet::new(),
        dev_dependencies: BTreeSet::new(),
        testkits: BTreeSet::new(),
    };
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables =
        std::iter::once(manifest).chain(targets.iter().flat_map(|all| all.values()).filter_map(Value::as_table));
    for table in tables {
        for (key, value) in entries(table, "dependencies").chain(entries(table, "build-dependencies")) {
            if is_for_testkit(manifest, key, value) {
                member.dev_dependencies.insert(package(key, value));
                continue;
            }
            member.dependencies.insert(package(key, value));
            if lists(value.get("features"), TESTKIT) {
                member.testkits.insert(package(key, value));
            }
        }
        member.dev_dependencies.extend(entries(table, "dev-dependencies").map(|(key, value)| package(key, value)));
    }
    Some(member)
}

fn entries<'a>(table: &'a Table, section: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    table.get(section).and_then(Value::as_table).into_iter().flatten()
}

/// The package that an entry names; a renamed one by the name it has for others.
fn package(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

/// Whether an entry is optional and no feature but `testkit` turns it on.
fn is_for_testkit(manifest: &Table, key: &str, value: &Value) -> bool {
    let switch = format!("dep:{key}");
    let mut switches = entries(manifest, "features").filter(|(_, enables)| lists(Some(enables), &switch)).peekable();
    let optional = value.get("optional").and_then(Value::as_bool) == Some(true);
    optional && switches.peek().is_some() && switches.all(|(feature, _)| feature == TESTKIT)
}

fn lists(array: Option<&Value>, text: &str) -> bool {
    array.and_then(Value::as_array).is_some_and(|items| items.iter().any(|item| item.as_str() == Some(text)))
}

/// The feature under which a crate gives its fakes and contract suites to the tests of others.
const TESTKIT: &str = "testkit";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Member {
        member(PathBuf::new(), &text.parse().expect("TOML")).expect("a member")
    }

    #[test]
    fn what_only_the_testkit_needs_is_for_tests() {
        let member = read(
            r#"
            [package]
            name = "a"
            [features]
            testkit = ["dep:b", "dep:c"]
            other = ["dep:c"]
            [dependencies]
            b = { version = "1", optional = true }
            c = { version = "1", optional = true }
            d = { version = "1", features = ["testkit"] }
            "#,
        );
        assert_eq!(member.dependencies, ["c", "d"].map(String::from).into());
        assert_eq!(member.dev_dependencies, ["b".to_owned()].into());
        assert_eq!(member.testkits, ["d".to_owned()].into());
    }

    #[test]
    fn reads_dependencies_of_every_kind() {
        let member = read(
            r#"
            [package]
            name = "a"
            [dependencies]
            b.workspace = true
            renamed = { package = "c", version = "1" }
            [build-dependencies]
            d = "1"
            [target.'cfg(unix)'.dependencies]
            e = "1"
            [dev-dependencies]
            f = "1"
            "#,
        );
        assert_eq!(member.name, "a");
        assert_eq!(member.dependencies, ["b", "c", "d", "e"].map(String::from).into());
        assert_eq!(member.dev_dependencies, ["f".to_owned()].into());
    }
}
