//! The request's body: a file's, or one made of options and of the secrets of the environment.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use domain::{job::JobId, secret::Secret};
use serde_json::{Map, Value, json, value::RawValue};
use uuid::Uuid;

use super::{options::RequestOptions, trouble::Trouble};
use crate::{
    demo::job::JobType,
    secrets::{self, Look, secret},
};

/// The agent takes no larger ones.
const LARGEST_REQUEST_BYTES: u64 = 1024 * 1024;

/// Members of a destination that are secret, in small letters, and where they are taken from instead.
const SECRET_MEMBERS: [(&str, &str); 7] = [
    ("authkey", "AWS_ACCESS_KEY_ID"),
    ("authsecret", "AWS_SECRET_ACCESS_KEY"),
    ("sessiontoken", "AWS_SESSION_TOKEN"),
    ("password", "OS_PASSWORD"),
    ("accountkey", "AZURE_STORAGE_KEY"),
    ("sastoken", "AZURE_STORAGE_SAS_TOKEN"),
    ("serviceaccountkey", "GOOGLE_APPLICATION_CREDENTIALS"),
];

/// What is sent.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    /// As the body has it; none if it has none that a job can have, which is for the agent to say.
    pub(super) id: Option<JobId>,
    pub(super) body: String,
}

impl Request {
    fn new(id: Option<&str>, body: String) -> Self {
        let id = id.and_then(|id| JobId::parse(id).ok());
        Self { id, body }
    }

    /// That of the options, or of the file that they name.
    ///
    /// # Errors
    ///
    /// If the file cannot be used, or the options do not go together.
    pub(super) fn of(job_type: &JobType, options: &RequestOptions, variable: Look<'_>) -> Result<Self, Trouble> {
        let id = options.id.as_deref();
        match &options.request {
            Some(file) => with_id(&text_of(file)?, id),
            None => {
                let id = id.map_or_else(made_up_id, str::to_owned);
                let body = of_options(job_type, &id, options, variable)?;
                Ok(Self::new(Some(&id), body.to_string()))
            }
        }
    }
}

fn text_of(file: &Path) -> Result<String, Trouble> {
    let is_stdin = file == Path::new("-");
    let fault = |problem: String| {
        let shown = if is_stdin {
            "standard input".into()
        } else {
            file.to_string_lossy()
        };
        Trouble::Usage(format!("--request: {shown}: {problem}"))
    };
    let mut text = String::new();
    let read = if is_stdin {
        io::stdin()
            .lock()
            .take(LARGEST_REQUEST_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        fs::File::open(file).and_then(|file| file.take(LARGEST_REQUEST_BYTES + 1).read_to_string(&mut text))
    };
    read.map_err(|error| fault(error.to_string()))?;
    if text.len() as u64 > LARGEST_REQUEST_BYTES {
        return Err(fault("is larger than 1 MiB, the most that an agent takes".to_owned()));
    }
    match members(&text) {
        Ok(_) => Ok(text),
        // What is wrong is told without any of it: it holds secrets.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(fault(format!("is no JSON object: line {line}, column {column}")))
        }
    }
}

/// Without a look into them: numbers may be larger than any that are known here.
fn members(text: &str) -> serde_json::Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text)
}

/// The same text with an id, if it has none. Nothing else of it changes, as numbers would.
fn with_id(text: &str, id: Option<&str>) -> Result<Request, Trouble> {
    let members = members(text).unwrap_or_default();
    let mut ids = members.iter().filter(|(name, _)| name.eq_ignore_ascii_case("id"));
    match (ids.next(), id) {
        (Some((_, own)), None) => {
            // Which of several counts is for the agent to say.
            let own = ids.next().is_none().then(|| serde_json::from_str(own.get()).ok());
            let own: Option<String> = own.flatten();
            Ok(Request::new(own.as_deref(), text.to_owned()))
        }
        (Some(_), Some(_)) => Err(Trouble::Usage(
            "--id: the request names an id already; leave one of the two out".to_owned(),
        )),
        (None, _) => {
            let id = id.map_or_else(made_up_id, str::to_owned);
            let comma = if members.is_empty() { "" } else { "," };
            let member = format!("{{\"id\":{}{comma}", Value::from(id.as_str()));
            Ok(Request::new(Some(&id), text.replacen('{', &member, 1)))
        }
    }
}

fn made_up_id() -> String {
    Uuid::new_v4().to_string()
}

