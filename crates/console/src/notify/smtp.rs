//! The sending side of SMTP (RFC 5321), as far as handing one message for one recipient to a server goes. A message
//! counts as taken when the server has said so after its end, and at no other time.
//!
//! Our own, not a library's: rfd 35.

use std::fmt;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use terms::Secret;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::address::Address;

/// How the connection is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From its first byte (RFC 8314 §3.3).
    Implicit,
    /// By `STARTTLS`, without which nothing is said (RFC 3207).
    StartTls,
    /// Not at all: for a server on this machine.
    None,
}

/// A server that takes mail.
#[derive(Clone)]
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub tls: Tls,
    /// As whom mail is handed in.
    pub login: Option<Login>,
    trust: Arc<ClientConfig>,
}

/// As whom mail is handed in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

/// The certificates that a server's is to be signed by are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate in PEM, or one that cannot sign")]
pub struct NotTrusted;

/// Why a server did not take a message. Its own words are nowhere in it: they are somebody's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// There is no connection, or it ended.
    Cut(io::ErrorKind),
    /// The server is not who it should be, or speaks no TLS.
    Tls,
    /// It refused, with this code.
    Refused(u16),
    /// What it said is no answer to what it was asked.
    Senseless,
    /// It offers no encryption.
    NoTls,
    /// It offers no way of signing in that there is.
    NoLogin,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(kind) => write!(f, "no connection, or it was cut off ({kind})"),
            Self::Tls => f.write_str("no good TLS: another certificate than is trusted, or none"),
            Self::Refused(code) => write!(f, "the server refused it ({code})"),
            Self::Senseless => f.write_str("the server does not speak SMTP"),
            Self::NoTls => f.write_str("the server offers no STARTTLS"),
            Self::NoLogin => f.write_str("the server offers no AUTH PLAIN and no AUTH LOGIN"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Cut(error.kind())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish()
    }
}

impl Server {
    /// A server whose certificate is signed by one of the web's authorities, or by one of these, in PEM.
    ///
    /// # Errors
    /// [`NotTrusted`] where the PEM holds no certificate.
    pub fn new(
        host: &str,
        port: u16,
        tls: Tls,
        login: Option<Login>,
        authorities: Option<&[u8]>,
    ) -> Result<Self, NotTrusted> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = authorities {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(|_| NotTrusted)?).map_err(|_| NotTrusted)?;
            }
            if roots.is_empty() {
                return Err(NotTrusted);
            }
        } else {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let trust = config.map_err(|_| NotTrusted)?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { host: host.to_owned(), port, tls, login, trust: Arc::new(trust) })
    }

    /// Hands one message in.
    pub(crate) async fn send(&self, from: &Address, to: &Address, octets: &str) -> Result<(), Trouble> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let ours = match tcp.local_addr()?.ip() {
            std::net::IpAddr::V4(ip) => format!("[{ip}]"),
            std::net::IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        };
        let mut talk = match self.tls {
            Tls::Implicit => {
                let mut talk = Talk::new(self.encrypted(Box::new(tcp)).await?);
                talk.answer(220).await?;
                talk
            }
            Tls::StartTls => {
                let mut talk = Talk::new(Box::new(tcp));
                talk.answer(220).await?;
                if !talk.hello(&ours).await?.iter().any(|line| line.eq_ignore_ascii_case("STARTTLS")) {
                    return Err(Trouble::NoTls);
                }
                talk.ask("STARTTLS", 220).await?;
                Talk::new(self.encrypted(talk.stream).await?)
            }
            Tls::None => {
                let mut talk = Talk::new(Box::new(tcp));
                talk.answer(220).await?;
                talk
            }
        };
        let offers = talk.hello(&ours).await?;
        if let Some(login) = &self.login {
            talk.sign_in(login, &offers).await?;
        }
        talk.hand_in(from, to, octets).await
    }

    async fn encrypted(&self, plain: Box<dyn Stream>) -> Result<Box<dyn Stream>, Trouble> {
        let name = ServerName::try_from(self.host.clone()).map_err(|_| Trouble::Tls)?;
        let connected = TlsConnector::from(Arc::clone(&self.trust)).connect(name, plain).await;
        Ok(Box::new(connected.map_err(|_| Trouble::Tls)?))
    }
}

/// What a conversation goes over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Bytes of everything that a server says in one conversation, before and after TLS each.
const HEARD: usize = 16 << 10;

/// One conversation. Nothing is asked before the last answer is whole.
struct Talk {
    stream: Box<dyn Stream>,
    heard: usize,
}

