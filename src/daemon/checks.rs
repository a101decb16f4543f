//! Checks by programs of the administrator: `validate`, which checks each file before it is applied, hooks, which get
//! the whole batch before it is applied and may refuse it, and changes before they are sent, and `probe`, which checks
//! whether the machine still works with the applied change.
//!
//! `validate` is run once for each new file, with the file's staged copy as its argument; its path in the share is in
//! `OWSYNC_PATH`. Its output is the reason of a refusal. A program that cannot be run, or does not end in time, refuses.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::daemon::runner::{Ended, Job, JobId};
use crate::model::settings::ShareSettings;
use crate::model::{Map, RelPath, ShareName};
use crate::node::Candidate;

/// Time that `validate` has for one file.
const TIME: Duration = Duration::from_secs(30);

/// Checks that have not ended.
#[derive(Default)]
pub struct Checks {
    jobs: Map<JobId, What>,
    batches: Map<(ShareName, u64), Open>,
    /// Hooks that run before changes of a share are sent.
    sending: Map<ShareName, usize>,
}

/// What a job checks.
enum What {
    File {
        share: ShareName,
        check: u64,
        path: RelPath,
    },
    /// A hook, before these paths are applied.
    Batch {
        share: ShareName,
        check: u64,
        paths: Vec<RelPath>,
    },
    /// A hook, before changes of a share are sent.
    Sending {
        share: ShareName,
    },
    Machine {
        share: ShareName,
        run: u64,
    },
}

/// A batch that is being checked.
#[derive(Default)]
struct Open {
    left: usize,
    refused: Vec<(RelPath, String)>,
}

impl Open {
    /// Refuses all of it for one reason; the reason of a file's own check is kept.
    fn refuse(&mut self, paths: &[RelPath], reason: &str) {
        for path in paths {
            if !self.refused.iter().any(|(refused, _)| refused == path) {
                self.refused.push((path.clone(), reason.to_string()));
            }
        }
    }
}

/// A result for the node.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A batch was checked: what was refused, and why.
    Batch { share: ShareName, check: u64, refused: Vec<(RelPath, String)> },
    /// The hooks that run before changes of a share are sent have ended.
    Told { share: ShareName },
    /// The machine was checked.
    Machine { share: ShareName, run: u64, result: Result<(), String> },
}

impl Checks {
    /// The jobs that check a batch, each with its path.
    pub fn files(share: &ShareSettings, candidates: &[Candidate]) -> Vec<(RelPath, Job)> {
        let Some(program) = &share.validate else { return Vec::new() };
        let job = |candidate: &Candidate| {
            let staged = candidate.staged.as_ref()?;
            let file = share.dir.join(OsStr::from_bytes(staged.as_bytes()));
            let path = &candidate.path;
            let env = [
                ("OWSYNC_SHARE", share.name.to_string().into()),
                ("OWSYNC_DIR", share.dir.clone().into_os_string()),
                ("OWSYNC_PATH", path.to_text().into()),
                ("OWSYNC_FILE", file.clone().into_os_string()),
            ];
            let what = format!("validate of share {}: {path}", share.name);
            let command = vec![program.clone().into_os_string(), file.into_os_string()];
            Some((path.clone(), job(what, command, &env, TIME)))
        };
        candidates.iter().filter_map(job).collect()
    }

    /// The job that checks the machine.
    pub fn machine(share: &ShareName, program: &Path, run: u64, time: Duration) -> Job {
        let env = [("OWSYNC_SHARE", share.to_string().into()), ("OWSYNC_RUN", run.to_string().into())];
        job(format!("probe of share {share}"), vec![program.into()], &env, time.min(TIME))
    }

    /// A job was started for a file of a check, or could not be.
    pub fn note_file(&mut self, share: &ShareName, check: u64, path: RelPath, started: Result<JobId, String>) {
        let open = self.batches.get_or_default((share.clone(), check));
        match started {
            Ok(id) => {
                open.left += 1;
                self.jobs.insert(id, What::File { share: share.clone(), check, path });
            }
            Err(reason) => open.refused.push((path, reason)),
        }
    }

    /// A hook was started before these paths are applied.
    pub fn note_hook(&mut self, share: &ShareName, check: u64, paths: Vec<RelPath>, id: JobId) {
        self.batches.get_or_default((share.clone(), check)).left += 1;
        self.jobs.insert(id, What::Batch { share: share.clone(), check, paths });
    }

    /// A hook was started before changes of a share are sent.
    pub fn note_sending(&mut self, share: &ShareName, id: JobId) {
        *self.sending.get_or_default(share.clone()) += 1;
        self.jobs.insert(id, What::Sending { share: share.clone() });
    }

    /// Whether no hook runs that must end before changes of a share are sent.
    pub fn may_send(&self, share: &ShareName) -> bool {
        self.sending.get(share).is_none_or(|&running| running == 0)
    }

    /// A job was started for the machine.
    pub fn note_machine(&mut self, share: ShareName, run: u64, id: JobId) {
        self.jobs.insert(id, What::Machine { share, run });
    }

