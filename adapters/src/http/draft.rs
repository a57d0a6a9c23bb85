//! From JSON to the domain's draft of a request.

use domain::{
    job::JobId,
    plan::JobKind,
    request::{DestinationDraft, Draft, Faults, JobRequest, RequestRules, ServiceAccountDraft, ServiceDraft},
    secret::Secret,
};
use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use super::json::{Members, Notes, Reader, Shape};

/// The id alone, which is checked before all other members.
///
/// # Errors
///
/// If it is missing, no string, or no valid id.
pub(super) fn id(members: &Members<'_>) -> Result<JobId, Faults> {
    let mut faults = Faults::default();
    let problem = match members.get("id") {
        None => "is missing".to_owned(),
        Some(raw) => match serde_json::from_str::<String>(raw.get()) {
            Err(_) => "must be a string".to_owned(),
            Ok(text) => match JobId::parse(&text) {
                Ok(id) => return Ok(id),
                Err(invalid) => invalid.to_string(),
            },
        },
    };
    faults.add("id", problem);
    Err(faults)
}

/// The request of a body.
///
/// # Errors
///
/// All that is wrong with it, as the client is told.
pub(super) fn request(kind: JobKind, members: Members<'_>, rules: &RequestRules) -> Result<JobRequest, String> {
    let checked = match id(&members) {
        Ok(id) => {
            let (draft, faults) = read(kind, id, members, Faults::default());
            draft.check(rules, faults)
        }
        Err(of_id) => Err(all_faults(kind, members, of_id, rules)),
    };
    checked.map_err(|faults| faults.to_string())
}

/// All that is wrong with a request whose id is wrong already.
pub(super) fn all_faults(kind: JobKind, members: Members<'_>, of_id: Faults, rules: &RequestRules) -> Faults {
    let stand_in = JobId::parse("_").expect("an id");
    let (draft, faults) = read(kind, stand_in, members, of_id);
    draft.check(rules, faults).err().unwrap_or_default()
}

/// Reads a trigger's members. What has the wrong type is added to the faults.
pub(super) fn read(kind: JobKind, id: JobId, members: Members<'_>, faults: Faults) -> (Draft, Faults) {
    let mut notes = Notes { faults, asked: None };
    let draft = read_noting(kind, id, members, &mut notes);
    (draft, notes.faults)
}

/// Every member that is read, by its path: what the reading itself asks for, so that no list of them
/// can be wrong.
pub(super) fn all_members(kind: JobKind) -> Vec<(String, Shape)> {
    let mut notes = Notes {
        faults: Faults::default(),
        asked: Some(vec![("id".to_owned(), Shape::Text)]),
    };
    let stand_in = JobId::parse("_").expect("an id");
    read_noting(kind, stand_in, Members::default(), &mut notes);
    notes.asked.unwrap_or_default()
}

fn read_noting(kind: JobKind, id: JobId, members: Members<'_>, notes: &mut Notes) -> Draft {
    let (destination, skips_storage) = destination(Reader::below(&members, "destination", notes));
    let service = service(Reader::below(&members, kind.as_str(), notes));
    let mut top = Reader::top(members, notes);
    Draft {
        kind,
        id,
        destination,
        service,
        compression: top.boolean("compression"),
        encryption_key: top.secret("encryption_key"),
        skip_storage: skips_storage.or(top.boolean("skipStorage")),
    }
}

/// The destination, and `skipStorage`, which clients of the original put there.
fn destination(mut from: Reader<'_, '_>) -> (DestinationDraft, Option<bool>) {
    let skips_storage = from.boolean("skipStorage");
    let draft = DestinationDraft {
        kind: from.string("type"),
        endpoint: from.string("endpoint"),
        auth_url: from.string("authUrl"),
        region: from.string("region"),
        bucket: from.string("bucket"),
        auth_key: from.secret("authKey"),
        auth_secret: from.secret("authSecret"),
        session_token: from.secret("sessionToken"),
        sse: from.string("sse"),
        sse_kms_key_id: from.string("sseKmsKeyId"),
        storage_class: from.string("storageClass"),
        checksum: from.string("checksum"),
        path_style: from.boolean("pathStyle"),
        skip_ssl: from.boolean("skipSSL"),
        filename_prefix: from.string("filenamePrefix"),
        filename: from.string("filename"),
        sha256: from.string("sha256"),
        filesize: filesize(&mut from),
        domain: from.string("domain"),
        container_name: from.string("container_name"),
        project_name: from.string("project_name"),
        username: from.string("username"),
        password: from.secret("password"),
        path: from.string("path"),
        service_account_key: service_account_key(&mut from),
        account: from.string("account"),
        container: from.string("container"),
        account_key: from.secret("accountKey"),
        sas_token: from.secret("sasToken"),
    };
    (draft, skips_storage)
}

