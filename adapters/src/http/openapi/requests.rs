//! Schemas of requests, made from what the reader of requests asks for.

use domain::{plan::JobKind, request::RequestRules};
use serde_json::{Map, Value, json};

use super::{
    destinations::{TYPES, Type},
    members,
};
use crate::http::{draft, json::Shape};

/// The members of a database that a request must name.
const REQUIRED_OF_SERVICE: [&str; 2] = ["host", "database"];

pub(super) fn body_of_trigger(kind: JobKind) -> Value {
    let examples = TYPES
        .iter()
        .map(|of| (of.name.to_owned(), json!({"value": example(kind, of)})));
    json!({
        "required": true,
        "content": {"application/json": {
            "schema": {"$ref": format!("#/components/schemas/{}", request_name(kind))},
            "examples": examples.collect::<Map<_, _>>(),
        }},
    })
}

pub(super) fn body_of_any_trigger() -> Value {
    let schemas = JobKind::ALL.map(|kind| json!({"$ref": format!("#/components/schemas/{}", request_name(kind))}));
    json!({"required": true, "content": {"application/json": {"schema": {"anyOf": schemas}}}})
}

pub(super) fn body_with_id() -> Value {
    json!({
        "required": true,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Id"}}},
    })
}

fn request_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Backup => "BackupRequest",
        JobKind::Restore => "RestoreRequest",
    }
}

/// All schemas of requests.
pub(super) fn schemas(rules: &RequestRules) -> Map<String, Value> {
    let mut schemas = Map::new();
    let id = json!({"type": "object", "properties": {"id": members::id()}, "required": ["id"]});
    schemas.insert("Id".to_owned(), id);
    for kind in JobKind::ALL {
        let read = draft::all_members(kind);
        for of in TYPES {
            schemas.insert(of.schema_name(kind), destination(of, kind, &read, rules));
        }
        schemas.insert(request_name(kind).to_owned(), request(kind, &read, rules));
    }
    schemas
}

fn request(kind: JobKind, read: &[(String, Shape)], rules: &RequestRules) -> Value {
    let mut properties = Map::new();
    let mut service = Map::new();
    for (path, shape) in read {
        match path.split_once('.') {
            None => {
                properties.insert(path.clone(), members::schema(path, *shape, path == "id", None, rules));
            }
            Some((object, name)) if object == kind.as_str() => {
                let is_required = REQUIRED_OF_SERVICE.contains(&name);
                let schema = members::schema(&format!("service.{name}"), *shape, is_required, None, rules);
                service.insert(name.to_owned(), schema);
            }
            // Told by type.
            Some(_) => {}
        }
    }
    let reference = |of: &Type| format!("#/components/schemas/{}", of.schema_name(kind));
    let mapping = TYPES.iter().map(|of| (of.name.to_owned(), reference(of).into()));
    properties.insert(
        "destination".to_owned(),
        json!({
            "oneOf": TYPES.iter().map(|of| json!({"$ref": reference(of)})).collect::<Vec<_>>(),
            "discriminator": {"propertyName": "type", "mapping": mapping.collect::<Map<_, _>>()},
        }),
    );
    properties.insert(
        kind.to_string(),
        json!({"type": "object", "properties": service, "required": REQUIRED_OF_SERVICE}),
    );
    json!({"type": "object", "properties": properties, "required": ["id", "destination", kind.as_str()]})
}

fn destination(of: &Type, kind: JobKind, read: &[(String, Shape)], rules: &RequestRules) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, is_required, pattern) in of.all_members(kind, rules) {
        let path = format!("destination.{name}");
        let shape = read.iter().find(|(known, _)| *known == path).map(|(_, shape)| *shape);
        let Some(shape) = shape else {
            unreachable!("{path} is a member that is not read; a test looks for those");
        };
        let mut schema = members::schema(&path, shape, is_required, pattern, rules);
        if name == "type" {
            schema = json!({"const": of.name, "description": schema["description"]});
        }
        properties.insert(name.to_owned(), schema);
        if is_required {
            required.push(name);
        }
    }
    of.schema(properties.into(), required.into())
}

/// A request of this type with everything that it needs.
pub(super) fn example(kind: JobKind, of: &Type) -> Value {
    let mut destination = match of.name {
        "S3" => json!({"bucket": "my-backups", "authKey": "AKEY", "authSecret": "its secret"}),
        "SWIFT" => json!({
            "authUrl": "https://keystone.example.org:5000/v3", "domain": "Default", "project_name": "backups",
            "username": "agent", "password": "its password", "container_name": "my-backups",
        }),
        "GCS" => json!({"bucket": "my-backups", "serviceAccountKey": {
            "type": "service_account", "client_email": "agent@example.iam.gserviceaccount.com", "private_key_id": "1",
            "private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
        }}),
        "AZURE" => json!({"account": "myaccount", "container": "my-backups", "accountKey": "c2VjcmV0"}),
        _ => json!({"path": "/mnt/backups"}),
    };
    destination["type"] = of.name.into();
    if kind == JobKind::Restore {
        destination["filename"] = "localhost_2026_01_31_example.tar.gz".into();
    }
    let mut request = json!({"id": format!("example-{}", of.name), "destination": destination});
    request[kind.as_str()] = json!({"host": "localhost", "database": "example"});
    request
}
