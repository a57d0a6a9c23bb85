//! The addresses of an account and of what is in it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// All else is escaped, each byte once.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ESCAPED_BETWEEN_SLASHES: &AsciiSet = &ESCAPED.remove(b'/');

/// Where an account's containers are.
#[derive(Debug, Clone)]
pub(super) struct Account(Url);

impl Account {
    /// Takes what a server says the address is, or tells why it cannot be one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text.trim()).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it begins with neither http:// nor https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user or password".to_owned());
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self(url))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The account itself, with a query.
    pub(super) fn with_query(&self, query: &str) -> String {
        format!("{}?{query}", self.base())
    }

    pub(super) fn container(&self, container: &str) -> String {
        format!("{}/{}", self.base(), escaped(container))
    }

    pub(super) fn object(&self, container: &str, key: &str) -> String {
        format!("{}/{}", self.container(container), path(key))
    }

    /// Where the store tells what it is: beside the API's version, wherever that is in the path.
    pub(super) fn info(&self) -> String {
        let mut url = self.0.clone();
        let before = url.path().split_once("/v1").map_or("", |(before, _)| before).to_owned();
        url.set_path(&format!("{before}/info"));
        url.into()
    }
}

/// A value of a query.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// An object's name in a path, whose slashes stay.
pub(super) fn path(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED_BETWEEN_SLASHES).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_exactly_once() {
        let account = Account::parse("http://h:1/v1/AUTH_%41/").unwrap();
        for (key, escaped) in [
            ("a/b.tar.gz", "a/b.tar.gz"),
            ("a b%20#+~?&=", "a%20b%2520%23%2B~%3F%26%3D"),
            ("ä/😀", "%C3%A4/%F0%9F%98%80"),
            ("a\\;:@\"'", "a%5C%3B%3A%40%22%27"),
        ] {
            let url = account.object("c d", key);
            assert_eq!(url, format!("http://h:1/v1/AUTH_%41/c%20d/{escaped}"));
            // The client parses it once more, which must change nothing.
            assert_eq!(Url::parse(&url).unwrap().as_str(), url);
        }
    }

    #[test]
    fn the_store_tells_of_itself_beside_its_version() {
        for (account, info) in [
            ("http://h:1/v1/AUTH_a", "http://h:1/info"),
            ("https://h/swift/v1/AUTH_a?x#y", "https://h/swift/info"),
            ("https://h/swift/v1", "https://h/swift/info"),
            ("https://h/elsewhere", "https://h/info"),
        ] {
            assert_eq!(Account::parse(account).unwrap().info(), info);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "/v1/AUTH_a", "ftp://h/", "http://", "http://u:p@h/", "http://h:x/"] {
            assert!(Account::parse(text).is_err(), "{text}");
        }
    }
}
