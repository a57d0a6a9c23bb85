use std::sync::Mutex;

use domain::request::{JobRequest, Store};
use serde_json::json;

use super::*;

/// Sends a body and returns the status, the error message, and what the core was given.
async fn send(kind: JobKind, body: &str) -> (u16, String, Option<JobRequest>) {
    let started = Arc::new(Mutex::new(None));
    let mut api = MockJobApi::new();
    api.expect_takes_jobs().returning(|| true);
    api.expect_find().returning(|_| Ok(None));
    let keep = Arc::clone(&started);
    api.expect_start().returning(move |request| {
        *keep.lock().unwrap() = Some(request);
        Ok(())
    });
    let (method, path) = trigger(kind);
    let response = call(api, method, path, body).await;
    let message = match response.body().is_empty() {
        true => String::new(),
        false => json(&response)["error_message"].as_str().unwrap_or_default().to_owned(),
    };
    let request = started.lock().unwrap().take();
    (response.status().as_u16(), message, request)
}

async fn accepted(kind: JobKind, body: &Value) -> JobRequest {
    let (status, message, request) = send(kind, &body.to_string()).await;
    assert_eq!(status, 201, "{message}");
    request.expect("the core got it")
}

fn parameters(request: &JobRequest) -> Vec<(&str, &str)> {
    let pairs = request.parameters.iter();
    pairs
        .map(|parameter| (parameter.name.as_str(), parameter.value.expose()))
        .collect()
}

#[tokio::test]
async fn members_are_read_in_any_case_twice_unknown_and_null() {
    let body = r#"{"ID":"j","unknown":{"deep":[1,{"x":null}]},"Compression":true,
        "destination":{"type":"SWIFT","TYPE":"x","type":"s3","bucket":"a","bucket":"b","AUTHKEY":"k","authsecret":"s",
            "region":null,"serviceInstance":{"parameters":{"a":["b"]}}},
        "BACKUP":{"Host":"h","user":"older","username":"newer","password":null,"database":"db","parameters":null},
        "encryption_key":"none"}"#;
    let (status, message, request) = send(JobKind::Backup, body).await;
    assert_eq!(status, 201, "{message}");
    let request = request.unwrap();
    let Store::S3(s3) = &request.destination.store else {
        panic!("not S3")
    };
    assert_eq!(s3.bucket, "b");
    assert_eq!(s3.region, None);
    assert_eq!(request.service.user, "newer");
    assert_eq!(request.service.password.expose(), "");
    assert_eq!(request.encryption_key.expose(), "none");
    assert!(request.compression);
}

