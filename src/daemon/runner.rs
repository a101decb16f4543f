//! Runs commands of this machine beside the loop: reload scripts, checks, hooks.
//!
//! A [`Job`] runs in a process group of its own, with a time limit at which the whole group is killed, its output read as
//! it comes and bounded. What it started in the background stays if it ended in time. Nothing here waits: output is a descriptor in the loop's wait, the end of a child is SIGCHLD.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::daemon::place::plain;
use crate::model::{Map, Monotonic, escape};

/// Jobs that run at a time; others wait their turn.
const AT_ONCE: usize = 8;

/// Jobs that wait; more are refused, which their owner reports.
const WAITING: usize = 256;

/// Bytes of a job's output that are kept: its end, where the reason of a failure stands.
const OUTPUT: usize = 4096;

/// Lines of that: each becomes a line of the log.
const LINES: usize = 32;

/// Such pieces read in one step: a job that prints faster than it is read must not keep the loop. What one pipe holds.
const READS: usize = 16;

/// Pipes that services inherited from jobs which have ended, and that are kept open for them: one descriptor each.
const LEFT: usize = 16;

/// Bytes that a job is given on standard input at most; a pipe takes this much at once (pipe(7)).
pub const INPUT: usize = 60 * 1024;

/// Names a job.
pub type JobId = u64;

/// A command to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it is, for the log: `reload of share main`.
    pub what: String,
    /// The program, and its arguments.
    pub command: Vec<OsString>,
    /// What its environment has besides ours.
    pub env: Vec<(String, OsString)>,
    /// What it reads.
    pub input: Vec<u8>,
    /// When it is killed.
    pub time: Duration,
}

/// A command for output, its words separated by spaces.
pub fn in_words(command: &[OsString]) -> String {
    command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub id: JobId,
    /// What it was.
    pub what: String,
    /// `Ok`: it exited with 0. Otherwise the fault, for users.
    pub result: Result<(), String>,
    /// It ended without a signal, with an exit code other than 0: that is its answer, not a fault.
    pub said_no: bool,
    /// The end of what it printed, escaped, in whole lines, without the last end of line.
    pub output: String,
}

/// Everything that runs or waits to.
#[derive(Default)]
pub struct Runner {
    running: Map<JobId, Running>,
    waiting: VecDeque<(JobId, Job)>,
    next: JobId,
    /// What jobs that have ended left open: services write there. Read, and thrown away.
    left: VecDeque<(JobId, File)>,
}

struct Running {
    what: String,
    child: Child,
    output: Option<File>,
    printed: Vec<u8>,
    /// More was printed than is kept.
    cut: bool,
    until: Monotonic,
    time: Duration,
    late: bool,
}

impl Runner {
    /// Runs a job, now or when another has ended; its end comes from [`Runner::handle_children`].
    ///
    /// # Errors
    /// It cannot be started, or too many wait.
    pub fn start(&mut self, now: Monotonic, job: Job) -> Result<JobId, String> {
        self.next += 1;
        let id = self.next;
        if self.running.len() >= AT_ONCE {
            if self.waiting.len() >= WAITING {
                return Err(format!("{}: too many commands wait to be run", job.what));
            }
            self.waiting.push_back((id, job));
            return Ok(id);
        }
        self.spawn(now, id, job)?;
        Ok(id)
    }

    fn spawn(&mut self, now: Monotonic, id: JobId, job: Job) -> Result<(), String> {
        let failed =
            |error: std::io::Error| format!("{}: cannot run {}: {}", job.what, in_words(&job.command), plain(&error));
        let [program, arguments @ ..] = &job.command[..] else { return Err(format!("{}: no command", job.what)) };
        let (output, print) = pipe().map_err(failed)?;
        let errors = print.try_clone().map_err(failed)?;
        let mut child = Command::new(program)
            .args(arguments)
            // The only secret that may stand in ours.
            .env_remove("OWSYNC_KEY")
            .envs(job.env.iter().map(|(key, value)| (key, value)))
            .current_dir("/")
            .stdin(if job.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(print)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // An empty pipe takes it whole; a job that does not read it loses it, which is its own choice. Where the kernel
            // gives a user smaller pipes, the last lines are lost instead of the loop waiting for the reader.
            let _ = nix::fcntl::fcntl(&stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            let room =
                nix::fcntl::fcntl(&stdin, FcntlArg::F_GETPIPE_SZ).ok().and_then(|size| usize::try_from(size).ok());
            let _ = stdin.write_all(whole_lines(&job.input, room.unwrap_or(INPUT).min(INPUT)));
        }
        let running = Running {
            what: job.what,
            child,
            output: Some(output),
            printed: Vec::new(),
            cut: false,
            until: now.plus(job.time),
            time: job.time,
            late: false,
        };
        self.running.insert(id, running);
        Ok(())
    }

    /// Whether nothing runs.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// To wait on for output.
    pub fn fds(&self) -> impl Iterator<Item = (JobId, BorrowedFd<'_>)> {
        let running = self.running.iter().filter_map(|(id, running)| Some((*id, running.output.as_ref()?.as_fd())));
        running.chain(self.left.iter().map(|(id, output)| (*id, output.as_fd())))
    }

    /// Reads what a job printed.
    pub fn handle_output(&mut self, id: JobId) {
        if let Some(running) = self.running.get_mut(&id) {
            running.read();
        } else if let Some(at) = self.left.iter().position(|(left, _)| *left == id) {
            if !drain(&mut self.left[at].1) {
                self.left.remove(at);
            }
        }
    }

    /// When [`Runner::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Monotonic {
        self.running
            .values()
            .filter(|running| !running.late)
            .map(|running| running.until)
            .min()
            .unwrap_or(Monotonic::NEVER)
    }

