//! The log: syslog, standard error, or both.

use std::io::Write;

use nix::syslog::{Facility, LogFlags, Severity};

use crate::node::api::{Level, LogLine};

/// The log of this process.
pub struct Log {
    /// The last level that is written.
    most: Level,
    syslog: bool,
    stderr: Form,
}

/// How lines look on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// They do not go there.
    Off,
    /// As a command's messages: the text alone.
    Plain,
    /// As a daemon's in the foreground: with name and process number.
    Daemon,
}

impl Log {
    /// A log up to `level` (0 error to 3 debug).
    pub fn new(level: u8, syslog: bool, stderr: Form) -> Log {
        if syslog {
            // Without it lines go out under the program's name as well; the facility is what it is for.
            let _ =
                nix::syslog::openlog(Some(c"owsync"), LogFlags::LOG_PID | LogFlags::LOG_NDELAY, Facility::LOG_DAEMON);
        }
        Log { most: level_of(level), syslog, stderr }
    }

    /// Changes the level.
    pub fn set_level(&mut self, level: u8) {
        self.most = level_of(level);
    }

    /// Whether lines of this level are written.
    pub fn wants(&self, level: Level) -> bool {
        level <= self.most
    }

    /// Writes a line, if its level is wanted.
    pub fn write(&self, line: &LogLine) {
        if !self.wants(line.level) {
            return;
        }
        if self.syslog {
            let severity = match line.level {
                Level::Error => Severity::LOG_ERR,
                Level::Warning => Severity::LOG_WARNING,
                Level::Notice => Severity::LOG_NOTICE,
                Level::Debug => Severity::LOG_DEBUG,
            };
            // There is nowhere to report that the log cannot be written.
            let _ = nix::syslog::syslog(severity, line.text.as_str());
        }
        let text = match self.stderr {
            Form::Off => return,
            Form::Plain => format!("{}\n", line.text),
            Form::Daemon => format!("owsync[{}]: {}\n", std::process::id(), line.text),
        };
        // In one piece: several processes may write to the same file.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Writes a line of the shell's own.
    pub fn say(&self, level: Level, text: impl Into<String>) {
        self.write(&LogLine { level, text: text.into() });
    }
}

fn level_of(level: u8) -> Level {
    match level {
        0 => Level::Error,
        1 => Level::Warning,
        2 => Level::Notice,
        _ => Level::Debug,
    }
}
