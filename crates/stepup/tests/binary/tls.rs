//! TLS at our own listeners: what is shown, who may come, what is replaced, and what `check` says of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::frames::Tls;
use crate::world::{Home, PATIENCE};

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn pair(&self, names: &[&str]) -> Pair {
        self.signs(names, |_| ())
    }

    pub fn signs(&self, names: &[&str], with: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        with(&mut params);
        let key = KeyPair::generate().unwrap();
        Pair { cert: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A client that trusts it, and shows this where it is asked who it is.
    fn client(&self, protocols: &[&str], shows: Option<&Pair>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = match shows {
            None => config.with_no_client_auth(),
            Some(pair) => {
                let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// Connects to `localhost` at a port, and shakes hands.
    pub fn connect(&self, port: u16, protocols: &[&str], shows: Option<&Pair>) -> std::io::Result<Tls> {
        let config = self.client(protocols, shows);
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", port))?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(client, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// One request over HTTP/1.1: its status, and all that was answered.
    pub fn ask(&self, port: u16, request: &str) -> (u16, String) {
        let mut stream = self.connect(port, &["http/1.1"], None).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }
}

/// Keeps a pair beside the configuration.
pub fn keep(home: &Home, pair: &Pair) {
    home.write("cert.pem", &pair.cert);
    home.write("key.pem", &pair.key);
    fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// An installation whose callers and people come over TLS.
pub fn secured(authority: &Authority) -> Home {
    let home = Home::new();
    keep(&home, &authority.pair(&["localhost", "127.0.0.1"]));
    let mut text = home.read("stepup.toml");
    for listen in
        [format!("listen = \"127.0.0.1:{}\"", home.agents), format!("listen = \"localhost:{}\"", home.people)]
    {
        assert!(text.contains(&listen));
        let tls = format!("{listen}\ntls = {{ cert = \"cert.pem\", key = \"key.pem\" }}");
        text = text.replace(&listen, &tls);
    }
    home.write("stepup.toml", &text);
    home
}

fn request(port: u16, host: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n{more}\r\n")
}

#[test]
fn callers_and_people_come_over_tls_and_not_without_it() {
    let authority = Authority::new();
    let home = secured(&authority);
    let checked = home.tells(&["check"]);
    assert_eq!(checked["errors"], json!([]), "{checked}");
    let said = checked["warnings"].to_string();
    assert!(!said.contains("tls"), "{said}");
    let mut server = home.serve();
    let address = format!("https://127.0.0.1:{}", home.agents);
    server.until("the address says so", |server| server.text().contains(&address));
    let key = home.caller("bot");
    let asked = format!("authorization: Bearer {key}\r\n");
    let metadata = "/.well-known/authzen-configuration";
    let (status, answer) = authority.ask(home.agents, &request(home.agents, "127.0.0.1", metadata, &asked));
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains(&format!("https://127.0.0.1:{}/access/v1/evaluation", home.agents)), "{answer}");
    let (status, answer) = authority.ask(home.people, &request(home.people, "localhost", "/", ""));
    assert!(status == 401 && answer.contains("<html"), "{answer}");
    assert!(!answer.contains("strict-transport"), "localhost is not ours alone");
    // Who offers nothing is spoken to as ever.
    let plain = authority.connect(home.agents, &[], None).unwrap();
    assert_eq!(plain.conn.alpn_protocol(), None);
    assert!(authority.connect(home.agents, &["h3"], None).is_err(), "what neither speaks is not spoken");
    // Without TLS nothing of what is behind it is told.
    for port in [home.agents, home.people] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request(port, "127.0.0.1", "/", "").as_bytes()).unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        assert!(!String::from_utf8_lossy(&heard).contains("HTTP/"), "{heard:?}");
    }
}

/// The certificate that is shown.
fn shown(authority: &Authority, home: &Home) -> Vec<u8> {
    let stream = authority.connect(home.agents, &[], None).unwrap();
    stream.conn.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_replaced_certificate_is_shown_and_one_that_cannot_be_used_keeps_the_one_before() {
    let authority = Authority::new();
    let home = secured(&authority);
    let mut server = home.serve();
    let first = shown(&authority, &home);
    let mut lasting = authority.connect(home.agents, &["http/1.1"], None).unwrap();
    keep(&home, &authority.pair(&["localhost", "127.0.0.1"]));
    server.until("the new one is shown", |_| shown(&authority, &home) != first);
    assert!(server.said("the certificate was read again"));
    // Who was connected before is still.
    lasting.write_all(request(home.agents, "127.0.0.1", "/", "").as_bytes()).unwrap();
    let mut answer = String::new();
    lasting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let second = shown(&authority, &home);
    // A certificate whose key does not come along, asked for twice: at once by a signal, and by itself.
    home.write("cert.pem", &authority.pair(&["localhost"]).cert);
    server.signal(Signal::HUP);
    server.until("it is said", |server| server.said("the one before it stays"));
    server.until("it is said", |server| server.text().contains("is not the key of the certificate in"));
    assert_eq!(shown(&authority, &home), second);
    // A key that others can read.
    keep(&home, &authority.pair(&["localhost", "127.0.0.1"]));
    fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    server.signal(Signal::HUP);
    server.until("it is said", |server| server.text().contains("can be read or written by others"));
    assert_eq!(shown(&authority, &home), second);
    // Mended, it is taken without a word.
    fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    server.until("the third is shown", |_| shown(&authority, &home) != second);
    assert_eq!(server.get("/readyz").unwrap().0, 200);
}

/// What `check` finds wrong, and what it only warns of; of TLS.
fn checked(home: &Home) -> (Vec<String>, Vec<String>) {
    let said = home.run(&["--json", "check"]);
    let said: Value = serde_json::from_str(if said.out.is_empty() { &said.err } else { &said.out }).unwrap();
    let of = |name: &str| {
        let all = said[name].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
        all.filter(|one| one.contains("] tls: ")).collect()
    };
    (of("errors"), of("warnings"))
}

#[test]
fn check_says_what_is_wrong_with_a_certificate_and_nothing_starts_with_one_that_cannot_be_used() {
    let authority = Authority::new();
    let home = secured(&authority);
    assert_eq!(checked(&home), (Vec::new(), Vec::new()));
    let good = authority.pair(&["localhost", "127.0.0.1"]);
    let other = authority.pair(&["localhost", "127.0.0.1"]);
    let unusable = [
        (Pair { cert: good.cert.clone(), key: other.key }, "is not the key of the certificate in"),
        (Pair { cert: String::new(), key: good.key.clone() }, "holds no certificate in PEM"),
        (Pair { cert: good.key.clone(), key: good.key.clone() }, "holds no certificate in PEM"),
        (Pair { cert: good.cert.clone(), key: good.cert.clone() }, "holds no private key in PEM"),
        (Pair { cert: good.cert.clone(), key: "x".repeat(300 << 10) }, "is not a file of at most"),
        (Pair { cert: good.cert.replace("MI", "MJ"), key: good.key.clone() }, "cannot be used"),
    ];
    for (pair, says) in unusable {
        keep(&home, &pair);
        let (wrong, _) = checked(&home);
        assert_eq!(wrong.len(), 2, "of both listeners: {wrong:?}");
        assert!(wrong[0].starts_with("[agents] tls: ") && wrong[0].contains(says), "{says}: {wrong:?}");
        assert!(!wrong[0].contains(pair.key.trim()) || pair.key.is_empty(), "the key is in no error");
        home.run(&["serve"]).failed(1, &["[agents] tls: ", says]);
    }
    keep(&home, &good);
    fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["serve"]).failed(1, &["[agents] tls: ", "chmod 600"]);
    fs::remove_file(home.path().join("key.pem")).unwrap();
    home.run(&["serve"]).failed(1, &["key.pem: "]);
    assert!(!home.path().join("stepup.sock").exists());
}

#[test]
fn check_says_that_a_certificate_has_expired_or_is_for_another_name() {
    let authority = Authority::new();
    let home = secured(&authority);
    let names = ["localhost", "127.0.0.1"];
    keep(&home, &authority.signs(&names, |params| params.not_after = date_time_ymd(2020, 1, 1)));
    let (wrong, warned) = checked(&home);
    assert!(wrong.len() == 2 && wrong[0].contains("expired") && warned.is_empty(), "{wrong:?} {warned:?}");
    keep(&home, &authority.signs(&names, |params| params.not_before = date_time_ymd(2400, 1, 1)));
    let (wrong, _) = checked(&home);
    assert!(wrong.len() == 2 && wrong[0].contains("not valid yet"), "{wrong:?}");
    // Itself an authority, as `openssl req -x509` makes it.
    let own = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    keep(&home, &authority.signs(&names, own));
    assert!(checked(&home).0[0].contains("expired"));
    keep(&home, &authority.pair(&["*.example", "127.0.0.1"]));
    let (wrong, warned) = checked(&home);
    assert!(wrong.is_empty() && warned.len() == 1, "{wrong:?} {warned:?}");
    assert!(
        warned[0].starts_with("[people] tls: ") && warned[0].contains("is not for localhost"),
        "{warned:?}"
    );
    // It starts, for what stands before it may know it by that name; and says so.
    let server = home.serve();
    assert!(server.said("is not for localhost"));
}

#[test]
fn who_has_no_certificate_of_the_configured_authority_does_not_get_in() {
    let (authority, another) = (Authority::new(), Authority::new());
    let home = secured(&authority);
    home.write("clients.pem", &authority.pem());
    let text = home.read("stepup.toml");
    let at = "key = \"key.pem\" }";
    home.write("stepup.toml", &text.replacen(at, "key = \"key.pem\", clients = \"clients.pem\" }", 1));
    assert_ne!(home.read("stepup.toml"), text);
    let _server = home.serve();
    let asks = |shows: Option<&Pair>| {
        let mut stream = authority.connect(home.agents, &["http/1.1"], shows).ok()?;
        stream.write_all(request(home.agents, "127.0.0.1", "/", "").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let known = authority.pair(&["envoy"]);
    assert!(asks(Some(&known)).unwrap().starts_with("HTTP/1.1 401"), "a certificate is no key of a caller");
    assert_eq!(asks(None), None);
    assert_eq!(asks(Some(&another.pair(&["envoy"]))), None);
    let over = authority.signs(&["envoy"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    assert_eq!(asks(Some(&over)), None);
    // People are not asked for one.
    let (status, _) = authority.ask(home.people, &request(home.people, "localhost", "/", ""));
    assert_eq!(status, 401);
}
