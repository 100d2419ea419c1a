//! Text in a code page, as char and varchar have it on the wire.

use encoding_rs::Encoding;

use crate::error::{Result, SqlError};

/// The bytes of UTF-16 in a code page; what it lacks becomes a question mark, as on the server. 65001 is UTF-8.
pub fn encode(units: &[u16], code_page: u16) -> Result<Vec<u8>> {
    let text = String::from_utf16_lossy(units);
    if code_page == 65001 {
        return Ok(text.into_bytes());
    }
    let encoding = encoding(code_page)?;
    let mut bytes = Vec::with_capacity(text.len());
    let mut encoder = encoding.new_encoder();
    let mut buffer = [0_u8; 1024];
    let mut rest = text.as_str();
    loop {
        let (result, read, written) = encoder.encode_from_utf8_without_replacement(rest, &mut buffer, true);
        bytes.extend_from_slice(buffer.get(..written).unwrap_or_default());
        rest = rest.get(read..).unwrap_or_default();
        match result {
            encoding_rs::EncoderResult::InputEmpty => return Ok(bytes),
            encoding_rs::EncoderResult::OutputFull => {}
            encoding_rs::EncoderResult::Unmappable(_) => bytes.push(b'?'),
        }
    }
}

/// The text of bytes in a code page.
pub fn decode(bytes: &[u8], code_page: u16) -> Result<Vec<u16>> {
    if code_page == 65001 {
        return Ok(String::from_utf8_lossy(bytes).encode_utf16().collect());
    }
    Ok(encoding(code_page)?.decode_without_bom_handling(bytes).0.encode_utf16().collect())
}

fn encoding(code_page: u16) -> Result<&'static Encoding> {
    Ok(match code_page {
        874 => encoding_rs::WINDOWS_874,
        932 => encoding_rs::SHIFT_JIS,
        936 => encoding_rs::GBK,
        949 => encoding_rs::EUC_KR,
        950 => encoding_rs::BIG5,
        1250 => encoding_rs::WINDOWS_1250,
        1251 => encoding_rs::WINDOWS_1251,
        1252 => encoding_rs::WINDOWS_1252,
        1253 => encoding_rs::WINDOWS_1253,
        1254 => encoding_rs::WINDOWS_1254,
        1255 => encoding_rs::WINDOWS_1255,
        1256 => encoding_rs::WINDOWS_1256,
        1257 => encoding_rs::WINDOWS_1257,
        1258 => encoding_rs::WINDOWS_1258,
        _ => return Err(SqlError::unsupported(format_args!("code page {code_page}"))),
    })
}
