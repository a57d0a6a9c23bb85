//! Which members belong to which type of destination.

use domain::{plan::JobKind, request::RequestRules};
use serde_json::{Value, json};

use super::members::{ENDPOINT, SAFE_ENDPOINT};

/// A type of destination.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    tells: &'static str,
    /// Its own members: name, whether it is required, and its pattern where the type has one of its own.
    pub(super) members: &'static [(&'static str, bool, Option<&'static str>)],
}

/// Members of all types: name, and whether it is required.
pub(super) const OF_ALL: &[(&str, bool)] = &[("type", true), ("skipStorage", false), ("skipSSL", false)];
/// Members of all types, in requests of restores alone.
pub(super) const OF_RESTORES: &[(&str, bool)] = &[("filename", true), ("sha256", false), ("filesize", false)];

/// All types.
pub(super) const TYPES: &[Type] = &[
    Type {
        name: "S3",
        tells: "A bucket of S3, at AWS or anywhere.",
        members: &[
            ("bucket", true, Some(r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$")),
            ("authKey", true, None),
            ("authSecret", true, None),
            ("sessionToken", false, None),
            ("endpoint", false, None),
            ("authUrl", false, None),
            ("region", false, Some("^[A-Za-z0-9._-]*$")),
            ("pathStyle", false, None),
            ("filenamePrefix", false, None),
            ("sse", false, None),
            ("sseKmsKeyId", false, None),
            ("storageClass", false, None),
            ("checksum", false, None),
        ],
    },
    Type {
        name: "SWIFT",
        tells: "A container of OpenStack Swift.",
        members: &[
            ("authUrl", true, Some(REQUIRED_ENDPOINT)),
            ("domain", false, None),
            ("project_name", false, None),
            ("username", true, None),
            ("password", true, None),
            ("container_name", true, None),
            ("region", false, None),
        ],
    },
    Type {
        name: "GCS",
        tells: "A bucket of Google Cloud Storage.",
        members: &[
            ("bucket", true, Some(r"^(?!\.{1,2}$)[a-z0-9._-]{1,255}$")),
            ("serviceAccountKey", true, None),
            ("filenamePrefix", false, None),
            ("endpoint", false, Some(SAFE_ENDPOINT)),
        ],
    },
    Type {
        name: "AZURE",
        tells: "A container of Azure Blob Storage.",
        members: &[
            ("account", true, Some("^[a-z0-9]{1,255}$")),
            ("container", true, Some("^[a-z0-9-]{1,255}$")),
            ("accountKey", false, None),
            ("sasToken", false, None),
            ("filenamePrefix", false, None),
            ("endpoint", false, Some(ENDPOINT)),
        ],
    },
    Type {
        name: "FILE",
        tells: "A directory of the agent's machine, a mount for one.",
        members: &[("path", true, None)],
    },
];

const REQUIRED_ENDPOINT: &str = r"^(?:[Hh][Tt][Tt][Pp][Ss]?://)?(?!.*://)[!$-.0-9;=A-Z\[\]^-~][!$-;=A-Z\[\]^-~]*$";

impl Type {
    /// The name of its schema.
    pub(super) fn schema_name(&self, kind: JobKind) -> String {
        let kind = match kind {
            JobKind::Backup => "Backup",
            JobKind::Restore => "Restore",
        };
        format!("{kind}Destination{}", self.name)
    }

    /// Name, whether it is required, and its own pattern, of each member in requests of this kind.
    pub(super) fn all_members(
        &self,
        kind: JobKind,
        rules: &RequestRules,
    ) -> Vec<(&'static str, bool, Option<&'static str>)> {
        let of_kind = match kind {
            JobKind::Backup => &[],
            JobKind::Restore => OF_RESTORES,
        };
        let common = OF_ALL
            .iter()
            .chain(of_kind)
            .map(|(name, required)| (*name, *required, None));
        let has_own_keys = rules.ambient_buckets.is_some();
        let own = self.members.iter().map(|(name, required, pattern)| {
            let by_agent = has_own_keys && matches!(*name, "authKey" | "authSecret");
            (*name, *required && !by_agent, *pattern)
        });
        common.chain(own).collect()
    }

    /// The schema around its members.
    pub(super) fn schema(&self, properties: Value, required: Value) -> Value {
        let mut schema = json!({
            "type": "object",
            "description": self.tells,
            "properties": properties,
            "required": required,
        });
        let text = json!({"type": "string", "minLength": 1});
        match self.name {
            "S3" => {
                schema["if"] = json!({"properties": {"sse": {"const": "aws:kms"}}, "required": ["sse"]});
                schema["else"] = json!({"properties": {"sseKmsKeyId": {"maxLength": 0}}});
            }
            "SWIFT" => {
                schema["anyOf"] = json!([
                    {"required": ["domain", "project_name"], "properties": {"domain": text, "project_name": text}},
                    {"properties": {"authUrl": {"pattern": "/auth/v1\\.0/*$"}}},
                ]);
            }
            "AZURE" => {
                let absent = json!({"maxLength": 0});
                schema["oneOf"] = json!([
                    {"required": ["accountKey"], "properties": {"accountKey": text, "sasToken": absent}},
                    {
                        "required": ["sasToken"],
                        "properties": {
                            "sasToken": text, "accountKey": absent, "endpoint": {"pattern": SAFE_ENDPOINT},
                            "skipSSL": {"type": ["boolean", "null"]},
                        },
                    },
                ]);
            }
            _ => {}
        }
        schema
    }
}
