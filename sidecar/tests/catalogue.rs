//! `components/catalogue.json` and a page for each component type, as the structs that decode their metadata say.

// What is built in decides what is told: all of it.
#![cfg(all(
    feature = "consul",
    feature = "cron",
    feature = "etcd",
    feature = "http-binding",
    feature = "http-middleware",
    feature = "kubernetes",
    feature = "local",
    feature = "mdns",
    feature = "memcached",
    feature = "mongodb",
    feature = "mysql",
    feature = "oauth2",
    feature = "opa",
    feature = "postgresql",
    feature = "rabbitmq",
    feature = "redis",
    feature = "sqlite",
    feature = "wasm"
))]
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use trilby_component_catalogue::{BlockSettings, Catalogue, Component, Effect, Field, Kind};
use trilby_components::definition::Definition;
use trilby_components::registry::Block;
use trilby_sidecar::backends::{definitions, registry};

/// Set to any value to write the files instead of comparing with them.
const UPDATE: &str = "UPDATE_GOLDEN";
/// Where the pages are.
const PAGES: &str = "docs/reference/components";
/// At the top of each page.
const GENERATED: &str = "<!-- Generated from the code by `make generate`. -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn check(path: &str, content: &str) {
    let file = root().join(path);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == content,
        "{path} is out of date: run `make generate`"
    );
}

fn catalogue() -> Catalogue {
    let registry = registry();
    let (backends, absent) = registry.types();
    let mut definitions = definitions();
    let mut components: Vec<Component> = backends
        .into_iter()
        .map(|backend| {
            let mut names = backend.type_names();
            let type_name = names.next().unwrap();
            let is_it = |definition: &Definition| {
                let versions = definition.versions;
                full(definition) == type_name
                    && (versions.is_empty() || versions == backend.versions())
            };
            let found = definitions.iter().position(is_it);
            let definition = definitions
                .swap_remove(found.unwrap_or_else(|| panic!("{type_name} has no definition")));
            Component {
                type_name,
                aliases: names.collect(),
                versions: owned(backend.versions()),
                capabilities: owned(definition.capabilities),
                open: definition.open,
                fields: definition.fields,
            }
        })
        .collect();
    assert!(definitions.is_empty(), "nobody serves {definitions:?}");
    components.sort_by(|one, other| one.type_name.cmp(&other.type_name));
    let (resolvers, absent_resolvers) = registry.resolver_names();
    Catalogue {
        blocks: Block::ALL.map(block).into(),
        components,
        absent,
        resolvers: owned(&resolvers),
        absent_resolvers: owned(absent_resolvers),
    }
}

fn full(definition: &Definition) -> String {
    format!("{}.{}", definition.block.prefix(), definition.name)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn block(block: Block) -> BlockSettings {
    BlockSettings {
        prefix: block.prefix().to_owned(),
        noun: block.noun().to_owned(),
        fields: match block {
            Block::State => trilby_resources::state_fields(),
            Block::Lock => trilby_resources::lock_fields(),
            Block::PubSub => trilby_resources::pubsub_fields(),
            Block::Binding => trilby_resources::binding_fields(),
            _ => Vec::new(),
        },
    }
}

#[test]
fn the_catalogue_is_what_the_components_say() {
    let text = serde_json::to_string_pretty(&catalogue()).unwrap();
    check("components/catalogue.json", &(text + "\n"));
}

#[test]
fn no_setting_of_a_component_hides_one_of_its_block() {
    let catalogue = catalogue();
    for component in &catalogue.components {
        let shared = &catalogue.block(&component.type_name).unwrap().fields;
        let all: Vec<_> = component
            .fields
            .iter()
            .chain(shared)
            .flat_map(Field::names)
            .collect();
        let different: BTreeSet<_> = all.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(all.len(), different.len(), "{}", component.type_name);
    }
}

#[test]
fn every_setting_is_described() {
    let catalogue = catalogue();
    let blocks = catalogue
        .blocks
        .iter()
        .map(|block| (&block.prefix, &block.fields));
    let components = catalogue
        .components
        .iter()
        .map(|component| (&component.type_name, &component.fields));
    for (whose, fields) in blocks.chain(components) {
        for field in fields {
            assert!(!field.description.is_empty(), "{whose}: {}", field.name);
        }
    }
}

#[test]
fn each_component_has_a_page_and_no_other_page_is_there() {
    let catalogue = catalogue();
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for component in &catalogue.components {
        let name = page_name(&catalogue, component);
        check(&format!("{PAGES}/{name}"), &page(&catalogue, component));
        pages.insert(name);
    }
    check(&format!("{PAGES}/README.md"), &contents(&catalogue));
    let found: BTreeSet<String> = std::fs::read_dir(root().join(PAGES))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, pages, "remove pages of components that are gone");
}

