//! A registry behind TLS that wants a login.

use std::{fs, path::Path, process::Child};

use super::*;
use sluicegate_config::{ClientCertificate, Secret};

/// Ends the process with the test.
struct Proxy {
    process: Child,
    url: String,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Passes requests that have the login on to the registry; with a client's certificate, if there has to be one.
const PROXY: &str = r#"
import http.server, ssl, sys, urllib.error, urllib.request
folder, registry, login, client = sys.argv[1:]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if self.headers.get("Authorization") != login:
            return self.answer(401, b'{"error_code":40101,"message":"Unauthorized"}')
        kind = self.headers.get("Content-Type")
        request = urllib.request.Request(registry + self.path, body, {"Content-Type": kind} if kind else {})
        try:
            with urllib.request.urlopen(request) as response:
                self.answer(response.status, response.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read())

    do_GET = do_POST

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/server.pem", folder + "/server.key")
if client == "yes":
    context.load_verify_locations(folder + "/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

fn proxy(folder: &Path, registry: &Registry, login: &str, client: bool) -> Proxy {
    use std::io::BufRead as _;
    let mut process = Command::new("python3")
        .args(["-c", PROXY])
        .arg(folder)
        .args([registry.url(), login, if client { "yes" } else { "no" }])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 can be run");
    let mut port = String::new();
    std::io::BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut port).expect("it tells its port");
    Proxy { process, url: format!("https://localhost:{}", port.trim()) }
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl can be run");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority (`ca.pem`), and `server.pem` and `client.pem` with their keys.
fn certificates() -> tempfile::TempDir {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    openssl(at, &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=authority -days 30 -addext keyUsage=critical,keyCertSign"));
    fs::write(at.join("extensions"), "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n").expect("written");
    for name in ["server", "client"] {
        openssl(at, &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        let sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile extensions";
        openssl(at, &format!("{sign} -in {name}.csr -out {name}.pem"));
    }
    folder
}

#[test]
fn a_registry_is_reached_over_tls_with_a_login_or_a_certificate() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    let (ours, theirs) = (certificates(), certificates());
    let basic = RegistryLogin::Basic { user: "u".into(), password: Secret::new("pw") };
    let bearer = RegistryLogin::Bearer(Secret::new("token"));
    let plain = proxy(ours.path(), &registry, "Basic dTpwdw==", false);
    let mutual = proxy(ours.path(), &registry, "Bearer token", true);
    let client = ClientCertificate { certificate: ours.path().join("client.pem"), key: ours.path().join("client.key") };
    for (i, (url, login, authority, client, expected)) in [
        (&plain.url, &basic, Some(&ours), None, ""),
        (&plain.url, &bearer, Some(&ours), None, "refused the login"),
        (&plain.url, &basic, Some(&theirs), None, "cannot be reached"),
        (&plain.url, &basic, None, None, "cannot be reached"),
        (&mutual.url, &bearer, Some(&ours), None, "cannot be reached"),
        (&mutual.url, &bearer, Some(&ours), Some(client), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut format = avro(url, Envelope::Flat, Subject::Topic);
        if let Some(settings) = format.registry.as_mut() {
            settings.login = login.clone();
            settings.ca_file = authority.map(|folder| folder.path().join("ca.pem"));
            settings.client = client;
        }
        // a registry that stays away is asked for as long; a topic that is new takes the broker a while
        let wait = Duration::from_secs(if expected.is_empty() { 60 } else { 1 });
        let kafka = KafkaSink { delivery_timeout: wait, ..settings(&broker, &format!("avro-tls-{i}")) };
        let checked = sinks::precheck(
            &Settings { format: format.clone(), ..sink_settings(kafka.clone(), OnError::Stop, PluginVersions::Omitted) },
            &Limits::default(),
        );
        let mut bench = Bench::open_in(kafka, format);
        let written = bench.sink.write(&inserts(0, [1], "a")).and_then(|()| bench.sink.commit(&Frontier::default()));
        if expected.is_empty() {
            checked.unwrap();
            written.unwrap();
            assert_eq!(broker.records(&format!("avro-tls-{i}.orders")).len(), 1);
        } else {
            let (checked, written) = (checked.unwrap_err().to_string(), written.unwrap_err().to_string());
            assert!(checked.contains(expected) && written.contains(expected), "{i}: {checked}\n{written}");
        }
    }
}
