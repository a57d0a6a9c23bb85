//! What went wrong with one request, as the store told it or the connection ended it.
//!
//! `object_store` keeps its own error types private, but lets what the HTTP service returned be found
//! at the end of its chain of causes. So these are made there, and found again with [`Fault::in_chain`].

use std::{error::Error, fmt, io, time::Duration};

use reqwest::header::HeaderValue;
use rustls::AlertDescription;

use super::{network::Forbidden, redaction::Redaction};

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The store answered, and the answer was not what was asked for.
    #[error("{0}")]
    Answer(Answer),
    /// The agent's own credentials could not be had, and so nothing was asked.
    #[error("{text}")]
    Credentials {
        /// Whether another try may help.
        may_pass: bool,
        /// What their source said.
        text: String,
    },
    /// There was no whole answer.
    #[error("{text}")]
    Connection {
        /// What it broke at.
        kind: ConnectionFault,
        /// What the system or library said.
        text: String,
    },
}

/// Where a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionFault {
    /// The host, or its address, is none that the operator allows.
    Forbidden,
    /// The host's name has no address.
    Name,
    /// Nobody listens.
    Refused,
    /// No connection for another reason.
    Connect,
    /// The server's certificate is not trusted.
    Certificate,
    /// The two do not speak TLS with each other.
    Tls,
    /// Nothing came in time.
    Silence,
    /// It ended too early.
    Broken,
    /// The request could not be made at all.
    Request,
}

/// An answer that is a refusal; only what may be shown of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// Where the bucket is, if the store said so.
    pub(super) region: Option<String>,
    /// How long the store wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, " ({message})")?;
        }
        Ok(())
    }
}

impl Answer {
    /// Reads what may be shown out of an error body, which may be anything.
    pub(super) fn read(status: u16, region_header: Option<&str>, body: &str, redaction: &Redaction) -> Self {
        let region = region_header.map(str::to_owned).or_else(|| element(body, "Region"));
        let (code, message) = if body.contains('<') {
            (element(body, "Code"), element(body, "Message"))
        } else {
            without_markup(body)
        };
        let shown = |text: Option<String>| text.map(|text| redaction.shown(&text)).filter(|text| !text.is_empty());
        Self {
            status,
            code: shown(code),
            message: shown(message),
            region: region
                .map(|region| redaction.clean(&region))
                .filter(|region| is_region(region)),
            retry_after: None,
        }
    }

    /// The same of a store that knows no secrets.
    #[cfg(test)]
    pub(super) fn new(status: u16, region_header: Option<&str>, body: &str) -> Self {
        Self::read(status, region_header, body, &Redaction::default())
    }

    /// With what its `Retry-After` says, which only those that are asked too much mean. Of its two
    /// forms stores use the one of seconds.
    pub(super) fn with_retry_after(mut self, header: Option<&HeaderValue>) -> Self {
        let seconds = header
            .filter(|_| matches!(self.status, 429 | 503))
            .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
        self.retry_after = seconds.map(Duration::from_secs);
        self
    }
}

impl Answer {
    /// The same with the code that a header tells, as an answer to a HEAD has no body.
    pub(super) fn with_code(mut self, header: Option<&str>, redaction: &Redaction) -> Self {
        let code = header.map(|code| redaction.shown(code));
        self.code = self.code.or(code.filter(|code| !code.is_empty()));
        self
    }
}