    /// Kills what has run for too long.
    pub fn handle_timeout(&mut self, now: Monotonic) {
        for running in self.running.values_mut().filter(|running| !running.late && running.until <= now) {
            running.late = true;
            running.kill();
        }
    }

    /// A child ended: which, and how. Starts what waited for it.
    pub fn handle_children(&mut self, now: Monotonic) -> Vec<Ended> {
        let mut ended = Vec::new();
        let ids: Vec<JobId> = self.running.keys().copied().collect();
        for id in ids {
            let Some(running) = self.running.get_mut(&id) else { continue };
            match running.child.try_wait() {
                Ok(None) => continue,
                Ok(Some(status)) => {
                    running.read();
                    // What it left running in the background, a service that it started, stays. Where that inherited the
                    // pipe, closing it would end the service at its next word (SIGPIPE).
                    if let Some(output) = running.output.take() {
                        self.left.push_back((id, output));
                    }
                    if self.left.len() > LEFT {
                        self.left.pop_front();
                    }
                    let result = match (running.late, status.code(), status.signal()) {
                        (true, ..) => Err(format!("killed after {} s", running.time.as_secs())),
                        (_, Some(0), _) => Ok(()),
                        (_, Some(code), _) => Err(format!("exit code {code}")),
                        (_, None, signal) => Err(format!("ended by signal {}", signal.unwrap_or_default())),
                    };
                    let said_no = !running.late && status.code().is_some_and(|code| code != 0);
                    ended.push(Ended { id, what: running.what.clone(), result, said_no, output: running.said() });
                }
                Err(error) => {
                    let result = Err(format!("lost: {}", plain(&error)));
                    ended.push(Ended { id, what: running.what.clone(), result, said_no: false, output: String::new() });
                }
            }
            self.running.remove(&id);
        }
        while self.running.len() < AT_ONCE {
            let Some((id, job)) = self.waiting.pop_front() else { break };
            let what = job.what.clone();
            if let Err(reason) = self.spawn(now, id, job) {
                ended.push(Ended { id, what, result: Err(reason), said_no: false, output: String::new() });
            }
        }
        ended
    }
}

impl Running {
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..READS {
            let Some(output) = &mut self.output else { return };
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(count) => {
                    self.printed.extend_from_slice(&buffer[..count]);
                    let excess = self.printed.len().saturating_sub(OUTPUT);
                    self.printed.drain(..excess);
                    self.cut |= excess > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.output = None,
            }
        }
    }

    /// What it printed, escaped; of what is too much, the whole lines at its end.
    fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.printed);
        let lines: Vec<&str> = text.trim_end().lines().collect();
        // The first of what is kept is torn.
        let whole = lines.get(usize::from(self.cut && lines.len() > 1)..).unwrap_or_default();
        let last = &whole[whole.len().saturating_sub(LINES)..];
        let more = self.cut || last.len() < lines.len();
        let head = more.then(|| "(it printed more before)".to_string());
        head.into_iter().chain(last.iter().map(|line| escape::escape(line.as_bytes()))).collect::<Vec<_>>().join("\n")
    }

    /// Ends it with everything it started.
    fn kill(&self) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // The group may be empty.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

impl Drop for Runner {
    /// Nothing outlives owsync.
    fn drop(&mut self) {
        for running in self.running.values_mut() {
            running.kill();
            let _ = running.child.wait();
        }
    }
}

