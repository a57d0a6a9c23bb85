//! Destinations in Google Cloud Storage.

use super::Check;
use crate::{
    request::{DestinationDraft, GcsStore, RequestRules, ServiceAccount, ServiceAccountDraft},
    secret::Secret,
};

impl Check {
    pub(super) fn gcs(&mut self, draft: DestinationDraft, rules: &RequestRules, skip_ssl: bool) -> GcsStore {
        let endpoint = self.endpoint(draft.endpoint, skip_ssl);
        let own = "https://storage.googleapis.com";
        self.allowed(rules, "destination.endpoint", endpoint.as_deref(), own);
        // Every request holds a token that whoever reads it could use.
        self.no_listeners(endpoint.as_deref());
        GcsStore {
            endpoint,
            bucket: self.name("destination.bucket", draft.bucket, "a-z 0-9 . _ -", b"._-"),
            service_account: self.service_account(draft.service_account_key),
            prefix: self.prefix(draft.filename_prefix.unwrap_or_default()),
        }
    }

    /// The key file. Nothing of what it holds may be repeated.
    fn service_account(&mut self, draft: Option<ServiceAccountDraft>) -> ServiceAccount {
        const PATH: &str = "destination.serviceAccountKey";
        let Some(draft) = draft else {
            self.faults.add(PATH, "is missing");
            return ServiceAccount {
                client_email: String::new(),
                private_key_id: String::new(),
                private_key: Secret::default(),
                key_file: Secret::default(),
            };
        };
        if draft.kind.is_some_and(|kind| kind != "service_account") {
            self.faults.add(
                format!("{PATH}.type"),
                "must be service_account: this is the key of something else",
            );
        }
        let private_key = self.required_secret(&format!("{PATH}.private_key"), draft.private_key);
        let pem = private_key.expose().trim();
        let is_pem = pem.starts_with("-----BEGIN ") && pem.contains("PRIVATE KEY-----\n");
        if !pem.is_empty() && !is_pem {
            self.faults.add(
                format!("{PATH}.private_key"),
                "must be a private key in PEM, with its line ends",
            );
        }
        ServiceAccount {
            client_email: self.required(&format!("{PATH}.client_email"), draft.client_email),
            private_key_id: self.required(&format!("{PATH}.private_key_id"), draft.private_key_id),
            private_key,
            key_file: draft.key_file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::JobKind,
        request::{Destination, Faults, Store},
        testing::{draft, open_rules},
    };

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nhidden-line-1\nhidden-line-2\n-----END PRIVATE KEY-----\n";

    type Change = fn(&mut DestinationDraft);

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn key_of(draft: &mut DestinationDraft) -> &mut ServiceAccountDraft {
        draft.service_account_key.as_mut().expect("a key")
    }

    fn checked(change: impl FnOnce(&mut DestinationDraft)) -> Result<Destination, String> {
        let mut draft = draft(JobKind::Restore, "j");
        draft.destination = DestinationDraft {
            kind: text("gcs"),
            bucket: text("the-backups"),
            filename: text("a.tar.gz"),
            filename_prefix: text("prefix/"),
            service_account_key: Some(ServiceAccountDraft {
                kind: text("service_account"),
                client_email: text("a@b"),
                private_key_id: text("1"),
                private_key: Some(Secret::new(PEM)),
                key_file: Secret::new("{hidden file}"),
            }),
            ..DestinationDraft::default()
        };
        change(&mut draft.destination);
        let request = draft.check(&open_rules(), Faults::default());
        request
            .map(|request| request.destination)
            .map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_key_file_lets_one_in_and_is_shown_nowhere() {
        let mut destination = checked(|_| {}).expect("no faults");
        let shown = format!("{} {destination:?}", destination.store);
        assert!(!shown.contains("hidden"), "{shown}");
        assert!(
            shown.starts_with("bucket \"the-backups\" at Google Cloud Storage"),
            "{shown}"
        );
        assert_eq!(destination.store.prefix(), "prefix/");
        assert_eq!(destination.echo.bucket, "the-backups");
        let secrets = destination.store.secrets();
        for part in ["{hidden file}", PEM, "hidden-line-1", "hidden-line-2"] {
            assert!(secrets.contains(&Secret::new(part)), "{part}");
        }
        destination.store.remove_secrets();
        assert!(
            destination
                .store
                .secrets()
                .iter()
                .all(|secret| secret.expose().is_empty())
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_without_secrets() {
        let faults = checked(|d| {
            d.bucket = text("No Bucket");
            *key_of(d) = ServiceAccountDraft::default();
        });
        assert_eq!(
            faults.expect_err("faults"),
            "destination.bucket may hold only a-z 0-9 . _ -; destination.serviceAccountKey.private_key is missing; \
             destination.serviceAccountKey.client_email is missing; \
             destination.serviceAccountKey.private_key_id is missing"
        );
        let rows: &[(&str, Change)] = &[
            ("serviceAccountKey is missing", |d| d.service_account_key = None),
            ("serviceAccountKey.type must be service_account", |d| {
                key_of(d).kind = text("authorized_user hidden");
            }),
            ("serviceAccountKey.private_key must be a private key", |d| {
                key_of(d).private_key = Some(Secret::new("hidden"));
            }),
            ("serviceAccountKey.private_key must be a private key", |d| {
                key_of(d).private_key = Some(Secret::new(PEM.replace('\n', "\\n")));
            }),
            ("endpoint must be https", |d| {
                d.endpoint = text("http://gcs.example.org")
            }),
        ];
        for (fault, change) in rows {
            let faults = checked(change).expect_err(fault);
            assert!(faults.starts_with(&format!("destination.{fault}")), "{fault}: {faults}");
            assert!(!faults.contains("hidden"), "{faults}");
        }
    }

    #[test]
    fn a_private_endpoint_may_be_named() {
        for (endpoint, url) in [
            ("storage-x.p.googleapis.com", "https://storage-x.p.googleapis.com"),
            ("http://127.0.0.1:4443", "http://127.0.0.1:4443"),
        ] {
            match checked(|d| d.endpoint = text(endpoint)).expect("no faults").store {
                Store::Gcs(gcs) => assert_eq!(gcs.endpoint.as_deref(), Some(url)),
                other => panic!("{other:?}"),
            }
        }
    }
}
