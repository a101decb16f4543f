//! What users do to files.

use std::collections::BTreeMap;

use super::{MachineId, World, path};

impl World {
    /// A user writes, and inotify says so.
    pub fn write(&mut self, id: MachineId, name: &str, content: &str) {
        let what = path(name);
        let user = self.user(id);
        // inotify tells of the outermost directory that is made for it, of which all is new.
        let made = what.ancestors().filter(|dir| user.stat(dir).is_none()).last();
        assert!(user.write(&what, content.as_bytes()), "{name} can be written");
        self.note(|| format!("m{id} user writes {name}"));
        self.announce(id, made.as_ref().unwrap_or(&what));
    }

    pub fn remove(&mut self, id: MachineId, name: &str) {
        let what = path(name);
        assert!(self.user(id).remove(&what), "{name} can be removed");
        self.note(|| format!("m{id} user removes {name}"));
        self.announce(id, &what);
    }

    pub fn read(&self, id: MachineId, name: &str) -> Option<String> {
        self.machines[id]
            .disk
            .user("/share")
            .read(&path(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Users of one machine write all of these, in one moment.
    pub fn put(&mut self, id: MachineId, tree: &BTreeMap<String, String>) {
        for (name, content) in tree {
            self.write(id, name, content);
        }
    }
}