fn of_options(job_type: &JobType, id: &str, options: &RequestOptions, variable: Look<'_>) -> Result<Value, Trouble> {
    let mut service = Map::new();
    put(&mut service, "host", options.host.clone());
    put(&mut service, "user", options.user.clone());
    put_secret(&mut service, "password", "OSB_DATABASE_PASSWORD", variable)?;
    put(&mut service, "database", options.database.clone());
    let parameters = parameters(&options.parameter, variable)?;
    if !parameters.is_empty() {
        service.insert("parameters".to_owned(), Value::Array(parameters));
    }
    let mut request = Map::new();
    request.insert("id".to_owned(), Value::from(id));
    if options.compression {
        request.insert("compression".to_owned(), Value::Bool(true));
    }
    put_secret(&mut request, "encryption_key", "OSB_ENCRYPTION_KEY", variable)?;
    request.insert("destination".to_owned(), Value::Object(destination(options, variable)?));
    request.insert(job_type.path.trim_start_matches('/').to_owned(), Value::Object(service));
    Ok(Value::Object(request))
}

fn destination(options: &RequestOptions, variable: Look<'_>) -> Result<Map<String, Value>, Trouble> {
    let store = options.store.as_deref().unwrap_or_default().to_ascii_uppercase();
    let mut members = Map::new();
    put(&mut members, "type", Some(store.clone()));
    for (name, value) in [
        ("bucket", &options.bucket),
        ("endpoint", &options.endpoint),
        ("region", &options.region),
        ("filenamePrefix", &options.prefix),
        ("path", &options.path),
        ("filename", &options.filename),
        ("sha256", &options.sha256),
    ] {
        put(&mut members, name, value.clone());
    }
    for pair in &options.destination {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Trouble::Usage("--destination must be MEMBER=VALUE, as pathStyle=true".to_owned()))?;
        if let Some((_, instead)) = SECRET_MEMBERS
            .iter()
            .find(|(secret, _)| name.eq_ignore_ascii_case(secret))
        {
            return Err(Trouble::Usage(format!(
                "--destination {name}: others can read arguments; set {instead} instead"
            )));
        }
        members.insert(name.to_owned(), simple(value));
    }
    match store.as_str() {
        // Without keys the agent may use its own, if its operator allows that.
        "S3" => {
            put_secret(&mut members, "authKey", "AWS_ACCESS_KEY_ID", variable)?;
            put_secret(&mut members, "authSecret", "AWS_SECRET_ACCESS_KEY", variable)?;
            put_secret(&mut members, "sessionToken", "AWS_SESSION_TOKEN", variable)?;
        }
        "SWIFT" => put_secret(&mut members, "password", "OS_PASSWORD", variable)?,
        "AZURE" => {
            put_secret(&mut members, "accountKey", "AZURE_STORAGE_KEY", variable)?;
            put_secret(&mut members, "sasToken", "AZURE_STORAGE_SAS_TOKEN", variable)?;
        }
        "GCS" => {
            const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
            if let Some(path) = variable(VARIABLE) {
                let file = secrets::of_file(Path::new(&path), VARIABLE).map_err(Trouble::Usage)?;
                members.insert("serviceAccountKey".to_owned(), json!(file.expose()));
            }
        }
        _ => {}
    }
    Ok(members)
}

/// `true` and `false` are what they say; everything else is text.
fn simple(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Value::String(text.to_owned()),
    }
}

fn parameters(pairs: &[String], variable: Look<'_>) -> Result<Vec<Value>, Trouble> {
    let pairs = secrets::parameters(pairs, variable).map_err(Trouble::Usage)?;
    let object = |(name, value): (String, Secret)| {
        let mut object = Map::new();
        put(&mut object, &name, Some(value.expose().to_owned()));
        Value::Object(object)
    };
    Ok(pairs.into_iter().map(object).collect())
}

fn put(members: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), Value::String(value));
    }
}