    /// The verdict on a batch, once nothing runs for it.
    pub fn verdict(&mut self, share: &ShareName, check: u64) -> Option<Verdict> {
        let key = (share.clone(), check);
        if self.batches.get(&key).is_some_and(|open| open.left > 0) {
            return None;
        }
        let refused = self.batches.remove(&key).unwrap_or_default().refused;
        Some(Verdict::Batch { share: share.clone(), check, refused })
    }

    /// What a job checks: `None` for other jobs, else whether its failure must be logged besides the verdict.
    pub fn is_hook(&self, id: JobId) -> Option<bool> {
        self.jobs.get(&id).map(|what| matches!(what, What::Batch { .. } | What::Sending { .. }))
    }

    /// A job ended: the result for the node, if that was the last one it waits for.
    pub fn ended(&mut self, ended: &Ended) -> Option<Verdict> {
        let words = |reason: &String| if ended.output.is_empty() { reason.clone() } else { ended.output.clone() };
        let result = ended.result.as_ref().copied().map_err(words);
        match self.jobs.remove(&ended.id)? {
            What::Machine { share, run } => Some(Verdict::Machine { share, run, result }),
            What::Sending { share } => {
                let running = self.sending.get_or_default(share.clone());
                *running = running.saturating_sub(1);
                (*running == 0).then_some(Verdict::Told { share })
            }
            What::Batch { share, check, paths } => {
                let open = self.batches.get_or_default((share.clone(), check));
                open.left = open.left.saturating_sub(1);
                // A hook that could not run does not refuse: a check that must not be missed belongs in `validate`.
                if let (Err(reason), true) = (result, ended.said_no) {
                    open.refuse(&paths, &reason);
                }
                self.verdict(&share, check)
            }
            What::File { share, check, path } => {
                let open = self.batches.get_or_default((share.clone(), check));
                open.left = open.left.saturating_sub(1);
                open.refused.extend(result.err().map(|reason| (path, reason)));
                self.verdict(&share, check)
            }
        }
    }
}

fn job(what: String, command: Vec<OsString>, env: &[(&str, OsString)], time: Duration) -> Job {
    let env = env.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect();
    Job { what, command, env, input: Vec::new(), time }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    fn ended(id: JobId, result: Result<(), String>, output: &str) -> Ended {
        let said_no = result.is_err();
        Ended { id, what: "validate".into(), result, said_no, output: output.into() }
    }

    #[test]
    fn each_new_file_is_shown_to_the_program_and_what_goes_is_not() {
        // A directory may have any bytes in its name: the program gets them as they are.
        let dir = OsStr::from_bytes(b"/s\xff");
        let mut share = ShareSettings::new(ShareName::main(), dir.into());
        share.validate = Some("/v".into());
        let candidate = |name: &str, kind, staged: Option<&str>| Candidate {
            path: path(name),
            kind,
            size: 1,
            staged: staged.map(path),
        };
        let candidates = [candidate("a", Kind::File, Some(".owsync/1")), candidate("b", Kind::Tombstone, None)];
        let jobs = Checks::files(&share, &candidates);
        let [(of, job)] = &jobs[..] else { panic!("{jobs:?}") };
        let staged = OsStr::from_bytes(b"/s\xff/.owsync/1");
        assert_eq!((of, &job.command[..]), (&path("a"), &[OsString::from("/v"), staged.into()][..]));
        for (name, value) in [("OWSYNC_PATH", OsStr::new("a")), ("OWSYNC_DIR", dir), ("OWSYNC_FILE", staged)] {
            assert!(job.env.contains(&(name.to_string(), value.into())), "{name}: {:?}", job.env);
        }
    }

    #[test]
    fn a_batch_has_its_verdict_when_the_last_has_ended_and_the_words_are_the_programs() {
        let mut checks = Checks::default();
        let main = ShareName::main();
        checks.note_file(&main, 7, path("a"), Ok(1));
        checks.note_file(&main, 7, path("b"), Ok(2));
        checks.note_file(&main, 7, path("c"), Err("cannot run".into()));
        assert_eq!(checks.verdict(&main, 7), None);
        assert_eq!(checks.ended(&ended(1, Err("exit code 1".into()), "line 3: no")), None);
        assert_eq!(checks.ended(&ended(9, Ok(()), "")), None);
        let refused = vec![(path("c"), "cannot run".to_string()), (path("a"), "line 3: no".to_string())];
        let verdict = checks.ended(&ended(2, Ok(()), "fine"));
        assert_eq!(verdict, Some(Verdict::Batch { share: main, check: 7, refused }));
    }

    #[test]
    fn a_hook_that_says_no_refuses_its_batch_and_one_that_cannot_run_does_not() {
        let main = ShareName::main();
        for said_no in [true, false] {
            let mut checks = Checks::default();
            checks.note_hook(&main, 7, vec![path("a"), path("b")], 1);
            let ended = Ended { said_no, ..ended(1, Err("exit code 1".into()), "not now") };
            let refused = ["a", "b"].iter().filter(|_| said_no).map(|name| (path(name), "not now".to_string()));
            let verdict = Verdict::Batch { share: main.clone(), check: 7, refused: refused.collect() };
            assert_eq!(checks.ended(&ended), Some(verdict));
        }
    }
}
