//! Certificates for servers and clients, made by the command `openssl`.

use std::{fs, path::Path, process::Command};

/// A certificate authority in a folder.
pub struct Authority(tempfile::TempDir);

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl can be run");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes one. Its certificate is `ca.pem`.
    #[track_caller]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "30"];
        let may_sign = ["-addext", "keyUsage=critical,keyCertSign"];
        openssl(folder.path(), &[&["req", "-x509"][..], &KEY, &own, &may_sign].concat());
        Self(folder)
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Makes `name.pem` and `name.key`, valid for `subject`: `DNS:…` or `IP:…`.
    #[track_caller]
    pub fn issue(&self, name: &str, subject: &str) {
        let folder = self.0.path();
        let own_name = format!("/CN={name}");
        let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.new"));
        openssl(folder, &[&["req"][..], &KEY, &["-keyout", &key, "-out", &request, "-subj", &own_name]].concat());
        fs::write(folder.join("extensions"), format!("subjectAltName={subject}\nextendedKeyUsage=serverAuth,clientAuth\n"))
            .expect("written");
        let signed = ["x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "extensions"];
        openssl(folder, &[&signed[..], &["-in", &request, "-out", &certificate]].concat());
        fs::rename(folder.join(certificate), folder.join(format!("{name}.pem"))).expect("renamed");
    }

    /// Makes `name.encrypted`, the key of a certificate under a password.
    #[track_caller]
    pub fn encrypt_key(&self, name: &str, password: &str) {
        let (key, out) = (format!("{name}.key"), format!("{name}.encrypted"));
        openssl(self.0.path(), &["pkcs8", "-topk8", "-in", &key, "-out", &out, "-passout", &format!("pass:{password}")]);
    }
}
