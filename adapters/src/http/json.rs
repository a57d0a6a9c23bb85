//! JSON as tolerant as the original's clients need it: names in any case, names given twice,
//! unknown members, `null` for absent, and numbers with the digits they were sent with.

use std::fmt;

use domain::{request::Faults, secret::Secret};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::bounds;

/// The members of an object, in order, none of them looked into yet.
#[derive(Default)]
pub(super) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl fmt::Debug for Members<'_> {
    /// Shows nothing of the values: any may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} members", self.0.len())
    }
}

impl<'a> Members<'a> {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// If it is not a JSON object; the text says where, but repeats nothing of the body.
    pub(super) fn of_body(body: &'a [u8]) -> Result<Self, String> {
        if body.trim_ascii().is_empty() {
            return Err("the body is empty, but must be a JSON object".to_owned());
        }
        bounds::check(body)?;
        serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            if error.is_data() {
                "the body must be a JSON object".to_owned()
            } else {
                format!("the body is not valid JSON (line {line}, column {column})")
            }
        })
    }

    /// The last member of this name, or else the last whose name differs in ASCII case only. A
    /// member that is `null` is absent, and hides none in another case.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let last = |matches: &dyn Fn(&str) -> bool| {
            let member = self.0.iter().rev().find(|(key, _)| matches(key));
            member.map(|(_, value)| *value).filter(|value| value.get() != "null")
        };
        last(&|key| key == name).or_else(|| last(&|key| key != name && key.eq_ignore_ascii_case(name)))
    }

    /// All members, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(ObjectVisitor).map(Members)
    }
}

/// How a member is read: what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// Text that is shown nowhere.
    Secret,
    Boolean,
    /// A number of bytes, alone or as in a polling body.
    FileSize,
    /// The key file of a service account, as an object or as text.
    ServiceAccountKey,
    /// Names with simple values, in one object or in a list of them.
    Parameters,
}

/// What is noted while members are read.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What is wrong.
    pub(super) faults: Faults,
    /// Every member that was asked for, by its path, if that is wanted.
    pub(super) asked: Option<Vec<(String, Shape)>>,
}

/// Reads members of one object, and notes what has the wrong type.
#[derive(Debug)]
pub(super) struct Reader<'a, 'n> {
    members: Option<Members<'a>>,
    path: String,
    notes: &'n mut Notes,
}

impl<'a, 'n> Reader<'a, 'n> {
    /// A reader of the members of `parent` that are below `name`. If that is absent or no object,
    /// so are they.
    pub(super) fn below(parent: &Members<'a>, name: &str, notes: &'n mut Notes) -> Self {
        let members = parent.get(name).and_then(|raw| {
            let members = serde_json::from_str(raw.get()).ok();
            if members.is_none() {
                notes.faults.add(name, "must be an object");
            }
            members
        });
        Self {
            members,
            path: format!("{name}."),
            notes,
        }
    }

    /// A reader of the outermost members.
    pub(super) fn top(members: Members<'a>, notes: &'n mut Notes) -> Self {
        Self {
            members: Some(members),
            path: String::new(),
            notes,
        }
    }

    /// A member as it stands there, for what is read in a way of its own.
    pub(super) fn raw(&mut self, name: &str, shape: Shape) -> Option<&'a RawValue> {
        if let Some(asked) = &mut self.notes.asked {
            asked.push((format!("{}{name}", self.path), shape));
        }
        self.members.as_ref()?.get(name)
    }

    pub(super) fn string(&mut self, name: &str) -> Option<String> {
        self.typed(name, Shape::Text, "must be a string")
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
        let text: Option<String> = self.typed(name, Shape::Secret, "must be a string");
        text.map(Secret::new)
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.typed(name, Shape::Boolean, "must be true or false")
    }

    pub(super) fn fault(&mut self, name: &str, problem: impl Into<String>) {
        self.notes.faults.add(format!("{}{name}", self.path), problem);
    }

    fn typed<T: Deserialize<'a>>(&mut self, name: &str, shape: Shape, problem: &str) -> Option<T> {
        let raw = self.raw(name, shape)?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.fault(name, problem);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(body: &str, name: &str) -> Option<String> {
        let members = Members::of_body(body.as_bytes()).expect("an object");
        members.get(name).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn an_exact_name_comes_first_then_any_case_and_the_last_of_equals_counts() {
        for (body, value) in [
            (r#"{"id":1}"#, Some("1")),
            (r#"{"ID":1}"#, Some("1")),
            (r#"{"id":1,"ID":2}"#, Some("1")),
            (r#"{"ID":2,"id":1}"#, Some("1")),
            (r#"{"id":1,"id":2}"#, Some("2")),
            (r#"{"Id":1,"iD":2}"#, Some("2")),
            (r#"{"id":null}"#, None),
            (r#"{"id":1,"id":null}"#, None),
            (r#"{"id":null,"ID":1}"#, Some("1")),
            (r#"{"id":1,"ID":null}"#, Some("1")),
            (r#"{"other":{"id":1}}"#, None),
            (r#"{"\u0069d":1}"#, Some("1")),
            (r#"{"id":1.50e+3}"#, Some("1.50e+3")),
        ] {
            assert_eq!(get(body, "id").as_deref(), value, "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_repeating_it() {
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        for body in [
            "",
            "  ",
            "null",
            "[]",
            "\"secret\"",
            "1",
            "{",
            "{\"secret\":",
            "{\"a\":1} x",
            "{a:1}",
            "{'a':1}",
            "\u{feff}{}",
            "{\"a\":1,}",
            "secret",
            &deep,
        ] {
            let problem = Members::of_body(body.as_bytes()).expect_err(body);
            assert!(!problem.contains("secret"), "{problem}");
        }
        assert!(Members::of_body(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = "[{".repeat(1000);
        assert!(get(&format!(r#"{{"a":"\"{text}","b":[[[]]]}}"#), "b").is_some());
    }
}
