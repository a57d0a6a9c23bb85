//! Schemas of answers, made from answers as they are serialised.

use domain::{
    job::{Outcome, PhaseStatus},
    plan::{JobKind, Phase},
    ports::Standing,
};
use serde_json::{Map, Value, json};

use crate::http::{listing::Page, operation::Holds, polling::PollingBody, reply};

/// What members mean, and their patterns, by the names of schema and member.
pub(super) const TELLS: &[(&str, &str, &str)] = &[
    ("Message", "message", "A sentence."),
    ("Status", "message", "A sentence."),
    (
        "Status",
        "problems",
        "What somebody should see to, one text each; empty if all is well.",
    ),
    ("Check", "ok", "Whether all that was looked at is as it should be."),
    (
        "Check",
        "findings",
        "What was looked at, in order: its name, whether it is as it should be, what is to be told of it, and how long \
         the look took. What is wrong comes with how to mend it.",
    ),
    ("Error", "message", "A sentence."),
    ("Error", "state", "Where it happened."),
    ("Error", "error_message", "What went wrong, and what to do."),
    (
        "Polling",
        "status",
        "RUNNING from the first moment, then SUCCEEDED or FAILED.",
    ),
    ("Polling", "message", "A sentence."),
    (
        "Polling",
        "state",
        "The phase at work; queued before the first, finished at the end; Body Deserialization of a refused request.",
    ),
    (
        "Polling",
        "error_message",
        "The first failure, and what went wrong later; absent if nothing did.",
    ),
    ("Polling", "type", "The destination's type, in upper case."),
    ("Polling", "compression", "As requested."),
    ("Polling", "skip_storage", "Whether scripts move the bytes themselves."),
    ("Polling", "skipSSL", "As requested."),
    ("Polling", "region", "As requested; absent if empty."),
    ("Polling", "endpoint", "As requested; absent if empty."),
    ("Polling", "bucket", "As requested; absent if empty."),
    ("Polling", "authUrl", "As requested; absent if empty."),
    ("Polling", "domain", "As requested; absent if empty."),
    ("Polling", "container_name", "As requested; absent if empty."),
    ("Polling", "project_name", "As requested; absent if empty."),
    ("Polling", "account", "As requested; absent if empty."),
    ("Polling", "container", "As requested; absent if empty."),
    ("Polling", "path", "As requested; absent if empty."),
    (
        "Polling",
        "filename",
        "The object's name without its prefix; empty until it is known to be in the store.",
    ),
    ("Polling", "filenamePrefix", "As requested."),
    ("Polling", "filesize", "The object's length; 0 until it is known."),
    ("Polling", "start_time", "When the job was accepted, UTC."),
    ("Polling", "end_time", "When the job ended, UTC; empty until then."),
    ("Polling", "execution_time_ms", "From start to end; 0 until then."),
    (
        "Polling",
        "outcome",
        "How the job ended, interrupted by the agent's stop or death for one; absent until then.",
    ),
    (
        "Polling",
        "lock_released",
        "Whether the lock was released; absent if none was tried.",
    ),
    ("Polling", "sha256", "The artifact's SHA-256; absent until it is known."),
    (
        "Polling",
        "phases",
        "How each phase went or goes, in order; a phase that comes in two pieces is there twice. Absent of a refused \
         request.",
    ),
    (
        "Polling",
        "locked_since",
        "Since when the service may be locked; absent if it is not.",
    ),
    (
        "Polling",
        "lock_held_ms",
        "How long the service was locked, or has been so far; absent if it was not, and of a job that has ended and \
         left it locked.",
    ),
    (
        "Polling",
        "queue_position",
        "The job's place among those that wait, the first being 1; absent if it does not wait.",
    ),
    (
        "Polling",
        "progress",
        "How far the step at work has come; absent between two steps and at the end.",
    ),
    (
        "Jobs",
        "jobs",
        "The jobs, newest first. What is not known of one is absent.",
    ),
    (
        "Jobs",
        "next",
        "The cursor for the jobs behind these, of which there may be none that are wanted; absent at the end.",
    ),
];

/// The schema of a body; none where there is none.
pub(super) fn schema_of(holds: Holds) -> Option<Value> {
    let name = match holds {
        Holds::Nothing => return None,
        Holds::Document => return Some(json!({"type": "object"})),
        Holds::Metrics => return Some(json!({"type": "string"})),
        Holds::Message => "Message".to_owned(),
        Holds::Status => "Status".to_owned(),
        Holds::Error => "Error".to_owned(),
        Holds::Jobs => "Jobs".to_owned(),
        Holds::Check => "Check".to_owned(),
        Holds::Polling(kind) => polling_name(kind).to_owned(),
    };
    Some(json!({"$ref": format!("#/components/schemas/{name}")}))
}

fn polling_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Backup => "Backup",
        JobKind::Restore => "Restore",
    }
}

