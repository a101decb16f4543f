//! What every target starts from: what owsync itself writes where it writes that form, else the shapes of its grammar.
//!
//! A name says what it is; one that begins with `not-` is refused. The files in tests/fuzz/corpus came from here, or were
//! found (`found-`); they stay when what is written changes, as what a later node must still read.

use std::path::PathBuf;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use owsync::daemon::joining::text::{JoinText, Secret};
use owsync::daemon::ubus::blobmsg;
use owsync::daemon::ubus::message::Outbox;
use owsync::model::settings::{Address, ShareSettings};
use owsync::model::{Key, ShareName, WallTime};
use owsync::node::api::Tree;
use owsync::proto::frame::{Preface, push_record};
use owsync::uci;

use crate::recorded;

/// Names and bytes.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// The seeds of a target.
pub fn of(target: &str) -> Seeds {
    match target {
        "blobmsg" => blobmsg(),
        "conf" => conf(),
        "control" => control(),
        "document" => recorded::documents(),
        "escape" => {
            texts(&[("text", b"a\\\\b\\x1b[2J\\xff\xc3\xa9"), ("not-a-digit", b"\\xg0"), ("not-text", b"\xff\n\0")])
        }
        "filter" => filter(),
        "form" => forms(),
        "frame" => frame(),
        #[cfg(feature = "encryption")]
        "handshake" => recorded::handshakes(),
        "history" => recorded::histories(),
        "join" => join(),
        "journal" => recorded::journals(),
        "merge" => merges(),
        "message" => recorded::messages(),
        "node" => node(),
        "path" => texts(&[
            ("deep", b"deep/er/file"),
            ("bytes", b"caf\xc3\xa9 \xff\n"),
            ("not-inside", b"a/../b"),
            ("not-relative", b"/a"),
            ("not-a-name", b"a//b"),
        ]),
        "session" => session(),
        "ubus" => ubus(),
        "uci" => uci_files(),
        "uci_delta" => texts(&[
            (
                "all",
                b"network.lan.ipaddr='192.168.1.1'\n+network.cfg0a='route'\n-network.wan\n@network.lan='main'\n\
                  ^network.lan='2'\n|network.lan.dns='9.9.9.9'\n~network.lan.dns='9.9.9.9'\n",
            ),
            ("long", b"network.lan.note='a\nb'\\''c'\n-network.lan.note\n"),
            (
                "numbers",
                b"-network.lan.dns='1'\n^network.wan='-1'\n~network.lan.dns='9.9.9.9'\n|network.lan.mtu='1'\n\
                  @network.wan='lan'\nnetwork.lan.mtu=''\nnetwork.lan='x'\n",
            ),
            ("not-this-package", b"dhcp.lan='x'\nnonsense\n"),
        ]),
        "zone" => zone(),
        other => panic!("no seeds for {other}"),
    }
}

fn texts(all: &[(&str, &[u8])]) -> Seeds {
    all.iter().map(|(name, bytes)| ((*name).to_string(), bytes.to_vec())).collect()
}

/// Texts of a merge: options, lists, sections with and without names, markers, an order.
fn merges() -> Seeds {
    const LAN: &str = "config interface 'lan'\n\toption proto 'static'\n\toption mtu '1500'\n\tlist dns '9.9.9.9'\n";
    const RULES: &str =
        "config rule\n\toption name 'a'\n\toption src 'lan'\n\nconfig rule\n\toption name 'b'\n\toption src 'wan'\n";
    const HOSTS: &str =
        "config host\n\toption ip '10.0.0.1'\n\toption mac '1'\n\nconfig host\n\toption ip '10.0.0.2'\n";
    let three = |base: &str, winner: &str, loser: &str| [base, winner, loser].join("\n====\n").into_bytes();
    let named: Vec<(&str, Vec<u8>)> = vec![
        ("options", three(LAN, &LAN.replace("1500", "1400"), &LAN.replace("static", "dhcp"))),
        ("one-option", three(LAN, &LAN.replace("1500", "1400"), &LAN.replace("1500", "1300"))),
        ("list", three(LAN, &format!("{LAN}\tlist dns '1.1.1.1'\n"), &LAN.replace("9.9.9.9", "8.8.8.8"))),
        ("markers", three(LAN, &format!("{LAN}\tlocal ipaddr\n"), &format!("{LAN}\toption ipaddr '10.0.0.1'\n"))),
        (
            "rules",
            three(RULES, &RULES.replace("'wan'", "'vpn'"), &format!("{RULES}\nconfig rule\n\toption name 'c'\n")),
        ),
        ("removed", three(RULES, &RULES[..RULES.len() / 2], &RULES.replace("'lan'", "'vpn'"))),
        ("hosts", three(HOSTS, &HOSTS.replace("'1'", "'2'"), &format!("{HOSTS}\toption name 'nas'\n"))),
        ("not-a-package", three(LAN, "config", "option x")),
        ("not-renamed", three(LAN, &LAN.replace("'lan'", "'lan2'"), &LAN.replace("1500", "1400"))),
    ];
    named.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect()
}

