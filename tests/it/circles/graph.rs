//! Which file of a crate needs which other one, read from the sources as a compiler reads names.
//!
//! A file needs another one if it imports or mentions something that is *defined* there: re-exports are followed to the
//! definition. To re-export a name is not to need it, unless the same file mentions it, too. Methods are not seen: who
//! calls one got the value from somewhere, and that is seen.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use syn::visit::{self, Visit};

/// The sources of a crate: text by the path below `src`.
pub(super) type Sources = BTreeMap<String, String>;

/// The names for which one file needs another.
pub(super) type Edges = BTreeMap<(String, String), BTreeSet<String>>;

/// Files each of which needs all others, be it through others.
#[derive(Debug)]
pub(super) struct Circle {
    pub(super) files: BTreeSet<String>,
    edges: Edges,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} files in a circle:", self.files.len())?;
        for ((from, to), names) in &self.edges {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            writeln!(f, "  {from} -> {to}: {}", names.join(", "))?;
        }
        Ok(())
    }
}

/// The circles of more than one file.
pub(super) fn circles(edges: &Edges) -> Vec<Circle> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|(from, _)| (from.as_str(), reached(edges, from))).collect();
    let mut circles: Vec<Circle> = Vec::new();
    for (file, ahead) in &reached {
        if circles.iter().any(|circle| circle.files.contains(*file)) {
            continue;
        }
        let back = ahead.iter().filter(|other| reached.get(*other).is_some_and(|there| there.contains(file)));
        let files: BTreeSet<String> = back.map(|other| (*other).to_owned()).collect();
        if files.len() > 1 {
            let inside = |(from, to): &(String, String)| files.contains(from) && files.contains(to);
            let edges = edges.iter().filter(|(ends, _)| inside(ends));
            let edges = edges.map(|(ends, names)| (ends.clone(), names.clone())).collect();
            circles.push(Circle { files, edges });
        }
    }
    circles
}

/// Everything that a file needs, with what that needs.
fn reached<'a>(edges: &'a Edges, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        for (_, to) in edges.keys().filter(|(from, _)| from == file) {
            if reached.insert(to.as_str()) {
                next.push(to);
            }
        }
    }
    reached
}

/// What the files of a crate need of each other; modules for tests are left out.
pub(super) fn edges(sources: &Sources) -> Edges {
    let mut edges = Edges::new();
    for root in ["lib.rs", "main.rs"].into_iter().filter(|root| sources.contains_key(*root)) {
        let mut reader = Reader { sources, modules: Vec::new(), at: 0 };
        reader.file(root.to_owned(), String::new(), None);
        let modules = Modules(reader.modules);
        for (at, module) in modules.0.iter().enumerate() {
            let imported = module.imports.iter().filter(|import| !import.public).map(|import| &import.path);
            for path in imported.chain(&module.mentions) {
                for target in modules.resolve(at, path, &mut Vec::new()) {
                    let Target::Item(owner, name) = target else { continue };
                    let file = &modules.0[owner].file;
                    if *file != module.file {
                        edges.entry((module.file.clone(), file.clone())).or_default().insert(name);
                    }
                }
            }
        }
    }
    edges
}

struct Module {
    file: String,
    /// Where the files of its own modules are.
    folder: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in code, whole as they are written.
    mentions: BTreeSet<Vec<String>>,
}

/// One leaf of a `use`.
struct Import {
    path: Vec<String>,
    /// What it is called here; all names of what the path leads to if absent.
    name: Option<String>,
    /// Whether others can import it from here.
    public: bool,
}

/// What a name means. One name can mean several things: a module and a function, for example.
enum Target {
    Module(usize),
    Item(usize, String),
}

struct Modules(Vec<Module>);

impl Modules {
    /// What a path means in a module. `open` holds the names that are being looked up already.
    fn resolve(&self, at: usize, path: &[String], open: &mut Vec<(usize, String)>) -> Vec<Target> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let module = &self.0[at];
        let mut targets = match first.as_str() {
            "crate" => vec![Target::Module(0)],
            "self" => vec![Target::Module(at)],
            "super" => module.parent.map(Target::Module).into_iter().collect(),
            name => self.named(at, name, open),
        };
        for name in rest {
            let next = |target| match target {
                Target::Module(module) if name == "super" => {
                    self.0[module].parent.map(Target::Module).into_iter().collect()
                }
                // `use a::{self}`.
                Target::Module(module) if name == "self" => vec![Target::Module(module)],
                Target::Module(module) => self.named(module, name, open),
                // A variant, or what belongs to a type.
                item @ Target::Item(..) => vec![item],
            };
            targets = targets.into_iter().flat_map(next).collect();
        }
        targets
    }

    /// What a name means in a module; nothing if it is another crate's.
    fn named(&self, at: usize, name: &str, open: &mut Vec<(usize, String)>) -> Vec<Target> {
        let asked = (at, name.to_owned());
        if open.contains(&asked) {
            return Vec::new();
        }
        open.push(asked);
        let module = &self.0[at];
        let mut targets: Vec<Target> =
            module.children.get(name).copied().map(Target::Module).into_iter().collect();
        if module.items.contains(name) {
            targets.push(Target::Item(at, name.to_owned()));
        }
        for import in module.imports.iter().filter(|import| import.name.as_deref() == Some(name)) {
            targets.extend(self.resolve(at, &import.path, open));
        }
        if targets.is_empty() {
            for import in module.imports.iter().filter(|import| import.name.is_none()) {
                for target in self.resolve(at, &import.path, open) {
                    if let Target::Module(module) = target {
                        targets.extend(self.named(module, name, open));
                    }
                }
            }
        }
        open.pop();
        targets
    }
}

