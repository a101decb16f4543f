//! The file of metrics, for the textfile collector of a node exporter.
//!
//! It is replaced by a rename, so that a reader has all of it or of the previous one, and it is removed when owsync ends:
//! an alarm on its absence then fires, and no collector reports peers as up.
//!
//! # Why is it not written at once?
//! Scrapes are seconds apart, so states in between are not read. The file is checked whenever the daemon is awake anyway,
//! at most every [`limits::METRICS_EVERY`], and written when something in it is different. A change right after one of
//! these checks waits for the next wake-up of the daemon, at the latest its rescan: a timer for the file alone would
//! wake an idle router. The rescan writes it in any case, so that its age shows whether owsync is alive.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::daemon::place::plain;
use crate::model::{Monotonic, limits};

/// The file, and its content.
#[derive(Default)]
pub struct MetricsFile {
    path: Option<PathBuf>,
    text: String,
    /// When it was last checked, and when written.
    looked: Option<Monotonic>,
    written: Option<Monotonic>,
    /// Why it could not be written.
    trouble: Option<String>,
}

impl MetricsFile {
    /// Sets its path; a file at a different path is removed.
    pub fn set_path(&mut self, path: Option<&Path>) {
        if self.path.as_deref() != path {
            *self = MetricsFile::default();
            self.path = path.map(Path::to_path_buf);
        }
    }

    /// Whether it is time to check it.
    pub fn is_due(&self, now: Monotonic) -> bool {
        self.path.is_some() && self.looked.is_none_or(|looked| now.since(looked) >= limits::METRICS_EVERY)
    }

    /// Writes it if its content changed, or is older than `most`. Returns a line for the log when a fault begins
    /// or changes.
    pub fn update(&mut self, now: Monotonic, text: String, most: Duration) -> Option<String> {
        let path = self.path.clone()?;
        self.looked = Some(now);
        if text == self.text && self.written.is_some_and(|written| now.since(written) < most) {
            return None;
        }
        match replace(&path, text.as_bytes()) {
            Ok(()) => {
                (self.text, self.written, self.trouble) = (text, Some(now), None);
                None
            }
            Err(error) => {
                let trouble = format!("the metrics cannot be written to {}: {}", path.display(), plain(&error));
                let news = self.trouble.as_ref() != Some(&trouble);
                self.trouble = Some(trouble.clone());
                Some(trouble).filter(|_| news)
            }
        }
    }

    /// For status: a fault that the user should fix.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

impl Drop for MetricsFile {
    fn drop(&mut self) {
        if let (Some(path), Some(_)) = (&self.path, self.written) {
            // If it is gone already, so much the better.
            let _ = fs::remove_file(path);
        }
    }
}

/// Replaces the file. Its directory is created if only that is missing: /var is empty after a router's start.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    match fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The collector reads what ends in .prom.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".owsync-new");
    let beside = PathBuf::from(beside);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The collector is a different user. It is no loss if the power fails before it is flushed.
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&beside, path));
    written.inspect_err(|_| {
        // The first error says more than another one here.
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const MOST: Duration = Duration::from_secs(60);

    fn at(secs: u64) -> Monotonic {
        Monotonic(secs * 1000)
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("owsync-metrics-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn it_is_written_when_it_says_something_else_and_when_it_is_old_but_not_all_the_time() {
        let dir = scratch("due");
        let path = dir.join("owsync.prom");
        let mut file = MetricsFile::default();
        assert!(!file.is_due(at(0)));
        file.set_path(Some(&path));
        assert!(file.is_due(at(0)));
        assert_eq!(file.update(at(0), "a\n".into(), MOST), None);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);

        assert!(!file.is_due(at(14)) && file.is_due(at(15)));
        fs::write(&path, "of another program").unwrap();
        file.update(at(15), "a\n".into(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "of another program", "nothing is written for nothing");
        file.update(at(60), "a\n".into(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\n", "its time shows that the daemon is alive");
        file.update(at(75), "b\n".into(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing is left beside it");

        file.set_path(None);
        assert!(!path.exists() && !file.is_due(at(500)));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn that_it_cannot_be_written_is_said_once_and_not_for_ever() {
        let dir = scratch("trouble");
        let path = dir.join("missing/owsync.prom");
        let mut file = MetricsFile::default();
        file.set_path(Some(&path));
        let said = file.update(at(0), "a\n".into(), MOST).unwrap();
        assert!(said.contains("the metrics cannot be written to") && said.contains("No such file"), "{said}");
        assert_eq!((file.update(at(15), "a\n".into(), MOST), file.trouble()), (None, Some(said.as_str())));

        fs::create_dir(&dir).unwrap();
        assert_eq!(file.update(at(30), "a\n".into(), MOST), None);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), file.trouble()), ("a\n", None));
        drop(file);
        assert!(!path.exists(), "who ended has no peers that are up");
        fs::remove_dir_all(&dir).unwrap();
    }
}
