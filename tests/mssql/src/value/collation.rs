//! Collations: how text is ordered, what is equal, in which code page it travels.
//!
//! The order is an approximation of Windows' own: letters by their base letter, then by accents, then by case, each as far as the collation
//! tells them apart, and trailing spaces never count. What a reader relies on holds: the order is total, what is equal is the same key, and
//! the server orders and compares by one rule.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use icu_normalizer::DecomposingNormalizer;

use crate::error::{Result, SqlError};

/// A collation by its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Collation {
    /// Such as `Latin1_General_CI_AS`.
    pub name: String,
    /// The five bytes of the wire (G114).
    pub wire: [u8; 5],
    /// Of char and varchar.
    pub code_page: u16,
    binary: bool,
    ignore_case: bool,
    ignore_accent: bool,
    supplementary: bool,
}

// name, language, code page
const LOCALES: [(&str, u32, u16); 27] = [
    ("Latin1_General", 0x0409, 1252),
    ("Albanian", 0x041C, 1250),
    ("Arabic", 0x0401, 1256),
    ("Chinese_PRC", 0x0804, 936),
    ("Chinese_Taiwan_Stroke", 0x0404, 950),
    ("Croatian", 0x041A, 1250),
    ("Cyrillic_General", 0x0419, 1251),
    ("Czech", 0x0405, 1250),
    ("Danish_Norwegian", 0x0406, 1252),
    ("Estonian", 0x0425, 1257),
    ("Finnish_Swedish", 0x040B, 1252),
    ("French", 0x040C, 1252),
    ("Greek", 0x0408, 1253),
    ("Hebrew", 0x040D, 1255),
    ("Hungarian", 0x040E, 1250),
    ("Japanese", 0x0411, 932),
    ("Korean_Wansung", 0x0412, 949),
    ("Latvian", 0x0426, 1257),
    ("Lithuanian", 0x0427, 1257),
    ("Modern_Spanish", 0x0C0A, 1252),
    ("Polish", 0x0415, 1250),
    ("Romanian", 0x0418, 1250),
    ("Slovak", 0x041B, 1250),
    ("Thai", 0x041E, 874),
    ("Turkish", 0x041F, 1254),
    ("Ukrainian", 0x0422, 1251),
    ("Vietnamese", 0x042A, 1258),
];