/// Reads files into modules, from the root on.
struct Reader<'a> {
    sources: &'a Sources,
    modules: Vec<Module>,
    at: usize,
}

impl Reader<'_> {
    fn file(&mut self, path: String, folder: String, parent: Option<usize>) -> usize {
        let file = syn::parse_file(&self.sources[&path]).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.module(path, folder, parent, &file.items)
    }

    fn module(&mut self, file: String, folder: String, parent: Option<usize>, items: &[syn::Item]) -> usize {
        let (index, before) = (self.modules.len(), self.at);
        self.modules.push(Module {
            file,
            folder,
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
            mentions: BTreeSet::new(),
        });
        self.at = index;
        for item in items {
            self.visit_item(item);
        }
        self.at = before;
        index
    }

    fn import(&mut self, tree: &syn::UseTree, above: &[String], public: bool) {
        let below = |name: &syn::Ident| [above, &[text(name)]].concat();
        let (path, name) = match tree {
            syn::UseTree::Path(tree) => return self.import(&tree.tree, &below(&tree.ident), public),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, above, public));
            }
            syn::UseTree::Name(tree) if tree.ident == "self" => (above.to_vec(), above.last().cloned()),
            syn::UseTree::Name(tree) => (below(&tree.ident), Some(text(&tree.ident))),
            syn::UseTree::Rename(tree) => (below(&tree.ident), Some(text(&tree.rename))),
            syn::UseTree::Glob(_) => (above.to_vec(), None),
        };
        self.modules[self.at].imports.push(Import { path, name, public });
    }

    fn mention(&mut self, path: Vec<String>) {
        self.modules[self.at].mentions.insert(path);
    }

    /// Takes what looks like a path from what a macro or an attribute is given.
    fn tokens(&mut self, tokens: TokenStream) {
        // A name after one point is a field or a method, and one after nothing but colons another crate's; no module
        // has what such a path begins with.
        let (field, foreign) = (".".to_owned(), String::new());
        let (mut path, mut colons) = (Vec::new(), 0);
        for token in tokens {
            if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':') {
                colons += 1;
                continue;
            }
            let goes_on = colons == 2;
            colons = 0;
            match token {
                TokenTree::Ident(name) => {
                    if goes_on && path.is_empty() {
                        path.push(foreign.clone());
                    } else if !goes_on && !path.ends_with(std::slice::from_ref(&field)) {
                        self.mention(std::mem::take(&mut path));
                    }
                    path.push(text(&name));
                }
                TokenTree::Punct(punct) if punct.as_char() == '.' => {
                    let range = path.ends_with(std::slice::from_ref(&field));
                    self.mention(std::mem::take(&mut path));
                    path.extend((!range).then(|| field.clone()));
                }
                other => {
                    self.mention(std::mem::take(&mut path));
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.mention(path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attributes, name) = match item {
            syn::Item::Const(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            syn::Item::Impl(item) => (&item.attrs, None),
            syn::Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            syn::Item::Mod(item) => (&item.attrs, None),
            syn::Item::Static(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Type(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Union(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Use(item) => (&item.attrs, None),
            other => return visit::visit_item(self, other),
        };
        if attributes.iter().any(is_for_tests) {
            return;
        }
        self.modules[self.at].items.extend(name.map(text));
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let for_tests = matches!(item, syn::ImplItem::Fn(item) if item.attrs.iter().any(is_for_tests));
        if !for_tests {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let parent = self.at;
        let above = &self.modules[parent];
        let name = text(&item.ident);
        let folder = format!("{}{name}/", above.folder);
        let module = if let Some((_, items)) = &item.content {
            self.module(above.file.clone(), folder, Some(parent), items)
        } else {
            let places = [format!("{}{name}.rs", above.folder), format!("{folder}mod.rs")];
            let file = places.into_iter().find(|place| self.sources.contains_key(place));
            let file = file.unwrap_or_else(|| panic!("{}: `mod {name}` has no file", above.file));
            self.file(file, folder, Some(parent))
        };
        self.modules[parent].children.insert(name, module);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.mention(path.segments.iter().map(|segment| text(&segment.ident)).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let syn::Meta::List(list) = &attribute.meta else { return };
        self.tokens(list.tokens.clone());
        // serde takes the paths of functions and modules as strings.
        for token in list.tokens.clone().into_iter().filter(|_| list.path.is_ident("serde")) {
            let quoted: Option<syn::LitStr> = syn::parse2(token.into()).ok();
            if let Some(path) = quoted.and_then(|quoted| quoted.parse::<syn::Path>().ok()) {
                self.visit_path(&path);
            }
        }
    }
}

fn text(name: &syn::Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

/// Whether what has the attribute is compiled for tests only.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else { return false };
    let words: Vec<String> = list.tokens.clone().into_iter().map(|token| token.to_string()).collect();
    list.path.is_ident("cfg") && words == ["test"]
}
