//! Access tokens (OAUTHBEARER): where they come from, and until when they count.

use std::{
    ffi::CString,
    path::Path,
    ptr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::{
    ClientContext,
    bindings::rd_kafka_oauthbearer_set_token,
    client::{Client, OAuthToken},
    types::RDKafkaRespErr,
};
use serde::Deserialize;

use sluicegate_config::{KafkaConnection, Sasl, Secret};
use sluicegate_model::{Error, ErrorKind, Result, limits::KAFKA_OPAQUE_TOKEN};

/// Where tokens come from; nowhere, for a client without them.
#[derive(Clone, Default)]
pub struct Tokens {
    secret: Option<Secret>,
    /// `sink` or `source`.
    of: &'static str,
}

/// What a token says of itself. The brokers check it; we only read it.
#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    sub: Option<String>,
}

impl Tokens {
    /// Where those of a connection come from.
    pub fn of(connection: KafkaConnection<'_>) -> Self {
        let secret = match connection.security.and_then(|security| security.sasl.as_ref()) {
            Some(Sasl::Token(secret)) => Some(secret.clone()),
            _ => None,
        };
        Self { secret, of: connection.of }
    }

    /// Whether there is one.
    pub fn are_any(&self) -> bool {
        self.secret.is_some()
    }

    /// The token as it is now; `None` for a client without tokens.
    ///
    /// # Errors
    /// `Precheck`: there is none that still counts.
    pub fn current(&self) -> Result<Option<OAuthToken>> {
        let Some(secret) = &self.secret else { return Ok(None) };
        let place = secret.file().map_or_else(String::new, |file| format!(" in {}", file.display()));
        let secret = secret.renewed().map_err(|cause| {
            let path = secret.file().unwrap_or(Path::new("?")).display();
            Error::new(ErrorKind::Precheck, format!("cannot read the token in {path}"))
                .caused_by(cause)
                .remedy(format!("let the {}'s `token` lead to a text file that the program may read", self.of))
        })?;
        let token = secret.reveal().trim();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = claims(token);
        let until = match claims.as_ref().and_then(|claims| claims.exp) {
            Some(exp) => Duration::try_from_secs_f64(exp).unwrap_or_default(),
            // what is no JWT does not say until when it counts
            None => now + KAFKA_OPAQUE_TOKEN,
        };
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::new(ErrorKind::Precheck, format!("there is no access token{place}"))
                .remedy("let it hold the token alone, as the authorization server gives it (`access_token`)"));
        }
        if until <= now {
            let ago = now.saturating_sub(until).as_secs();
            let remedy = match secret.file() {
                Some(_) => "see that whatever writes the file renews it in time; it is read again at each attempt",
                None => "write a new one, or `token: { file: … }`, which is read again before the token expires",
            };
            return Err(Error::new(ErrorKind::Precheck, format!("the access token{place} expired {ago} s ago")).remedy(remedy));
        }
        let principal = claims.and_then(|claims| claims.sub).filter(|sub| !sub.contains('\0')).unwrap_or_default();
        Ok(Some(OAuthToken {
            token: token.to_owned(),
            principal_name: principal,
            lifetime_ms: i64::try_from(until.as_millis()).unwrap_or(i64::MAX),
        }))
    }

    /// The answer to a client that asks for a token.
    pub fn refreshed(&self) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        // librdkafka reports the text as an error of its own; the remedy is told where that is explained
        let token = self.current().map_err(|error| error.chain())?;
        token.ok_or_else(|| format!("a token is set in the {}'s `sasl`, not in its `options`", self.of).into())
    }

    /// Gives a client its first token. Clients that nobody polls would never ask for one, and others not before they are polled.
    ///
    /// # Errors
    /// As of [`Self::current`].
    pub fn give<C: ClientContext>(&self, client: &Client<C>) -> Result<()> {
        let Some(OAuthToken { token, principal_name, lifetime_ms }) = self.current()? else { return Ok(()) };
        let text = |text: String| CString::new(text).map_err(|_| Error::new(ErrorKind::Internal, "a token with a zero in it"));
        if set(client, &text(token)?, lifetime_ms, &text(principal_name)?) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Precheck, "the Kafka client does not take the access token")
            .remedy("let it hold the token alone, as the authorization server gives it (`access_token`)"))
    }
}

#[allow(unsafe_code, reason = "the library has no safe call for it")]
fn set<C: ClientContext>(client: &Client<C>, token: &CString, lifetime_ms: i64, principal: &CString) -> bool {
    // what it says of a token may quote it
    let mut ignored = [0_u8; 256];
    // SAFETY: the client is borrowed, so that its handle is alive, and librdkafka's handles may be used by any thread. Token and principal
    // end with a zero and are copied before the call returns. There are no extensions: their list is null and its length 0. At most
    // `ignored.len()` bytes are written to `ignored`, the closing zero included.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            token.as_ptr(),
            lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            ignored.as_mut_ptr().cast(),
            ignored.len(),
        )
    };
    code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// The middle of a JWT.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn current(text: &str) -> Result<OAuthToken> {
        Tokens { secret: Some(Secret::new(text)), of: "sink" }.current().map(|token| token.unwrap())
    }

    #[test]
    fn a_token_counts_as_long_as_it_says() {
        let token = jwt(r#"{"sub":"cdc","exp":32503680000,"scope":"x"}"#);
        let read = current(&format!(" {token}\n")).unwrap();
        assert_eq!((read.token, read.principal_name, read.lifetime_ms), (token, "cdc".to_owned(), 32_503_680_000_000));
        // whole numbers and others are both allowed
        assert_eq!(current(&jwt(r#"{"exp":32503680000.5}"#)).unwrap().lifetime_ms, 32_503_680_000_500);
        let soon = current("opaque-token").unwrap().lifetime_ms;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        assert!(soon > now && soon <= now + KAFKA_OPAQUE_TOKEN.as_millis() as i64, "{soon}");
        assert!(Tokens::default().current().unwrap().is_none());
    }

    #[test]
    fn a_token_that_cannot_be_used_is_told_without_showing_it() {
        for text in ["", "two words", "zero\0", "{\"access_token\":\"s3cret\" }", &jwt(r#"{"exp":1}"#), &jwt(r#"{"exp":-7}"#)] {
            let error = current(text).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Precheck);
            assert!(error.remedy_text().is_some());
            assert!(!error.to_string().contains("s3cret") && !error.to_string().contains("e30"), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_each_time_a_token_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, jwt(r#"{"exp":1}"#)).unwrap();
        let tokens = Tokens { secret: Some(Secret::read(&path).unwrap()), of: "sink" };
        let text = tokens.current().err().unwrap().to_string();
        assert!(text.contains(&format!("the access token in {} expired ", path.display())), "{text}");
        std::fs::write(&path, jwt(r#"{"exp":32503680000}"#)).unwrap();
        assert!(tokens.current().is_ok());
        std::fs::remove_file(&path).unwrap();
        assert!(tokens.current().err().unwrap().to_string().starts_with("cannot read the token in "));
    }
}
