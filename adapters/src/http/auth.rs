//! Basic authentication (RFC 7617), on every route.

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use domain::secret::Secret;
use subtle::ConstantTimeEq;
use warp::{Filter, Rejection, http::HeaderMap, reply::Response};

use super::{HttpContext, reply};

/// The one user of the API.
#[derive(Clone)]
pub struct Credentials {
    username: Secret,
    password: Secret,
}

impl Credentials {
    /// A user and a password, both not empty.
    #[must_use]
    pub fn new(username: Secret, password: Secret) -> Self {
        Self { username, password }
    }

    /// Whether an `Authorization` header is by this user. Takes the same time whatever is wrong,
    /// but for lengths.
    fn allow(&self, header: &[u8]) -> bool {
        let Some((username, password)) = parse(header) else {
            return false;
        };
        let same = |a: &Secret, b: &[u8]| a.expose().as_bytes().ct_eq(b);
        (same(&self.username, &username) & same(&self.password, &password)).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(<redacted>)")
    }
}

/// User and password; the password may hold colons.
fn parse(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut username = BASE64_STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = username.iter().position(|byte| *byte == b':')?;
    let password = username.split_off(colon + 1);
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
        .and_then(move |headers: HeaderMap| {
            let allowed = headers
                .get("authorization")
                .is_some_and(|header| context.credentials.allow(header.as_bytes()));
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
        Credentials::new(Secret::new("admin"), Secret::new("s:e cr€t")).allow(header.as_bytes())
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
}
