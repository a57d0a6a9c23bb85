//! Requests that make an object make it only under a free name.
//!
//! `object_store` puts that condition on objects in one piece alone. What completes an upload in parts
//! gets it here, on its way to the connection, in the words of each store.

use std::{fmt, sync::Arc};

use object_store::{
    azure::{AzureAuthorizer, AzureCredential},
    client::HttpRequest,
};
use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderName, HeaderValue, IF_NONE_MATCH},
};

/// An object of generation 0 is one that is not there.
const GENERATION: HeaderName = HeaderName::from_static("x-goog-if-generation-match");
const NO_OBJECT: HeaderValue = HeaderValue::from_static("0");
const NO_TAG: HeaderValue = HeaderValue::from_static("*");

/// In whose words a request is told to replace nothing.
#[derive(Debug, Clone, Default)]
pub(super) enum Condition {
    /// In none: it may replace an object.
    #[default]
    None,
    /// S3's: completions only, as some of its kind refuse them.
    S3,
    /// Those of Google Cloud Storage, on whatever makes an object.
    Gcs,
    /// Azure's, on whatever makes a blob.
    Azure(AzureSignature),
}

/// What signs a request to Azure once more, as the condition is part of what is signed.
#[derive(Clone)]
pub(super) struct AzureSignature {
    pub(super) credential: Arc<AzureCredential>,
    pub(super) account: String,
}

impl fmt::Debug for AzureSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureSignature").finish_non_exhaustive()
    }
}

/// Whether a request puts the parts of an object together.
pub(super) fn completes(request: &HttpRequest) -> bool {
    let has_body = request.body().content_length() > 0;
    // Of the requests with a body, only this one is a POST; others put a list.
    let puts_list = asks(request, "comp=blocklist") || asks(request, "multipart-manifest=put");
    (request.method() == Method::POST && has_body) || puts_list
}

impl Condition {
    /// Puts the condition on a request that it is for.
    pub(super) fn impose(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        match self {
            Self::None => {}
            Self::S3 => {
                if completes(request) {
                    // It need not be among the headers that are signed.
                    request.headers_mut().insert(IF_NONE_MATCH, NO_TAG);
                }
            }
            Self::Gcs => {
                let is_part = asks(request, "partNumber=");
                if completes(request) || (request.method() == Method::PUT && !is_part) {
                    request.headers_mut().insert(GENERATION, NO_OBJECT);
                }
            }
            Self::Azure(signature) => {
                let is_block = asks(request, "comp=block");
                if request.method() == Method::PUT && !is_block && !request.headers().contains_key(IF_NONE_MATCH) {
                    request.headers_mut().insert(IF_NONE_MATCH, NO_TAG);
                    signature.renew(request)?;
                }
            }
        }
        Ok(())
    }
}

impl AzureSignature {
    fn renew(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        match *self.credential {
            // The token is for the address, not for the headers.
            AzureCredential::SASToken(_) => Ok(()),
            AzureCredential::AccessKey(_) | AzureCredential::BearerToken(_) => {
                request.headers_mut().remove(AUTHORIZATION);
                AzureAuthorizer::new(&self.credential, &self.account).try_authorize(request)
            }
        }
    }
}

/// Whether one of the members of a request's query is that, or begins with that if it ends with `=`.
fn asks(request: &HttpRequest, member: &str) -> bool {
    let mut members = request.uri().query().unwrap_or_default().split('&');
    members.any(|found| found == member || (member.ends_with('=') && found.starts_with(member)))
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use object_store::{azure::AzureAccessKey, client::HttpRequestBody};

    use super::*;

    fn request(method: Method, query: &str, body: &'static str) -> HttpRequest {
        Request::builder()
            .method(method)
            .uri(format!("https://store.example.org/b/key{query}"))
            .body(HttpRequestBody::from(body.to_owned()))
            .unwrap()
    }

    fn azure(credential: AzureCredential) -> Condition {
        Condition::Azure(AzureSignature {
            credential: Arc::new(credential),
            account: "account".to_owned(),
        })
    }

    fn with_key() -> Condition {
        azure(AzureCredential::AccessKey(
            AzureAccessKey::try_new("c2VjcmV0IGtleQ==").unwrap(),
        ))
    }

    #[test]
    fn what_makes_an_object_gets_the_condition_and_nothing_else() {
        use Method as M;
        let (s3, gcs, azure) = (Condition::S3, Condition::Gcs, with_key());
        for (condition, method, query, body, header) in [
            (&Condition::None, M::POST, "?uploadId=x", "<parts>", None),
            (&s3, M::POST, "?uploadId=x", "<parts>", Some("if-none-match")),
            (&s3, M::POST, "?uploads", "", None),
            (&s3, M::PUT, "?partNumber=1&uploadId=x", "bytes", None),
            (
                &gcs,
                M::POST,
                "?uploadId=x",
                "<parts>",
                Some("x-goog-if-generation-match"),
            ),
            (&gcs, M::POST, "?uploads=", "", None),
            (&gcs, M::PUT, "?partNumber=1&uploadId=x", "bytes", None),
            (&gcs, M::PUT, "", "bytes", Some("x-goog-if-generation-match")),
            (&gcs, M::PUT, "", "", Some("x-goog-if-generation-match")),
            (&gcs, M::DELETE, "?uploadId=x", "", None),
            (&azure, M::PUT, "?comp=blocklist", "<blocks>", Some("if-none-match")),
            (
                &azure,
                M::PUT,
                "?sv=1&comp=blocklist",
                "<blocks>",
                Some("if-none-match"),
            ),
            (&azure, M::PUT, "?comp=block&blockid=x", "bytes", None),
            (&azure, M::PUT, "", "bytes", Some("if-none-match")),
            (&azure, M::HEAD, "", "", None),
        ] {
            let mut request = request(method.clone(), query, body);
            condition.impose(&mut request).unwrap();
            for name in ["if-none-match", "x-goog-if-generation-match"] {
                let is_there = request.headers().contains_key(name);
                assert_eq!(is_there, header == Some(name), "{condition:?} {method} {query} {name}");
            }
        }
    }

    #[test]
    fn a_key_signs_the_condition_and_a_token_needs_no_signature() {
        let mut signed = request(Method::PUT, "?comp=blocklist", "<blocks>");
        signed
            .headers_mut()
            .insert(AUTHORIZATION, HeaderValue::from_static("old"));
        with_key().impose(&mut signed).unwrap();
        let signatures: Vec<_> = signed.headers().get_all(AUTHORIZATION).iter().collect();
        assert_eq!(signatures.len(), 1);
        assert!(signatures[0].to_str().unwrap().starts_with("SharedKey account:"));

        let token = azure(AzureCredential::SASToken(vec![("sig".to_owned(), "x".to_owned())]));
        let mut sent = request(Method::PUT, "?comp=blocklist&sig=x", "<blocks>");
        let before = sent.uri().clone();
        token.impose(&mut sent).unwrap();
        assert_eq!(sent.uri(), &before);
        assert!(!sent.headers().contains_key(AUTHORIZATION));
    }

    #[test]
    fn a_condition_does_not_print_what_it_signs_with() {
        let text = format!("{:?}", azure(AzureCredential::BearerToken("hidden".to_owned())));
        assert!(!text.contains("hidden"), "{text}");
    }
}
