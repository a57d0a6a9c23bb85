//! The data that the demo backs up.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

const PHOTOS: u64 = 28;
const PHOTO_SIZE_BYTES: usize = 256 * 1024;

/// Lays out a small tree with all that backups are known to lose: odd names, modes, empty things, links. It is the same
/// each time.
pub(super) fn lay_out(root: &Path) -> io::Result<()> {
    for directory in [
        "accounts/2018/Q3",
        "accounts/2018/Q4",
        "bin",
        "letters/Müller & Söhne",
        "keys",
        "nothing in here",
        "photos",
    ] {
        fs::create_dir_all(root.join(directory))?;
    }
    for (name, mode, text) in [
        (
            "README.txt",
            0o444,
            "Nobody may write to this file, and it has to come back all the same.\n",
        ),
        ("empty", 0o644, ""),
        (".hidden", 0o640, "A name that begins with a dot.\n"),
        ("-rf", 0o644, "A name that looks like an option.\n"),
        ("Straßen und Plätze.txt", 0o664, "Große Bäckerstraße\nÄußere Brücke\n"),
        ("it's \"quoted\".txt", 0o644, "A name that scripts stumble over.\n"),
        ("bin/greet", 0o755, "#!/bin/sh\necho Hello\n"),
        ("keys/for nobody else", 0o600, "not really a key\n"),
        (
            "letters/Müller & Söhne/Angebot 1.txt",
            0o644,
            "Sehr geehrte Damen und Herren,\n",
        ),
        (
            "letters/Müller & Söhne/Angebot 2.txt",
            0o644,
            "Sehr geehrter Herr Müller,\n",
        ),
    ] {
        write(&root.join(name), mode, text.as_bytes())?;
    }
    for (quarter, first) in [("Q3", 7), ("Q4", 10)] {
        for month in first..first + 3 {
            let path = root.join(format!("accounts/2018/{quarter}/2018-{month:02}.csv"));
            write(&path, 0o644, ledger(month).as_bytes())?;
        }
    }
    for number in 1..=PHOTOS {
        write(
            &root.join(format!("photos/photo {number:02}.jpg")),
            0o644,
            &noise(number),
        )?;
    }
    symlink(format!("photo {PHOTOS:02}.jpg"), root.join("photos/latest"))
}

fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    File::create_new(path)?.write_all(content)?;
    // Said afterwards, since the umask has no say then.
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Text that packs well.
fn ledger(month: u32) -> String {
    let rows = (0..3_000u32).map(|row| format!("2018-{month:02}-{:02};{row};{}\n", row % 28 + 1, row * month % 997));
    std::iter::once("date;number;amount\n".to_owned()).chain(rows).collect()
}

/// Bytes that don't pack at all, as photographs: xorshift64.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = vec![0; PHOTO_SIZE_BYTES];
    for word in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::inventory::Inventory;

    #[test]
    fn the_sample_is_the_same_each_time() {
        let [first, second] = [(); 2].map(|()| {
            let directory = tempfile::tempdir().expect("a directory");
            let root = directory.path().join("data");
            lay_out(&root).expect("laid out");
            Inventory::take(&root).expect("read")
        });
        assert_eq!(first, second);
        assert_eq!((first.files(), first.directories()), (44, 10));
        assert!(
            (7 << 20..9 << 20).contains(&first.size_bytes()),
            "{}",
            first.size_bytes()
        );
    }
}
