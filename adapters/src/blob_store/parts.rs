//! How a file is cut into parts.

/// Files up to this length are sent by one request; longer ones in parts of at least this length.
///
/// S3 wants 5 MiB or more.
pub const PART_BYTES: u64 = 8 * MIB;
/// S3 allows 10,000 parts; some stores fewer bytes in all, so there is a little left.
const MOST_PARTS: u64 = 9_000;
const MIB: u64 = 1024 * 1024;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) index: usize,
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// The length of all parts but the last, which some stores want to be equal.
pub(super) fn part_bytes(size: u64) -> u64 {
    size.div_ceil(MOST_PARTS).next_multiple_of(MIB).max(PART_BYTES)
}

/// The parts of a file of that size, in order.
pub(super) fn parts(size: u64) -> impl Iterator<Item = Part> {
    let part_bytes = part_bytes(size);
    (0..size.div_ceil(part_bytes)).map(move |index| {
        let offset = index * part_bytes;
        Part {
            index: usize::try_from(index).expect("there are at most 9,000"),
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
        const GIB: u64 = 1024 * MIB;
        for (size, count, part_mib) in [
            (0, 0, 8),
            (1, 1, 8),
            (PART_BYTES - 1, 1, 8),
            (PART_BYTES, 1, 8),
            (PART_BYTES + 1, 2, 8),
            (2 * GIB, 256, 8),
            (9_000 * PART_BYTES, 9_000, 8),
            (9_000 * PART_BYTES + 1, 8_001, 9),
            (1024 * GIB, 8_963, 117),
            (5 * 1024 * GIB, 8_993, 583),
        ] {
            assert_eq!(part_bytes(size), part_mib * MIB, "{size}");
            let parts: Vec<_> = parts(size).collect();
            assert_eq!(parts.len(), count, "{size}");
            assert!(parts.len() <= 10_000, "{size}");
            let mut end = 0;
            for (index, part) in parts.iter().enumerate() {
                assert_eq!((part.index, part.offset), (index, end), "{size}");
                end += part.length as u64;
                let is_last = index + 1 == count;
                assert!(is_last || part.length as u64 == part_mib * MIB, "{size} {index}");
            }
            assert_eq!(end, size);
        }
    }
}
