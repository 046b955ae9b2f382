//! sftp against OpenSSH's own server: `BEHAVIOUR_SSHD`, `BEHAVIOUR_SSHD_USER`, `BEHAVIOUR_SSHD_DIR`.

#![allow(clippy::disallowed_methods, reason = "the address and the disk are the test script's")]

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use sendoff::Values;
use sendoff::testing::{Fake, Object};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use uuid::Uuid;

use super::server::Server;

/// What scripts/servers.sh sets.
const PASSWORD: &str = "correct-horse-battery";

/// OpenSSH, if it runs, with a folder of its own that is not there yet.
pub fn sshd() -> Option<Arc<dyn Fake>> {
    Some(Arc::new(Sshd::from_env()?))
}

pub struct Sshd {
    server: Server,
    user: String,
    /// Where the server's keys lie.
    keys: PathBuf,
    /// Below the user's home.
    folder: String,
}

impl Sshd {
    pub fn from_env() -> Option<Self> {
        let mut server = Server::from_env("BEHAVIOUR_SSHD")?;
        server.address = format!("sftp://{}", server.address);
        let user = std::env::var("BEHAVIOUR_SSHD_USER").ok()?;
        let keys = PathBuf::from(std::env::var_os("BEHAVIOUR_SSHD_DIR")?);
        let folder = format!("sendoff-{}", Uuid::new_v4().simple());
        Some(Self { server, user, keys, folder })
    }

    /// A key file of the server, such as `host_key.pub`.
    pub fn key(&self, name: &str) -> String {
        fs::read_to_string(self.keys.join(name)).expect("a key of the test server")
    }

    /// The folder on the disk: the server runs on this machine.
    pub fn disk(&self) -> PathBuf {
        Path::new("/home").join(&self.user).join(&self.folder)
    }

    /// Path below the folder, for every file.
    fn files(&self) -> Vec<(String, PathBuf)> {
        let (root, mut found) = (self.disk(), Vec::new());
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            // A folder that was not made yet is empty.
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry of the folder").path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(name) = path.strip_prefix(&root) {
                    found.push((name.to_string_lossy().into_owned(), path));
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.disk());
    }
}

fn unfinished(name: &str) -> bool {
    name.ends_with(".part") || name.ends_with(".old")
}

fn hashed(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut digest) = (fs::File::open(path)?, Sha256::new());
    let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            let digest = digest.finalize();
            return Ok((bytes, digest.iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        bytes += read as u64;
        digest.update(&buffer[..read]);
    }
}

impl Fake for Sshd {
    fn origins(&self) -> Vec<String> {
        vec!["sftp://openssh.example:22".to_owned()]
    }

    fn settings(&self) -> Values {
        [
            ("host", "openssh.example"),
            ("username", &self.user),
            ("password", PASSWORD),
            ("host_key", &self.key("host_key.pub")),
        ]
        .into_iter()
        .collect()
    }

    fn answers(&self) -> Values {
        let path = format!("{}/a/b", self.folder);
        [("path", path.as_str()), ("filename", "orders.csv")].into_iter().collect()
    }

    fn serve(&self, stream: TcpStream) -> BoxFuture<'_, ()> {
        Box::pin(self.server.pipe(stream))
    }

    fn objects(&self) -> BoxFuture<'_, Vec<Object>> {
        let whole = self.files().into_iter().filter(|(name, _)| !unfinished(name));
        let objects = whole
            .filter_map(|(name, path)| {
                // It may be renamed while the folder is read.
                let (bytes, sha256) = hashed(&path).ok()?;
                Some(Object { name, bytes, sha256 })
            })
            .collect();
        Box::pin(std::future::ready(objects))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        let names = self.files().into_iter().map(|(name, _)| name);
        Box::pin(std::future::ready(names.filter(|name| unfinished(name)).collect()))
    }

    fn refusal(&self, _: u16) -> (&'static str, String) {
        ("text/plain", String::new())
    }

    fn commits(&self, _: &Method, _: &str) -> bool {
        false
    }
}