impl Collation {
    /// The server's: SQL_Latin1_General_CP1_CI_AS.
    pub fn of_server() -> &'static Self {
        static DEFAULT: OnceLock<&'static Collation> = OnceLock::new();
        DEFAULT.get_or_init(|| Self::named("SQL_Latin1_General_CP1_CI_AS").expect("the default collation is known"))
    }

    /// The collation of a name, read by its parts.
    pub fn named(name: &str) -> Result<&'static Self> {
        static KNOWN: OnceLock<Mutex<HashMap<String, &'static Collation>>> = OnceLock::new();
        let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let key = name.to_ascii_lowercase();
        if let Some(found) = known.get(&key) {
            return Ok(found);
        }
        let made: &'static Self =
            Box::leak(Box::new(Self::parse(name).ok_or_else(|| SqlError::new(448, format!("Invalid collation '{name}'.")))?));
        known.insert(key, made);
        Ok(made)
    }

    fn parse(name: &str) -> Option<Self> {
        let (sql, plain) = match name.strip_prefix("SQL_") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let begins = |locale: &str| plain.get(..locale.len()).is_some_and(|start| start.eq_ignore_ascii_case(locale));
        let (locale, language, mut code_page) = LOCALES.into_iter().find(|(locale, ..)| begins(locale))?;
        let mut version = 0_u32;
        let (mut case, mut accent, mut binary, mut binary2, mut utf8, mut supplementary) = (None, None, false, false, false, false);
        let (mut kana, mut width) = (true, true);
        for part in plain[locale.len()..].split('_').filter(|p| !p.is_empty()) {
            match part.to_ascii_uppercase().as_str() {
                "CI" => case = Some(true),
                "CS" => case = Some(false),
                "AI" => accent = Some(true),
                "AS" => accent = Some(false),
                "KS" => kana = false,
                "WS" => width = false,
                "BIN" => binary = true,
                "BIN2" => binary2 = true,
                "SC" => supplementary = true,
                "UTF8" => utf8 = true,
                "90" => version = 1,
                "100" => version = 2,
                "140" => version = 3,
                "CP1" if sql => {}
                page if sql && page.starts_with("CP") => code_page = page[2..].parse().ok()?,
                _ => return None,
            }
        }
        let by_bytes = binary || binary2;
        if by_bytes == (case.is_some() && accent.is_some()) || utf8 && (version < 2) {
            return None;
        }
        let (ignore_case, ignore_accent) = (case == Some(true), accent == Some(true));
        let mut flags = language & 0xF_FFFF;
        if by_bytes {
            flags |= u32::from(binary) << 24 | u32::from(binary2) << 25;
        } else {
            flags |= u32::from(ignore_case) << 20 | u32::from(ignore_accent) << 21 | u32::from(width) << 22 | u32::from(kana) << 23;
        }
        flags |= u32::from(utf8) << 26 | version << 28;
        // of the collations with a sort order of their own, only the default's number is recorded
        let sort = match (sql, plain.to_ascii_uppercase().as_str()) {
            (false, _) => 0,
            (true, "LATIN1_GENERAL_CP1_CI_AS") => 0x34,
            (true, "LATIN1_GENERAL_CP1_CS_AS") => 0x33,
            (true, _) => return None,
        };
        let [a, b, c, d] = flags.to_le_bytes();
        let code_page = if utf8 { 65001 } else { code_page };
        Some(Self {
            name: name.to_owned(),
            wire: [a, b, c, d, sort],
            code_page,
            binary: by_bytes,
            ignore_case,
            ignore_accent,
            supplementary,
        })
    }

    /// Is it the server's?
    pub fn is_default(&self) -> bool {
        self.wire[4] == 0x34
    }

    /// Does it tell upper from lower case?
    pub fn is_case_sensitive(&self) -> bool {
        !self.ignore_case
    }

    /// Does it count a surrogate pair as one character?
    pub fn counts_pairs(&self) -> bool {
        self.supplementary
    }

    /// Bytes whose order is that of the texts, and that are equal when the texts are.
    pub fn sort_key(&self, units: &[u16]) -> Vec<u8> {
        let end = units.iter().rposition(|u| *u != 0x20).map_or(0, |at| at + 1);
        let units = units.get(..end).unwrap_or_default();
        if self.binary {
            // by code points: the surrogates' units stand behind all others as UTF-16 has them, and are kept so
            return units.iter().flat_map(|u| u.to_be_bytes()).collect();
        }
        if units.iter().all(|u| *u < 0x80) {
            return self.levels(units.iter().map(|u| char::from_u32(u32::from(*u)).unwrap_or(' ')));
        }
        let text = String::from_utf16_lossy(units);
        self.levels(DecomposingNormalizer::new_nfd().normalize(&text).chars())
    }

    fn levels(&self, characters: impl Iterator<Item = char>) -> Vec<u8> {
        let (mut primary, mut accents, mut cases) = (Vec::new(), Vec::new(), Vec::new());
        for c in characters {
            if is_mark(c) {
                if let Some(last) = accents.last_mut() {
                    *last = c as u32;
                }
                continue;
            }
            let folded = c.to_lowercase().next().unwrap_or(c);
            // punctuation, digits, letters, in this order
            let class = match folded {
                c if c.is_alphabetic() => 3_u32,
                c if c.is_numeric() => 2,
                _ => 1,
            };
            primary.push(class << 24 | folded as u32);
            accents.push(0);
            cases.push(u8::from(folded != c));
        }
        let mut key: Vec<u8> = primary.iter().flat_map(|w| w.to_be_bytes()).collect();
        key.extend([0; 4]);
        if !self.ignore_accent {
            key.extend(accents.iter().flat_map(|a| a.to_be_bytes()));
        }
        if !self.ignore_case {
            key.push(0);
            key.extend(&cases);
        }
        key
    }
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(collation: &str, text: &str) -> Vec<u8> {
        Collation::named(collation).expect("known").sort_key(&text.encode_utf16().collect::<Vec<_>>())
    }

    #[test]
    fn g114_the_default_collation_has_its_recorded_bytes() {
        assert_eq!(Collation::of_server().wire, [0x09, 0x04, 0xD0, 0x00, 0x34]);
        assert!(Collation::named("Latin1_General_100_CI_AS_SC_UTF8").expect("known").code_page == 65001);
        assert_eq!(Collation::named("Klingon_CI_AS").expect_err("unknown").number, 448);
    }

    #[test]
    fn g22_what_a_collation_does_not_tell_apart_is_one_key() {
        assert_eq!(key("Latin1_General_CI_AS", "b"), key("Latin1_General_CI_AS", "B  "));
        assert_ne!(key("Latin1_General_CS_AS", "b"), key("Latin1_General_CS_AS", "B"));
        assert_eq!(key("Latin1_General_CI_AI", "é"), key("Latin1_General_CI_AI", "E"));
        assert_ne!(key("Latin1_General_CI_AS", "é"), key("Latin1_General_CI_AS", "e"));
        assert!(key("Latin1_General_CI_AS", "é") < key("Latin1_General_CI_AS", "f"));
        assert!(key("Latin1_General_CI_AS", "B") > key("Latin1_General_CI_AS", "a"));
        assert!(key("Latin1_General_BIN2", "B") < key("Latin1_General_BIN2", "a"));
    }
}
