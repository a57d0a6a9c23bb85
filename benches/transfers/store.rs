//! An S3 server over plain HTTP on loopback, in a process of its own.

use std::{
    fs,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{gathered::Gathered, own};

pub(crate) const BUCKET: &str = "backups";
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const AUTH_KEY: &str = "AKIA-of-the-benchmark";
pub(crate) const AUTH_SECRET: &str = "the-secret-of-the-store";

/// The server; it ends with this value.
#[derive(Debug)]
pub(crate) struct Store {
    process: Child,
    root: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Store {
    /// With one empty bucket.
    pub(crate) fn start(root: &Path) -> Self {
        fs::create_dir_all(root.join(BUCKET)).expect("a directory can be made");
        let (process, address) = own::serve(Command::new(own::path()).arg("serve").arg(root));
        Self {
            process,
            root: root.to_owned(),
            address,
        }
    }

    /// Where an object lies.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.root.join(BUCKET).join(key)
    }
}

/// Serves what lies there until the parent is gone.
pub(crate) fn serve(root: &Path) {
    thread::spawn(|| {
        // It never writes: this returns when it has ended.
        let _ = io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let files = s3s_fs::FileSystem::new(root).expect("the root is there");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(AUTH_KEY, AUTH_SECRET));
    let service = builder.build();
    Runtime::new().expect("a runtime can be started").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        println!("{}", listener.local_addr().expect("it is bound"));
        loop {
            let (stream, _) = listener.accept().await.expect("connections come");
            let _ = stream.set_nodelay(true);
            let service = service.clone();
            let answer = service_fn(move |request: Request<Incoming>| {
                let service = service.clone();
                async move {
                    service
                        .call(request.map(Into::into))
                        .await
                        .map(|answer| answer.map(Gathered::new))
                }
            });
            // A client that goes away is its own affair.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
}
