//! MD5 sums, which Swift compares what it got with. They guard against accidents only.

use std::fmt::Write;

use md5::{Digest, Md5};
use object_store::PutPayload;

use crate::blob_store::local::blocking;

/// The sum of a body as Swift writes it. It takes a while for a large one, so it blocks no other work.
pub(super) async fn md5_of(payload: &PutPayload) -> String {
    let payload = payload.clone();
    blocking(move || {
        let mut md5 = Md5::new();
        payload.iter().for_each(|piece| md5.update(piece));
        md5.finalize().iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sum_is_of_all_pieces() {
        let payload = PutPayload::from_iter([b"he".as_slice(), b"", b"llo"].map(bytes::Bytes::from_static));
        assert_eq!(md5_of(&payload).await, "5d41402abc4b2a76b9719d911017c592");
    }
}
