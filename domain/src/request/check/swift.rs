//! Swift destinations.

use super::Check;
use crate::request::{DestinationDraft, RequestRules, SwiftStore, endpoint};

impl Check {
    pub(super) fn swift(&mut self, draft: DestinationDraft, rules: &RequestRules) -> SwiftStore {
        let auth_url = self.required("destination.authUrl", draft.auth_url);
        // It is shown in logs, so it must not hold credentials.
        match endpoint::complete(&auth_url, false) {
            Ok(url) => self.allowed(rules, "destination.authUrl", Some(&url), ""),
            Err(_) if auth_url.is_empty() => {}
            Err(problem) => self.faults.add("destination.authUrl", problem),
        }
        // The first generation of Swift's authentication knows neither.
        let is_v1 = auth_url.trim_end_matches('/').ends_with("/auth/v1.0");
        let of_keystone = |check: &mut Self, path, value| match is_v1 {
            true => check.optional(path, value),
            false => check.required(path, value),
        };
        SwiftStore {
            auth_url,
            region: draft.region.filter(|region| !region.is_empty()),
            domain: of_keystone(self, "destination.domain", draft.domain),
            container_name: self.required("destination.container_name", draft.container_name),
            project_name: of_keystone(self, "destination.project_name", draft.project_name),
            username: self.required("destination.username", draft.username),
            password: self.required_secret("destination.password", draft.password),
        }
    }
}
