//! The graph of modules inside a crate: no cycles between siblings at any depth, and an order of rooms where the rules give one.
//!
//! An edge runs between two siblings: what `flow::issue` takes from `port::store` is an edge from `flow` to `port`, what it
//! takes from `flow::renew` one from `flow::issue` to `flow::renew`. Between a module and its own children there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::graph::{self, Graph};
use crate::source::{self, ModulePath, Names};

/// The modules of a crate and the paths that each names.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    /// By the module's path from the root; the root itself has the empty one.
    names: BTreeMap<ModulePath, Names>,
}

/// Reads every source file below `folder`, those of tests left out.
pub(crate) fn read(folder: &Path) -> Result<Modules> {
    let mut modules = Modules::default();
    read_folder(folder, &[], &mut modules)?;
    let of_tests: Vec<ModulePath> = modules
        .names
        .iter()
        .flat_map(|(path, names)| names.test_modules.iter().map(|name| [path.clone(), vec![name.clone()]].concat()))
        .collect();
    modules.names.retain(|path, _| !of_tests.iter().any(|test| path.starts_with(test)));
    Ok(modules)
}

fn read_folder(folder: &Path, own: &[String], modules: &mut Modules) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        // Each file in src/bin is a crate of its own, whose `crate` is not this one.
        if path.is_dir() && own.is_empty() && stem == "bin" {
            continue;
        }
        if path.is_dir() {
            read_folder(&path, &[own, &[stem]].concat(), modules)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match stem.as_str() {
                "mod" => own.to_vec(),
                "lib" | "main" if own.is_empty() => Vec::new(),
                _ => [own, &[stem]].concat(),
            };
            let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let names = source::names(&module, &text);
            // A crate may have both lib.rs and main.rs; both are its root.
            let entry = modules.names.entry(module).or_default();
            entry.paths.extend(names.paths);
            entry.relative_uses.extend(names.relative_uses);
            entry.test_modules.extend(names.test_modules);
        }
    }
    Ok(())
}

impl Modules {
    fn contains(&self, path: &[String]) -> bool {
        self.names.contains_key(path)
    }

    /// The deepest module on a path, following what modules re-export on the way.
    fn module_of(&self, path: &[String]) -> ModulePath {
        let depth = (0..=path.len()).rev().find(|&depth| self.contains(&path[..depth])).unwrap_or(0);
        let (module, rest) = path.split_at(depth);
        let Some(item) = rest.first() else {
            return module.to_vec();
        };
        let exported = self.names.get(module).into_iter().flat_map(|names| &names.relative_uses).find_map(|used| {
            let origin = [module, used].concat();
            let child = &origin[..module.len() + 1];
            (used.last() == Some(item) && used.len() > 1 && self.contains(child)).then_some(origin)
        });
        match exported {
            Some(origin) => self.module_of(&origin),
            None => module.to_vec(),
        }
    }

    /// The graphs of siblings, by the path of their parent.
    fn graphs(&self) -> BTreeMap<ModulePath, Graph> {
        let mut graphs: BTreeMap<ModulePath, Graph> = BTreeMap::new();
        for path in self.names.keys() {
            if let Some((name, parent)) = path.split_last() {
                graphs.entry(parent.to_vec()).or_default().entry(name.clone()).or_default();
            }
        }
        for (from, names) in &self.names {
            for named in &names.paths {
                let to = self.module_of(named);
                let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
                if let (Some(importer), Some(imported)) = (from.get(shared), to.get(shared)) {
                    graphs
                        .entry(from[..shared].to_vec())
                        .or_default()
                        .entry(importer.clone())
                        .or_default()
                        .insert(imported.clone());
                }
            }
        }
        graphs
    }
}

/// Every fault of the modules of the crate `name`: cycles, and imports against the order of its rooms.
pub(crate) fn check(name: &str, modules: &Modules, rooms: Option<&Vec<Vec<String>>>) -> Vec<String> {
    let graphs = modules.graphs();
    let mut faults = Vec::new();
    for (parent, graph) in &graphs {
        let place = std::iter::once(name).chain(parent.iter().map(String::as_str)).collect::<Vec<_>>().join("::");
        for cycle in graph::cycles(graph) {
            let edges: Vec<String> = cycle
                .iter()
                .flat_map(|node| graph.get(node).into_iter().flatten().map(move |import| (node, import)))
                .filter(|(_, import)| cycle.contains(*import))
                .map(|(node, import)| format!("{node} -> {import}"))
                .collect();
            faults.push(format!(
                "{place}: the modules {} import each other ({}); move what they share into a third, lower one",
                cycle.join(", "),
                edges.join(", ")
            ));
        }
    }
    if let (Some(rooms), Some(graph)) = (rooms, graphs.get(&Vec::new())) {
        faults.extend(faults_of_order(name, graph, rooms));
    }
    faults
}

