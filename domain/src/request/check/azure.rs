//! Destinations in Azure Blob Storage.

use super::Check;
use crate::{
    request::{AzureCredential, AzureStore, DestinationDraft, RequestRules},
    secret::Secret,
};

impl Check {
    pub(super) fn azure(&mut self, draft: DestinationDraft, rules: &RequestRules, skip_ssl: bool) -> AzureStore {
        let endpoint = self.endpoint(draft.endpoint, skip_ssl);
        let account = draft.account.as_deref().unwrap_or_default();
        let own = format!("https://{account}.blob.core.windows.net");
        self.allowed(rules, "destination.endpoint", endpoint.as_deref(), &own);
        let credential = self.azure_credential(draft.account_key, draft.sas_token);
        if matches!(credential, AzureCredential::SasToken(_)) {
            // Every request holds it, so whoever reads one could use it.
            self.no_listeners(endpoint.as_deref());
        }
        AzureStore {
            endpoint,
            account: self.name("destination.account", draft.account, "a-z 0-9", b""),
            container: self.name("destination.container", draft.container, "a-z 0-9 -", b"-"),
            credential,
            prefix: self.prefix(draft.filename_prefix.unwrap_or_default()),
        }
    }

    fn azure_credential(&mut self, key: Option<Secret>, token: Option<Secret>) -> AzureCredential {
        const KEY: &str = "destination.accountKey";
        const TOKEN: &str = "destination.sasToken";
        let key = self.secret(KEY, key);
        let token = self.secret(TOKEN, token);
        match (key.expose().is_empty(), token.expose().is_empty()) {
            (true, true) => self.faults.add(KEY, "is missing, and there is no sasToken either"),
            (false, false) => self.faults.add(TOKEN, "must not be there together with accountKey"),
            (false, true) => {
                if !is_base64(key.expose()) {
                    self.faults.add(KEY, "is not base64; check for blanks and line ends");
                }
            }
            (true, false) => {
                let token = token.expose().trim_start_matches('?');
                if let Some(problem) = problem_of_token(token) {
                    self.faults.add(TOKEN, problem);
                }
                return AzureCredential::SasToken(Secret::new(token));
            }
        }
        AzureCredential::AccountKey(key)
    }
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    digits.bytes().all(is_digit) && text.len() - digits.len() <= 2 && text.len().is_multiple_of(4)
}

