//! Puts applied changes in force: notifies the users of a file that it changed.
//!
//! A UCI package becomes one `config.change` event of procd, which reloads every service that named the package, as
//! LuCI's own apply does. Other shares run a program or init scripts of the administrator. Either happens after
//! the batch is in place and recorded, and only if the change has an effect: a package with
//! the same parsed content, for example with a different comment, reloads nothing.
//!
//! A notification does not show whether the reload succeeded; so status says "notified", with package and time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::daemon::runner::{self, Ended, Job, JobId};
use crate::daemon::status::InForceStatus;
use crate::fs::unix::{UnixFs, UnixRoot};
use crate::fs::{Fs, Root, read_whole};
use crate::model::settings::{Reload, ShareSettings};
use crate::model::{Map, RelPath, Set, ShareName, WallTime, limits};
use crate::uci::{self, PackageName};

/// The directory of init scripts.
const INIT_DIR: &str = "/etc/init.d";

/// Time limit of a reload.
const TIME: Duration = Duration::from_secs(30);

/// Paths named to a program in its environment, and bytes of them: the kernel refuses to start one with more than 128 KiB
/// in a variable. It has all of them on standard input.
const NAMED: usize = 16;
const NAMED_BYTES: usize = 4096;

/// Before the name of a share, which distinguishes it from a package: no package has a space.
const SHARE: &str = "share ";

/// Notifications, and their results.
#[derive(Default)]
pub struct InForce {
    /// The parsed content of each package when it was last read.
    packages: Map<(ShareName, RelPath), Said>,
    /// The last notification of each, by package or by share.
    notices: Map<String, Notice>,
    /// Jobs that run, with the share they run for.
    jobs: Map<JobId, ShareName>,
    /// Changes that were applied in a share while its program ran: it is run once more.
    again: Map<ShareName, Set<RelPath>>,
}

/// The digest of a parsed package; `None` where it cannot be read.
type Said = Option<[u8; 32]>;

struct Notice {
    at: WallTime,
    trouble: Option<String>,
}

/// What must be done to put something in force.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Notify procd that this package changed.
    Package(PackageName),
    /// Run this for the share.
    Run(ShareName, Job),
}

impl InForce {
    /// Records the content of the packages of a share, so that a later change can be distinguished from none.
    pub fn learn(&mut self, share: &ShareSettings) {
        if share.reload() != Reload::Uci {
            return;
        }
        let Ok(root) = UnixFs::new().open(&share.dir) else { return };
        let Ok(mut dir) = root.open_dir(None) else { return };
        while let Ok(names) = root.read_dir(&mut dir, limits::STEP_NAMES) {
            if names.is_empty() {
                return;
            }
            for path in names.iter().filter_map(|(name, _)| RelPath::parse(name).ok()) {
                self.learn_from(share, &root, &path);
            }
        }
    }

    /// A path was changed on this node: services are notified by the program that changed it.
    pub fn learn_path(&mut self, share: &ShareSettings, path: &RelPath) {
        if share.reload() == Reload::Uci && PackageName::at(path).is_some() {
            if let Ok(root) = UnixFs::new().open(&share.dir) {
                self.learn_from(share, &root, path);
            }
        }
    }

    fn learn_from(&mut self, share: &ShareSettings, root: &UnixRoot, path: &RelPath) {
        if PackageName::at(path).is_some() {
            self.packages.insert((share.name.clone(), path.clone()), what_it_says(root, path));
        }
    }

    /// The actions after these paths of a share were applied.
    pub fn landed(&mut self, share: &ShareSettings, paths: &[RelPath]) -> Vec<Action> {
        match share.reload() {
            Reload::Nobody => Vec::new(),
            Reload::Uci => {
                let mut actions = Vec::new();
                let root = UnixFs::new().open(&share.dir).ok();
                for path in paths {
                    let Some(package) = PackageName::at(path) else { continue };
                    let said = root.as_ref().and_then(|root| what_it_says(root, path));
                    let before = self.packages.insert((share.name.clone(), path.clone()), said);
                    // One notification too many reloads a service without need; one too few leaves an old state in force.
                    if said.is_none() || before != Some(said) {
                        actions.push(Action::Package(package));
                    }
                }
                actions
            }
            Reload::Script(_) | Reload::Services(_) if self.jobs.values().any(|name| *name == share.name) => {
                self.again.get_or_default(share.name.clone()).extend(paths.iter().cloned());
                Vec::new()
            }
            Reload::Script(script) => {
                vec![Action::Run(share.name.clone(), job(share, vec![script.clone().into_os_string()], paths))]
            }
            Reload::Services(services) => services
                .iter()
                .map(|service| {
                    let command = vec![format!("{INIT_DIR}/{service}").into(), "reload".into()];
                    Action::Run(share.name.clone(), job(share, command, paths))
                })
                .collect(),
        }
    }

