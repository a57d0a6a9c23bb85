//! Basic authentication (RFC 7617), on every route that does not say otherwise.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use domain::secret::Secret;
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};
use warp::http::HeaderMap;
use zeroize::Zeroizing;

use super::{HttpContext, audit, operation::Access};

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

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody with the right credentials.
    Known,
    /// Somebody who has shown none, and need not.
    Stranger,
}

/// Says who calls; none of somebody who may not, which is noted. If several `Authorization` lines come, the
/// first counts.
pub(super) fn judge(
    context: &HttpContext,
    access: Access,
    headers: &HeaderMap,
    peer: Option<audit::Peer>,
) -> Option<Caller> {
    let header = headers.get("authorization");
    let lets_strangers_in = match access {
        Access::Everyone => return Some(Caller::Stranger),
        Access::Strangers => true,
        Access::AsMetricsAre => context.metrics_without_auth,
        Access::Known => false,
    };
    match header {
        None if lets_strangers_in => Some(Caller::Stranger),
        Some(header) if context.credentials.allow(header.as_bytes()) => Some(Caller::Known),
        // Wrong ones are refused everywhere, so that nobody can try them out where nobody looks.
        Some(_) | None => {
            audit::refused(context, headers, peer);
            None
        }
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
