//! One request, which can be made twice.

use hyper::{
    HeaderMap, Method, Request,
    header::{ACCEPT, CONTENT_LENGTH, HeaderName, HeaderValue},
};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody, HttpResponse};

use super::error::SwiftFault;

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// What is asked of a server. It has no `Debug`: a body or header may hold a password.
#[derive(Clone)]
pub(super) struct Ask {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: HttpRequestBody,
}

impl Ask {
    pub(super) fn new(method: Method, url: String) -> Self {
        let mut headers = HeaderMap::new();
        if method == Method::PUT {
            // Swift takes none without it, and the client leaves it out where there is no body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Self {
            method,
            url,
            headers,
            body: HttpRequestBody::empty(),
        }
    }

    /// Makes it ask for JSON.
    pub(super) fn for_json(self) -> Self {
        self.with(ACCEPT, HeaderValue::from_static("application/json"))
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn with_body(mut self, body: impl Into<HttpRequestBody>) -> Self {
        self.body = body.into();
        let length = HeaderValue::from(self.body.content_length());
        self.with(CONTENT_LENGTH, length)
    }

    pub(super) fn has_body(&self) -> bool {
        self.body.content_length() > 0
    }

    /// Makes the request.
    pub(super) async fn send(
        &self,
        client: &HttpClient,
        token: Option<&HeaderValue>,
    ) -> Result<HttpResponse, SwiftFault> {
        let request = self.request(token)?;
        client.execute(request).await.map_err(|error| SwiftFault::of(&error))
    }

    fn request(&self, token: Option<&HeaderValue>) -> Result<HttpRequest, SwiftFault> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.url)
            .body(self.body.clone())
            .map_err(|error| SwiftFault::Strange(format!("the request could not be made: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        if let Some(token) = token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        Ok(request)
    }
}

/// A header's value of anything that can be one.
pub(super) fn header(text: &str) -> Result<HeaderValue, SwiftFault> {
    let strange = |_| SwiftFault::Strange("a value for a header holds characters that none can have".to_owned());
    HeaderValue::from_bytes(text.as_bytes()).map_err(strange)
}
