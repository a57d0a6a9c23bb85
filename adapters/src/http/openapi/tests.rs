//! The tables against the code that they tell of.

use std::collections::BTreeSet;

use domain::{job::JobId, plan::JobKind, request::Faults, testing::open_rules};
use serde_json::Value;

use super::{
    answers,
    destinations::{OF_ALL, OF_RESTORES, TYPES},
    members::MEMBERS,
    requests,
};
use crate::http::{draft, json::Members};

fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    items.into_iter().collect()
}

/// What is wrong with a request.
fn faults(kind: JobKind, request: &Value) -> Option<String> {
    let text = request.to_string();
    let members = Members::of_body(text.as_bytes()).expect("an object");
    let (draft, faults) = draft::read(kind, JobId::parse("j").expect("an id"), members, Faults::default());
    draft
        .check(&open_rules(), faults)
        .err()
        .map(|faults| faults.to_string())
}

#[test]
fn every_member_that_is_read_is_told_and_no_other() {
    for kind in JobKind::ALL {
        let read = draft::all_members(kind);
        let read = read
            .iter()
            .map(|(path, _)| path.replacen(&format!("{kind}."), "service.", 1));
        assert_eq!(set(read), set(MEMBERS.iter().map(|(path, _, _)| (*path).to_owned())));
    }
    let of_types = TYPES
        .iter()
        .flat_map(|of| of.members.iter().map(|(name, _, _)| *name))
        .chain(OF_ALL.iter().chain(OF_RESTORES).map(|(name, _)| *name));
    let told = MEMBERS
        .iter()
        .filter_map(|(path, _, _)| path.strip_prefix("destination."));
    assert_eq!(set(of_types), set(told), "a member of a destination belongs to a type");
}

#[test]
fn every_member_is_in_the_schema_of_its_request() {
    let schemas = requests::schemas(&open_rules());
    for kind in JobKind::ALL {
        let request = match kind {
            JobKind::Backup => "BackupRequest",
            JobKind::Restore => "RestoreRequest",
        };
        for (path, _) in draft::all_members(kind) {
            let is_there = match path.split_once('.') {
                None => schemas[request]["properties"].get(&path).is_some(),
                Some(("destination", name)) => TYPES.iter().any(|of| {
                    let schema = &schemas[&of.schema_name(kind)];
                    schema["properties"].get(name).is_some()
                }),
                Some((_, name)) => {
                    let service = &schemas[request]["properties"][kind.as_str()];
                    service["properties"].get(name).is_some()
                }
            };
            let of_restores = OF_RESTORES
                .iter()
                .any(|(name, _)| path.strip_prefix("destination.") == Some(*name));
            assert_eq!(is_there, kind == JobKind::Restore || !of_restores, "{kind} {path}");
        }
    }
}

#[test]
fn types_are_those_that_are_taken() {
    let names: Vec<&str> = TYPES.iter().map(|of| of.name).collect();
    let unknown = faults(JobKind::Backup, &serde_json::json!({"destination": {"type": "NONE"}})).expect("faults");
    let known = unknown.split_once("is not one of ").expect("the types are told").1;
    let known = known.split_once(';').map_or(known, |(known, _)| known);
    assert_eq!(set(known.split(", ")), set(names));
}

#[test]
fn examples_are_taken_and_lack_nothing_that_is_required() {
    let schemas = requests::schemas(&open_rules());
    for kind in JobKind::ALL {
        for of in TYPES {
            let mut example = requests::example(kind, of);
            if of.name == "FILE" {
                let root = &open_rules().allowed_file_roots[0];
                example["destination"]["path"] = root.join("x").to_string_lossy().into_owned().into();
            }
            assert_eq!(faults(kind, &example), None, "{example}");
            let required = schemas[&of.schema_name(kind)]["required"].as_array().expect("a list");
            for name in required.iter().filter_map(Value::as_str) {
                let mut example = example.clone();
                let destination = example["destination"].as_object_mut().expect("an object");
                destination.remove(name).expect("what is required is in the example");
                let told = faults(kind, &example).unwrap_or_default();
                assert!(
                    told.contains(&format!("destination.{name} is missing")),
                    "{name}: {told}"
                );
            }
            for name in ["host", "database"] {
                let mut example = example.clone();
                example[kind.as_str()].as_object_mut().expect("an object").remove(name);
                let told = faults(kind, &example).unwrap_or_default();
                assert!(told.contains(&format!("{kind}.{name} is missing")), "{name}: {told}");
            }
        }
    }
}

#[test]
fn every_member_of_an_answer_is_told_and_no_other() {
    let mut told = BTreeSet::new();
    for (schema, body) in answers::schemas() {
        let table = match schema.as_str() {
            "Backup" | "Restore" => "Polling",
            other => other,
        };
        let properties = body["properties"].as_object().expect("an object");
        for (name, property) in properties {
            assert!(property["description"].is_string(), "{schema}.{name} has no meaning");
            told.insert((table.to_owned(), name.clone()));
        }
    }
    for (schema, name, _) in answers::TELLS {
        assert!(
            told.contains(&((*schema).to_owned(), (*name).to_owned())),
            "{schema}.{name} is in no answer"
        );
    }
}
