//! TLS at our own listeners: which certificate is shown, and by which key (rfd 40). Read at the start, and again whenever a
//! file of it changes or SIGHUP asks; a pair that cannot be used keeps the one before it, loudly.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use terms::{Ambient, Millis, Secret, Time};
use tokio::sync::watch;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, CertificateError, RootCertStore, ServerConfig};

use crate::config::Tls;
use crate::listen::Speaks;
use crate::private::{self, NotPrivate};

/// Bytes of a file: chains of the web are shorter than a tenth of it.
const LONGEST: u64 = 256 << 10;

/// How often it is looked whether a file has changed. Links are followed: that is how certificates are usually replaced.
const LOOK: Duration = Duration::from_secs(2);

/// So long before it expires a certificate is spoken of.
const SOON: Millis = Millis::seconds(7 * 24 * 3600);

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// It is a folder, or something else.
    #[error("{0} is not a file of at most 256 KiB")]
    NotAFile(PathBuf),
    /// Others can read or write the key.
    #[error(
        "{0} can be read or written by others than its owner: chmod 600 {0} (a mounted secret: mode 0400)"
    )]
    Open(PathBuf),
    /// It holds no certificate.
    #[error("{0} holds no certificate in PEM")]
    NoCertificate(PathBuf),
    /// It holds no key.
    #[error("{0} holds no private key in PEM")]
    NoKey(PathBuf),
    /// The certificate is of another key.
    #[error("{key} is not the key of the certificate in {cert}")]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The library takes it for none.
    #[error("{0} cannot be used: {1}")]
    Unusable(PathBuf, String),
}

/// What callers will not like of a certificate that can be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is not valid at this time.
    Expired(String),
    /// It will not be for long.
    Soon(String),
    /// It is for another name than callers use.
    Name(String),
}

impl Doubt {
    /// In a sentence.
    #[must_use]
    pub fn says(&self) -> &str {
        match self {
            Self::Expired(says) | Self::Soon(says) | Self::Name(says) => says,
        }
    }
}

/// A certificate with its key, as a listener shows it.
pub struct Shown {
    /// What the library needs.
    pub config: Arc<ServerConfig>,
    /// What callers will not like of it.
    pub doubts: Vec<Doubt>,
}

/// What the listener of a table speaks.
#[must_use]
pub fn speaks(table: &str) -> Speaks {
    if table == "envoy" { Speaks::Http2 } else { Speaks::Http1 }
}