/// The type, with its version where others are components of their own.
fn title(catalogue: &Catalogue, component: &Component) -> String {
    let mut components = catalogue.components.iter();
    let is_other = |other: &Component| other.type_name == component.type_name && other != component;
    match components.any(is_other) {
        true => format!("{} {}", component.type_name, component.versions[0]),
        false => component.type_name.clone(),
    }
}

fn page_name(catalogue: &Catalogue, component: &Component) -> String {
    format!("{}.md", title(catalogue, component).replace(' ', "-"))
}

fn contents(catalogue: &Catalogue) -> String {
    let mut page =
        format!("# Components\n\n{GENERATED}\n\n| type | block | capabilities |\n|---|---|---|\n");
    for component in &catalogue.components {
        let (name, file) = (title(catalogue, component), page_name(catalogue, component));
        let noun = &catalogue.block(&component.type_name).unwrap().noun;
        let capabilities = component.capabilities.join(", ");
        writeln!(page, "| [`{name}`]({file}) | {noun} | {capabilities} |").unwrap();
    }
    page.push_str("\nDapr has more, which are not there yet:\n\n");
    for name in &catalogue.absent {
        writeln!(page, "- `{name}`").unwrap();
    }
    page
}

fn page(catalogue: &Catalogue, component: &Component) -> String {
    let name = title(catalogue, component);
    let block = catalogue.block(&component.type_name).unwrap();
    let mut page = format!(
        "# {name}\n\n{GENERATED}\n\n{} {}. Versions: {}.",
        article(&block.noun),
        block.noun,
        component.versions.join(", ")
    );
    if !component.aliases.is_empty() {
        write!(page, " Also called {}.", component.aliases.join(", ")).unwrap();
    }
    if !component.capabilities.is_empty() {
        write!(page, " It can do {}.", component.capabilities.join(", ")).unwrap();
    }
    page.push('\n');
    if component.fields.is_empty() {
        page.push_str("\nIt has no settings of its own.\n");
    } else {
        page.push_str(
            "\n## Settings\n\nItems of `spec.metadata`; keys are compared in any case.\n\n",
        );
        table(&mut page, &component.fields);
    }
    if component.open {
        page.push_str("\nOther keys mean something as well.\n");
    }
    if !block.fields.is_empty() {
        write!(page, "\n## Settings of every {}\n\n", block.noun).unwrap();
        table(&mut page, &block.fields);
    }
    page
}

fn article(noun: &str) -> &'static str {
    match noun.starts_with(['A', 'E', 'H', 'I', 'O', 'a', 'e', 'i', 'o', 'u']) {
        true => "An",
        false => "A",
    }
}

fn table(page: &mut String, fields: &[Field]) {
    page.push_str("| key | form | default | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let default = match (&field.default, field.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) => format!("`{default}`"),
            (None, _) => String::new(),
        };
        let aliases = field.aliases.iter().map(|alias| format!(", `{alias}`"));
        let aliases: String = aliases.collect();
        writeln!(
            page,
            "| `{}`{aliases} | {} | {default} | {} |",
            field.name,
            form(field),
            meaning(field)
        )
        .unwrap();
    }
}

fn form(field: &Field) -> String {
    match (&field.kind, field.sensitive) {
        (Kind::Text, true) => "a secret".to_owned(),
        (Kind::Text, false) => "text".to_owned(),
        (kind, _) => kind.expected().into_owned(),
    }
}

fn meaning(field: &Field) -> String {
    let effect = match field.effect {
        Effect::Full => "",
        Effect::None => " Without effect.",
        Effect::Refused => " Not there yet: a component that asks for it is refused.",
    };
    format!("{}{effect}", field.description.replace('|', "\\|"))
}
