//! Both ways to log in, and all that can be wrong with them.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    super::{Swift, ask::Ask},
    PASSWORD, PATIENCE, connect,
    fake::{Fake, Reply, Seen, token},
    store,
};
use crate::blob_store::failure::Failure;
use crate::blob_store::network::Network;

async fn refused(answer: impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static) -> Failure {
    let fake = Fake::start(answer).await;
    let refused = Swift::connect(&store(fake.url("")), PATIENCE, &Network::default()).await;
    refused.expect_err("the login is refused")
}

#[tokio::test]
async fn a_password_becomes_a_token_for_a_project() {
    for end in ["", "/", "/v3", "/v3/", "/identity", "/identity/v3"] {
        let fake = Fake::start(|seen, url| match seen.header("x-auth-token") {
            "" => token("the-token", url, 3600),
            _ => Reply::new(204, ""),
        })
        .await;
        let swift = Swift::connect(&store(fake.url(end)), PATIENCE, &Network::default())
            .await
            .unwrap();
        swift.execute(&swift.object(Method::GET, "k")).await.unwrap();

        let seen = fake.seen();
        let before = if end.contains("identity") { "/identity" } else { "" };
        assert_eq!(seen[0].line, format!("POST {before}/v3/auth/tokens"), "{end}");
        let domain = json!({"name": "Default"});
        let wanted = json!({"auth": {
            "identity": {"methods": ["password"], "password": {
                "user": {"name": "user", "domain": domain, "password": PASSWORD},
            }},
            "scope": {"project": {"name": "project", "domain": domain}},
        }});
        assert_eq!(serde_json::from_str::<Value>(seen[0].text()).unwrap(), wanted);
        assert_eq!(seen[1].line, "GET /v1/AUTH_a/c/k");
        assert_eq!(seen[1].header("x-auth-token"), "the-token");
    }
}

#[tokio::test]
async fn the_region_is_the_one_that_is_named_or_the_first() {
    let fake = Fake::with_keystone(|_, _| Reply::new(204, "")).await;
    for (region, address) in [(None, "/v1/AUTH_a/c/k"), (Some("south"), "/south/v1/AUTH_a/c/k")] {
        let mut store = store(fake.url(""));
        store.region = region.map(str::to_owned);
        let swift = Swift::connect(&store, PATIENCE, &Network::default()).await.unwrap();
        swift.execute(&swift.object(Method::GET, "k")).await.unwrap();
        assert_eq!(fake.lines().pop().unwrap(), format!("GET {address}"), "{region:?}");
    }
    let mut west = store(fake.url(""));
    west.region = Some("west".to_owned());
    let unknown = Swift::connect(&west, PATIENCE, &Network::default()).await;
    let text = unknown.unwrap_err().to_string();
    assert!(text.contains("region \"west\", but in \"north\", \"south\""), "{text}");
}

#[tokio::test]
async fn v1_is_spoken_where_the_url_says_so() {
    for (project, user, sent) in [
        ("project", "user", "project:user"),
        ("project", "account:user", "account:user"),
        ("", "user", "user"),
    ] {
        let fake = Fake::start(|seen, url| match seen.header("x-auth-token") {
            "" => Reply::new(200, "")
                .with("x-storage-url", format!("{url}/v1/TEMP_a"))
                .with("x-auth-token", "the-token")
                .with("x-auth-token-expires", "600"),
            _ => Reply::new(204, ""),
        })
        .await;
        let mut store = store(fake.url("/auth/v1.0"));
        (store.project_name, store.username) = (project.to_owned(), user.to_owned());
        let swift = Swift::connect(&store, PATIENCE, &Network::default()).await.unwrap();
        swift.execute(&swift.object(Method::GET, "k")).await.unwrap();
        let seen = fake.seen();
        assert_eq!(seen[0].line, "GET /auth/v1.0");
        assert_eq!(seen[0].header("x-auth-user"), sent);
        assert_eq!(seen[0].header("x-auth-key"), PASSWORD);
        assert_eq!(seen[1].line, "GET /v1/TEMP_a/c/k");
        assert_eq!(seen[1].header("x-auth-token"), "the-token");
    }
}