fn put_secret(members: &mut Map<String, Value>, name: &str, from: &str, variable: Look<'_>) -> Result<(), Trouble> {
    let value = secret(from, variable).map_err(Trouble::Usage)?;
    put(members, name, value.as_ref().map(Secret::expose).map(str::to_owned));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::job::{BACKUP, RESTORE};

    fn options(store: &str) -> RequestOptions {
        let text = |text: &str| Some(text.to_owned());
        RequestOptions {
            id: text("b1"),
            host: text("h"),
            database: text("d"),
            store: text(store),
            ..RequestOptions::default()
        }
    }

    fn built(job_type: &JobType, options: &RequestOptions, variables: &[(&str, &str)]) -> Result<Value, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(of, _)| *of == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let request = Request::of(job_type, options, &variable).map_err(|trouble| trouble.to_string())?;
        let body: Value = serde_json::from_str(&request.body).expect("JSON");
        let id = request.id.as_ref().map(JobId::as_str);
        assert_eq!(id, body["id"].as_str(), "the id is known");
        Ok(body)
    }

    #[test]
    fn options_become_members_and_secrets_come_from_the_environment() {
        let mut asked = options("s3");
        asked.bucket = Some("bucket".to_owned());
        asked.destination = vec!["pathStyle=true".to_owned(), "storageClass=A=B".to_owned()];
        asked.parameter = vec!["A=b=c".to_owned(), "TOKEN".to_owned()];
        asked.compression = true;
        let variables = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("OSB_DATABASE_PASSWORD", "pw"),
            ("OS_PASSWORD", "of another store"),
            ("TOKEN", "t"),
        ];
        assert_eq!(
            built(&RESTORE, &asked, &variables),
            Ok(json!({
                "id": "b1",
                "compression": true,
                "destination": {"type": "S3", "bucket": "bucket", "pathStyle": true, "storageClass": "A=B",
                    "authKey": "key", "authSecret": "secret"},
                "restore": {"host": "h", "database": "d", "password": "pw",
                    "parameters": [{"A": "b=c"}, {"TOKEN": "t"}]},
            }))
        );
        asked.id = None;
        let first = built(&BACKUP, &asked, &variables).expect("a request");
        let second = built(&BACKUP, &asked, &variables).expect("a request");
        assert!(first["id"].is_string() && first["id"] != second["id"], "{first}");
        assert!(first.get("backup").is_some(), "{first}");
    }

    #[test]
    fn secrets_are_not_taken_as_options() {
        for (member, instead) in [
            ("authSecret=sesame", "AWS_SECRET_ACCESS_KEY"),
            ("AUTHKEY=sesame", "AWS_ACCESS_KEY_ID"),
            ("password=sesame", "OS_PASSWORD"),
            ("sasToken=sesame", "AZURE_STORAGE_SAS_TOKEN"),
        ] {
            let mut asked = options("S3");
            asked.destination = vec![member.to_owned()];
            let fault = built(&BACKUP, &asked, &[]).expect_err(member);
            assert!(fault.contains(instead) && !fault.contains("sesame"), "{fault}");
        }
        for faulty in ["", "=x", "pathStyle"] {
            let mut asked = options("S3");
            asked.destination = vec![faulty.to_owned()];
            assert!(built(&BACKUP, &asked, &[]).is_err(), "{faulty:?}");
        }
        let mut asked = options("FILE");
        asked.parameter = vec!["TOKEN".to_owned()];
        assert!(built(&BACKUP, &asked, &[]).expect_err("no value").contains("TOKEN"));
    }

    #[test]
    fn a_request_of_a_file_is_sent_as_it_is_but_for_an_id_that_is_missing() {
        let body = |text: &str, id| with_id(text, id).expect("it is sent").body;
        let text = r#" {"Id": "a", "n": 1.50e400, "n": 123456789012345678901234567890}"#;
        assert_eq!(body(text, None), text);
        assert!(with_id(text, Some("b")).is_err());
        assert_eq!(body(r#" {"n": 1.50}"#, Some("b")), r#" {"id":"b","n": 1.50}"#);
        assert_eq!(body("{}", Some("b")), r#"{"id":"b"}"#);
        assert!(body("{}", None).len() > 36);
    }

    #[test]
    fn the_id_of_a_file_is_known_as_far_as_there_is_one() {
        for (text, expected) in [
            (r#"{"id": "a"}"#, Some("a")),
            (r#"{"ID": "\u0061"}"#, Some("a")),
            (r#"{"id": "a", "Id": "b"}"#, None),
            (r#"{"id": 1}"#, None),
            (r#"{"id": "a/b"}"#, None),
        ] {
            let request = with_id(text, None).expect("it is sent");
            assert_eq!(request.id.as_ref().map(JobId::as_str), expected, "{text}");
        }
    }
}
