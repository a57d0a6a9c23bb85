//! Request bodies, and the means to change one member of them.

use serde_json::{Value, json};

use super::{Kind, Place};

/// A backup of the database `id`, so that two jobs never wait for each other by accident.
pub(crate) fn backup(id: &str, destination: &Value) -> Value {
    json!({
        "id": id,
        "destination": destination,
        "backup": {"host": "db.example", "user": "app", "password": "pw", "database": id},
    })
}

/// A restore of `filename` into the database `id`.
pub(crate) fn restore(id: &str, destination: &Value, filename: &str) -> Value {
    json!({
        "id": id,
        "destination": destination,
        "restore": {"host": "db.example", "user": "app", "password": "pw", "database": id},
    })
    .with("/destination/filename", filename)
}

/// A request of either kind; a restore asks for `object`.
pub(crate) fn start(kind: Kind, id: &str, destination: &Value) -> Value {
    match kind {
        Kind::Backup => backup(id, destination),
        Kind::Restore => restore(id, destination, "object"),
    }
}

/// The usual directory as a destination.
pub(crate) fn file_store(place: &Place) -> Value {
    json!({"type": "FILE", "path": place.objects()})
}

/// An S3 destination that nobody serves: for requests that never come to a transfer.
pub(crate) fn refused_s3() -> Value {
    json!({"type": "S3", "bucket": "bucket", "region": "us-east-1", "endpoint": "http://127.0.0.1:9",
        "authKey": "key", "authSecret": "secret"})
}

/// Changes of single members, addressed by JSON pointers.
pub(crate) trait Body: Sized {
    /// With this member set; the objects on the way to it are made if they are missing.
    fn with(self, pointer: &str, value: impl Into<Value>) -> Self;
    /// Without this member.
    fn without(self, pointer: &str) -> Self;
}

impl Body for Value {
    fn with(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut target = &mut self;
        for name in pointer.split('/').skip(1) {
            if !target.is_object() {
                *target = json!({});
            }
            target = &mut target[name];
        }
        *target = value.into();
        self
    }

    fn without(mut self, pointer: &str) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
        self.pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .and_then(|object| object.remove(name))
            .unwrap_or_else(|| panic!("there is no {pointer}"));
        self
    }
}
