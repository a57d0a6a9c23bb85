//! Where the demo's artifact goes.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{DemoOptions, scratch::Scratch};

/// The variables of every S3 tool; also what the printed commands have in place of the keys.
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";
const SECRET_KEY: &str = "AWS_SECRET_ACCESS_KEY";

/// A place for the artifact. Deliberately without `Debug`: it holds keys.
pub(super) enum Target {
    /// A directory of the scratch directory.
    Directory,
    /// A bucket of an S3 store.
    Bucket(Bucket),
}

/// A bucket, and the keys to it.
pub(super) struct Bucket {
    endpoint: String,
    name: String,
    region: Option<String>,
    /// Of this run alone, so that runs do not meet.
    prefix: String,
    access_key: String,
    secret_key: String,
}

impl Target {
    /// Reads the options, and `variable` for the keys; the error is for whoever gave them.
    pub(super) fn choose(options: &DemoOptions, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let (endpoint, name) = match (&options.endpoint, &options.bucket) {
            (None, None) if options.region.is_none() => return Ok(Self::Directory),
            (Some(endpoint), Some(bucket)) => (endpoint.clone(), bucket.clone()),
            (None | Some(_), None | Some(_)) => {
                return Err("an S3 store needs both --endpoint and --bucket".to_owned());
            }
        };
        let key = |name| {
            let value = variable(name).filter(|value| !value.is_empty());
            value
                .ok_or_else(|| format!("{name} is not set; --endpoint and --bucket need {ACCESS_KEY} and {SECRET_KEY}"))
        };
        Ok(Self::Bucket(Bucket {
            endpoint,
            name,
            region: options.region.clone(),
            prefix: format!("osb-backup-agent-demo/{}/", Uuid::new_v4()),
            access_key: key(ACCESS_KEY)?,
            secret_key: key(SECRET_KEY)?,
        }))
    }

    /// The request's `destination`.
    pub(super) fn destination(&self, scratch: &Scratch) -> Map<String, Value> {
        match self {
            Self::Directory => object(json!({ "type": "FILE", "path": scratch.destination() })),
            Self::Bucket(bucket) => bucket.destination(&bucket.access_key, &bucket.secret_key),
        }
    }

    /// The same for a shell command that people may see: with the names of variables where the keys are.
    pub(super) fn destination_without_keys(&self, scratch: &Scratch) -> Map<String, Value> {
        match self {
            Self::Directory => self.destination(scratch),
            Self::Bucket(bucket) => bucket.destination(&format!("${ACCESS_KEY}"), &format!("${SECRET_KEY}")),
        }
    }

    /// In a few words, for the head of the story.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Directory => "destination/ (type FILE)".to_owned(),
            Self::Bucket(bucket) => format!("bucket {} at {} (type S3)", bucket.name, bucket.endpoint),
        }
    }

    /// Where a file of this name is then.
    pub(super) fn locate(&self, filename: &str) -> String {
        match self {
            Self::Directory => format!("destination/{filename}"),
            Self::Bucket(bucket) => format!("s3://{}/{}{filename}", bucket.name, bucket.prefix),
        }
    }
}

impl Bucket {
    fn destination(&self, access_key: &str, secret_key: &str) -> Map<String, Value> {
        let mut destination = object(json!({
            "type": "S3",
            "endpoint": self.endpoint,
            "bucket": self.name,
            "filenamePrefix": self.prefix,
            "authKey": access_key,
            "authSecret": secret_key,
        }));
        if let Some(region) = &self.region {
            destination.insert("region".to_owned(), json!(region));
        }
        destination
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(endpoint: Option<&str>, bucket: Option<&str>) -> DemoOptions {
        let [endpoint, bucket] = [endpoint, bucket].map(|value| value.map(str::to_owned));
        DemoOptions {
            endpoint,
            bucket,
            region: None,
            keep: false,
        }
    }

    #[test]
    fn half_an_s3_store_is_refused() {
        for (endpoint, bucket, variables, complaint) in [
            (Some("http://s3"), None, "set", "--bucket"),
            (None, Some("b"), "set", "--endpoint"),
            (Some("http://s3"), Some("b"), "", ACCESS_KEY),
        ] {
            let target = Target::choose(&options(endpoint, bucket), |_| Some(variables.to_owned()));
            let fault = target.err().expect("refused");
            assert!(fault.contains(complaint), "{endpoint:?} {bucket:?}: {fault}");
        }
    }

    #[test]
    fn keys_are_in_the_request_and_nowhere_else() {
        let target = Target::choose(&options(Some("http://s3"), Some("b")), |name| {
            Some(format!("value of {name}"))
        });
        let target = target.unwrap_or_else(|fault| panic!("{fault}"));
        let scratch = Scratch::create().expect("a scratch directory");
        assert_eq!(
            target.destination(&scratch)["authSecret"],
            "value of AWS_SECRET_ACCESS_KEY"
        );

        let shown = json!(target.destination_without_keys(&scratch)).to_string();
        assert!(shown.contains("$AWS_SECRET_ACCESS_KEY"), "{shown}");
        for text in [shown, target.describe(), target.locate("file")] {
            assert!(!text.contains("value of"), "{text}");
        }
    }
}