impl Talk {
    fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, heard: 0 }
    }

    async fn hello(&mut self, ours: &str) -> Result<Vec<String>, Trouble> {
        self.ask(&format!("EHLO {ours}"), 250).await
    }

    /// RFC 4954.
    async fn sign_in(&mut self, login: &Login, offers: &[String]) -> Result<(), Trouble> {
        let ways = offers.iter().find_map(|line| {
            let (word, ways) = line.split_once(' ')?;
            word.eq_ignore_ascii_case("AUTH").then(|| ways.to_ascii_uppercase())
        });
        let ways = ways.unwrap_or_default();
        let offered = |way: &str| ways.split(' ').any(|offered| offered == way);
        let (user, password) = (&login.user, login.password.expose());
        if offered("PLAIN") {
            let both = STANDARD.encode(format!("\0{user}\0{password}"));
            self.ask(&format!("AUTH PLAIN {both}"), 235).await?;
        } else if offered("LOGIN") {
            self.ask("AUTH LOGIN", 334).await?;
            self.ask(&STANDARD.encode(user), 334).await?;
            self.ask(&STANDARD.encode(password), 235).await?;
        } else {
            return Err(Trouble::NoLogin);
        }
        Ok(())
    }

    async fn hand_in(&mut self, from: &Address, to: &Address, octets: &str) -> Result<(), Trouble> {
        self.ask(&format!("MAIL FROM:<{from}>"), 250).await?;
        self.ask(&format!("RCPT TO:<{to}>"), 250).await?;
        self.ask("DATA", 354).await?;
        // It ends in a line's end, and no line of it begins with a dot.
        self.stream.write_all(octets.as_bytes()).await?;
        self.ask(".", 250).await?;
        // It is taken. Whether it hears that we go changes nothing any more.
        let _ = self.stream.write_all(b"QUIT\r\n").await;
        let _ = self.stream.flush().await;
        Ok(())
    }

    /// Says one line, and hears one answer, which must have this code.
    async fn ask(&mut self, line: &str, code: u16) -> Result<Vec<String>, Trouble> {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.stream.flush().await?;
        self.answer(code).await
    }

    /// One answer, which must have this code: the text of each of its lines. Whatever comes with it and after it was
    /// not asked for; what somebody else put in before TLS would be taken for the server's after it (RFC 3207 §6).
    async fn answer(&mut self, code: u16) -> Result<Vec<String>, Trouble> {
        let mut all = Vec::new();
        let mut buffer = [0; 1024];
        while !ends(&all) {
            let read = self.stream.read(&mut buffer).await?;
            let more = buffer.get(..read).filter(|more| !more.is_empty());
            all.extend_from_slice(more.ok_or(Trouble::Cut(io::ErrorKind::UnexpectedEof))?);
            self.heard += read;
            if self.heard > HEARD {
                return Err(Trouble::Senseless);
            }
        }
        let text = String::from_utf8_lossy(&all);
        let mut lines = Vec::new();
        let mut codes = Vec::new();
        for line in text.lines() {
            let (number, rest) = line.split_at_checked(3).ok_or(Trouble::Senseless)?;
            codes.push(number.parse::<u16>().map_err(|_| Trouble::Senseless)?);
            lines.push(rest.trim_start_matches([' ', '-']).trim_end().to_owned());
        }
        let last = text.lines().position(|line| !continues(line));
        match codes.as_slice() {
            [first, rest @ ..] if rest.iter().all(|code| code == first) && last == Some(rest.len()) => {
                if *first == code {
                    Ok(lines)
                } else {
                    Err(refusal(*first))
                }
            }
            _ => Err(Trouble::Senseless),
        }
    }
}

/// A code of refusal, or one that makes no sense here.
fn refusal(code: u16) -> Trouble {
    if (400..600).contains(&code) { Trouble::Refused(code) } else { Trouble::Senseless }
}

/// Whether more lines of the same answer follow this one.
fn continues(line: &str) -> bool {
    line.as_bytes().get(3) == Some(&b'-')
}

