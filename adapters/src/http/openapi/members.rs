//! What the members of requests mean, and what their text may be.

use domain::request::RequestRules;
use serde_json::{Value, json};

use crate::http::json::Shape;

/// Any text without NUL characters.
const ANY: &str = r"^[^\u0000]*$";
/// An address of a store: plain, with or without a scheme, or nothing.
pub(super) const ENDPOINT: &str =
    r"^(?:(?:[Hh][Tt][Tt][Pp][Ss]?://)?(?!.*://)[!$-.0-9;=A-Z\[\]^-~][!$-;=A-Z\[\]^-~]*)?$";
/// The same, where nobody may listen on the way.
pub(super) const SAFE_ENDPOINT: &str = r"^(?:https://(?!.*://)[!$-.0-9;=A-Z\[\]^-~][!$-;=A-Z\[\]^-~]*|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?)?$";
/// A host or a database: an argument, and part of a file name.
const NAME_PART: &str = r"^[^\u0000-\u001f\u007f-\u009f/.-][^\u0000-\u001f\u007f-\u009f/]*$";
/// What stands before a name in a store.
const PREFIX: &str = r"^(?!/)(?!.*//)(?!(?:.*/)?\.{1,2}(?:/|$))[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{0,769}$";
const FILENAME: &str = r"^(?!\.{1,2}$)[^\u0000-\u001f\u007f-\u009f/\\-][^\u0000-\u001f\u007f-\u009f/\\]{0,254}$";

/// Every member that is read: its path, with `service` for `backup` or `restore`, the pattern of its
/// text, and what it means.
pub(super) const MEMBERS: &[(&str, &str, &str)] = &[
    (
        "id",
        r"^[A-Za-z0-9_][A-Za-z0-9._~-]{0,127}$",
        "The caller's name for the job. It may be used once for a backup and once for a restore.",
    ),
    (
        "compression",
        ANY,
        "For the scripts: whether to compress. Default false.",
    ),
    (
        "encryption_key",
        ANY,
        "For the scripts: a key; empty or none means no encryption.",
    ),
    (
        "skipStorage",
        ANY,
        "true: scripts move the bytes themselves. Also taken in destination, which counts first.",
    ),
    ("destination.type", ANY, "Where artifacts are kept. Taken in any case."),
    (
        "destination.skipStorage",
        ANY,
        "true: scripts move the bytes themselves.",
    ),
    (
        "destination.skipSSL",
        ANY,
        "true: an endpoint without a scheme means http.",
    ),
    (
        "destination.endpoint",
        ENDPOINT,
        "Where the store is; not needed with public clouds.",
    ),
    (
        "destination.authUrl",
        ENDPOINT,
        "SWIFT: Keystone v3, or an address that ends in /auth/v1.0. S3: the same as endpoint, which counts first.",
    ),
    (
        "destination.region",
        ANY,
        "The store's region; S3: looked up if absent; SWIFT: the catalogue's first if absent.",
    ),
    ("destination.bucket", ANY, "The bucket."),
    (
        "destination.authKey",
        ANY,
        "The access key. Not needed where the agent's operator allows its own credentials for the bucket.",
    ),
    ("destination.authSecret", ANY, "The access key's secret."),
    (
        "destination.sessionToken",
        "^[!-~]*$",
        "Of keys that belong to a session.",
    ),
    (
        "destination.sse",
        "^(?:AES256|aws:kms)?$",
        "How the store is to encrypt new objects.",
    ),
    (
        "destination.sseKmsKeyId",
        "^[!-~]{0,2048}$",
        "With aws:kms: the key's id or ARN.",
    ),
    (
        "destination.storageClass",
        "^[A-Za-z0-9_-]{0,64}$",
        "The storage class of new objects.",
    ),
    (
        "destination.checksum",
        "^(?:none|crc64nvme|sha256)?$",
        "A checksum that is sent with every object. Default none.",
    ),
    (
        "destination.pathStyle",
        ANY,
        "Whether the bucket stands in the path of addresses.",
    ),
    (
        "destination.filenamePrefix",
        PREFIX,
        "Stands before the file name, character by character.",
    ),
    (
        "destination.filename",
        FILENAME,
        "Restores: the object, without the prefix; the filename of the backup's polling body.",
    ),
    (
        "destination.sha256",
        "^(?:[0-9A-Fa-f]{64})?$",
        "Restores: the SHA-256 that the object must have.",
    ),
    (
        "destination.filesize",
        ANY,
        "Restores: the length that the object must have, in bytes, alone or as in a polling body.",
    ),
    ("destination.domain", ANY, "The domain of user and project."),
    ("destination.container_name", ANY, "The container."),
    ("destination.project_name", ANY, "The project."),
    ("destination.username", ANY, "The user."),
    ("destination.password", ANY, "The user's password."),
    (
        "destination.path",
        r"^(?!.*/\.\.(?:/|$))/[^\u0000\n\r\u2028\u2029]*$",
        "An existing directory below one of the agent's allowed_file_roots.",
    ),
    (
        "destination.serviceAccountKey",
        ANY,
        "The service account's key file, as an object or as a string that holds it.",
    ),
    ("destination.account", ANY, "The storage account."),
    ("destination.container", ANY, "The container."),
    (
        "destination.accountKey",
        r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        "A key of the account; or else sasToken.",
    ),
    (
        "destination.sasToken",
        r"^(?:\?*(?:[!-%'-.0-~]+=[!-%'-.0-~]*&)*sig=[!-%'-.0-~]*)?$",
        "A shared access signature; or else accountKey.",
    ),
    (
        "service.host",
        NAME_PART,
        "The database's host, for the scripts. Jobs of one host and database run one at a time.",
    ),
    (
        "service.username",
        r"^(?!-)[^\u0000]*$",
        "The database's user, for the scripts.",
    ),
    (
        "service.user",
        r"^(?!-)[^\u0000]*$",
        "The same as username, which counts first.",
    ),
    ("service.password", ANY, "The user's password, for the scripts."),
    ("service.database", NAME_PART, "The database, for the scripts."),
    (
        "service.parameters",
        ANY,
        "Environment variables for every script, by their names. Of one name given twice the last value counts.",
    ),
];