/// Patterns, a file, its current form, a new one.
fn forms() -> Seeds {
    const FILE: &str = "config interface 'lan'\n\toption ipaddr '10.11.12.13'\n\toption mtu '1500'\n\nconfig system\n\toption hostname 'atticroom'\n\nconfig interface 'vpn'\n\toption key 'privatekey'\n";
    const FORM: &str =
        "config interface 'lan'\n\toption mtu '1500'\n\tlocal ipaddr\n\nconfig system\n\tlocal hostname\n";
    const NEW: &str = "config interface 'lan'\n\toption mtu '1400'\n\tlocal ipaddr\n\nconfig system\n\tlocal hostname\n\nconfig route\n\toption target '0'\n";
    let four = |patterns: &str, current: &str, new: &str| [patterns, FILE, current, new].join("\n====\n").into_bytes();
    let named: Vec<(&str, Vec<u8>)> = vec![
        ("patterns", four("p.lan.ipaddr\np.@system[0].hostname\np.vpn", "", NEW)),
        ("markers", four("", FORM, NEW)),
        ("both", four("p.*.ip*\n!p.vpn\np.@interface[mtu=15*].mtu", FORM, NEW)),
        ("renamed", four("", FORM, &NEW.replace("'lan'", "'home'"))),
        ("own-sections", four("p.*\n!p.@system", "", NEW)),
        ("not-a-file", four("p.lan.ipaddr", FORM, NEW).iter().map(|&b| if b == b'1' { b'\'' } else { b }).collect()),
        ("not-a-form", four("", FORM, "config interface 'lan'\n\tlocal mtu\n\tlocal mtu\n")),
    ];
    named.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect()
}

fn filter() -> Seeds {
    texts(&[
        ("all-but", b"+*\n-network\n-*.tmp\ndhcp\nnetwork\nx.tmp\na/b"),
        ("sets", b"+[a-c]?[!x]*\n+etc/[]-]\n-[^\\]]z\nabcd\netc/-\netc/]\ncz"),
        ("stars", b"+*a*b*c\n+\\*\\?\naabbcc\n*?\nabcabc"),
        ("not-a-set", b"+[a\n-[\n+\\\na"),
    ])
}

fn conf() -> Seeds {
    let predecessor: &[u8] = b"# Network\nbind_host=0.0.0.0\n port = 4322 \n\nsync_dir=/etc/config\ndatabase=/tmp/db\n\
        plain_mode=true\npoll_interval=30\nlog_level=3\npeer=192.168.1.2\npeer=[2001:db8::1]:4321\n\
        peer=10.0.0.2,10.0.0.1\ninclude=dhcp\ninclude=fire*\nexclude=network\n";
    let ours: &[u8] = b"name=r1\nport=99\nplain_mode=1\naccept=known\nfirst_sync=ask\nsettle_ms=300\nmax_clock_skew=5m\n\
        history_size=2M\nhistory_days=3\nhistory_versions=4\ndir=/a b\ninclude=*\xff\nexclude=x=y\n[share vpn]\ndir=/v\n\
        include=*\nsymlinks=copy\nmax_file_size=0\nmin_free=2M\nenabled=0\nallow_setuid=1\ndelete_guard=0\n\
        reload=network firewall\n[share s]\ndir=/s\nreload=/usr/bin/x\ndirection=observe\n[peer r2]\naddress=[fd00::2]:7\n\
        source_address=fd00::1\npublic_key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\nshare=vpn\n\
        direction=send\n";
    let wrong: &[u8] =
        b"nonsense\nport=70000\nencryption_key=abcd\nmax_file_size=lots\n[share a b]\n[share bad/name]\n\
        dir=/x\n[share vpn]\ninclude=[\n[peer r2]\naddress=1:2:3\n[peer r2]\n\x1b[2J=\x1b[2J\n";
    texts(&[("predecessor", predecessor), ("ours", ours), ("not-right", wrong)])
}