#[tokio::test]
async fn simple_values_become_parameters_with_the_digits_they_were_sent_with() {
    let mut template = good_body(JobKind::Backup);
    template["backup"]["parameters"] = "HERE".into();
    for (sent, expected) in [
        (
            r#"[{"key":"a value"},{"retries":2}]"#,
            vec![("key", "a value"), ("retries", "2")],
        ),
        (r#"{"a":1,"b":"x"}"#, vec![("a", "1"), ("b", "x")]),
        (
            r#"[{"a":1000000,"b":9007199254740993,"c":1.50,"d":1e6,"e":-0.0,"f":123456789012345678901234567890}]"#,
            vec![
                ("a", "1000000"),
                ("b", "9007199254740993"),
                ("c", "1.50"),
                ("d", "1e6"),
                ("e", "-0.0"),
                ("f", "123456789012345678901234567890"),
            ],
        ),
        (
            r#"[{"a":true,"b":false,"c":null,"d":""}]"#,
            vec![("a", "true"), ("b", "false"), ("c", ""), ("d", "")],
        ),
        (r#"[null,{},{"a":"1"},{"a":"2"}]"#, vec![("a", "2")]),
        (
            r#"[{"a":"line\nbreak \u00e9 \ud83d\ude00"}]"#,
            vec![("a", "line\nbreak é 😀")],
        ),
        ("[]", vec![]),
        ("null", vec![]),
    ] {
        let body = template.to_string().replace("\"HERE\"", sent);
        let (status, message, request) = send(JobKind::Backup, &body).await;
        assert_eq!(status, 201, "{sent}: {message}");
        assert_eq!(parameters(&request.unwrap()), expected, "{sent}");
    }
}

#[tokio::test]
async fn parameters_that_are_not_simple_are_refused_by_name() {
    let mut template = good_body(JobKind::Restore);
    template["restore"]["parameters"] = "HERE".into();
    for (sent, fault) in [
        (r#"[{"a":{"b":1}}]"#, "restore.parameters.a must be a simple value"),
        (r#"[{"a":[1]}]"#, "restore.parameters.a must be a simple value"),
        (r#""text""#, "restore.parameters must be a list"),
        ("7", "restore.parameters must be a list"),
        (r#"["text"]"#, "restore.parameters must be a list"),
        (
            r#"[{"LD_PRELOAD":"x"}]"#,
            "restore.parameters.LD_PRELOAD is a name that requests may not set",
        ),
        (r#"[{"a=b":"x"}]"#, "restore.parameters.a=b is not a name"),
    ] {
        let body = template.to_string().replace("\"HERE\"", sent);
        let (status, message, _) = send(JobKind::Restore, &body).await;
        assert_eq!(status, 400, "{sent}");
        assert!(message.starts_with(fault), "{sent}: {message}");
    }
}

#[tokio::test]
async fn a_member_of_the_wrong_type_is_named() {
    for (pointer, value, fault) in [
        ("/compression", json!("true"), "compression must be true or false"),
        ("/encryption_key", json!(7), "encryption_key must be a string"),
        ("/skipStorage", json!(1), "skipStorage must be true or false"),
        (
            "/destination/skipStorage",
            json!("true"),
            "destination.skipStorage must be true or false",
        ),
        ("/destination", json!("S3"), "destination must be an object"),
        ("/destination/type", json!(["S3"]), "destination.type must be a string"),
        ("/destination/bucket", json!(7), "destination.bucket must be a string"),
        (
            "/destination/skipSSL",
            json!("false"),
            "destination.skipSSL must be true or false",
        ),
        ("/backup", json!([]), "backup must be an object"),
        ("/backup/database", json!(5), "backup.database must be a string"),
    ] {
        let mut body = good_body(JobKind::Backup);
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[member] = value;
        let (status, message, _) = send(JobKind::Backup, &body.to_string()).await;
        assert_eq!(status, 400, "{pointer}");
        assert!(message.starts_with(fault), "{pointer}: {message}");
    }
}

#[tokio::test]
async fn a_service_account_s_key_is_an_object_or_a_string_and_never_repeated() {
    let pem = "-----BEGIN PRIVATE KEY-----\nhidden\n-----END PRIVATE KEY-----\n";
    let file = json!({"type": "service_account", "client_email": "a@b", "private_key_id": "1", "private_key": pem,
                      "token_uri": "http://elsewhere", "other": [1]});
    let body = |key: Value| {
        let mut body = good_body(JobKind::Backup);
        body["destination"] = json!({"type": "GCS", "bucket": "b", "serviceAccountKey": key});
        body
    };
    for key in [file.clone(), Value::String(file.to_string())] {
        let request = accepted(JobKind::Backup, &body(key)).await;
        let Store::Gcs(gcs) = &request.destination.store else {
            panic!("{:?}", request.destination);
        };
        assert_eq!(gcs.service_account.private_key.expose(), pem);
        let kept: Value = serde_json::from_str(gcs.service_account.key_file.expose()).unwrap();
        assert_eq!(kept, file);
    }
    for (key, fault) in [
        (json!("hidden"), "must be the JSON of a service account's key file"),
        (json!(["hidden"]), "must be the JSON of a service account's key file"),
        (json!({"private_key": 7, "client_email": "hidden"}), "must be the JSON"),
        (
            json!({"private_key": "hidden"}),
            ".private_key must be a private key in PEM",
        ),
        (json!(""), "is missing"),
        (json!(null), "is missing"),
    ] {
        let (status, message, _) = send(JobKind::Backup, &body(key).to_string()).await;
        assert_eq!(status, 400, "{fault}");
        assert!(
            message.contains("destination.serviceAccountKey") && message.contains(fault),
            "{message}"
        );
        assert!(!message.contains("hidden"), "{message}");
    }
}

#[tokio::test]
async fn everything_that_is_missing_is_named_at_once() {
    let (status, message, _) = send(JobKind::Backup, r#"{"id":"j"}"#).await;
    assert_eq!(status, 400);
    assert_eq!(
        message,
        "destination.type is missing; backup.host is missing; backup.database is missing"
    );
    let (_, message, _) = send(JobKind::Restore, r#"{"id":"j","destination":{"type":"S3"}}"#).await;
    for path in ["filename", "bucket", "authKey", "authSecret"] {
        assert!(message.contains(&format!("destination.{path} is missing")), "{message}");
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_told_first_and_all_else_with_it() {
    for (body, fault) in [
        ("{}", "id is missing"),
        (r#"{"id":null}"#, "id is missing"),
        (r#"{"id":""}"#, "id is empty"),
        (r#"{"id":7}"#, "id must be a string"),
        (r#"{"id":"../x"}"#, "id may hold only"),
        (r#"{"id":"-x"}"#, "id must begin with"),
    ] {
        for kind in JobKind::ALL {
            let (status, message, _) = send(kind, body).await;
            assert_eq!(status, 400, "{body}");
            assert!(message.starts_with(fault), "{body}: {message}");
            assert!(message.contains("; destination.type is missing"), "{body}: {message}");
        }
    }
}

#[tokio::test]
async fn a_body_of_the_known_backup_manager_is_taken() {
    let body = r#"{"id":"6b03c025a7986c17af69ab8c0","compression":true,
        "destination":{"type":"S3","id":"5be2","serviceInstance":{"service_instance_id":"0f3e",
            "parameters":{"postgres":{"users":["a","b"]}},"hosts":[{"name":"p","port":5432}],"context":{"x":null}},
            "name":"my endpoint","type":"S3","filenamePrefix":"5be2f5d5c9e77c0001a1b2c3/","authKey":"key",
            "authSecret":"secret","endpoint":"https://s3.example.org","region":"eu-central-1","bucket":"bucketName",
            "skipSSL":false,"idAsString":"5be2"},
        "backup":{"serviceInstance":{"service_instance_id":"0f3e"},"host":"10.0.0.1","port":5432,"username":"backup",
            "password":"pw","backupUsername":null,"backupPassword":null,"database":"mydb","type":"AGENT","parameters":null},
        "encryption_key":"none"}"#;
    let (status, message, request) = send(JobKind::Backup, body).await;
    assert_eq!(status, 201, "{message}");
    assert_eq!(request.unwrap().destination.store.prefix(), "5be2f5d5c9e77c0001a1b2c3/");
}

#[tokio::test]
async fn skip_storage_is_found_inside_and_outside_of_the_destination() {
    for pointer in ["", "/destination"] {
        let mut body = good_body(JobKind::Backup);
        body.pointer_mut(pointer).unwrap()["skipStorage"] = true.into();
        let request = accepted(JobKind::Backup, &body).await;
        assert_eq!(request.transfer, Transfer::ByScripts, "{pointer}");
    }
}

#[tokio::test]
async fn the_core_gets_what_was_sent() {
    let request = accepted(JobKind::Restore, &good_body(JobKind::Restore)).await;
    assert_eq!(request.kind(), JobKind::Restore);
    assert_eq!(request.id.as_str(), "j");
    assert_eq!(request.service.database, "db");
    assert_eq!(request.service.password.expose(), "p");
}