/// The schema of an id.
pub(super) fn id() -> Value {
    let pattern = MEMBERS
        .iter()
        .find(|(path, _, _)| *path == "id")
        .map(|(_, pattern, _)| *pattern);
    json!({"type": "string", "pattern": pattern})
}

/// The schema of a member. One that is not required may be null.
pub(super) fn schema(
    path: &str,
    shape: Shape,
    required: bool,
    own_pattern: Option<&str>,
    rules: &RequestRules,
) -> Value {
    let row = MEMBERS.iter().find(|(known, _, _)| *known == path);
    let (pattern, tells) = row.map_or((ANY, ""), |(_, pattern, tells)| (*pattern, *tells));
    let pattern = own_pattern.unwrap_or(pattern);
    let or_null = |name: &str| if required { json!(name) } else { json!([name, "null"]) };
    let mut schema = match shape {
        Shape::Text => json!({"type": or_null("string"), "pattern": pattern}),
        Shape::Secret => json!({"type": or_null("string"), "pattern": pattern, "writeOnly": true}),
        Shape::Boolean => json!({"type": or_null("boolean")}),
        Shape::FileSize => file_size(),
        Shape::ServiceAccountKey => service_account_key(),
        Shape::Parameters => parameters(rules),
    };
    if required && own_pattern.is_none() && pattern == ANY && matches!(shape, Shape::Text | Shape::Secret) {
        schema["minLength"] = json!(1);
    }
    schema["description"] = tells.into();
    schema
}

fn file_size() -> Value {
    // What every client can write, also where it knows no numbers but fractions.
    let bytes = json!({"type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_992_u64});
    let object = json!({"type": "object", "properties": {"size": bytes}, "required": ["size"]});
    json!({"anyOf": [bytes, object, {"type": "null"}]})
}

fn service_account_key() -> Value {
    let text = json!({"type": "string", "minLength": 1, "pattern": ANY});
    let object = json!({
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["service_account", null]},
            "client_email": text,
            "private_key_id": text,
            "private_key": {
                "type": "string",
                "pattern": r"^-----BEGIN [A-Z ]*PRIVATE KEY-----\n[^\u0000]*$",
                "description": "In PEM, with its line ends.",
            },
        },
        "required": ["client_email", "private_key_id", "private_key"],
    });
    let as_text = json!({"type": "string", "contentMediaType": "application/json", "contentSchema": object});
    json!({"anyOf": [object, as_text], "writeOnly": true})
}

fn parameters(rules: &RequestRules) -> Value {
    let refused = domain::request::refused_names(&rules.agent_variables);
    let object = json!({
        "type": "object",
        "propertyNames": {
            "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "not": {"anyOf": [
                {"enum": refused.names},
                {"pattern": format!("^(?:{})", refused.prefixes.join("|"))},
            ]},
        },
        "additionalProperties": {
            "type": ["string", "number", "boolean", "null"],
            "pattern": ANY,
            "maxLength": domain::request::MAX_PARAMETER_BYTES,
        },
    });
    let list = json!({"type": "array", "items": {"anyOf": [object, {"type": "null"}]}});
    json!({"anyOf": [object, list, {"type": "null"}], "writeOnly": true})
}
