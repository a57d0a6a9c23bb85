//! How a file is cut into parts.

/// Files up to this length are sent by one request; longer ones in parts of at least this length.
///
/// S3 wants 5 MiB or more.
pub const PART_BYTES: u64 = 8 * MIB;
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// What a store demands of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartRules {
    /// So many are allowed.
    pub(super) most_parts: u64,
    /// The longest that one may be, in bytes.
    pub(super) most_bytes: u64,
}

impl PartRules {
    /// Of S3 and of what is like it: 10,000 parts of up to 5 GiB.
    pub(super) const S3: Self = Self {
        most_parts: 10_000,
        most_bytes: 5 * GIB,
    };

    /// Of Google Cloud Storage: the same.
    pub(super) const GCS: Self = Self::S3;

    /// Of Azure: 50,000 blocks of up to 4,000 MiB.
    pub(super) const AZURE: Self = Self {
        most_parts: 50_000,
        most_bytes: 4_000 * MIB,
    };

    /// The length of all parts but the last, which some stores want to be equal; none if a file of
    /// that size cannot be stored.
    pub(super) fn part_bytes(self, size: u64) -> Option<u64> {
        let least = size.div_ceil(self.most_parts.max(1)).next_multiple_of(MIB);
        let bytes = least.max(PART_BYTES.min(self.most_bytes));
        (bytes <= self.most_bytes).then_some(bytes)
    }
}

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) index: usize,
    pub(super) offset: u64,
    pub(super) length: usize,
}

impl Part {
    /// Where it ends.
    pub(super) fn end(self) -> u64 {
        self.offset + self.length as u64
    }
}

/// The parts of a file of that size, in order.
pub(super) fn parts(size: u64, part_bytes: u64) -> impl Iterator<Item = Part> {
    (0..size.div_ceil(part_bytes)).map(move |index| {
        let offset = index * part_bytes;
        Part {
            index: usize::try_from(index).expect("stores allow fewer"),
            offset,
            length: usize::try_from(part_bytes.min(size - offset)).expect("a part fits into memory"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_within_the_limits_of_s3() {
        for (size, count, part_mib) in [
            (0, 0, 8),
            (1, 1, 8),
            (PART_BYTES - 1, 1, 8),
            (PART_BYTES, 1, 8),
            (PART_BYTES + 1, 2, 8),
            (2 * GIB, 256, 8),
            (10_000 * PART_BYTES, 10_000, 8),
            (10_000 * PART_BYTES + 1, 8_889, 9),
            (300 * GIB, 9_910, 31),
            (1024 * GIB, 9_987, 105),
            (5 * 1024 * GIB, 9_987, 525),
        ] {
            let part_bytes = PartRules::S3.part_bytes(size).expect("it can be stored");
            assert_eq!(part_bytes, part_mib * MIB, "{size}");
            let parts: Vec<_> = parts(size, part_bytes).collect();
            assert_eq!(parts.len(), count, "{size}");
            assert!(parts.len() <= 10_000, "{size}");
            let mut end = 0;
            for (index, part) in parts.iter().enumerate() {
                assert_eq!((part.index, part.offset), (index, end), "{size}");
                end = part.end();
                let is_last = index + 1 == count;
                assert!(is_last || part.length as u64 == part_mib * MIB, "{size} {index}");
            }
            assert_eq!(end, size);
        }
    }

    #[test]
    fn parts_for_azure_are_more_and_may_be_larger_than_any_file() {
        for (size, part_mib) in [
            (PART_BYTES + 1, 8),
            (50_000 * PART_BYTES, 8),
            (50_000 * PART_BYTES + 1, 9),
            (50_000 * 4_000 * MIB, 4_000),
        ] {
            let part_bytes = PartRules::AZURE.part_bytes(size);
            assert_eq!(part_bytes, Some(part_mib * MIB), "{size}");
        }
        assert_eq!(PartRules::AZURE.part_bytes(50_000 * 4_000 * MIB + 1), None);
    }

    #[test]
    fn what_a_store_cannot_take_has_no_parts() {
        let rules = PartRules {
            most_parts: 3,
            most_bytes: 10 * MIB,
        };
        assert_eq!(rules.part_bytes(30 * MIB), Some(10 * MIB));
        assert_eq!(rules.part_bytes(30 * MIB + 1), None);
        let small = PartRules {
            most_parts: 1000,
            most_bytes: 5 * MIB,
        };
        assert_eq!(small.part_bytes(20 * MIB), Some(5 * MIB));
        assert_eq!(small.part_bytes(5 * GIB), None);
    }
}