/// All schemas of answers.
pub(super) fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    for (name, sample) in [
        ("Message", value_of(&reply::Message::default())),
        ("Error", value_of(&reply::ErrorBody::default())),
        ("Check", value_of(&reply::Check::sample())),
        (
            "Status",
            value_of(&reply::Status {
                problems: vec![String::new()],
                ..reply::Status::default()
            }),
        ),
    ] {
        schemas.insert(name.to_owned(), object(name, &sample, &sample));
    }
    let mut jobs = object("Jobs", &value_of(&Page::most()), &value_of(&Page::least()));
    narrow_row(&mut jobs["properties"]["jobs"]["items"]);
    schemas.insert("Jobs".to_owned(), jobs);
    for kind in JobKind::ALL {
        let least = value_of(&PollingBody::least(kind));
        let mut schema = object("Polling", &value_of(&PollingBody::most(kind)), &least);
        narrow(&mut schema["properties"], kind);
        schemas.insert(polling_name(kind).to_owned(), schema);
    }
    schemas
}

fn value_of(body: &impl serde::Serialize) -> Value {
    serde_json::to_value(body).expect("bodies have text keys and plain values")
}

/// The schema of objects with all the members of `most`; those of `least` are always there.
fn object(schema: &str, most: &Value, least: &Value) -> Value {
    let names = |value: &Value| {
        value
            .as_object()
            .map(|object| object.keys().cloned().collect::<Vec<_>>())
    };
    let members = most.as_object().into_iter().flatten();
    let properties = members.map(|(name, value)| {
        let mut property = type_of(value);
        let row = TELLS.iter().find(|(of, member, _)| *of == schema && member == name);
        if let Some((_, _, tells)) = row {
            property["description"] = (*tells).into();
        }
        (name.clone(), property)
    });
    json!({
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "required": names(least),
    })
}

fn type_of(value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Null => json!({"type": "string"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(_) => json!({"type": "integer", "minimum": 0}),
        Value::Array(items) => json!({"type": "array", "items": items.first().map(type_of)}),
        Value::Object(_) => object("", value, value),
    }
}

/// The same of a job in the list.
fn narrow_row(row: &mut Value) {
    row["required"] = json!([
        "kind",
        "id",
        "host",
        "database",
        "status",
        "state",
        "start_time",
        "end_time",
        "execution_time_ms",
        "skip_storage",
        "unlock_owed",
    ]);
    let properties = &mut row["properties"];
    properties["kind"]["enum"] = JobKind::ALL.map(JobKind::as_str).to_vec().into();
    properties["status"]["enum"] = Standing::ALL.map(Standing::as_str).to_vec().into();
    properties["outcome"]["enum"] = Outcome::ALL.map(Outcome::as_str).to_vec().into();
    narrow_progress(&mut properties["progress"]);
}

fn narrow_progress(progress: &mut Value) {
    progress["required"] = json!(["phase", "step"]);
    let properties = &mut progress["properties"];
    properties["step"]["enum"] = json!(["script", "artifact", "upload", "download", "file"]);
    for (name, tells) in [
        (
            "bytes_done",
            "How many bytes have moved; of a backup script, how long its artifact is by now.",
        ),
        ("bytes_total", "How many there are in all."),
        ("bytes_per_second", "The average of the last minute."),
        (
            "eta_seconds",
            "How long it takes yet at this pace; absent while nothing moves.",
        ),
    ] {
        properties[name]["description"] = tells.into();
    }
}

/// The members of a polling body of which more is known than their types.
fn narrow(properties: &mut Value, kind: JobKind) {
    properties["status"]["enum"] = json!(["RUNNING", "SUCCEEDED", "FAILED"]);
    let phases = kind.phases().iter().copied().map(Phase::as_str);
    let others = ["queued", "finished", "Body Deserialization"];
    properties["state"]["enum"] = phases.chain(others).collect();
    properties["outcome"]["enum"] = json!(["succeeded", "failed", "cancelled", "interrupted"]);
    let phase = &mut properties["phases"]["items"];
    phase["required"] = json!(["name", "status", "timed_out"]);
    phase["properties"]["name"]["enum"] = kind.phases().iter().copied().map(Phase::as_str).collect();
    phase["properties"]["status"]["enum"] = PhaseStatus::ALL.map(PhaseStatus::as_str).to_vec().into();
    narrow_progress(&mut properties["progress"]);
    properties["sha256"]["pattern"] = "^[0-9a-f]{64}$".into();
    for name in ["start_time", "end_time"] {
        properties[name]["pattern"] = r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+00:00)?$".into();
    }
    for phase in kind.phases() {
        let name = phase.as_str().replace('-', "_");
        for (ending, stream) in [("log", "standard output"), ("errorlog", "standard error")] {
            properties[format!("{name}_{ending}")]["description"] =
                format!("The first and the last 64 KiB of the {stream} of {}.", phase.as_str()).into();
        }
    }
}
