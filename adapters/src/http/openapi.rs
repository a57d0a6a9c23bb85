//! `GET /openapi.json`: what the agent takes and answers, as an OpenAPI 3.1 document.
//!
//! Nothing in it is written down a second time: paths and codes come from the operations that are
//! routed, members of requests from the reader of requests, members of answers from answers. What
//! the code cannot tell, meanings and patterns, is in tables, which tests hold against the code.

mod answers;
mod destinations;
mod members;
mod requests;

use domain::request::RequestRules;
use serde_json::{Map, Value, json};
use warp::http::{Method, StatusCode};

use super::{
    operation::{Access, Answer, Form, Holds, Operation, Parameter, Takes, answer},
    reply,
    route::Routes,
};

pub(super) fn add_to(routes: &mut Routes) {
    let operation = Operation {
        method: Method::GET,
        path: "/openapi.json".to_owned(),
        name: "openapi".to_owned(),
        summary: "This document.",
        takes: Takes::Nothing,
        access: Access::Known,
        audited: None,
        answers: vec![answer(StatusCode::OK, Holds::Document, "This document.")],
    };
    routes.add(operation, |call| async move {
        reply::document(call.routes.document(&call.context))
    });
}

/// The document of all operations, for an agent with these rules.
pub(super) fn document(routes: &Routes, rules: &RequestRules, has_open_metrics: bool) -> Value {
    let mut paths = Map::new();
    for operation in routes.operations() {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        let mut told = described(operation);
        if let Some(security) = security(operation.access, has_open_metrics) {
            told["security"] = security;
        }
        if operation.method == Method::GET {
            path["head"] = head_of(operation, &told);
        }
        path[operation.method.as_str().to_ascii_lowercase()] = told;
    }
    let mut schemas = answers::schemas();
    schemas.extend(requests::schemas(rules));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "osb-backup-agent",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Runs the operator's phase scripts beside a database, moves the artifact to or from a \
                store, and lets the caller poll.\n\nRequests are read more tolerantly than is told here: names of \
                members in any case, unknown members are ignored, a member given twice counts as its last, and what \
                has a type may be null, which is the same as absent. What is told here is what to send.\n\nEvery \
                path answers 405 with `Allow` to other methods, and every other path 404, both with an Error.\n\nEvery \
                answer has X-Request-Id, by which its lines are found in the log: that of the request, if it was \
                1 to 128 letters, digits or . _ ~ : -, or a new one.",
        },
        "security": [{"basic": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
            "schemas": schemas,
        },
    })
}

fn described(operation: &Operation) -> Value {
    let answers = operation.all_answers();
    let responses = answers
        .iter()
        .map(|answer| (answer.status.as_str().to_owned(), response(operation, answer)));
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses.collect::<Map<_, _>>(),
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    let body = match operation.takes {
        Takes::Nothing | Takes::Query(_) => return described,
        Takes::Trigger(kind) => requests::body_of_trigger(kind),
        Takes::AnyTrigger => requests::body_of_any_trigger(),
        Takes::Id => requests::body_with_id(),
    };
    described["requestBody"] = body;
    described
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let mut all = Vec::new();
    if operation.path.contains("{id}") {
        all.push(json!({
            "name": "id",
            "in": "path",
            "required": true,
            "description": "The id that the job was triggered with.",
            "schema": members::id(),
        }));
    }
    if let Takes::Query(parameters) = operation.takes {
        let schema = |form| match form {
            Form::Any => json!({"type": "string"}),
            Form::Pattern(pattern) => json!({"type": "string", "pattern": pattern}),
            Form::OneOf(words) => json!({"type": "string", "enum": words}),
            Form::Time => json!({"type": "string", "format": "date-time"}),
            Form::UpTo(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
        };
        all.extend(parameters.iter().map(|Parameter { name, form, tells }| {
            json!({"name": name, "in": "query", "description": tells, "schema": schema(*form)})
        }));
    }
    all
}

/// Where it is not that of all others.
fn security(access: Access, has_open_metrics: bool) -> Option<Value> {
    let with_or_without = || json!([{"basic": []}, {}]);
    match access {
        Access::Known => None,
        Access::Everyone => Some(json!([])),
        Access::Strangers => Some(with_or_without()),
        Access::AsMetricsAre => has_open_metrics.then(with_or_without),
    }
}

/// As GET, without bodies.
fn head_of(get: &Operation, told: &Value) -> Value {
    let mut described = told.clone();
    described["operationId"] = format!("head_{}", get.name).into();
    described["summary"] = "As GET, without a body.".into();
    if let Some(responses) = described["responses"].as_object_mut() {
        for response in responses.values_mut().filter_map(Value::as_object_mut) {
            response.remove("content");
        }
    }
    described
}

fn response(operation: &Operation, answer: &Answer) -> Value {
    let mut response = json!({"description": answer.means});
    if let Some(schema) = answers::schema_of(answer.holds) {
        let media_type = match answer.holds {
            Holds::Metrics => "text/plain",
            Holds::Check
            | Holds::Jobs
            | Holds::Nothing
            | Holds::Message
            | Holds::Status
            | Holds::Error
            | Holds::Polling(_)
            | Holds::Document => "application/json",
        };
        response["content"] = json!({media_type: {"schema": schema}});
    }
    if let Some((name, tells)) = header_of(answer.status) {
        response["headers"] = json!({name: {"description": tells, "required": true, "schema": {"type": "string"}}});
    }
    if let (Takes::Trigger(kind), StatusCode::CREATED) = (operation.takes, answer.status) {
        // What a client, or a test, does next.
        let by_id = |of: &str| json!({"operationId": of, "parameters": {"id": "$request.body#/id"}});
        response["links"] = json!({
            "poll": by_id(&format!("get_{kind}")),
            "cancel": by_id(&format!("cancel_{kind}")),
            "delete": {"operationId": format!("delete_{kind}"), "requestBody": {"id": "$request.body#/id"}},
        });
    }
    response
}

/// The header that comes with a code, and what it tells.
pub(super) fn header_of(status: StatusCode) -> Option<(&'static str, &'static str)> {
    match status {
        StatusCode::CREATED => Some(("Location", "The path of the job.")),
        StatusCode::UNAUTHORIZED => Some(("WWW-Authenticate", "Basic, and the realm.")),
        StatusCode::SERVICE_UNAVAILABLE => Some(("Retry-After", "Seconds, after which to ask again.")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
