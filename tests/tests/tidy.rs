//! Holds the tree to its own rules: layers, cycles, file sizes, module documentation.
//!
//! The layers are read from ARCHITECTURE.md, so that the page cannot drift from the code. What clippy can check (function
//! length, arguments, unwrap) is clippy's business and not repeated here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

const CRATES: [&str; 7] = ["api", "runtime", "init-redirect", "injector", "proxy", "conformance", "tests"];
const MAX_CODE_LINES: usize = 400;

#[test]
fn modules_import_strictly_downwards() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut faults = Vec::new();
    for name in CRATES {
        let Some(layers) = layers(&architecture, name) else {
            faults.push(format!("ARCHITECTURE.md has no block ```layers {name}"));
            continue;
        };
        faults.extend(layer_faults(name, &layers, &Source::of_crate(name)));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_module_cycle() {
    let faults: Vec<String> = CRATES.iter().flat_map(|name| cycles(&Source::of_crate(name))).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_are_small_and_say_what_they_are() {
    let mut faults = Vec::new();
    for file in CRATES.iter().flat_map(|name| rust_files(&root().join(name))) {
        let text = fs::read_to_string(&file).expect("a source file");
        let lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        if lines > MAX_CODE_LINES {
            faults.push(format!("{}: {lines} code lines, {MAX_CODE_LINES} allowed", file.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{}: does not open with //! (what it is, what it is not)", file.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The data path's time is `Instant`, which no jump of the wall clock moves: nothing of a connection's life can depend on
/// what the clock says.
#[test]
fn the_proxy_reads_the_wall_clock_for_the_access_log_alone() {
    let reads = |file: &PathBuf| fs::read_to_string(file).expect("a source file").contains("SystemTime::now");
    let files: Vec<_> = rust_files(&root().join("proxy/src")).into_iter().filter(reads).collect();
    assert_eq!(files, [root().join("proxy/src/telemetry/connections/connection.rs")]);
}

#[test]
fn the_contract_has_no_dependency() {
    let manifest = fs::read_to_string(root().join("api/Cargo.toml")).expect("api/Cargo.toml");
    assert!(!manifest.contains("dependencies]"), "api must not depend on anything");
}

/// What it says of the proxy it has to be able to say of others.
#[test]
fn the_cases_know_nothing_of_the_proxy() {
    let manifest = fs::read_to_string(root().join("conformance/Cargo.toml")).expect("conformance/Cargo.toml");
    let (product, _) = manifest.split_once("[dev-dependencies]").expect("dependencies of tests");
    let known = CRATES.iter().find(|name| product.contains(&format!("\n{name}.")));
    assert_eq!(known, None, "conformance must not depend on it");
}

#[test]
fn the_gates_see_what_they_should() {
    let upward = Source::from_text(&["low"], "use crate::high::Thing; fn f() { crate::high::go(); }");
    let faults = layer_faults("sample", &[vec!["high".into()], vec!["low".into()]], &[upward]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    let by_super = Source::from_text(&["low"], "mod inner { use super::super::high::Thing; }");
    assert_eq!(by_super.imports, BTreeSet::from([vec!["high".to_owned(), "Thing".to_owned()]]));
    let circle = [
        Source::from_text(&["dir", "a"], "use super::b::B;"),
        Source::from_text(&["dir", "b"], "use crate::dir::a::A;"),
    ];
    assert_eq!(cycles(&circle).len(), 1);
    let tests_may = Source::from_text(&["low"], "#[cfg(test)] mod tests { use crate::high::Thing; }");
    assert!(tests_may.imports.is_empty());
}

/// One source file as a module: its path within the crate, and the paths within the crate that it names.
struct Source {
    module: Vec<String>,
    imports: BTreeSet<Vec<String>>,
}

impl Source {
    fn of_crate(name: &str) -> Vec<Self> {
        let src = root().join(name).join("src");
        rust_files(&src)
            .into_iter()
            .filter_map(|file| Some((file.strip_prefix(&src).ok()?.to_path_buf(), file)))
            .filter(|(relative, _)| !relative.starts_with("bin") && !is_test_file(relative))
            .map(|(relative, file)| {
                let module = module_path(&relative);
                let text = fs::read_to_string(&file).expect("a source file");
                let module: Vec<&str> = module.iter().map(String::as_str).collect();
                Self::from_text(&module, &text)
            })
            .collect()
    }

    fn from_text(module: &[&str], text: &str) -> Self {
        let file = syn::parse_file(text).expect("Rust source");
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        let mut visitor = Imports { at: module.clone(), found: BTreeSet::new() };
        visitor.visit_file(&file);
        Self { module, imports: visitor.found }
    }

    fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

/// Collects the absolute paths (within the crate) of everything a file names by `crate::` or `super::`.
struct Imports {
    at: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Imports {
    fn record(&mut self, segments: &[String]) {
        let mut base = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("super") => self.at.clone(),
            _ => return,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" => {}
                "super" => {
                    base.pop();
                }
                name => base.push(name.to_owned()),
            }
        }
        if !base.is_empty() {
            self.found.insert(base);
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let mut path = prefix.to_vec();
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.use_tree(&part.tree, &path);
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, &path)),
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.record(&path);
            }
            syn::UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.record(&path);
            }
            syn::UseTree::Glob(_) => self.record(&path),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.record(&segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test_module(&item.attrs) {
            return;
        }
        self.at.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.at.pop();
    }
}

fn is_test_module(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("test"))
    })
}

/// The lines of ```` ```layers NAME ````, top layer first.
fn layers(architecture: &str, name: &str) -> Option<Vec<Vec<String>>> {
    let opening = format!("```layers {name}");
    let mut lines = architecture.lines().skip_while(|line| *line != opening);
    lines.next()?;
    Some(
        lines
            .take_while(|line| *line != "```")
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect(),
    )
}

fn layer_faults(name: &str, layers: &[Vec<String>], sources: &[Source]) -> Vec<String> {
    let level: BTreeMap<&str, usize> = layers
        .iter()
        .enumerate()
        .flat_map(|(line, modules)| modules.iter().map(move |module| (module.as_str(), layers.len() - line)))
        .collect();
    let mut faults = BTreeSet::new();
    // lib.rs only lists the modules.
    for source in sources.iter().filter(|source| source.top() != "lib") {
        let Some(own) = level.get(source.top()) else {
            faults.insert(format!("{name}: module {} is in no layer of ARCHITECTURE.md", source.top()));
            continue;
        };
        for target in source.imports.iter().filter_map(|path| path.first()) {
            let Some(theirs) = level.get(target.as_str()) else { continue };
            if target != source.top() && theirs >= own {
                faults.insert(format!(
                    "{name}: {} imports {target}, which is not below it",
                    source.module.join("::")
                ));
            }
        }
    }
    faults.into_iter().collect()
}

/// Modules that reach each other in a circle. A module and its own submodules count as one step up or down the same
/// tree, so edges between them are left out.
fn cycles(sources: &[Source]) -> Vec<String> {
    let modules: BTreeSet<&[String]> = sources.iter().map(|source| source.module.as_slice()).collect();
    let edges: BTreeMap<&[String], BTreeSet<&[String]>> = sources
        .iter()
        .map(|source| {
            let targets = source
                .imports
                .iter()
                .filter_map(|path| (1..=path.len()).rev().find_map(|n| modules.get(path.get(..n)?).copied()))
                .filter(|target| !target.starts_with(&source.module) && !source.module.starts_with(target))
                .collect();
            (source.module.as_slice(), targets)
        })
        .collect();
    let mut found = BTreeSet::new();
    for start in edges.keys() {
        let mut circle: BTreeSet<String> = reachable(&edges, start)
            .into_iter()
            .filter(|module| reachable(&edges, module).contains(start))
            .map(|module| module.join("::"))
            .collect();
        if !circle.is_empty() {
            circle.insert(start.join("::"));
            found.insert(circle);
        }
    }
    found
        .into_iter()
        .map(|circle| format!("cycle: {}", circle.into_iter().collect::<Vec<_>>().join(" <-> ")))
        .collect()
}

fn reachable<'a>(
    edges: &BTreeMap<&'a [String], BTreeSet<&'a [String]>>,
    start: &[String],
) -> BTreeSet<&'a [String]> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<&[String]> = edges.get(start).into_iter().flatten().copied().collect();
    while let Some(module) = todo.pop() {
        if seen.insert(module) {
            todo.extend(edges.get(module).into_iter().flatten().copied());
        }
    }
    seen
}

fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> = file
        .with_extension("")
        .components()
        .map(|component| component.as_os_str().to_string_lossy().into_owned())
        .collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
        path.pop();
    }
    path
}

/// `tests.rs` and `tests/` hold a module's tests; the path is relative to `src`.
fn is_test_file(file: &Path) -> bool {
    file.with_extension("").components().any(|component| component.as_os_str() == "tests")
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![directory.to_path_buf()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace above the tests crate")
}
