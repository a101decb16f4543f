//! Releases of the system, for which UCI packages are written.

use std::fmt;

/// Longest text of a release, in bytes.
const RELEASE_MAX: usize = 32;

/// The release of a router's system, as `24.10.4` or `SNAPSHOT`.
///
/// Packages in `/etc/config` are migrated by a system upgrade, and an older system may not understand the result. Only
/// releases of one [`series`](Release::series) exchange them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release(String);

impl Release {
    /// Reads a release: 1 to 32 printable ASCII characters without a space.
    pub fn parse(text: &str) -> Option<Release> {
        let valid = !text.is_empty() && text.len() <= RELEASE_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        valid.then(|| Release(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that is the same for all releases that share their packages: `24.10` of `24.10.4`, `24.10.0-rc1` and
    /// `24.10-SNAPSHOT`.
    ///
    /// A text that does not begin with two numbers is a series of its own. So a build of the development branch
    /// (`SNAPSHOT`) differs from every release, and does not differ from any other such build, although one may be much
    /// older: its text does not say.
    pub fn series(&self) -> &str {
        let bytes = self.0.as_bytes();
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let first = digits(0);
        if first == 0 || bytes.get(first) != Some(&b'.') {
            return &self.0;
        }
        let second = digits(first + 1);
        let end = first + 1 + second;
        let ends = bytes.get(end).is_none_or(|b| !b.is_ascii_alphanumeric());
        if second > 0 && ends { &self.0[..end] } else { &self.0 }
    }

    /// Whether packages written for one of the two may not suit the other.
    pub fn differs_from(&self, other: &Release) -> bool {
        !self.series().eq_ignore_ascii_case(other.series())
    }

    /// Reads the release from the text of OpenWrt's `/etc/openwrt_release`.
    pub fn in_openwrt_release(text: &str) -> Option<Release> {
        value(text, "DISTRIB_RELEASE").and_then(Release::parse)
    }

    /// Reads the release from the text of `/etc/os-release`, if that is OpenWrt's or a derivative's. Packages of other
    /// systems are not UCI's.
    pub fn in_os_release(text: &str) -> Option<Release> {
        let openwrt = |key| value(text, key).is_some_and(|ids| ids.split_ascii_whitespace().any(|id| id == "openwrt"));
        if openwrt("ID") || openwrt("ID_LIKE") { value(text, "VERSION_ID").and_then(Release::parse) } else { None }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of the last assignment to a shell variable that is one quoted or plain word per line, as in os-release(5).
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines().rev().filter_map(|line| line.trim().split_once('='));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(quoted('\'').or_else(|| quoted('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        Release::parse(text).unwrap()
    }

    /// F120: 24.10 and 25.12 differ, 25.12.1 and 25.12.2 do not.
    #[test]
    fn releases_of_one_series_share_their_packages() {
        for (text, series) in [
            ("24.10.4", "24.10"),
            ("24.10.0-rc1", "24.10"),
            ("24.10-SNAPSHOT", "24.10"),
            ("24.10", "24.10"),
            ("25.12.2", "25.12"),
            ("SNAPSHOT", "SNAPSHOT"),
            ("r24000-abcdef", "r24000-abcdef"),
            ("24", "24"),
            ("24.", "24."),
            ("24.10x", "24.10x"),
            (".10", ".10"),
        ] {
            assert_eq!(release(text).series(), series);
        }
        for (a, b, differ) in [
            ("25.12.1", "25.12.2", false),
            ("24.10.4", "25.12.1", true),
            ("24.10.4", "24.1.4", true),
            ("SNAPSHOT", "snapshot", false),
            ("SNAPSHOT", "25.12.1", true),
            ("25.12-SNAPSHOT", "25.12.1", false),
        ] {
            assert_eq!(release(a).differs_from(&release(b)), differ, "{a} {b}");
            assert_eq!(release(b).differs_from(&release(a)), differ, "{b} {a}");
        }
    }

    #[test]
    fn a_release_is_one_short_printable_word() {
        for text in ["", "24 10", "24.10\n", "\u{e4}", "24.10.1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(Release::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_files_of_openwrt_name_it() {
        let openwrt = "DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='24.10.4'\nDISTRIB_REVISION='r28959-29397011cc'\n";
        assert_eq!(Release::in_openwrt_release(openwrt), Some(release("24.10.4")));
        assert_eq!(Release::in_openwrt_release("DISTRIB_RELEASE=\"SNAPSHOT\"\n"), Some(release("SNAPSHOT")));
        for text in ["", "DISTRIB_RELEASE=''", "DISTRIB_ID='OpenWrt'", "DISTRIB_RELEASE"] {
            assert_eq!(Release::in_openwrt_release(text), None, "{text}");
        }

        let os =
            "NAME=\"OpenWrt\"\nVERSION=\"24.10.4\"\nID=\"openwrt\"\nID_LIKE=\"lede openwrt\"\nVERSION_ID=\"24.10.4\"\n";
        assert_eq!(Release::in_os_release(os), Some(release("24.10.4")));
        let derived = "ID=immortalwrt\nID_LIKE=\"lede openwrt\"\nVERSION_ID=23.05\n";
        assert_eq!(Release::in_os_release(derived), Some(release("23.05")));
        assert_eq!(Release::in_os_release("ID=debian\nVERSION_ID=\"13\"\n"), None);
    }
}
