//! Translates owners between names and numbers, by /etc/passwd and /etc/group.
//!
//! They are parsed here because getpwuid asks whatever nsswitch.conf names, which may be a directory server that responds
//! late or never, and nothing in the loop may block. Numbers without a name are synced as numbers.

use std::rc::Rc;

use crate::model::{Map, Owner, limits};

/// The users and groups of this machine.
#[derive(Default)]
pub struct Owners {
    users: Names,
    groups: Names,
    /// Every file of one owner shares one value.
    known: Map<(u32, u32), Rc<Owner>>,
}

impl Owners {
    /// The contents of the two files; a malformed line is left out.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Owners {
        Owners { users: Names::parse(passwd), groups: Names::parse(group), known: Map::new() }
    }

    /// The names of an owner and group.
    pub fn name(&mut self, uid: u32, gid: u32) -> Rc<Owner> {
        let (users, groups) = (&self.users, &self.groups);
        let owner = || Rc::new(Owner { user: users.name(uid), group: groups.name(gid) });
        self.known.get_or_insert_with((uid, gid), owner).clone()
    }

    /// The numbers of an owner and group; `None` where one of them is not known here.
    pub fn ids(&self, owner: &Owner) -> Option<(u32, u32)> {
        Some((self.users.id(&owner.user)?, self.groups.id(&owner.group)?))
    }
}

/// Names and numbers of one file.
#[derive(Default)]
struct Names {
    by_id: Map<u32, Box<str>>,
    by_name: Map<Box<str>, u32>,
}

impl Names {
    fn parse(text: &[u8]) -> Names {
        let mut names = Names::default();
        for line in text.split(|&b| b == b'\n') {
            // The other fields may be in any encoding: a full name in an old encoding is no reason to skip
            // the user.
            let mut fields = line.split(|&b| b == b':').map(std::str::from_utf8);
            let (Some(Ok(name)), _, Some(Ok(id))) = (fields.next(), fields.next(), fields.next()) else { continue };
            let Ok(id) = id.parse() else { continue };
            if name.is_empty() || name.len() > limits::OWNER_MAX {
                continue;
            }
            // The first line of a number or a name is used, as by the C library.
            names.by_id.get_or_insert_with(id, || name.into());
            names.by_name.get_or_insert(name.into(), id);
        }
        names
    }

    fn name(&self, id: u32) -> Box<str> {
        self.by_id.get(&id).cloned().unwrap_or_else(|| id.to_string().into())
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied().or_else(|| name.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(user: &str, group: &str) -> Owner {
        Owner { user: user.into(), group: group.into() }
    }

    #[test]
    fn owners_travel_by_name_and_without_one_by_number() {
        let mut owners = Owners::parse(
            b"root:x:0:0:root:/root:/bin/ash\ndnsmasq:x:453:453:dnsmasq:/:/bin/false\ntoor:x:0:0::/:\n",
            b"root:x:0:\ndnsmasq:x:454:dnsmasq\n",
        );
        assert_eq!(*owners.name(453, 454), owner("dnsmasq", "dnsmasq"));
        assert_eq!(*owners.name(0, 0), owner("root", "root"));
        assert_eq!(*owners.name(1000, 0), owner("1000", "root"));
        assert_eq!(owners.ids(&owner("dnsmasq", "root")), Some((453, 0)));
        assert_eq!(owners.ids(&owner("toor", "0")), Some((0, 0)));
        assert_eq!(owners.ids(&owner("1000", "dnsmasq")), Some((1000, 454)));
        assert_eq!(owners.ids(&owner("not-here", "root")), None);
        assert_eq!(owners.ids(&owner("root", "not-here")), None);
    }

    #[test]
    fn a_line_that_makes_no_sense_hides_no_other() {
        let long = "x".repeat(limits::OWNER_MAX + 1);
        let passwd = format!("\n#comment\n:x:1:\nshort:x\nno:x:number:\n{long}:x:2:\n").into_bytes();
        let passwd = [&passwd[..], b"fran\xe7ois:x:3:3::/:\nren:x:4:4:Ren\xe9:/:\nlast:x:5:5::/:"].concat();
        let mut owners = Owners::parse(&passwd, b"");
        for (uid, name) in [(1, "1"), (2, "2"), (3, "3"), (4, "ren"), (5, "last")] {
            assert_eq!(*owners.name(uid, 0), owner(name, "0"));
        }
    }
}