/// Whether an answer is whole.
fn ends(heard: &[u8]) -> bool {
    let Some(lines) = heard.strip_suffix(b"\n") else { return false };
    let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    last.get(3) != Some(&b'-')
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// What a server says to each line it hears, and what it does then.
    type Script = Vec<(&'static str, Vec<u8>)>;

    fn lines(script: &[(&'static str, &str)]) -> Script {
        script.iter().map(|(hears, says)| (*hears, says.as_bytes().to_vec())).collect()
    }

    /// A server that follows a script and hangs up at its end; answers what it heard.
    async fn against(script: Script, tls: Tls, login: Option<Login>) -> (Result<(), Trouble>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (read, mut write) = stream.into_split();
            let mut read = BufReader::new(read);
            let mut heard = String::new();
            for (hears, says) in script {
                while !hears.is_empty() {
                    let mut line = String::new();
                    if read.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return heard;
                    }
                    heard.push_str(&line);
                    if line.starts_with(hears) {
                        break;
                    }
                }
                if write.write_all(&says).await.is_err() {
                    return heard;
                }
            }
            heard
        });
        let server = Server::new("127.0.0.1", port, tls, login, None).unwrap();
        let (from, to) = ("s@example.com".parse().unwrap(), "ann@example.com".parse().unwrap());
        let sent = server.send(&from, &to, "Subject: x\r\n\r\ny\r\n").await;
        (sent, heard.await.unwrap())
    }

    const GOOD: [(&str, &str); 6] = [
        ("", "220 here\r\n"),
        ("EHLO", "250-here\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE 1000\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go on\r\n"),
        (".\r\n", "250 taken\r\n"),
    ];

    #[tokio::test]
    async fn a_message_is_taken_when_its_end_was_answered() {
        let (sent, heard) = against(lines(&GOOD), Tls::None, None).await;
        assert_eq!(sent, Ok(()));
        assert!(
            heard.contains("MAIL FROM:<s@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n"),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn whatever_a_server_refuses_or_leaves_out_is_no_delivery() {
        for at in 0..GOOD.len() {
            for says in ["421 busy\r\n", "450 later\r\n", "550 no\r\n", "554-a\r\n554 b\r\n"] {
                let mut script = GOOD.to_vec();
                script.truncate(at + 1);
                script[at].1 = says;
                let code = says[..3].parse().unwrap();
                let (sent, _) = against(lines(&script), Tls::None, None).await;
                assert_eq!(sent, Err(Trouble::Refused(code)), "{says} at {at}");
            }
            let (sent, _) = against(lines(&GOOD[..at]), Tls::None, None).await;
            assert!(matches!(sent, Err(Trouble::Cut(_))), "cut off before {at}: {sent:?}");
        }
    }

    #[tokio::test]
    async fn what_makes_no_sense_or_has_no_end_is_no_delivery() {
        let flood = [b"250-".as_slice(), &vec![b'x'; 1 << 20]].concat();
        let lines_without_end = b"250-x\r\n".repeat(1 << 16);
        for says in [
            b"hello\r\n".to_vec(),
            b"250\r\n250 twice\r\n".to_vec(),
            b"250-a\r\n251 b\r\n".to_vec(),
            b"2x0 a\r\n".to_vec(),
            "25é a\r\n".as_bytes().to_vec(),
            b"354 not now\r\n".to_vec(),
            b"\r\n".to_vec(),
            flood,
            lines_without_end,
        ] {
            let mut script = lines(&GOOD[..2]);
            script[1].1.clone_from(&says);
            let (sent, _) = against(script, Tls::None, None).await;
            assert_eq!(
                sent,
                Err(Trouble::Senseless),
                "{:?}",
                String::from_utf8_lossy(&says[..says.len().min(20)])
            );
        }
    }

    #[tokio::test]
    async fn nothing_but_a_hello_is_said_to_a_server_that_is_asked_for_tls_and_has_none() {
        let login = Login { user: "u".to_owned(), password: Secret::new("canary".to_owned()) };
        let (sent, heard) = against(lines(&GOOD), Tls::StartTls, Some(login.clone())).await;
        assert_eq!(sent, Err(Trouble::NoTls));
        assert_eq!(heard.lines().count(), 1, "{heard}");
        // What somebody puts in behind the answer to STARTTLS is not heard after it.
        let hello = ("EHLO", "250-here\r\n250 STARTTLS\r\n");
        let injected = [GOOD[0], hello, ("STARTTLS", "220 go\r\n250-here\r\n250 AUTH PLAIN\r\n")];
        let (sent, heard) = against(lines(&injected), Tls::StartTls, Some(login.clone())).await;
        assert_eq!(sent, Err(Trouble::Senseless));
        let plain = [GOOD[0], hello, ("STARTTLS", "220 go\r\n"), ("", "250 no handshake\r\n")];
        let (sent, again) = against(lines(&plain), Tls::StartTls, Some(login)).await;
        assert!(matches!(sent, Err(Trouble::Tls | Trouble::Senseless)), "{sent:?}");
        assert!(!format!("{heard}{again}").contains("AUTH"));
    }

    #[tokio::test]
    async fn whoever_signs_in_does_so_as_the_server_offers_it() {
        let login = || Some(Login { user: "u".to_owned(), password: Secret::new("canary".to_owned()) });
        let mut plain = GOOD.to_vec();
        plain.insert(2, ("AUTH PLAIN AHUAY2FuYXJ5\r\n", "235 you are\r\n"));
        assert_eq!(against(lines(&plain), Tls::None, login()).await.0, Ok(()));
        let mut other = GOOD.to_vec();
        other[1].1 = "250-here\r\n250 auth login\r\n";
        for (at, said) in [
            ("AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"),
            ("dQ==", "334 UGFzc3dvcmQ6\r\n"),
            ("Y2FuYXJ5", "235 ok\r\n"),
        ]
        .into_iter()
        .rev()
        {
            other.insert(2, (at, said));
        }
        assert_eq!(against(lines(&other), Tls::None, login()).await.0, Ok(()));
        let mut none = GOOD.to_vec();
        none[1].1 = "250-here\r\n250 AUTH CRAM-MD5\r\n";
        assert_eq!(against(lines(&none), Tls::None, login()).await.0, Err(Trouble::NoLogin));
        let mut wrong = GOOD.to_vec();
        wrong.truncate(2);
        wrong.push(("AUTH", "535 no\r\n"));
        let (sent, _) = against(lines(&wrong), Tls::None, login()).await;
        assert_eq!(sent, Err(Trouble::Refused(535)));
        assert!(!format!("{sent:?}{:?}", login()).contains("canary"));
    }
}