impl Fault {
    /// Finds the fault that is behind an error of `object_store`.
    pub(super) fn in_chain<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|cause| cause.downcast_ref())
    }

    /// Nothing came, or went, for that long.
    pub(super) fn silence(silence: Duration) -> Self {
        Self::Connection {
            kind: ConnectionFault::Silence,
            text: format!("nothing moved for {:.1} s", silence.as_secs_f32()),
        }
    }

    /// What `reqwest` says about a request without an answer; the URL is left out, as it may hold an
    /// upload's id.
    pub(super) fn of_connection(error: reqwest::Error, redaction: &Redaction) -> Self {
        let error = error.without_url();
        let text = chain(&error).last().map(ToString::to_string).unwrap_or_default();
        Self::Connection {
            kind: ConnectionFault::of(&error),
            text: redaction.shown(&text),
        }
    }

    pub(super) fn is_forbidden(&self) -> bool {
        let forbidden = ConnectionFault::Forbidden;
        matches!(self, Self::Connection { kind, .. } if *kind == forbidden)
    }

    /// No connection was tried.
    pub(super) fn forbidden(error: &Forbidden) -> Self {
        Self::Connection {
            kind: ConnectionFault::Forbidden,
            text: error.to_string(),
        }
    }
}

/// Whether an alert says that the two will never understand each other. Others come from servers
/// that restart, or from records that were damaged on the way.
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::UnrecognisedName
            | AlertDescription::NoApplicationProtocol
            | AlertDescription::CertificateRequired
            | AlertDescription::AccessDenied
    )
}

impl ConnectionFault {
    fn of(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Request;
        }
        // It stands behind what else is said of names.
        if chain(error).any(|cause| cause.is::<Forbidden>()) {
            return Self::Forbidden;
        }
        for cause in chain(error) {
            match cause.downcast_ref() {
                Some(rustls::Error::InvalidCertificate(_)) => return Self::Certificate,
                Some(rustls::Error::DecryptError) => return Self::Broken,
                Some(rustls::Error::AlertReceived(alert)) if !is_refusal(*alert) => return Self::Broken,
                Some(_) => return Self::Tls,
                None => {}
            }
            let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
            if cause.downcast_ref().is_some_and(refused) {
                return Self::Refused;
            }
            // The connector's error type is private; its text is all there is to go by.
            if cause.to_string() == "dns error" {
                return Self::Name;
            }
        }
        if error.is_timeout() {
            Self::Silence
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Broken
        }
    }
}

/// An error and its causes, the outermost first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // An I/O error that wraps another shows that one's cause as its own, so the one in between,
        // which says most, would be passed over.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// The text of the first element of that name.