fn faults_of_order(name: &str, graph: &Graph, rooms: &[Vec<String>]) -> Vec<String> {
    let rank: BTreeMap<&str, usize> =
        rooms.iter().enumerate().flat_map(|(rank, row)| row.iter().map(move |room| (room.as_str(), rank))).collect();
    let mut faults = Vec::new();
    for room in rank.keys().filter(|room| !graph.contains_key(**room)) {
        faults.push(format!("{name} has no room {room}; take it out of xtask/layers.toml"));
    }
    for (room, imports) in graph {
        let Some(own) = rank.get(room.as_str()) else {
            faults.push(format!("{name}: the room {room} has no place in the order; give it one in xtask/layers.toml"));
            continue;
        };
        let above: BTreeSet<&str> = imports
            .iter()
            .map(String::as_str)
            .filter(|import| rank.get(import).is_some_and(|imported| imported > own))
            .collect();
        for import in above {
            faults.push(format!("{name}: {room} must not import {import}, a room above it"));
        }
    }
    faults
}

/// The top-level modules, lowest first, and what each imports; empty for a crate with fewer than two.
pub(crate) fn picture(name: &str, modules: &Modules) -> String {
    let graphs = modules.graphs();
    let Some(graph) = graphs.get(&Vec::new()).filter(|graph| graph.len() > 1) else {
        return String::new();
    };
    let width = graph.keys().map(String::len).max().unwrap_or(0);
    let mut text = format!("\nmodules of {name}\n");
    for module in graph::groups(graph).into_iter().flatten() {
        let imports = graph.get(&module).into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
        let _ = match imports.as_str() {
            "" => writeln!(text, "  {module}"),
            imports => writeln!(text, "  {module:<width$} -> {imports}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let names = files.iter().map(|(path, text)| {
            let path: ModulePath = path.split("::").filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
            let names = source::names(&path, text);
            (path, names)
        });
        Modules { names: names.collect() }
    }

    fn rooms(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn modules_in_an_order_are_no_fault() {
        let modules = modules(&[("", "pub mod a; pub mod b;"), ("a", "use crate::b::C;"), ("b", "")]);
        assert!(check("x", &modules, Some(&rooms(&[&["b"], &["a"]]))).is_empty());
        assert_eq!(picture("x", &modules), "\nmodules of x\n  b\n  a -> b\n");
    }

    #[test]
    fn a_cycle_between_modules_is_a_fault_that_names_its_edges() {
        let modules = modules(&[("", ""), ("a", "use crate::b::C;"), ("b", "fn f() { crate::a::g() }")]);
        assert_eq!(
            check("x", &modules, None),
            ["x: the modules a, b import each other (a -> b, b -> a); move what they share into a third, lower one"]
        );
    }

    #[test]
    fn a_cycle_deeper_down_is_a_fault_too() {
        let modules = modules(&[
            ("", ""),
            ("flow", ""),
            ("flow::issue", "use super::renew::f;"),
            ("flow::renew", "use crate::flow::issue::g;"),
        ]);
        let faults = check("x", &modules, None);
        assert!(faults.len() == 1 && faults[0].starts_with("x::flow: the modules issue, renew"), "{faults:?}");
    }

    #[test]
    fn a_module_and_its_children_may_know_each_other() {
        let modules = modules(&[("", ""), ("name", "pub use dns::DnsName;"), ("name::dns", "use super::NameError;")]);
        assert!(check("x", &modules, None).is_empty());
    }

    #[test]
    fn an_item_counts_where_it_lives_not_where_it_is_exported() {
        let modules = modules(&[("", "pub use b::C;"), ("a", "use crate::C;"), ("b", "use crate::a::D;")]);
        assert_eq!(check("x", &modules, None).len(), 1);
    }

    #[test]
    fn an_import_from_a_room_above_is_a_fault() {
        let modules = modules(&[("", ""), ("low", "use crate::high::A;"), ("high", "")]);
        assert_eq!(
            check("x", &modules, Some(&rooms(&[&["low"], &["high"]]))),
            ["x: low must not import high, a room above it"]
        );
    }

    #[test]
    fn every_room_has_a_place_and_every_place_a_room() {
        let modules = modules(&[("", ""), ("new", "")]);
        assert_eq!(
            check("x", &modules, Some(&rooms(&[&["gone"]]))),
            [
                "x has no room gone; take it out of xtask/layers.toml",
                "x: the room new has no place in the order; give it one in xtask/layers.toml"
            ]
        );
    }
}
