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
    /// The packages its tests use besides.
    pub(crate) dev_dependencies: BTreeSet<String>,
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
    let mut dependencies = BTreeSet::new();
    let mut dev_dependencies = BTreeSet::new();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables =
        std::iter::once(manifest).chain(targets.iter().flat_map(|all| all.values()).filter_map(Value::as_table));
    for table in tables {
        dependencies.extend(names(table, "dependencies"));
        dependencies.extend(names(table, "build-dependencies"));
        dev_dependencies.extend(names(table, "dev-dependencies"));
    }
    Some(Member { name, folder, dependencies, dev_dependencies })
}

/// The packages that a section names; a renamed one by the name it has for others.
fn names(table: &Table, section: &str) -> Vec<String> {
    let Some(entries) = table.get(section).and_then(Value::as_table) else {
        return Vec::new();
    };
    entries.iter().map(|(key, value)| value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dependencies_of_every_kind() {
        let manifest: Table = r#"
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
        "#
        .parse()
        .expect("TOML");
        let member = member(PathBuf::new(), &manifest).expect("a member");
        assert_eq!(member.name, "a");
        assert_eq!(member.dependencies, ["b", "c", "d", "e"].map(String::from).into());
        assert_eq!(member.dev_dependencies, ["f".to_owned()].into());
    }
}