///
/// This is no XML parser, and need not be: what it reads is only shown, and its input may be cut off.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    let text = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain));
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What an error body says that is no XML: Keystone's are JSON, some of Swift's plain text. (Pages for
/// browsers say no more than the status does.)
fn without_markup(body: &str) -> (Option<String>, Option<String>) {
    let said = |text: &str| Some(text.replace(['\r', '\n'], " "));
    match serde_json::from_str::<serde_json::Value>(body) {
        Ok(json) => {
            let member = |name: &str| said(json.get("error")?.get(name)?.as_str()?);
            (member("title"), member("message"))
        }
        Err(_) if body.contains(['{', char::REPLACEMENT_CHARACTER]) => (None, None),
        Err(_) => (None, said(body)),
    }
}

/// Whether this can be a region's name; it goes into headers and host names.
pub(super) fn is_region(text: &str) -> bool {
    let region_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(region_byte)
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;

    use super::*;

    #[test]
    fn code_and_message_are_read_and_nothing_else() {
        let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>\
                    <Message>a &lt;b&gt; &amp;amp; c</Message><StringToSign>secret</StringToSign></Error>";
        let answer = Answer::new(403, None, body);
        assert_eq!(answer.to_string(), "403 SignatureDoesNotMatch (a <b> &amp; c)");
    }

    #[test]
    fn a_wish_to_be_left_alone_is_read_in_seconds_and_from_those_that_are_busy() {
        for (status, header, wish) in [
            (503, Some("7"), Some(7)),
            (429, Some(" 0 "), Some(0)),
            (500, Some("7"), None),
            (503, Some("Wed, 21 Oct 2015 07:28:00 GMT"), None),
            (503, Some("-1"), None),
            (503, None, None),
        ] {
            let header = header.map(HeaderValue::from_static);
            let answer = Answer::new(status, None, "").with_retry_after(header.as_ref());
            assert_eq!(answer.retry_after, wish.map(Duration::from_secs), "{status} {header:?}");
        }
    }

    #[test]
    fn a_body_that_is_no_error_document_shows_nothing() {
        for body in [
            "",
            "<html><title>no</title></html>",
            "<Code>cut",
            "<Code></Code>",
            "<Code>\n</Code>",
        ] {
            assert_eq!(Answer::new(502, None, body).to_string(), "502", "{body:?}");
        }
    }

    #[test]
    fn json_and_plain_text_are_read_too() {
        for (body, shown) in [
            (
                r#"{"error": {"code": 401, "message": "The request\nneeds it.", "title": "Unauthorized"}}"#,
                "401 Unauthorized (The request needs it.)",
            ),
            ("Errors:\n/c/a, 404 Not Found", "401 (Errors: /c/a, 404 Not Found)"),
            ("[1]", "401"),
            ("{\"error\": {\"message\": 1", "401"),
            ("\u{fffd}PNG", "401"),
            (" \n ", "401"),
        ] {
            assert_eq!(Answer::new(401, None, body).to_string(), shown, "{body:?}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_has_no_control_characters() {
        let long = "ä\u{1b}[31m\r\n".repeat(100);
        let text = Redaction::default().shown(&long);
        assert!(text.chars().count() <= 200);
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    }

    #[test]
    fn no_part_of_an_answer_shows_a_secret_not_even_the_region() {
        let redaction = Redaction::of([Secret::new("secret-1234567"), Secret::new("a&b<c>\"d'")]);
        let filler = "x".repeat(195);
        for body in [
            "<Error><Code>secret-1234567</Code><Message>secret-1234567</Message><Region>secret-1234567</Region></Error>",
            &format!("<Code>a</Code><Message>{filler}secret-1234567</Message>"),
            "<Message>a&amp;b&lt;c&gt;&quot;d&apos;</Message>",
            "{\"error\": {\"title\": \"secret-1234567\", \"message\": \"a&b<c>\\\"d'\"}}",
            &format!("{filler}secret-1234567"),
        ] {
            let answer = Answer::read(403, Some("secret-1234567"), body, &redaction);
            let answer = answer.with_code(Some("secret-1234567"), &redaction);
            let text = format!("{answer:?}");
            assert!(!text.contains("secr") && !text.contains("a&b"), "{body}: {text}");
        }
    }

    #[test]
    fn the_region_comes_from_the_header_or_else_the_body() {
        let body = "<Error><Region>eu-west-1</Region></Error>";
        for (header, body, region) in [
            (Some("eu-north-1"), body, Some("eu-north-1")),
            (None, body, Some("eu-west-1")),
            (Some("evil\"region"), "", None),
            (None, "", None),
        ] {
            assert_eq!(Answer::new(400, header, body).region.as_deref(), region, "{header:?}");
        }
    }

    #[test]
    fn a_header_tells_the_code_where_the_body_does_not() {
        let body = "<Error><Code>BlobNotFound</Code></Error>";
        for (body, header, shown) in [
            (body, Some("Other"), "404 BlobNotFound"),
            ("", Some("ContainerNotFound"), "404 ContainerNotFound"),
            ("", Some("\t"), "404"),
            ("", None, "404"),
        ] {
            let answer = Answer::new(404, None, body).with_code(header, &Redaction::default());
            assert_eq!(answer.to_string(), shown, "{header:?}");
        }
    }

    #[test]
    fn an_error_wrapped_in_an_io_error_is_found() {
        let fault = Fault::Answer(Answer::new(503, None, ""));
        let error = io::Error::other(io::Error::other(fault.clone()));
        assert_eq!(Fault::in_chain(&error), Some(&fault));
    }
}
