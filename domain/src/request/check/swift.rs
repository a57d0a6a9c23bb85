//! Swift destinations.

use super::Check;
use crate::{
    plan::Transfer,
    request::{DestinationDraft, SwiftStore, endpoint},
};

impl Check {
    pub(super) fn swift(&mut self, draft: DestinationDraft, transfer: Transfer) -> SwiftStore {
        if transfer == Transfer::ByAgent {
            self.faults.add(
                "destination.type",
                "SWIFT is not yet supported by this agent; use S3 or FILE",
            );
        }
        let auth_url = self.required("destination.authUrl", draft.auth_url);
        // It is shown in logs, so it must not hold credentials.
        if let Err(problem) = endpoint::complete(&auth_url, false)
            && !auth_url.is_empty()
        {
            self.faults.add("destination.authUrl", problem);
        }
        SwiftStore {
            auth_url,
            domain: self.required("destination.domain", draft.domain),
            container_name: self.required("destination.container_name", draft.container_name),
            project_name: self.required("destination.project_name", draft.project_name),
            username: self.required("destination.username", draft.username),
            password: self.required_secret("destination.password", draft.password),
        }
    }
}
