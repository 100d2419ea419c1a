//! The registry of a format's schemas.

use super::{
    super::{
        RecordFormat, Registry, RegistryLogin, Subject,
        raw::{RawRegistry, RawSubject},
    },
    check::Check,
    kafka_security::host,
    server::is_loopback,
};

impl Check<'_> {
    /// The registry of a format that has one.
    pub(super) fn registry(
        &mut self,
        path: &str,
        record: RecordFormat,
        raw: Option<RawRegistry>,
        subject: Option<RawSubject>,
        kafka: bool,
    ) -> Option<Registry> {
        if !record.has_registry() {
            return None; // a setting that does not belong is refused already
        }
        if record == RecordFormat::Avro && !kafka {
            for (name, is_set) in [("registry", raw.is_some()), ("subject", subject.is_some())] {
                if is_set {
                    self.refuse(format!("{path}.{name}"), "a registry is for Kafka: each file holds its schema", "remove it");
                }
            }
            return None;
        }
        let path = &format!("{path}.registry");
        let Some(raw) = raw else {
            self.refuse(
                path,
                format!("the schemas of `{}` are in a registry, and none is named", record.name()),
                format!("write `format: {{ type: {}, registry: {{ url: 'https://…' }} }}`", record.name()),
            );
            return None;
        };
        let urls: Vec<String> = raw.url.split(',').map(|url| url.trim().trim_end_matches('/').to_owned()).collect();
        for url in &urls {
            if let Err((what, remedy)) = address(url) {
                self.refuse(format!("{path}.url"), what, remedy);
            }
        }
        let secure = urls.iter().all(|url| url.starts_with("https://"));
        let clear =
            |url: &&String| url.strip_prefix("http://").is_some_and(|rest| !is_loopback(host(rest.split('/').next().unwrap_or_default())));
        if (raw.user.is_some() || raw.token.is_some()) && urls.iter().any(|url| clear(&url)) {
            self.refuse(format!("{path}.url"), "the login would be sent in plain text", "write `https://`, or leave the login out");
        }
        for (name, set) in [("ca_file", &raw.ca_file), ("cert_file", &raw.cert_file), ("key_file", &raw.key_file)] {
            if set.is_some() && !secure {
                self.refuse(format!("{path}.{name}"), "the connection is not encrypted", "write `https://` in `url`, or leave this out");
            }
        }
        let client = self.client_certificate(path, raw.cert_file.as_deref(), raw.key_file.as_deref());
        let ca_file = raw.ca_file.as_ref().map(|file| self.path(&format!("{path}.ca_file"), file));
        let register = raw.register.unwrap_or(true);
        let subject = match subject {
            None | Some(RawSubject::Topic) => Subject::Topic,
            Some(RawSubject::Record) => Subject::Record,
            Some(RawSubject::TopicRecord) => Subject::TopicRecord,
        };
        Some(Registry { urls, login: self.registry_login(path, raw), ca_file, client, register, subject })
    }

    fn registry_login(&mut self, path: &str, raw: RawRegistry) -> RegistryLogin {
        match (raw.user, raw.password, raw.token) {
            (None, None, None) => RegistryLogin::Anonymous,
            (None, None, Some(token)) => RegistryLogin::Bearer(self.secret(&format!("{path}.token"), token)),
            (Some(user), Some(password), None) => {
                if user.contains(':') {
                    self.refuse(format!("{path}.user"), "an account of HTTP Basic has no `:` in its name", "correct it, or use a `token`");
                }
                RegistryLogin::Basic { user, password: self.secret(&format!("{path}.password"), password) }
            }
            (_, _, Some(_)) => {
                self.refuse(format!("{path}.token"), "there is an account, too", "keep either `user` and `password`, or `token`");
                RegistryLogin::Anonymous
            }
            (Some(_), None, None) => {
                self.refuse(format!("{path}.user"), "its password is missing", "add `password`, or leave this out");
                RegistryLogin::Anonymous
            }
            (None, Some(_), None) => {
                self.refuse(format!("{path}.password"), "its account is missing", "add `user`, or leave this out");
                RegistryLogin::Anonymous
            }
        }
    }
}

/// Whether it is an address with nothing in it that is to be secret.
fn address(url: &str) -> Result<(), (&'static str, &'static str)> {
    const EXAMPLE: &str = "write `http://` or `https://`, a host and a port: `https://registry.example:8081`";
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Err(("this is not the address of a registry", EXAMPLE));
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(("an account does not belong into the address, which stands in logs", "write it as `user` and `password`"));
    }
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>' | '\\');
    if host.is_empty() || host.starts_with(':') || !rest.chars().all(fits) {
        return Err(("this is not the address of a registry", EXAMPLE));
    }
    Ok(())
}