    /// A package's notice was sent, or could not be.
    pub fn note_package(&mut self, now: WallTime, package: &str, trouble: Option<String>) {
        self.notices.insert(package.to_string(), Notice { at: now, trouble });
    }

    /// Packages whose notice could not be sent.
    pub fn untold(&self) -> Vec<String> {
        let package = |(name, notice): (&String, &Notice)| {
            (notice.trouble.is_some() && !name.starts_with(SHARE)).then(|| name.clone())
        };
        self.notices.iter().filter_map(package).collect()
    }

    /// A share's program was started, or could not be.
    pub fn note_started(&mut self, now: WallTime, share: ShareName, started: Result<JobId, String>) {
        let trouble = match started {
            Ok(id) => {
                self.jobs.insert(id, share.clone());
                None
            }
            Err(reason) => Some(reason),
        };
        self.notices.insert(format!("{SHARE}{share}"), Notice { at: now, trouble });
    }

    /// A job ended: the share it ran for, and the paths that were applied there meanwhile. `None` for other jobs.
    pub fn ended(&mut self, ended: &Ended) -> Option<(ShareName, Vec<RelPath>)> {
        let share = self.jobs.remove(&ended.id)?;
        if let (Err(reason), Some(notice)) = (&ended.result, self.notices.get_mut(&format!("{SHARE}{share}"))) {
            notice.trouble = Some(format!("{}: {reason}", ended.what));
        }
        let idle = !self.jobs.values().any(|name| *name == share);
        let again = if idle { self.again.remove(&share) } else { None };
        Some((share, again.into_iter().flatten().collect()))
    }

    /// Whether nothing runs for a share.
    pub fn is_idle(&self, share: &ShareName) -> bool {
        !self.jobs.values().any(|name| name == share)
    }

    /// The services that were notified, when, and what failed.
    pub fn status(&self) -> BTreeMap<String, InForceStatus> {
        let one = |(name, notice): (&String, &Notice)| {
            (name.clone(), InForceStatus { notified: notice.at, failed: notice.trouble.clone() })
        };
        self.notices.iter().map(one).collect()
    }

    /// Failures that still last.
    pub fn troubles(&self) -> Vec<String> {
        let failed =
            |(name, notice): (&String, &Notice)| Some(format!("reload of {name}: {}", notice.trouble.as_ref()?));
        self.notices.iter().filter_map(failed).collect()
    }
}

fn job(share: &ShareSettings, command: Vec<OsString>, paths: &[RelPath]) -> Job {
    let mut input = Vec::new();
    for path in paths.iter().take(limits::REPLY_PATHS) {
        // Escaped as in status: a peer chooses names, and a line must not become two.
        let line = path.to_text();
        // Half a path would be another path.
        if input.len() + line.len() >= runner::INPUT {
            break;
        }
        input.extend_from_slice(line.as_bytes());
        input.push(b'\n');
    }
    let env = told(share, paths).map(|(name, value)| (format!("OWSYNC_{name}"), value)).to_vec();
    let what = format!("{} for share {}", runner::in_words(&command), share.name);
    Job { what, command, env, input, time: TIME }
}

