//! The file of metrics, for the textfile collector of a node exporter.
//!
//! It is replaced by a rename, so that whoever reads it has all of it or the one before, and it goes when owsync ends:
//! whoever has an alarm on its absence hears of that, and nobody reads of peers that are up.
//!
//! # Why is it not written at once?
//! Scrapes are seconds apart, so nobody would read what lies between. It is looked at whenever the daemon is awake anyway,
//! at most every [`limits::METRICS_EVERY`], and written when something in it is different. What changed right after one of
//! these looks waits for the next thing that wakes the daemon, at the latest its rescan: a timer for the file alone would
//! wake a router that has nothing to do. The rescan writes it in any case, so that its time says that owsync lives.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::daemon::place::plain;
use crate::model::{Monotonic, limits};

/// The file, and what lies in it.
#[derive(Default)]
pub struct MetricsFile {
    path: Option<PathBuf>,
    text: String,
    /// When it was last looked at, and when written.
    looked: Option<Monotonic>,
    written: Option<Monotonic>,
    /// Why it could not be written.
    trouble: Option<String>,
}

impl MetricsFile {
    /// Where it is to be; a file elsewhere goes.
    pub fn set_path(&mut self, path: Option<&Path>) {
        if self.path.as_deref() != path {
            *self = MetricsFile::default();
            self.path = path.map(Path::to_path_buf);
        }
    }

    /// Whether it is to be looked at.
    pub fn is_due(&self, now: Monotonic) -> bool {
        self.path.is_some() && self.looked.is_none_or(|looked| now.since(looked) >= limits::METRICS_EVERY)
    }

    /// Writes it if it says something else than before, or is older than `most`. What to log: a trouble, when it begins
    /// or is another.
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

    /// For status: what a person should do something about.
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

/// Replaces the file. Its directory is made where only that is missing: /var is empty after a router's start.
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
    // Whoever collects is another user. It is no loss if the power fails before it is flushed.
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
        fs::write(&path, "of somebody else").unwrap();
        file.update(at(15), "a\n".into(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "of somebody else", "nothing is written for nothing");
        file.update(at(60), "a\n".into(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\n", "its time says that somebody is there");
        file.update(at(75), "b\n".into(), MOST);
        assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing lies beside it");

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
