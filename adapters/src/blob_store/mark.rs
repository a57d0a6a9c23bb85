//! What tells the object of one upload from every other of its name and length.

use object_store::{Attribute, Attributes};
use uuid::Uuid;

/// S3 keeps it as `x-amz-meta-osb-upload`, Google as `x-goog-meta-osb-upload`.
const NAME: &str = "osb-upload";

/// An id that an object carries, so that an upload whose answer was lost knows its own.
#[derive(Debug)]
pub(super) struct Mark(Option<String>);

impl Mark {
    pub(super) fn new() -> Self {
        Self(Some(Uuid::new_v4().to_string()))
    }

    /// For stores that keep none.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// What an object is made with.
    pub(super) fn attributes(&self) -> Attributes {
        let mark = self.0.clone().map(|id| (Attribute::Metadata(NAME.into()), id));
        mark.into_iter().collect()
    }

    /// Whether an object has this mark; none if it has no mark at all, as the store may keep none.
    pub(super) fn is_on(&self, attributes: &Attributes) -> Option<bool> {
        let found = attributes.get(&Attribute::Metadata(NAME.into()))?;
        Some(Some(found.as_ref()) == self.0.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_knows_itself_and_no_other() {
        let (mine, other) = (Mark::new(), Mark::new());
        assert_eq!(mine.is_on(&mine.attributes()), Some(true));
        assert_eq!(mine.is_on(&other.attributes()), Some(false));
        assert_eq!(mine.is_on(&Mark::none().attributes()), None);
    }
}