/// What is wrong with a shared access signature, without repeating any of it.
fn problem_of_token(token: &str) -> Option<&'static str> {
    let is_graphic = |byte: u8| byte.is_ascii_graphic();
    if !token.bytes().all(is_graphic) {
        Some("holds a character that no SAS token has; check for blanks and line ends")
    } else if !token.split('&').all(|pair| pair.contains('=')) || token.contains("://") {
        Some("is not a SAS token; it is the query of a SAS URL, and begins with sv= or the like")
    } else if !token.split('&').any(|pair| pair.starts_with("sig=")) {
        Some("holds no sig=; a SAS token ends with its signature")
    } else {
        None
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

    type Change = fn(&mut DestinationDraft);

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn checked(change: impl FnOnce(&mut DestinationDraft)) -> Result<Destination, String> {
        let mut draft = draft(JobKind::Backup, "j");
        draft.destination = DestinationDraft {
            kind: text("azure"),
            account: text("account1"),
            container: text("the-backups"),
            account_key: Some(Secret::new("c2VjcmV0")),
            filename_prefix: text("prefix/"),
            ..DestinationDraft::default()
        };
        change(&mut draft.destination);
        let request = draft.check(&open_rules(), Faults::default());
        request
            .map(|request| request.destination)
            .map_err(|faults| faults.to_string())
    }

    fn store_of(change: impl FnOnce(&mut DestinationDraft)) -> AzureStore {
        match checked(change).expect("no faults").store {
            Store::Azure(azure) => azure,
            other => panic!("{other:?}"),
        }
    }

    fn with_token(draft: &mut DestinationDraft, token: &str) {
        draft.account_key = None;
        draft.sas_token = Some(Secret::new(token));
    }

    #[test]
    fn a_key_or_a_token_lets_one_in() {
        let store = store_of(|_| {});
        assert_eq!(store.credential, AzureCredential::AccountKey(Secret::new("c2VjcmV0")));
        assert_eq!((store.endpoint.as_deref(), store.prefix.as_str()), (None, "prefix/"));
        for token in ["sv=1&sp=rw&sig=a%2Bb%3D", "?sv=1&sp=rw&sig=a%2Bb%3D"] {
            let store = store_of(|d| with_token(d, token));
            let expected = AzureCredential::SasToken(Secret::new("sv=1&sp=rw&sig=a%2Bb%3D"));
            assert_eq!(store.credential, expected, "{token}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_without_secrets() {
        let faults = checked(|d| {
            d.account = None;
            d.container = text("Backups");
            d.account_key = None;
            d.filename_prefix = text("/x");
            d.endpoint = text("ftp://x");
        });
        assert_eq!(
            faults.expect_err("faults"),
            "destination.endpoint must begin with http:// or https://, or have no scheme; \
             destination.accountKey is missing, and there is no sasToken either; \
             destination.account is missing; destination.container may hold only a-z 0-9 -; \
             destination.filenamePrefix must not begin with / or hold an empty segment"
        );
        let rows: &[(&str, Change)] = &[
            ("accountKey is not base64", |d| {
                d.account_key = Some(Secret::new("hidden!"))
            }),
            ("accountKey is not base64", |d| {
                d.account_key = Some(Secret::new("hidden"))
            }),
            ("accountKey is not base64", |d| {
                d.account_key = Some(Secret::new("hidden==\n"))
            }),
            ("sasToken must not be there together", |d| {
                d.sas_token = Some(Secret::new("sig=hidden"));
            }),
            ("sasToken is not a SAS token", |d| with_token(d, "hidden")),
            ("sasToken is not a SAS token", |d| {
                with_token(d, "https://x/?sv=1&sig=hidden")
            }),
            ("sasToken holds no sig=", |d| with_token(d, "sv=1&sp=hidden")),
            ("sasToken holds a character", |d| with_token(d, "sv=1&sig=hidden\n")),
            ("account may hold only", |d| d.account = text("a.b")),
            ("container may hold only", |d| d.container = text("a/b")),
        ];
        for (fault, change) in rows {
            let faults = checked(change).expect_err(fault);
            assert!(faults.starts_with(&format!("destination.{fault}")), "{fault}: {faults}");
            assert!(!faults.contains("hidden"), "{faults}");
        }
    }

    #[test]
    fn a_token_goes_over_http_on_this_machine_only() {
        for (endpoint, key_may, token_may) in [
            ("http://127.0.0.1:10000/account1", true, true),
            ("http://azurite.example.org:10000/account1", true, false),
            ("https://account1.blob.core.chinacloudapi.cn", true, true),
        ] {
            let of_key = checked(|d| d.endpoint = text(endpoint));
            let of_token = checked(|d| {
                with_token(d, "sv=1&sig=x");
                d.endpoint = text(endpoint);
            });
            assert_eq!((of_key.is_ok(), of_token.is_ok()), (key_may, token_may), "{endpoint}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_secret_and_what_is_hidden_holds_them_all() {
        let mut destination = checked(|d| with_token(d, "sv=1&sp=rw&sig=SECRET%2Bsigned%3D")).expect("no faults");
        let shown = format!("{} {destination:?}", destination.store);
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(
            shown.starts_with("container \"the-backups\" of account \"account1\" at Azure"),
            "{shown}"
        );
        assert_eq!(
            (destination.echo.account.as_str(), destination.echo.container.as_str()),
            ("account1", "the-backups")
        );
        let secrets = destination.store.secrets();
        for part in [
            "SECRET+signed=",
            "SECRET%2Bsigned%3D",
            "sv=1&sp=rw&sig=SECRET%2Bsigned%3D",
        ] {
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
}
