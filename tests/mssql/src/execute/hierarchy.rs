//! hierarchyid: its text and its bytes.
//!
//! Each step of the path is a number in a code whose prefix tells its range, so that the bytes order as the paths do. Only whole steps from
//! 0 on are known here; a path with dots or negative steps is refused.

use crate::error::{Result, SqlError};

/// The bits of a step, `x` where its number stands, and the first number of the range.
const RANGES: [(&str, u64); 5] = [("01xx", 0), ("100xx", 4), ("101xxx", 8), ("110xx0x1xxx", 16), ("1110xxx0xxx0x1xxx", 80)];

fn refused() -> SqlError {
    SqlError::unsupported("a hierarchyid with dots, negative or large steps")
}

fn width(pattern: &str) -> u32 {
    u32::try_from(pattern.matches('x').count()).unwrap_or(0)
}

/// The bytes of a path such as `/1/2/`.
pub fn parse(text: &str) -> Result<Vec<u8>> {
    let bad = || SqlError::new(6522, "The hierarchyid's text is not a path such as '/1/2/'.");
    let inner = text.trim().strip_prefix('/').ok_or_else(bad)?;
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let mut bits = String::new();
    for step in inner.strip_suffix('/').ok_or_else(bad)?.split('/') {
        let step: u64 = step.parse().map_err(|_| refused())?;
        let (pattern, first) = RANGES.iter().rev().find(|(_, first)| step >= *first).ok_or_else(refused)?;
        let offset = step - first;
        if offset >> width(pattern) > 0 {
            return Err(refused());
        }
        let mut left = width(pattern);
        for c in pattern.chars() {
            if c == 'x' {
                left -= 1;
                bits.push(if offset >> left & 1 == 1 { '1' } else { '0' });
            } else {
                bits.push(c);
            }
        }
        // the end of a whole step
        bits.push('1');
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    Ok(bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | (bit - b'0'))).collect())
}

/// The path of the bytes.
pub fn print(bytes: &[u8]) -> Result<String> {
    let bits: Vec<char> = bytes.iter().flat_map(|b| (0..8).rev().map(move |at| if b >> at & 1 == 1 { '1' } else { '0' })).collect();
    let mut text = String::from("/");
    let mut rest = bits.as_slice();
    while rest.contains(&'1') {
        let fits = |pattern: &str| rest.len() > pattern.len() && pattern.chars().zip(rest).all(|(p, bit)| p == 'x' || p == *bit);
        let (pattern, first) = RANGES.iter().find(|(pattern, _)| fits(pattern)).ok_or_else(refused)?;
        let offset = pattern.chars().zip(rest).filter(|(p, _)| *p == 'x').fold(0, |n, (_, bit)| n << 1 | u64::from(*bit == '1'));
        if rest.get(pattern.len()) != Some(&'1') {
            return Err(refused());
        }
        text.push_str(&format!("{}/", first + offset));
        rest = &rest[pattern.len() + 1..];
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g104_paths_have_the_bytes_of_a_real_server() {
        for (path, bytes) in [("/", vec![]), ("/1/", vec![0x58]), ("/1/2/3/", vec![0x5B, 0x5E]), ("/2/1/", vec![0x6A, 0xC0])] {
            assert_eq!(parse(path).expect("a path"), bytes, "{path}");
            assert_eq!(print(&bytes).expect("known"), path);
        }
        for step in [0, 3, 4, 7, 8, 15, 16, 79, 80, 1103] {
            let path = format!("/{step}/");
            assert_eq!(print(&parse(&path).expect("a path")).expect("known"), path);
        }
    }
}
