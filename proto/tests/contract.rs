//! The compiled descriptors are what `contract.txt` says: one line for every method, field and enum value
//! of the wire contract. A difference is a break with every Dapr SDK, sidecar and control plane in use.

use std::{collections::BTreeSet, fs, path::Path};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto, field_descriptor_proto::Label,
};

/// Set to any value to rewrite the golden file instead of comparing with it.
const UPDATE: &str = "UPDATE_GOLDEN";

#[test]
fn descriptors_match_the_golden_contract() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract.txt");
    let lines = summary();
    let text = lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&golden, &text).expect("the golden file is writable");
    }
    let expected = fs::read_to_string(&golden).expect("the golden file is in the repository");
    let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
    let missing: Vec<_> = expected.difference(&lines).collect();
    let surplus: Vec<_> = lines.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "the wire contract changed\nmissing: {missing:#?}\nsurplus: {surplus:#?}"
    );
}

fn summary() -> BTreeSet<String> {
    let sets = [
        trilby_proto::DESCRIPTOR_SET,
        trilby_proto::ADDITIONS_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().flat_map(|set| {
        FileDescriptorSet::decode(set)
            .expect("descriptors decode")
            .file
    });
    let mut lines = BTreeSet::new();
    for file in files.filter(|file| !file.name().starts_with("google/")) {
        let package = file.package();
        file.message_type
            .iter()
            .for_each(|m| message(package, m, &mut lines));
        file.enum_type
            .iter()
            .for_each(|e| enumeration(package, e, &mut lines));
        file.service
            .iter()
            .for_each(|s| service(package, s, &mut lines));
    }
    lines
}

#[test]
fn additions_stand_in_packages_of_their_own() {
    let set = FileDescriptorSet::decode(trilby_proto::ADDITIONS_DESCRIPTOR_SET);
    for file in set.expect("descriptors decode").file {
        assert!(file.package().starts_with("trilby."), "{}", file.name());
    }
}

fn qualified(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}

fn service(package: &str, service: &ServiceDescriptorProto, lines: &mut BTreeSet<String>) {
    let name = qualified(package, service.name());
    for method in &service.method {
        let stream = |yes: bool| if yes { "stream " } else { "" };
        lines.insert(format!(
            "rpc {name}/{}: {}{} -> {}{}",
            method.name(),
            stream(method.client_streaming()),
            method.input_type(),
            stream(method.server_streaming()),
            method.output_type(),
        ));
    }
}

fn message(scope: &str, message_: &DescriptorProto, lines: &mut BTreeSet<String>) {
    let name = qualified(scope, message_.name());
    lines.insert(format!("message {name}"));
    for field in &message_.field {
        lines.insert(format!("field {name} {}", describe(field, message_)));
    }
    message_
        .nested_type
        .iter()
        .for_each(|m| message(&name, m, lines));
    message_
        .enum_type
        .iter()
        .for_each(|e| enumeration(&name, e, lines));
}

fn describe(field: &FieldDescriptorProto, owner: &DescriptorProto) -> String {
    let kind = match field.type_name() {
        "" => format!("{:?}", field.r#type()).to_lowercase(),
        name => name.trim_start_matches('.').to_owned(),
    };
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let oneof = field
        .oneof_index
        .filter(|_| !field.proto3_optional())
        .and_then(|index| owner.oneof_decl.get(usize::try_from(index).ok()?))
        .map_or(String::new(), |oneof| format!(" oneof {}", oneof.name()));
    format!(
        "{} {label}{kind} {} json {}{oneof}",
        field.number(),
        field.name(),
        field.json_name()
    )
}

fn enumeration(scope: &str, enumeration: &EnumDescriptorProto, lines: &mut BTreeSet<String>) {
    let name = qualified(scope, enumeration.name());
    for value in &enumeration.value {
        lines.insert(format!("enum {name} {} = {}", value.number(), value.name()));
    }
}
