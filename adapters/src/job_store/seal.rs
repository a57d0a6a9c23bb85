//! The key under which the secrets of unsettled jobs lie on the disk.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::writing::{remove_quietly, sync_directory};

const KEY_BYTES: usize = 32;

/// Encrypts and decrypts what must not lie on the disk as it is. `ring` does not wipe the form in which
/// it computes with the key.
pub(super) struct SealKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    key: LessSafeKey,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(<redacted>)")
    }
}

impl SealKey {
    pub(super) fn of(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self, String> {
        let key =
            UnboundKey::new(&CHACHA20_POLY1305, bytes.as_slice()).map_err(|_| "the key was not taken".to_owned())?;
        let key = LessSafeKey::new(key);
        Ok(Self { bytes, key })
    }

    /// The key of the file at `path`; none if there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let text = match fs::read(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let path = path.display();
                return Err(format!(
                    "cannot read the key file {path}: {error}; let the agent's user read it"
                ));
            }
        };
        if fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
            tracing::warn!(path = %path.display(), "the key file can be read by others; make its mode 0600");
        }
        let Some(bytes) = std::str::from_utf8(&text).ok().and_then(|text| from_hex(text.trim())) else {
            return Err(format!(
                "the key file {} does not hold {} hex digits, and is left as it is; bring back a copy of it. If there \
                 is none, run by hand the unlock scripts that the jobs in open/ may owe, move these away, and remove \
                 the key file: a new one is made",
                path.display(),
                2 * KEY_BYTES
            ));
        };
        Self::of(bytes).map(Some)
    }

    /// A new key, which is not in a file yet.
    pub(super) fn random() -> Result<Self, String> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill_randomly(bytes.as_mut_slice())?;
        Self::of(bytes)
    }

    /// Writes the key into a file, which must not be there yet.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let fault = |error: io::Error| {
            let path = path.display();
            format!("cannot make the key file {path}: {error}; let the agent's user write to its directory")
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(fault)?;
        let mut digits = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        for byte in self.bytes.iter() {
            digits.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789abcdef"[usize::from(half)])));
        }
        digits.push('\n');
        let written = file
            .write_all(digits.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| path.parent().map_or(Ok(()), sync_directory));
        // Half a key would stop every later agent.
        written.inspect_err(|_| remove_quietly(path)).map_err(fault)
    }

    /// Whether both are the same key.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Encrypts `plain` for the record of this `name`; no other record can be opened with it.
    pub(super) fn seal(&self, name: &str, mut plain: Zeroizing<Vec<u8>>) -> Result<String, String> {
        let mut nonce = [0; NONCE_LEN];
        fill_randomly(&mut nonce)?;
        if plain.capacity() < plain.len() + CHACHA20_POLY1305.tag_len() {
            // A vector that grows leaves what it held behind.
            let mut roomier = Zeroizing::new(Vec::with_capacity(plain.len() + CHACHA20_POLY1305.tag_len()));
            roomier.extend_from_slice(&plain);
            plain = roomier;
        }
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut *plain,
            )
            .map_err(|_| "the request cannot be encrypted".to_owned())?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut plain);
        Ok(STANDARD.encode(sealed))
    }

    /// Decrypts what was sealed for `name`.
    pub(super) fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let broken = || "its secrets cannot be decrypted with the key at hand".to_owned();
        let sealed = STANDARD.decode(sealed).map_err(|_| broken())?;
        let (nonce, cipher) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut cipher = Zeroizing::new(cipher.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut cipher);
        let length = plain.map_err(|_| broken())?.len();
        cipher.truncate(length);
        Ok(cipher)
    }
}

fn fill_randomly(bytes: &mut [u8]) -> Result<(), String> {
    let filled = SystemRandom::new().fill(bytes);
    filled.map_err(|_| "the system gives no random numbers".to_owned())
}

pub(super) fn from_hex(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    if text.len() != 2 * KEY_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}
