//! The files of a node's share, as its user sees them, and what its history kept.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::node::Node;
use crate::wait::until;

impl Node {
    pub fn path(&self, path: &str) -> PathBuf {
        self.share().join(path)
    }

    /// Writes a file of the share as a simple program does, with the directories above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, path: &str) -> Option<String> {
        self.read_bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn read_bytes(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.path(path)).ok()
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn mode(&self, path: &str) -> Option<u32> {
        fs::symlink_metadata(self.path(path)).ok().map(|meta| meta.permissions().mode() & 0o7777)
    }

    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// Waits until a file holds this.
    #[track_caller]
    pub fn until_holds(&self, path: &str, content: &str) {
        until(&format!("{}:{path} holds {content:?}", self.name), || self.read(path).as_deref() == Some(content));
    }

    /// Waits until a path is gone.
    #[track_caller]
    pub fn until_gone(&self, path: &str) {
        until(&format!("{}:{path} is gone", self.name), || !self.exists(path));
    }

    /// Everything in the share: paths with their contents.
    pub fn tree(&self) -> BTreeMap<String, String> {
        tree(&self.share())
    }

    /// Previous contents of a path, oldest first.
    #[track_caller]
    pub fn history(&self, path: &str) -> Vec<String> {
        let answer = self.ask("history", json!({ "path": path }));
        let digests = answer["versions"].as_array().into_iter().flatten().map(|one| one["digest"].clone());
        let objects = PathBuf::from(format!("{}-history/objects", self.database().display()));
        digests
            .filter_map(|digest| fs::read(objects.join(digest.as_str()?)).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

/// Everything below a directory: relative paths with kind, mode and content.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let mode = meta.permissions().mode() & 0o7777;
            let what = if meta.is_dir() {
                todo.push(path.clone());
                format!("dir {mode:04o}")
            } else if meta.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap_or_default().display())
            } else if meta.is_file() {
                let content = fs::read(&path).unwrap_or_default();
                let shown = match String::from_utf8(content) {
                    Ok(text) if text.len() <= 60 => format!("{text:?}"),
                    Ok(text) => format!("{} bytes {:x}", text.len(), Sha256::digest(text.as_bytes())),
                    Err(error) => format!("{} bytes {:x}", error.as_bytes().len(), Sha256::digest(error.as_bytes())),
                };
                format!("file {mode:04o} {shown}")
            } else {
                "special".to_string()
            };
            found.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        }
    }
    found
}
