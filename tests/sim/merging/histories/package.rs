//! The package as its users see it: sections with options and lists.

use std::collections::BTreeSet;

/// The option whose values belong to one router, where a pattern or a marker says so.
pub const OWN: &str = "own";

/// A line of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Option(String, String),
    Item(String, String),
    /// Of a shared form.
    Marker(String),
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub kind: String,
    pub name: Option<String>,
    pub lines: Vec<Line>,
}

impl Section {
    pub fn new(kind: &str, name: Option<&str>, options: &[(&str, &str)]) -> Section {
        let lines = options.iter().map(|(name, value)| Line::Option((*name).into(), (*value).into()));
        Section { kind: kind.into(), name: name.map(Into::into), lines: lines.collect() }
    }

    pub fn option(&self, wanted: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| match line {
            Line::Option(name, value) if name == wanted => Some(&value[..]),
            _ => None,
        })
    }

    pub fn is_local(&self, option: &str) -> bool {
        self.lines.contains(&Line::Marker(option.into()))
    }

    pub fn set(&mut self, wanted: &str, value: &str) {
        for line in &mut self.lines {
            match line {
                Line::Option(name, old) if name == wanted => {
                    *old = value.into();
                    return;
                }
                _ => {}
            }
        }
        self.lines.push(Line::Option(wanted.into(), value.into()));
    }

    /// What distinguishes it from the other sections, as far as anything does.
    pub fn label(&self) -> String {
        let name = self.name.as_deref().or_else(|| self.option("name"));
        format!("{} {}", self.kind, name.unwrap_or("-"))
    }

    /// How reports call it, or begin to.
    pub fn reported(&self) -> String {
        match (&self.name, self.option("name")) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => format!("@{}[name={name}]", self.kind),
            (None, None) => format!("@{}[", self.kind),
        }
    }
}

/// The package, in the order of its sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package(pub Vec<Section>);

impl Package {
    /// What every machine has at the beginning.
    pub fn first() -> Package {
        let named = ["lan", "guest", "iot"].map(|name| {
            Section::new("dhcp", Some(name), &[("start", "0"), ("limit", "0"), ("leasetime", "0"), (OWN, "0")])
        });
        let mut sections = vec![Section::new("dnsmasq", None, &[("domain", "0"), ("rebind", "0"), (OWN, "0")])];
        sections[0].lines.push(Line::Item("server".into(), "0".into()));
        sections.extend(named);
        for name in ["h0", "h1"] {
            sections.push(Section::new("host", None, &[("name", name), ("mac", "0"), ("ip", "0"), (OWN, "0")]));
        }
        for target in ["r0", "r1"] {
            sections.push(Section::new("route", None, &[("target", target), ("gateway", "0"), ("metric", "0")]));
        }
        Package(sections)
    }

    /// As `uci commit` writes it.
    pub fn text(&self) -> String {
        let mut text = String::from("\n");
        for section in &self.0 {
            match &section.name {
                Some(name) => text.push_str(&format!("config {} '{name}'\n", section.kind)),
                None => text.push_str(&format!("config {}\n", section.kind)),
            }
            for line in &section.lines {
                text.push_str(&match line {
                    Line::Option(name, value) => format!("\toption {name} '{value}'\n"),
                    Line::Item(name, value) => format!("\tlist {name} '{value}'\n"),
                    Line::Marker(name) => format!("\tlocal {name}\n"),
                });
            }
            text.push('\n');
        }
        text
    }

    /// Reads a file, or a shared form.
    pub fn of(text: &str) -> Package {
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let word = |at: usize| words.get(at).map(|word| word.trim_matches('\'').to_string());
            match (words[0], word(1).unwrap_or_default(), word(2)) {
                ("config", kind, name) => sections.push(Section { kind, name, lines: Vec::new() }),
                ("option", name, Some(value)) => sections.last_mut().unwrap().lines.push(Line::Option(name, value)),
                ("list", name, Some(value)) => sections.last_mut().unwrap().lines.push(Line::Item(name, value)),
                ("local", name, None) => sections.last_mut().unwrap().lines.push(Line::Marker(name)),
                _ => panic!("a line that no user wrote: {line}"),
            }
        }
        Package(sections)
    }

    /// What every router has: without anything that may be local somewhere, and without the order.
    pub fn shared(&self) -> BTreeSet<String> {
        let mut shared = BTreeSet::new();
        for section in self.0.iter().filter(|section| section.name.as_deref() != Some(MINE)) {
            shared.insert(section.label());
            for line in &section.lines {
                let of = match line {
                    Line::Option(name, value) if name != OWN => format!("{name} = {value}"),
                    Line::Item(name, value) => format!("{name} + {value}"),
                    Line::Option(..) | Line::Marker(_) => continue,
                };
                let of_unnamed = section.option("target").unwrap_or_default();
                shared.insert(format!("{} {of_unnamed} {of}", section.label()));
            }
        }
        shared
    }

    /// Every value that a user may have written.
    pub fn values(&self) -> BTreeSet<&str> {
        let lines = self.0.iter().flat_map(|section| &section.lines);
        let values = lines.filter_map(|line| match line {
            Line::Option(_, value) | Line::Item(_, value) => Some(&value[..]),
            Line::Marker(_) => None,
        });
        values.filter(|value| value.starts_with('v')).collect()
    }
}

/// A section that exists on one router only.
pub const MINE: &str = "mine";