#[tokio::test]
async fn each_refusal_of_keystone_says_what_to_check() {
    let error = json!({"error": {"code": 401, "message": "Needs a login.", "title": "Unauthorized"}});
    let text = refused(move |_, _| Reply::json(401, &error)).await.to_string();
    assert!(
        text.contains("401 Unauthorized (Needs a login.); check username, password, project_name and domain"),
        "{text}"
    );

    for (status, what) in [
        (403, "check that the user is not locked"),
        (404, "check that authUrl is Keystone's version 3"),
        (300, "check that authUrl"),
        (400, "check that authUrl"),
    ] {
        let failure = refused(move |_, _| Reply::new(status, "<html>secret page</html>")).await;
        let text = failure.to_string();
        assert!(text.contains(what) && text.contains(&status.to_string()), "{text}");
        assert!(!failure.is_transient() && !text.contains("page"), "{text}");
    }
    for status in [429, 500, 503] {
        assert!(
            refused(move |_, _| Reply::new(status, "")).await.is_transient(),
            "{status}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_says_why() {
    let catalog =
        |catalog: Value| Reply::json(201, &json!({"token": {"catalog": catalog}})).with("x-subject-token", "t");
    let endpoint = |interface: &str, url: &str| json!([{"type": "object-store", "endpoints": [{"interface": interface, "url": url}]}]);
    for (reply, what) in [
        (Reply::new(201, "{\"token\": {}}"), "gave no X-Subject-Token"),
        (
            Reply::new(201, "<html>").with("x-subject-token", "t"),
            "makes no sense at line 1, column 1",
        ),
        (Reply::new(201, "{}").with("x-subject-token", "t"), "makes no sense"),
        (
            catalog(json!([])),
            "no public endpoint of type object-store in its catalogue, which has none",
        ),
        (
            catalog(json!([{"type": "volume"}])),
            "which has \"volume\"; check that project \"project\"",
        ),
        (catalog(endpoint("internal", "http://h/")), "no public endpoint"),
        (
            catalog(endpoint("public", "/v1/AUTH_a")),
            "whose address \"/v1/AUTH_a\" is none",
        ),
        (catalog(endpoint("public", "ftp://h/")), "neither http:// nor https://"),
    ] {
        let failure = refused(move |_, _| reply.clone()).await;
        assert!(
            failure.is_strange() && failure.to_string().contains(what),
            "{failure} / {what}"
        );
    }
}

#[tokio::test]
async fn each_refusal_of_v1_says_what_to_check() {
    let with_url = |url: &str| Reply::new(200, "").with("x-storage-url", url);
    for (reply, what) in [
        (
            Reply::new(401, ""),
            "refused the login as \"project:user\" with 401; check username, password",
        ),
        (Reply::new(403, ""), "check username, password"),
        (Reply::new(404, ""), "check authUrl"),
        (with_url("http://h/v1/a"), "gave no X-Auth-Token"),
        (Reply::new(200, "").with("x-auth-token", "t"), "gave no X-Storage-Url"),
        (
            with_url("nowhere").with("x-auth-token", "t"),
            "\"nowhere\" that is no address",
        ),
    ] {
        let fake = Fake::start(move |_, _| reply.clone()).await;
        let refused = Swift::connect(&store(fake.url("/auth/v1.0")), PATIENCE, &Network::default()).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(what), "{text} / {what}");
    }
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_before_anything_is_sent() {
    let fake = Fake::with_keystone(|_, _| Reply::new(204, "")).await;
    let (url, v1) = (fake.url(""), fake.url("/auth/v1.0"));
    let long = "c".repeat(248);
    for (auth_url, container, password, what) in [
        ("nonsense", "c", "p", "authUrl is no address"),
        ("ftp://h/", "c", "p", "authUrl is no address"),
        ("http://u:p@h/", "c", "p", "authUrl is no address"),
        ("http://h/v2.0", "c", "p", "only version 3"),
        (&url, "", "p", "container_name"),
        (&url, "a/b", "p", "container_name"),
        (&url, "..", "p", "container_name"),
        (&url, &long, "p", "container_name has 248 bytes"),
        (&v1, "c", "a\nb", "password holds a character"),
    ] {
        let mut store = store(auth_url);
        store.container_name = container.to_owned();
        store.password = domain::secret::Secret::new(password);
        let refused = Swift::connect(&store, PATIENCE, &Network::default()).await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(what), "{text}");
    }
    assert_eq!(fake.seen().len(), 0);
}

#[tokio::test]
async fn nobody_who_listens_is_no_connection() {
    let fake = Fake::start(|_, _| Reply::new(204, "")).await;
    let url = fake.url("");
    drop(fake);
    let refused = Swift::connect(&store(url), PATIENCE, &Network::default()).await;
    assert!(refused.unwrap_err().is_transient());
}

#[tokio::test]
async fn secrets_are_in_no_error_and_no_debug() {
    // The servers repeat what they were sent, as none should.
    let text = refused(|seen, _| Reply::new(401, seen.text().replace(['{', '}'], " ")))
        .await
        .to_string();
    assert!(text.contains("<redacted>") && !text.contains(PASSWORD), "{text}");

    let fake = Fake::with_keystone(|seen, _| {
        Reply::new(
            403,
            format!("{} {PASSWORD} is not welcome", seen.header("x-auth-token")),
        )
    })
    .await;
    let swift = connect(&fake).await;
    let fault = swift.execute(&swift.object(Method::GET, "k")).await.unwrap_err();
    let error = fault.clone().of_object("k");
    let texts = [
        format!("{fault:?}"),
        format!("{error} {error:?}"),
        Failure::from(error).to_string(),
        format!("{swift} {swift:?}"),
    ];
    for text in texts {
        assert!(!text.contains("test-token-1") && !text.contains(PASSWORD), "{text}");
    }
    assert!(format!("{fault:?}").contains("<redacted>"), "{fault:?}");
    let ask = Ask::new(Method::GET, "no address".to_owned());
    assert!(swift.execute(&ask).await.is_err());
}
