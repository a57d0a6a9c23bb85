//! Swift against a server that answers as each test wants it, and against a real one.

mod fake;
mod login;
mod objects;
mod real;
mod tokens;
mod uploads;

use std::time::Duration;

use domain::{request::SwiftStore, secret::Secret};

use self::fake::Fake;
use super::Swift;
use crate::blob_store::network::Network;

const PASSWORD: &str = "password-of-the-test";
const PATIENCE: Duration = Duration::from_secs(10);

fn store(auth_url: impl Into<String>) -> SwiftStore {
    SwiftStore {
        auth_url: auth_url.into(),
        domain: "Default".to_owned(),
        container_name: "c".to_owned(),
        project_name: "project".to_owned(),
        region: None,
        username: "user".to_owned(),
        password: Secret::new(PASSWORD),
    }
}

async fn connect(fake: &Fake) -> Swift {
    Swift::connect(&store(fake.url("")), PATIENCE, &Network::default())
        .await
        .expect("the login is right")
}

fn path(key: &str) -> object_store::path::Path {
    object_store::path::Path::parse(key).expect("it is a key")
}
