//! A bucket behind a proxy that does it harm.

use std::{fs, time::Duration};

use adapters::blob_store::PART_BYTES;
use domain::request::{S3Store, Store};

use super::{BUCKET, bucket_at, noise};
use crate::{faulty::FaultyProxy, s3_server::S3Server};

/// Long enough that faults that pass do.
pub(super) const PATIENT: Duration = Duration::from_secs(20);
/// Short enough to wait for the end.
pub(super) const IMPATIENT: Duration = Duration::from_millis(300);

/// A server behind a proxy.
pub(super) struct Scene {
    pub(super) server: S3Server,
    pub(super) proxy: FaultyProxy,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let server = S3Server::start().await;
        server.create_bucket(BUCKET);
        let proxy = FaultyProxy::start(server.address()).await;
        Self { server, proxy }
    }

    pub(super) fn bucket(&self) -> S3Store {
        bucket_at(self.proxy.endpoint())
    }

    pub(super) fn store(&self) -> Store {
        Store::S3(self.bucket())
    }

    pub(super) fn put_object(&self, name: &str, bytes: &[u8]) {
        fs::write(self.server.object(BUCKET, name), bytes).unwrap();
    }

    pub(super) fn stored(&self, name: &str) -> Vec<u8> {
        fs::read(self.server.object(BUCKET, name)).unwrap()
    }
}

/// A part and a little.
pub(super) fn large() -> Vec<u8> {
    noise(usize::try_from(PART_BYTES).unwrap() + 99)
}