/// Reads what a service wrote, and throws it away; whether there may be more to come.
fn drain(output: &mut File) -> bool {
    let mut buffer = [0; 4096];
    for _ in 0..READS {
        match output.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

/// As much of a text as fits, up to the end of a line; half a line could be taken for a whole one.
fn whole_lines(text: &[u8], room: usize) -> &[u8] {
    if text.len() <= room {
        return text;
    }
    let end = text[..room].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    &text[..end]
}

/// A pipe of which our end does not wait.
fn pipe() -> std::io::Result<(File, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    nix::fcntl::fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((File::from(read), write))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::poller::{Interest, Poller};

    /// Lets jobs run until one has ended.
    fn ended(runner: &mut Runner, now: Monotonic) -> Ended {
        loop {
            let mut poller = Poller::new();
            for (id, fd) in runner.fds() {
                poller.add(id, fd, Interest::Read);
            }
            // An end without output is seen at the next round; the loop itself has SIGCHLD for it.
            for id in poller.wait(Duration::from_millis(10)) {
                runner.handle_output(id);
            }
            if let Some(ended) = runner.handle_children(now).pop() {
                return ended;
            }
        }
    }

    fn shell(script: &str) -> Job {
        let command = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        Job {
            what: "test".into(),
            command,
            env: vec![("WORD".into(), "there".into())],
            input: b"in".to_vec(),
            time: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_job_sees_its_input_and_environment_and_its_failure_is_told() {
        let mut runner = Runner::default();
        runner.start(Monotonic(0), shell("cat; echo \" $WORD\"; echo bad >&2; exit 3")).unwrap();

        let ended = ended(&mut runner, Monotonic(0));

        assert_eq!((ended.output.as_str(), ended.result), ("in there\nbad", Err("exit code 3".into())));
    }

    /// F106: a service that a program started with `&` was killed when the program exited with 0.
    #[test]
    fn a_service_that_a_job_started_outlives_it_and_may_still_print() {
        let dir = std::env::temp_dir().join(format!("owsync-runner-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (go, done) = (dir.join("go"), dir.join("done"));
        nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let service = format!("(read x <{0}; echo one; echo two; echo >{1}) &", go.display(), done.display());
        let mut runner = Runner::default();
        runner.start(Monotonic(0), shell(&service)).unwrap();
        assert_eq!(ended(&mut runner, Monotonic(0)).result, Ok(()));

        // The job has ended; its service waits for a signal, prints, and leaves a file.
        std::fs::write(&go, "now\n").unwrap();

        while !done.exists() {
            let mut poller = Poller::new();
            for (id, fd) in runner.fds() {
                poller.add(id, fd, Interest::Read);
            }
            for id in poller.wait(Duration::from_millis(10)) {
                runner.handle_output(id);
            }
        }
        // It closed the pipe when it ended, and nothing of it is left.
        while runner.fds().count() > 0 {
            let ids: Vec<JobId> = runner.fds().map(|(id, _)| id).collect();
            ids.into_iter().for_each(|id| runner.handle_output(id));
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// F102: input that did not fit into the pipe ended with half a path, which is a different path.
    #[test]
    fn only_whole_lines_are_given_to_a_job() {
        assert_eq!(whole_lines(b"ab\ncd\n", 7), b"ab\ncd\n");
        assert_eq!(whole_lines(b"ab\ncd\n", 5), b"ab\n");
        assert_eq!(whole_lines(b"abcdef", 5), b"");
    }

    #[test]
    fn a_job_is_killed_with_its_children_at_its_limit() {
        let mut runner = Runner::default();
        runner.start(Monotonic(0), Job { time: Duration::from_secs(1), ..shell("sleep 1000 & sleep 1000") }).unwrap();
        assert_eq!(runner.poll_timeout(), Monotonic(1000));

        runner.handle_timeout(Monotonic(1000));

        assert_eq!(ended(&mut runner, Monotonic(1000)).result, Err("killed after 1 s".into()));
    }

    #[test]
    fn a_job_that_prints_without_end_keeps_nobody_and_its_last_lines_are_kept() {
        let mut runner = Runner::default();
        let id = runner.start(Monotonic(0), Job { time: Duration::from_secs(1), ..shell("exec yes flood") }).unwrap();
        while !runner.running.values().all(|running| running.cut) {
            runner.handle_output(id);
        }
        // This one is never slower than its reader, and reading it comes back all the same.
        let running = runner.running.get_mut(&id).unwrap();
        let printed = running.output.replace(File::open("/dev/zero").unwrap());
        running.read();
        running.output = printed;
        runner.handle_output(id);

        runner.handle_timeout(Monotonic(1000));

        let ended = ended(&mut runner, Monotonic(1000));
        let lines: Vec<&str> = ended.output.lines().collect();
        assert_eq!(
            (lines[0], lines[1], ended.result),
            ("(it printed more before)", "flood", Err("killed after 1 s".into()))
        );
        assert_eq!(lines.len(), 1 + LINES);
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        let job = Job { command: vec!["/nowhere/owsync-test".into()], ..shell("") };
        let error = Runner::default().start(Monotonic(0), job).unwrap_err();
        assert!(error.contains("cannot run /nowhere/owsync-test: No such file"), "{error}");
    }
}