/// The variables for programs: the share, its directory, the first paths, and how many there are.
pub fn told(share: &ShareSettings, paths: &[RelPath]) -> [(&'static str, OsString); 4] {
    [
        ("SHARE", share.name.to_string().into()),
        ("DIR", share.dir.clone().into_os_string()),
        ("PATHS", named(paths.iter().map(RelPath::to_text)).into()),
        ("COUNT", paths.len().to_string().into()),
    ]
}

/// The first of these, in one line, separated by spaces; a space in one of them is `\x20`.
pub fn named(texts: impl Iterator<Item = String>) -> String {
    let mut named = String::new();
    for text in texts.take(NAMED) {
        let text = text.replace(' ', "\\x20");
        if named.len() + text.len() >= NAMED_BYTES {
            break;
        }
        named.push_str(if named.is_empty() { "" } else { " " });
        named.push_str(&text);
    }
    named
}

/// The parsed content of a package; of one that cannot be parsed its bytes, of a missing one nothing.
fn what_it_says(root: &UnixRoot, path: &RelPath) -> Said {
    let bytes = read_whole(root, path, limits::UCI_FILE_MAX).ok()?.unwrap_or_default();
    let parsed = PackageName::at(path).and_then(|name| uci::parse(&name, &bytes).ok());
    Some(match parsed {
        Some(package) => Sha256::digest(uci::write::export(&package)).into(),
        None => Sha256::digest(bytes).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn share(dir: &Path, reload: Reload) -> ShareSettings {
        ShareSettings { reload: Some(reload), ..ShareSettings::new(ShareName::main(), dir.into()) }
    }

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_package_is_told_once_and_only_when_it_says_something_else() {
        let dir = std::env::temp_dir().join(format!("owsync-inforce-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let share = share(&dir, Reload::Uci);
        std::fs::write(dir.join("dhcp"), "config dnsmasq\n\toption a '1'\n").unwrap();
        let mut in_force = InForce::default();
        in_force.learn(&share);

        std::fs::write(dir.join("dhcp"), "# a comment\nconfig dnsmasq\n option a 1\n").unwrap();
        assert_eq!(in_force.landed(&share, &[path("dhcp")]), []);

        std::fs::write(dir.join("dhcp"), "config dnsmasq\n option a 2\n").unwrap();
        let package = PackageName::parse(b"dhcp").unwrap();
        assert_eq!(in_force.landed(&share, &[path("dhcp"), path("d/x"), path("x.y")]), [Action::Package(package)]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// F68: the reload code opened every name in the directory, and waited at a fifo for a writer.
    #[test]
    fn a_fifo_among_the_packages_holds_nothing_up() {
        let dir = std::env::temp_dir().join(format!("owsync-inforce-fifo-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let share = share(&dir, Reload::Uci);
        let mut in_force = InForce::default();

        in_force.learn(&share);
        in_force.learn_path(&share, &path("fifo"));
        let actions = in_force.landed(&share, &[path("fifo")]);

        assert_eq!(actions, []);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// F102: a line break in a name was a second line, and a space in a name a second word.
    #[test]
    fn no_name_becomes_two_for_a_program() {
        let share = share(Path::new("/x"), Reload::Script("/r".into()));
        let paths = [path("harmless\netc_passwd"), path("a b"), path("c\\d")];

        let job = job(&share, Vec::new(), &paths);

        assert_eq!(String::from_utf8(job.input).unwrap(), "harmless\\x0aetc_passwd\na b\nc\\\\d\n");
        let variable = |name: &str| job.env.iter().find(|(key, _)| key == name).unwrap().1.clone();
        assert_eq!(variable("OWSYNC_PATHS"), "harmless\\x0aetc_passwd a\\x20b c\\\\d");
        let long: Vec<RelPath> = (0..300).map(|n| path(&format!("{n:03}{}", "x".repeat(250)))).collect();
        let input = super::job(&share, Vec::new(), &long).input;
        assert!(input.len() <= runner::INPUT && input.ends_with(b"x\n"), "only whole paths");
    }

    #[test]
    fn programs_are_told_as_many_paths_as_fit() {
        let share = share(Path::new("/x"), Reload::Nobody);
        let told_of = |paths: &[RelPath]| told(&share, paths).map(|(_, value)| value.into_string().unwrap());
        assert_eq!(told_of(&[path("a"), path("b c")]), ["main", "/x", r"a b\x20c", "2"]);
        let many: Vec<RelPath> = (0..20).map(|n| path(&format!("f{n}"))).collect();
        assert_eq!(told_of(&many)[2].split(' ').count(), NAMED);
        // Each byte is four in print.
        let long: Vec<RelPath> =
            (0u8..16).map(|n| RelPath::parse(&[vec![b'a' + n], vec![0xff; 200]].concat()).unwrap()).collect();
        assert_eq!(told_of(&long)[2].split(' ').count(), 5);
        assert_eq!(told_of(&long)[3], "16");
    }

    #[test]
    fn a_program_that_runs_is_run_once_more_for_what_landed_meanwhile() {
        let share = share(Path::new("/x"), Reload::Script("/usr/libexec/r".into()));
        let mut in_force = InForce::default();
        let [Action::Run(name, job)] = &in_force.landed(&share, &[path("a")])[..] else { panic!("one job") };
        assert_eq!(
            (job.command.as_slice(), job.input.as_slice()),
            (&[OsString::from("/usr/libexec/r")][..], &b"a\n"[..])
        );
        in_force.note_started(WallTime(0), name.clone(), Ok(1));

        assert_eq!(in_force.landed(&share, &[path("b")]), []);
        assert_eq!(in_force.landed(&share, &[path("c")]), []);

        let ended =
            Ended { id: 1, what: "it".into(), result: Err("exit code 1".into()), said_no: true, output: String::new() };
        assert_eq!(in_force.ended(&ended), Some((ShareName::main(), vec![path("b"), path("c")])));
        assert_eq!(in_force.troubles(), ["reload of share main: it: exit code 1"]);
    }
}
