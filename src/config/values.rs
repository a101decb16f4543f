//! The forms of values: booleans, numbers, durations, sizes, addresses.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::settings::{Address, zoned};

/// Reads a boolean as UCI's own tools do.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "on" | "true" | "yes" | "enabled" => Some(true),
        "0" | "off" | "false" | "no" | "disabled" => Some(false),
        _ => None,
    }
}

/// Reads a number of seconds, or one with a unit: `90`, `90s`, `5m`, `2h`, `1d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (digits, factor) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3600),
        b'd' => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(factor).map(Duration::from_secs)
}

/// Reads a number of bytes, or one with a unit: `4096`, `16K`, `16M`, `1G` (of 1024).
pub fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(factor)
}

/// Reads a number without sign.
pub fn number(text: &str) -> Option<u64> {
    // `parse` would also take a plus.
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Reads a port.
pub fn port(text: &str) -> Option<u16> {
    any_port(text).filter(|&port| port > 0)
}

/// A port to listen on: 0 leaves the choice to the kernel.
pub fn any_port(text: &str) -> Option<u16> {
    number(text).and_then(|n| u16::try_from(n).ok())
}

/// Reads an address to dial from. A zone is the one of the address that is dialled, so it is left out.
pub fn source(text: &str) -> Option<IpAddr> {
    zoned(text.trim_start_matches('[').trim_end_matches(']')).map(|(ip, _)| ip)
}

/// Reads `host`, `host:port`, `[v6]:port` or a bare IPv6 address, and after a comma the address to dial from.
pub fn address(text: &str, default_port: u16) -> Result<Address, String> {
    let (target, source) = match text.split_once(',') {
        Some((target, source)) => (target.trim(), Some(source.trim())),
        None => (text.trim(), None),
    };
    let source = match source {
        None | Some("") => None,
        Some(text) => Some(self::source(text).ok_or_else(|| format!("the source '{text}' is not an IP address"))?),
    };
    let bad_port = |text: &str| format!("'{text}' is not a port (1 to 65535)");
    let (host, port_text) = if let Some(rest) = target.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("missing ']'")?;
        if host.split('%').next().and_then(|ip| ip.parse::<std::net::Ipv6Addr>().ok()).is_none() {
            return Err(format!("'{host}' is not an IPv6 address"));
        }
        match rest {
            "" => (host, None),
            rest => (host, Some(rest.strip_prefix(':').ok_or("expected ':port' after ']'")?)),
        }
    } else if target.matches(':').count() > 1 {
        // More than one colon is an IPv6 address without a port.
        (target, None)
    } else {
        match target.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (target, None),
        }
    };
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%');
    if host.is_empty() || host.len() > 253 || !host.bytes().all(valid) {
        return Err(format!("'{target}' is neither a host name nor an address"));
    }
    if host.contains(':') && host.split('%').next().and_then(|ip| ip.parse::<std::net::Ipv6Addr>().ok()).is_none() {
        return Err(format!("'{host}' is not an IPv6 address"));
    }
    let port = match port_text {
        None => default_port,
        Some(text) => port(text).ok_or_else(|| bad_port(text))?,
    };
    Ok(Address { host: host.into(), port, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_take_units() {
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("1d"), Some(Duration::from_secs(86_400)));
        assert_eq!(size("16M"), Some(16 * 1024 * 1024));
        assert_eq!(size("1k"), Some(1024));
        for bad in ["", "m", "-1", "+1", "1x", "99999999999999999999", "18446744073709551615G"] {
            assert_eq!((duration(bad), size(bad)), (None, None), "{bad}");
        }
    }

    #[test]
    fn addresses_take_every_form_f65() {
        let table = [
            ("192.168.1.2", "192.168.1.2", 4321, None),
            ("192.168.1.2:9000", "192.168.1.2", 9000, None),
            ("router.lan:9000", "router.lan", 9000, None),
            ("[2001:db8::1]:4322", "2001:db8::1", 4322, None),
            ("[2001:db8::1]", "2001:db8::1", 4321, None),
            ("fd00::1", "fd00::1", 4321, None),
            ("fe80::1%eth0", "fe80::1%eth0", 4321, None),
            ("::1,::1", "::1", 4321, Some("::1")),
            ("10.0.0.2, 10.0.0.1", "10.0.0.2", 4321, Some("10.0.0.1")),
            ("[fe80::1%eth0]:9, fe80::2%eth0", "fe80::1%eth0", 9, Some("fe80::2")),
        ];
        for (text, host, port, source) in table {
            let expected = Address { host: host.into(), port, source: source.map(|s: &str| s.parse().unwrap()) };
            assert_eq!(address(text, 4321), Ok(expected), "{text}");
        }
        for bad in ["", ":1", "a:b", "a:0", "a:70000", "[x]:1", "[::1", "[::1]x", "a b", "1:2:3", "a,b"] {
            assert!(address(bad, 4321).is_err(), "{bad}");
        }
    }
}
