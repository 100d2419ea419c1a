//! MariaDB's UUID, INET4 and INET6, which are logged as BINARY, as the text that `SELECT` prints.

use std::io::Write as _;

use super::{cursor::Fault, decoder::Special};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the text of `value`, whose trailing zeros the log may leave away.
pub fn write(special: Special, value: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut padded = [0_u8; 16];
    padded.get_mut(..value.len()).ok_or(Fault::Invalid("a value that is too long"))?.copy_from_slice(value);
    match special {
        Special::Uuid => uuid(&padded, out),
        Special::Inet6 => return inet6(&padded, out),
        Special::Fraction(_) => return Err(Fault::Invalid("a fraction that is no text")),
        Special::Inet4 => {
            let [a, b, c, d, ..] = padded;
            return inet4([a, b, c, d], out);
        }
    }
    Ok(())
}

fn uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

fn inet4(bytes: [u8; 4], out: &mut Vec<u8>) -> Result<(), Fault> {
    write!(out, "{}", std::net::Ipv4Addr::from(bytes)).map_err(|_| Fault::Invalid("an address"))
}

/// The rule of the server's `Inet6::to_string`, which is not RFC 5952: the first longest run of zero groups becomes `::`, also a
/// single group, and the last 32 bits are written as IPv4 where only zeros, or five groups of zeros and `ffff`, stand before them.
fn inet6(bytes: &[u8; 16], out: &mut Vec<u8>) -> Result<(), Fault> {
    let groups = std::net::Ipv6Addr::from(*bytes).segments();
    let (start, length) = longest_gap(&groups);
    let maps_ipv4 = start == 0 && (length == 6 || (length == 5 && groups[5] == 0xffff));
    let mut i = 0;
    while i < groups.len() {
        if length > 0 && i == start {
            out.extend_from_slice(if i == 0 { b"::" } else { b":" });
            i += length;
        } else if i == 6 && maps_ipv4 {
            return inet4([bytes[12], bytes[13], bytes[14], bytes[15]], out);
        } else {
            write!(out, "{:x}", groups[i]).map_err(|_| Fault::Invalid("an address"))?;
            i += 1;
            if i < groups.len() {
                out.push(b':');
            }
        }
    }
    Ok(())
}

/// Where the first longest run of zeros begins, and its length, which may be 0.
fn longest_gap(groups: &[u16; 8]) -> (usize, usize) {
    let (mut gap, mut run) = ((0, 0), 0);
    for (i, group) in groups.iter().enumerate() {
        run = if *group == 0 { run + 1 } else { 0 };
        if run > gap.1 {
            gap = (i + 1 - run, run);
        }
    }
    gap
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(special: Special, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write(special, bytes, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_are_spelled_as_the_server_spells_them() {
        for expected in [
            "::",
            "::1",
            "::1.2.3.4",
            "::0.1.2.3",
            "::ffff:1.2.3.4",
            "::ffff:0.0.0.0",
            "2001:db8::1:1:1:1:1",
            "1:0:0:2::3",
            "1::2:0:0:3:4",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1::",
            "1:2:3:4:5:6:7:8",
            "::fffe:102:304",
            "64:ff9b::102:304",
        ] {
            let address: std::net::Ipv6Addr = expected.parse().unwrap();
            assert_eq!(text(Special::Inet6, &address.octets()), expected);
        }
        assert_eq!(text(Special::Inet4, &[255, 0, 0, 1]), "255.0.0.1");
        assert_eq!(text(Special::Inet4, &[10]), "10.0.0.0");
        assert_eq!(text(Special::Uuid, &[0x12, 0x3e]), "123e0000-0000-0000-0000-000000000000");
    }

    proptest! {
        #[test]
        fn every_address_reads_back_as_itself(groups in prop::array::uniform8(prop_oneof![Just(0_u16), Just(0xffff), any::<u16>()])) {
            let address = std::net::Ipv6Addr::from(groups);
            prop_assert_eq!(text(Special::Inet6, &address.octets()).parse::<std::net::Ipv6Addr>().unwrap(), address);
        }
    }
}