/// The key file of a service account, as an object or as a string that holds one. What is wrong is
/// told without any of it.
fn service_account_key(from: &mut Reader<'_, '_>) -> Option<ServiceAccountDraft> {
    #[derive(Deserialize)]
    struct KeyFile {
        #[serde(rename = "type")]
        kind: Option<String>,
        client_email: Option<String>,
        private_key_id: Option<String>,
        private_key: Option<String>,
    }

    const MEMBER: &str = "serviceAccountKey";
    let raw = from.raw(MEMBER, Shape::ServiceAccountKey)?.get();
    let text = serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned());
    if text.is_empty() {
        return None;
    }
    let Ok(file) = serde_json::from_str::<KeyFile>(&text) else {
        from.fault(
            MEMBER,
            "must be the JSON of a service account's key file, as an object or as a string",
        );
        return Some(ServiceAccountDraft::default());
    };
    Some(ServiceAccountDraft {
        kind: file.kind,
        client_email: file.client_email,
        private_key_id: file.private_key_id,
        private_key: file.private_key.map(Secret::new),
        key_file: Secret::new(text),
    })
}

/// A number of bytes, alone or as in a polling body: `{"size": 123, "unit": "byte"}`.
fn filesize(from: &mut Reader<'_, '_>) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum FileSize {
        Bytes(Number),
        Object { size: Number },
    }

    const MEMBER: &str = "filesize";
    let size = match serde_json::from_str(from.raw(MEMBER, Shape::FileSize)?.get()) {
        Ok(FileSize::Bytes(size) | FileSize::Object { size }) => whole(&size),
        Err(_) => None,
    };
    if size.is_none() {
        from.fault(MEMBER, "must be a number of bytes, or an object with one as size");
    }
    size
}

/// Beyond this, neighbours of whole numbers are lost in fractions.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A whole number, which some clients write as `123.0`.
fn whole(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let number = number.as_f64()?;
        let is_whole = number.fract() == 0.0 && (0.0..=MAX_WHOLE).contains(&number);
        is_whole.then_some(number as u64)
    })
}

fn service(mut from: Reader<'_, '_>) -> ServiceDraft {
    let username = from.string("username");
    let user = from.string("user");
    ServiceDraft {
        host: from.string("host"),
        user: username.or(user),
        password: from.secret("password"),
        database: from.string("database"),
        parameters: parameters(&mut from),
    }
}

/// A list of objects with simple values, or one such object.
fn parameters(from: &mut Reader<'_, '_>) -> Vec<(String, Secret)> {
    const MEMBER: &str = "parameters";
    let Some(raw) = from.raw(MEMBER, Shape::Parameters) else {
        return Vec::new();
    };
    let objects: Option<Vec<Option<Members<'_>>>> = if raw.get().starts_with('[') {
        serde_json::from_str(raw.get()).ok()
    } else {
        serde_json::from_str(raw.get()).ok().map(|object| vec![Some(object)])
    };
    let Some(objects) = objects else {
        from.fault(MEMBER, "must be a list of objects with simple values");
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for (name, value) in objects.iter().flatten().flat_map(Members::iter) {
        match simple(value) {
            Some(text) => pairs.push((name.to_owned(), Secret::new(text))),
            None => from.fault(
                &format!("{MEMBER}.{}", name.escape_debug()),
                "must be a simple value: a string, a number, true, false or null",
            ),
        }
    }
    pairs
}

/// The text of a simple value: numbers keep their digits, `null` is empty.
fn simple(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'{' | b'[' => None,
        b'n' => Some(String::new()),
        _ => Some(raw.get().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesize_is_a_whole_number_however_it_is_written() {
        for (text, size) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("7e2", Some(700)),
            ("0.0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            (r#"{"size": 7.0, "unit": "byte"}"#, Some(7)),
            ("7.5", None),
            ("-1", None),
            ("1e300", None),
            ("\"7\"", None),
            ("{}", None),
        ] {
            let body = format!(r#"{{"destination": {{"filesize": {text}}}}}"#);
            let members = Members::of_body(body.as_bytes()).expect("an object");
            let id = JobId::parse("j").expect("an id");
            let (draft, faults) = read(JobKind::Restore, id, members, Faults::default());
            assert_eq!(draft.destination.filesize, size, "{text}");
            assert_eq!(faults.has("destination.filesize"), size.is_none(), "{text}");
        }
    }
}