fn control() -> Seeds {
    let asks = [
        r#"{"id":1,"method":"status"}"#,
        r#"{"id":1,"method":"sync","params":{"peer":"r2","share":"main","dry_run":true,"wait":1}}"#,
        r#"{"id":null,"method":"files","params":{"from":"vpn:a\\x0ab"}}"#,
        r#"{"id":"x","method":"approve","params":{"path":"/etc/config/dhcp","pick":"theirs"}}"#,
        r#"{"id":[],"method":"history","params":{"path":"main:dhcp","limit":18446744073709551615}}"#,
        r#"{"method":"diff","params":{"path":"main:a@b@7","with":"/etc/config/vpn/x"}}"#,
        r#"{"method":"restore","params":{"number":9}}"#,
        r#"{"method":"join","params":{"text":"x","address":["10.0.0.1","r2"]}}"#,
        r#"{"method":"forget_peer","params":{"peer":"\u001b[2J","list":[null,{"a":{"b":[1.5e300,-1]}}]}}"#,
    ];
    let mut seeds: Seeds =
        asks.iter().enumerate().map(|(n, line)| (format!("ask-{n}"), line.as_bytes().to_vec())).collect();
    let deep = format!(r#"{{"method":"status","params":{{"a":{}"#, "[".repeat(3000));
    seeds.push(("not-shallow".into(), deep.into_bytes()));
    seeds.extend(texts(&[("not-a-method", br#"{"method":"no","params":[]}"#)]));
    seeds
}

fn join() -> Seeds {
    let mut vpn = ShareSettings::new(ShareName::parse("vpn").unwrap(), PathBuf::from("/etc/openvpn"));
    vpn.include = vec![b"*".to_vec()];
    vpn.exclude = vec![b"[a-z]*\xff".to_vec()];
    vpn.max_file_size = 7;
    let address = |host: &str, port| Address { host: host.into(), port, source: None };
    let mut text = JoinText {
        name: "r1".into(),
        addresses: vec![address("192.168.1.1", 4321), address("fd00::1", 9)],
        secret: Some(Secret { key: Key::new([1; 32]), public_key: [2; 32], token: [3; 16] }),
        expires: WallTime(1_795_162_530_000),
        shares: vec![ShareSettings::new(ShareName::main(), PathBuf::from("/etc/config")), vpn],
    };
    let whole = [b"\x01On the other router:\n", text.encode().as_bytes(), b"\n"].concat();
    let bare = |text: &JoinText| {
        let text = text.encode();
        let digits: String = text.lines().filter(|line| !line.starts_with('[')).collect();
        [&[0], &Base64UrlUnpadded::decode_vec(&digits).unwrap()[..]].concat()
    };
    let secret = bare(&text);
    text.secret = None;
    text.name = "r\u{1b}[2J".into();
    vec![("text".into(), whole), ("secret".into(), secret), ("plain".into(), bare(&text))]
}

fn uci_files() -> Seeds {
    let ours: &[u8] = include_bytes!("../../files/owsync.config");
    let name = uci::PackageName::parse(b"owsync").unwrap();
    let mut package = uci::parse(&name, ours).unwrap();
    let peer = package.named("peer", "r2").unwrap();
    peer.set("address", b"10.0.0.2").unwrap();
    peer.set_list("share", &["main", "v'p\"n"]).unwrap();
    package.unnamed("peer").unwrap().set("address", b"a\nb").unwrap();
    let forms: &[u8] = b"package 'test'\nconfig a\n\toption b \"x \\\" y\"z'w'\nconfig 'a' \"c\" # comment\n\
        list l 1\n list l '2'\noption e ''\n";
    let mut seeds = texts(&[("installed", ours), ("forms", forms)]);
    seeds.push(("committed".into(), uci::write::committed(&package)));
    seeds.push(("exported".into(), uci::write::export(&package)));
    seeds.extend(texts(&[("not-closed", b"config a\noption x 'y"), ("no-value", b"config a\noption x")]));
    seeds
}

fn zone() -> Seeds {
    let head = |version: u8, times: u8, types: u8| {
        let mut head = [b"TZif", &[version][..], &[0; 15]].concat();
        [0, 0, 0, times, types, 4].iter().for_each(|&count| head.extend([0, 0, 0, count]));
        head
    };
    let moment = 1_774_746_000_000u64.to_be_bytes();
    let types =
        |all: &[i32]| all.iter().flat_map(|east| [&east.to_be_bytes()[..], &[0, 0]].concat()).collect::<Vec<u8>>();
    let short = [&moment[..], &head(0, 1, 2), &5000i32.to_be_bytes(), &[1], &types(&[3600, -7200]), b"AAA\0"].concat();
    let first = [&moment[..], &head(b'2', 0, 1), &types(&[0]), b"UTC\0"].concat();
    let second =
        [&head(b'2', 2, 2)[..], &1000i64.to_be_bytes(), &2000i64.to_be_bytes(), &[1, 0], &types(&[3600, 7200])];
    let long = |rule: &[u8]| [&first[..], &second.concat(), b"AAA\0\n", rule, b"\n"].concat();
    vec![
        ("short".into(), short),
        ("weekly".into(), long(b"CET-1CEST,M3.5.0,M10.5.0/3")),
        ("far".into(), long(b"CET-9223372036854775807")),
        ("days".into(), long(b"<+0545>-5:45X,J60/-167,365/167")),
        ("not-a-zone".into(), long(b"CET")[..100].to_vec()),
    ]
}

fn blobmsg() -> Seeds {
    let tree = Tree::map()
        .with("yes", true)
        .with("number", 7u64)
        .with("large", i64::MIN)
        .with("text", "a\u{e9}\n")
        .with("list", vec![Tree::from("a"), Tree::map().with("b", Tree::List(Vec::new()))]);
    let long = Tree::map().with("list", Tree::List((0..40).map(|n| Tree::from(format!("item {n}"))).collect()));
    let mut deep = Tree::map();
    for _ in 0..40 {
        deep = Tree::map().with("a", deep);
    }
    vec![
        ("kinds".into(), blobmsg::encode(&tree)),
        ("long".into(), blobmsg::encode(&long)),
        ("not-shallow".into(), blobmsg::encode(&deep)),
    ]
}

fn ubus() -> Seeds {
    const OBJECT: u32 = 0x0101_0101;
    let hello: &[u8] = &[0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 4];
    let mut out = Outbox::default();
    out.data(1, 0, OBJECT, &[]);
    out.status(1, 0, OBJECT, 0);
    let named = [&[3], hello, out.bytes()].concat();
    out.invoke(2, OBJECT, "status", &blobmsg::encode(&Tree::map()));
    out.invoke(3, OBJECT, "sync", &blobmsg::encode(&Tree::map().with("peer", "r2").with("wait", true)));
    out.invoke(4, OBJECT, "no", &[]);
    out.notify(5, OBJECT, "x", &[]);
    let asked = [&[0xff], hello, out.bytes()].concat();
    vec![("named".into(), named), ("asked".into(), asked), ("not-in-step".into(), [&[0], hello, &[9; 20]].concat())]
}

fn frame() -> Seeds {
    let mut records = vec![0x20];
    push_record(&mut records, b"one");
    push_record(&mut records, b"");
    push_record(&mut records, &[7; 200]);
    let plain = [&[1], &Preface::bytes(false)[..], &records[1..]].concat();
    let long = [&[2, 0xff, 0xff][..], &[1; 300]].concat();
    vec![("records".into(), records), ("not-a-record".into(), plain), ("not-short".into(), long)]
}

/// Steps of the target `session`: lowest bit whom it reaches, then three bits of what happens.
fn session() -> Seeds {
    const CARRY: u8 = 1 << 1;
    const SAY: u8 = 0;
    // Three messages of the handshake, then a Ping each way.
    let opened: Vec<u8> = [1, 0, 1].iter().flat_map(|to| [CARRY | to, 255]).collect();
    let talk = [&opened[..], &[SAY, SAY | 1, CARRY, 9, CARRY, 255, CARRY | 1, 255, SAY, CARRY, 255]].concat();
    let repeat = [&talk[..], &[5 << 1, CARRY, 9]].concat();
    let flip = [&opened[..], &[SAY, 4 << 1, 7, CARRY, 255]].concat();
    vec![("talk".into(), talk), ("not-repeated".into(), repeat[opened.len()..].to_vec()), ("not-changed".into(), flip)]
}

/// Steps of the target `node`; see its `act`.
fn node() -> Seeds {
    // A file, as offer() reads it: name, kind and content, number, version, stamp, step.
    let file = |name: u8| [name, 0x10, 5, 3, 120, 0];
    let offers = |offers: &[[u8; 6]]| [&[0, offers.len() as u8], &offers.concat()[..], &[1]].concat();
    let supply = [5, 4, 0];
    let take = [&offers(&[file(4), file(5)])[..], &supply, &supply].concat();
    let replaced = [&offers(&[file(0), file(2)])[..], &supply, &[14, 0, 1], &supply].concat();
    let gone = [&offers(&[[0, 0x22, 5, 2, 120, 0], [2, 0x22, 5, 2, 120, 0]])[..], &[13, 1]].concat();
    let wrong =
        [&offers(&[file(4), [5, 0xf0, 5, 3, 120, 0]])[..], &[5, 0, 0, 5, 1, 0, 5, 2, 0, 5, 3, 0], &[5, 0, 0]].concat();
    let again = [&take[..], &[15], &offers(&[file(4)]), &[13, 3, 15, 13, 0]].concat();
    let asks =
        [&[10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[9, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 11, 5]];
    vec![
        ("takes".into(), take),
        ("replaces".into(), replaced),
        ("not-deletes".into(), gone),
        ("not-right".into(), wrong),
        ("again".into(), again),
        ("not-asks".into(), asks.concat()),
    ]
}