/// Reads what a listener shows that is reached at `url`.
///
/// # Errors
/// [`TlsError`] when it cannot be used at all.
pub fn read(files: &Tls, speaks: Speaks, url: Option<&str>, now: Time) -> Result<Shown, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pem = open(&files.cert)?;
    let chain = certificates(&files.cert, pem.expose())?;
    let key = key(&files.key)?;
    let leaf = chain.first().cloned().ok_or_else(|| TlsError::NoCertificate(files.cert.clone()))?;
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|why| refused(files, &why))?;
    // What the library cannot compare it lets pass; every kind of key of this provider can be compared.
    certified.keys_match().map_err(|why| refused(files, &why))?;
    let doubts = doubts(&leaf, (files, url), &provider, now)?;
    let unusable = |why: rustls::Error| TlsError::Unusable(files.cert.clone(), why.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match &files.clients {
        Some(path) => builder.with_client_cert_verifier(clients(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = speaks.protocols();
    Ok(Shown { config: Arc::new(config), doubts })
}

fn refused(files: &Tls, why: &rustls::Error) -> TlsError {
    let (cert, key) = (files.cert.clone(), files.key.clone());
    if matches!(why, rustls::Error::InconsistentKeys(_)) {
        return TlsError::Mismatch { cert, key };
    }
    TlsError::Unusable(cert, format!("with {}: {why}", key.display()))
}

/// Who has no certificate of one of these authorities does not get past the handshake.
fn clients(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let unusable = |why: String| TlsError::Unusable(path.to_owned(), why);
    let pem = open(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem.expose())? {
        roots.add(certificate).map_err(|why| unusable(why.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|why| unusable(why.to_string()))
}

fn open(path: &Path) -> Result<Secret<Vec<u8>>, TlsError> {
    whole(path, File::open(path).map_err(|because| TlsError::Io(path.to_owned(), because))?)
}

fn whole(path: &Path, file: File) -> Result<Secret<Vec<u8>>, TlsError> {
    let mut bytes = Vec::new();
    let failed = |because| TlsError::Io(path.to_owned(), because);
    let is_file = file.metadata().map_err(failed)?.is_file();
    let read = if is_file { file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)? } else { 0 };
    if is_file && u64::try_from(read).is_ok_and(|read| read <= LONGEST) {
        return Ok(Secret::new(bytes));
    }
    Err(TlsError::NotAFile(path.to_owned()))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(|| TlsError::NoCertificate(path.to_owned()))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = private::open(path).map_err(|why| match why {
        NotPrivate::Io(because) => TlsError::Io(path.to_owned(), because),
        NotPrivate::NotAFile => TlsError::NotAFile(path.to_owned()),
        NotPrivate::Open => TlsError::Open(path.to_owned()),
    })?;
    // Whatever is wrong inside, nothing of it is said.
    PrivateKeyDer::from_pem_slice(whole(path, file)?.expose()).map_err(|_| TlsError::NoKey(path.to_owned()))
}

fn doubts(
    leaf: &CertificateDer<'_>,
    (files, url): (&Tls, Option<&str>),
    provider: &Arc<CryptoProvider>,
    now: Time,
) -> Result<Vec<Doubt>, TlsError> {
    let cert = files.cert.display();
    let unusable = |why: rustls::Error| TlsError::Unusable(files.cert.clone(), why.to_string());
    let parsed = ParsedCertificate::try_from(leaf).map_err(unusable)?;
    let mut doubts = Vec::new();
    if let Some(why) = out_of_time(leaf, provider, now) {
        doubts.push(Doubt::Expired(format!("{cert}: {why}; callers refuse it")));
    } else if let Some(why) = out_of_time(leaf, provider, now.after(SOON)) {
        doubts.push(Doubt::Soon(format!("{cert}: in a week, {why}")));
    }
    if let Some(url) = url {
        let host = host(url);
        let named = ServerName::try_from(host).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
        if !named {
            doubts.push(Doubt::Name(format!("{cert} is not for {host}, the name in public_url")));
        }
    }
    Ok(doubts)
}

/// The host of an address, without the brackets of IPv6.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// What the library says of the time of a certificate, which it looks at before all else (RFC 5280, 6.1.3): that nobody is trusted here,
/// and by which name it was asked, does not matter then.
fn out_of_time(leaf: &CertificateDer<'_>, provider: &Arc<CryptoProvider>, at: Time) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(leaf.clone().into_owned()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let at = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at.millis()).ok()?));
    let anybody = ServerName::try_from("localhost").ok()?;
    match verifier.build().ok()?.verify_server_cert(leaf, &[], &anybody, &[], at) {
        Err(rustls::Error::InvalidCertificate(
            why @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }),
        )) => Some(why.to_string()),
        Ok(_) | Err(_) => None,
    }
}

/// What one listener shows now, and from where it is read again.
pub struct Kept {
    table: &'static str,
    files: Tls,
    url: Option<String>,
    speaks: Speaks,
    shown: watch::Sender<Arc<ServerConfig>>,
    /// How its files looked before they were read: what is written from then on is another one.
    looked: Vec<Look>,
}

/// What tells a file from what it was; `None` where it is not there.
type Look = Option<(u64, u64, i64, i64)>;

impl Kept {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// [`TlsError`] when it cannot be used.
    pub fn read(
        (table, files, url): (&'static str, &Tls, Option<&str>),
        now: Time,
    ) -> Result<Self, TlsError> {
        let (speaks, looked) = (speaks(table), looks(files));
        let Shown { config, doubts } = read(files, speaks, url, now)?;
        say(table, &doubts);
        let (files, url) = (files.clone(), url.map(str::to_owned));
        Ok(Self { table, files, url, speaks, shown: watch::Sender::new(config), looked })
    }

    /// What is shown, now and later.
    #[must_use]
    pub fn shown(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.shown.subscribe()
    }

    /// Reads it again whenever a file of it is another, or `again` says so.
    pub async fn follow(self, ambient: Arc<dyn Ambient>, mut again: watch::Receiver<u64>) {
        let (mut read, mut seen) = (self.looked.clone(), self.looked.clone());
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                asked = again.changed() => {
                    if asked.is_err() {
                        return;
                    }
                    true
                }
            };
            let looks = looks(&self.files);
            // Certificate and key are written one after the other: they are read once they have been still.
            let still = std::mem::replace(&mut seen, looks.clone()) == looks;
            if asked || (still && looks != read) {
                read = looks;
                self.again(ambient.now());
            }
        }
    }

    fn again(&self, now: Time) {
        let table = self.table;
        match read(&self.files, self.speaks, self.url.as_deref(), now) {
            Ok(Shown { config, doubts }) => {
                say(table, &doubts);
                self.shown.send_replace(config);
                tracing::info!(table, "the certificate was read again");
            }
            Err(error) => {
                tracing::error!(table, %error, "the certificate cannot be used; the one before it stays");
            }
        }
    }
}

/// What tells its files from what they were.
fn looks(files: &Tls) -> Vec<Look> {
    let files = [Some(&files.cert), Some(&files.key), files.clients.as_ref()];
    let look = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.ino(), meta.size(), meta.ctime(), meta.ctime_nsec()))
    };
    files.into_iter().flatten().map(look).collect()
}

fn say(table: &'static str, doubts: &[Doubt]) {
    for doubt in doubts {
        tracing::warn!(table, "{}", doubt.says());
    }
}
