//! Basic authentication (RFC 7617), on every route.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use domain::secret::Secret;
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};
use warp::{Filter, Rejection, http::HeaderMap, reply::Response};
use zeroize::Zeroizing;

use super::{HttpContext, audit, reply};

/// The one user of the API, who may get another password at any time.
///
/// Only digests are kept and compared: they have one length, so that the time of an answer tells
/// neither how long the right name and password are, nor which of the two was wrong.
#[derive(Clone)]
pub struct Credentials(Arc<Digests>);

struct Digests {
    username: Sha256,
    password: RwLock<Sha256>,
}

type Sha256 = [u8; 32];

impl Credentials {
    /// A user and a password, both not empty.
    #[must_use]
    pub fn new(username: &Secret, password: &Secret) -> Self {
        Self(Arc::new(Digests {
            username: sha256(username.expose().as_bytes()),
            password: RwLock::new(sha256(password.expose().as_bytes())),
        }))
    }

    /// From the next request on, only this password is right.
    pub fn change_password(&self, password: &Secret) {
        *self.0.password.write().unwrap_or_else(PoisonError::into_inner) = sha256(password.expose().as_bytes());
    }

    /// Whether an `Authorization` header is by this user. Does the same whatever is wrong.
    fn allow(&self, header: &[u8]) -> bool {
        let given = parse(header);
        let is_basic = Choice::from(u8::from(given.is_some()));
        let (username, password) = given.unwrap_or_default();
        let right = *self.0.password.read().unwrap_or_else(PoisonError::into_inner);
        let is_user = sha256(&username).ct_eq(&self.0.username);
        let is_password = sha256(&password).ct_eq(&right);
        (is_basic & is_user & is_password).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(<redacted>)")
    }
}

fn sha256(text: &[u8]) -> Sha256 {
    let mut hash = Sha256::default();
    hash.copy_from_slice(digest(&SHA256, text).as_ref());
    hash
}

/// Bytes that are wiped when they go.
type Wiped = Zeroizing<Vec<u8>>;

/// User and password; the password may hold colons.
pub(super) fn parse(header: &[u8]) -> Option<(Wiped, Wiped)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut username = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?);
    let colon = username.iter().position(|byte| *byte == b':')?;
    let password = Zeroizing::new(username.split_off(colon + 1));
    username.pop();
    Some((username, password))
}

#[derive(Debug)]
struct Unauthorized;

impl warp::reject::Reject for Unauthorized {}

/// Passes requests with the right credentials, and rejects all others. If several `Authorization`
/// lines come, the first counts.
pub(super) fn required(context: &Arc<HttpContext>) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    let context = Arc::clone(context);
    warp::header::headers_cloned()
        .and(warp::ext::optional())
        .and_then(move |headers: HeaderMap, peer: Option<audit::Peer>| {
            let allowed = headers
                .get("authorization")
                .is_some_and(|header| context.credentials.allow(header.as_bytes()));
            if !allowed {
                audit::refused(&context, &headers, peer);
            }
            async move {
                if allowed {
                    Ok(())
                } else {
                    Err(warp::reject::custom(Unauthorized))
                }
            }
        })
        .untuple_one()
}

/// The answer to a request without the right credentials.
pub(super) async fn refused(rejection: Rejection) -> Result<Response, Rejection> {
    match rejection.find::<Unauthorized>() {
        Some(Unauthorized) => Ok(reply::unauthorized()),
        None => Err(rejection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(header: &str) -> bool {
        Credentials::new(&Secret::new("admin"), &Secret::new("s:e cr€t")).allow(header.as_bytes())
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }

    #[test]
    fn the_right_pair_passes_in_any_spelling_of_the_scheme() {
        let right = basic("admin:s:e cr€t");
        assert!(allows(&right));
        assert!(allows(&right.replace("Basic", "bAsIc")));
        assert!(allows(&right.replace("Basic ", "Basic   ")));
    }

    #[test]
    fn anything_else_is_refused() {
        for header in [
            "",
            "Basic",
            "Basic ",
            "Basic !!!",
            "Bearer abc",
            &basic(""),
            &basic(":"),
            &basic("admin"),
            &basic("admin:"),
            &basic(":s:e cr€t"),
            &basic("admin:s:e cr€"),
            &basic("admin:s:e cr€t "),
            &basic("Admin:s:e cr€t"),
            &BASE64_STANDARD.encode("admin:s:e cr€t"),
        ] {
            assert!(!allows(header), "{header}");
        }
    }

    #[test]
    fn a_new_password_takes_the_place_of_the_old_one_everywhere() {
        let credentials = Credentials::new(&Secret::new("admin"), &Secret::new("old"));
        let elsewhere = credentials.clone();
        credentials.change_password(&Secret::new("new"));
        for (password, is_right) in [("old", false), ("new", true)] {
            let header = basic(&format!("admin:{password}"));
            assert_eq!(elsewhere.allow(header.as_bytes()), is_right, "{password}");
        }
    }
}
