//! A directed graph of named things: order, and the cycles that forbid one.

use std::collections::{BTreeMap, BTreeSet};

/// Who imports whom. Every node has an entry.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The nodes in groups, each importing only from itself and the groups before it. A group of more than one node is a cycle
/// (a strongly connected component; Tarjan 1972).
pub(crate) fn groups(graph: &Graph) -> Vec<Vec<String>> {
    let mut walk = Walk { graph, index: BTreeMap::new(), low: BTreeMap::new(), stack: Vec::new(), groups: Vec::new() };
    for node in graph.keys() {
        if !walk.index.contains_key(node.as_str()) {
            walk.visit(node);
        }
    }
    walk.groups
}

/// The cycles, each as its nodes in alphabetical order.
pub(crate) fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    groups(graph).into_iter().filter(|group| group.len() > 1).collect()
}

struct Walk<'a> {
    graph: &'a Graph,
    index: BTreeMap<&'a str, usize>,
    low: BTreeMap<&'a str, usize>,
    stack: Vec<&'a str>,
    groups: Vec<Vec<String>>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, node: &'a str) {
        let order = self.index.len();
        self.index.insert(node, order);
        self.low.insert(node, order);
        self.stack.push(node);
        let imports = self.graph.get(node).into_iter().flatten();
        for import in imports.map(String::as_str) {
            let reach = match self.index.get(import) {
                None => {
                    self.visit(import);
                    self.low.get(import).copied()
                }
                Some(_) if !self.stack.contains(&import) => None,
                seen => seen.copied(),
            };
            if let (Some(reach), Some(low)) = (reach, self.low.get_mut(node)) {
                *low = reach.min(*low);
            }
        }
        if self.low.get(node) == Some(&order) {
            let start = self.stack.iter().position(|other| *other == node).unwrap_or(0);
            let mut group: Vec<String> = self.stack.drain(start..).map(str::to_owned).collect();
            group.sort();
            self.groups.push(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        edges
            .iter()
            .map(|(node, imports)| ((*node).to_owned(), imports.iter().map(ToString::to_string).collect()))
            .collect()
    }

    #[test]
    fn puts_what_is_imported_before_what_imports_it() {
        let order = groups(&graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]));
        assert_eq!(order, [["c"], ["b"], ["a"]]);
    }

    #[test]
    fn finds_a_cycle_however_long() {
        let found = cycles(&graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a", "d"]), ("d", &[])]));
        assert_eq!(found, [["a", "b", "c"]]);
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        assert!(cycles(&graph(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])])).is_empty());
    }

    #[test]
    fn finds_two_cycles_apart() {
        let found = cycles(&graph(&[("a", &["b"]), ("b", &["a"]), ("c", &["d", "a"]), ("d", &["c"])]));
        assert_eq!(found, [["a", "b"], ["c", "d"]]);
    }
}
