//! An S3 server on a loopback port, whose buckets are directories.

use std::{fs, net::SocketAddr, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

/// The one access key that the server knows.
pub(crate) const ACCESS_KEY: &str = "AKTESTTESTTEST";
/// The key's secret.
pub(crate) const SECRET_KEY: &str = "test/secret+key";

/// A running server. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct S3Server {
    root: TempDir,
    address: SocketAddr,
    task: AbortHandle,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        Self::serve(Some(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY))).await
    }

    /// One that asks for no key.
    pub(crate) async fn for_anybody() -> Self {
        Self::serve(None).await
    }

    async fn serve(auth: Option<SimpleAuth>) -> Self {
        let root = TempDir::new().unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        if let Some(auth) = auth {
            service.set_auth(auth);
        }
        let service = service.build();

        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        let task = task.abort_handle();
        Self { root, address, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn create_bucket(&self, bucket: &str) {
        fs::create_dir(self.root.path().join(bucket)).unwrap();
    }

    /// The file that an object is kept in.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.path().join(bucket).join(key)
    }

    /// The files of unfinished uploads: their lists and their parts.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.root.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let is_leftover = |name: &String| [".upload", ".tmp"].iter().any(|start| name.starts_with(start));
        names.filter(is_leftover).collect()
    }

    /// The ids of the uploads of this key that are open, which the server does not tell.
    pub(crate) fn open_uploads(&self, bucket: &str, key: &str) -> Vec<String> {
        let [bucket, key] = [bucket, key].map(|name| URL_SAFE_NO_PAD.encode(name));
        let start = format!(".bucket-{bucket}.object-{key}.upload-");
        let id = |name: &str| Some(name.strip_prefix(&start)?.strip_suffix(".metadata.json")?.to_owned());
        let names = fs::read_dir(self.root.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| id(&name)).collect()
    }

    /// Ends the server, so that nobody listens any more.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}
