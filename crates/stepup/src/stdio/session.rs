//! The gateway's side: a session with it, and what is posted to it and heard from it (MCP 2025-11-25, basic/transports,
//! "Streamable HTTP"). Nothing is sent twice, and no redirect is followed: the caller's key goes to one address.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use terms::json::Limits;
use upstream::client::{Endpoint, Events, Kind, SESSION, VERSION, kind};

use super::lines::Out;
use super::message::{self, Message};
use super::trouble::Trouble;

/// Bytes of one message of the gateway: the longest answer of an upstream, and what is written around it.
const LONGEST: usize = 2 * Limits::ANSWER.bytes;

/// Bytes of what comes under a status that is no success.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Connections that turn out closed before anything was written, until it is said that nobody is there.
const TRIES: usize = 4;

/// How long a gateway may say nothing on the stream that carries no answers: several times as long as it does.
const SILENCE: Duration = Duration::from_secs(120);

type Connection = SendRequest<Full<Bytes>>;

/// What every message after `initialize` names; before it, nothing.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

impl Session {
    /// The one that an answer to `initialize` opened.
    fn of(headers: &HeaderMap, answer: &[u8]) -> Self {
        let version = message::version(answer).and_then(|version| HeaderValue::from_str(&version).ok());
        Self { id: headers.get(SESSION).cloned(), version }
    }

    fn request(&self, endpoint: &Endpoint, method: Method, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = endpoint.request(method, body);
        for (name, value) in [(SESSION, &self.id), (VERSION, &self.version)] {
            if let Some(value) = value {
                request.headers_mut().insert(name, value.clone());
            }
        }
        request
    }
}

/// Whether a request has left, or its client has taken it back before: one of the two, and for good.
#[derive(Debug, Default)]
pub(super) struct Fate(OnceLock<Was>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Was {
    Sent,
    TakenBack,
}

impl Fate {
    fn leaves(&self) -> bool {
        *self.0.get_or_init(|| Was::Sent) == Was::Sent
    }

    /// Takes it back, where it has not left yet.
    pub(super) fn is_taken_back(&self) -> bool {
        *self.0.get_or_init(|| Was::TakenBack) == Was::TakenBack
    }
}

/// Whether to listen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// The stream was there.
    Soon,
    /// It is not, for now.
    Later,
    /// There is none, or no such session any more.
    Never,
}

/// A gateway.
pub(super) struct Gateway(Arc<Endpoint>);

impl Gateway {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(endpoint))
    }

    /// Asks for a session; answers it, and the answer.
    pub(super) async fn open(&self, line: Bytes, out: &Out) -> Result<(Session, Vec<u8>), Trouble> {
        let (response, connection) =
            self.send(&Session::default(), Method::POST, line, &Fate::default()).await?;
        let headers = response.headers().clone();
        let answer = self.answer(response, connection, out).await?;
        Ok((Session::of(&headers, &answer), answer))
    }

    /// Asks one request, says what comes before its answer, and answers that.
    pub(super) async fn ask(
        &self,
        session: &Session,
        line: Bytes,
        fate: &Fate,
        out: &Out,
    ) -> Result<Vec<u8>, Trouble> {
        let (response, connection) = self.send(session, Method::POST, line, fate).await?;
        self.answer(response, connection, out).await
    }

    /// Tells what gets no answer.
    pub(super) async fn tell(&self, session: &Session, line: Bytes) -> Result<(), Trouble> {
        let (response, connection) = self.send(session, Method::POST, line, &Fate::default()).await?;
        let status = response.status();
        if status.is_success() {
            tokio::spawn(Arc::clone(&self.0).finish(connection, response.into_body()));
            return Ok(());
        }
        let body = whole(response.into_body(), LONGEST_REFUSAL).await?;
        Err(Trouble::of(status, &body))
    }

    /// Ends a session, which the gateway may have done already.
    pub(super) async fn close(&self, session: &Session) {
        if session.id.is_some() {
            let _ = self.send(session, Method::DELETE, Bytes::new(), &Fate::default()).await;
        }
    }

    /// Says what comes unasked, until the stream ends.
    pub(super) async fn listen(&self, session: &Session, out: &Out) -> Again {
        let fate = Fate::default();
        let asking = self.send(session, Method::GET, Bytes::new(), &fate);
        let Ok(Ok((response, _connection))) = tokio::time::timeout(SILENCE, asking).await else {
            return Again::Later;
        };
        let status = response.status();
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            return Again::Never;
        }
        if status != StatusCode::OK || kind(response.headers()) != Some(Kind::Events) {
            return Again::Later;
        }
        let (mut body, mut events) = (response.into_body(), Events::new(LONGEST));
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(SILENCE, body.frame()).await {
            let Some(piece) = frame.data_ref() else { continue };
            let mut heard = Vec::new();
            let fed = events.feed(piece, |data| heard.extend(message::line(data)));
            for line in heard {
                out.line(line).await;
            }
            if fed.is_err() {
                break;
            }
        }
        Again::Soon
    }

    async fn send(
        &self,
        session: &Session,
        method: Method,
        body: Bytes,
        fate: &Fate,
    ) -> Result<(Response<Incoming>, Connection), Trouble> {
        let mut request = session.request(&self.0, method, body);
        for _ in 0..TRIES {
            let mut connection = self.0.connection().await.map_err(|_| Trouble::unreachable())?;
            if !fate.leaves() {
                return Err(Trouble::TakenBack);
            }
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut error) => match error.take_message() {
                    // Hyper hands back what it has not begun to write, as on a connection that was just closed.
                    Some(unsent) => request = unsent,
                    None => return Err(broke()),
                },
            }
        }
        Err(Trouble::unreachable())
    }

    /// The answer to one request, as a line. What comes before it in its stream is said at once.
    async fn answer(
        &self,
        response: Response<Incoming>,
        connection: Connection,
        out: &Out,
    ) -> Result<Vec<u8>, Trouble> {
        let (status, kind) = (response.status(), kind(response.headers()));
        if status.is_success() && kind == Some(Kind::Events) {
            return self.last_of(response.into_body(), connection, out).await;
        }
        let most = if status.is_success() { LONGEST } else { LONGEST_REFUSAL };
        let body = whole(response.into_body(), most).await?;
        self.0.keep(connection);
        let line = message::line(&body).filter(|line| matches!(Message::of(line), Message::Answer(_)));
        match line {
            Some(line) => Ok(line),
            None if status.is_success() => Err(Trouble::lost("what came is no answer")),
            None => Err(Trouble::of(status, &body)),
        }
    }

    async fn last_of(
        &self,
        mut body: Incoming,
        connection: Connection,
        out: &Out,
    ) -> Result<Vec<u8>, Trouble> {
        let mut events = Events::new(LONGEST);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| broke())?;
            let Some(piece) = frame.data_ref() else { continue };
            let (mut heard, mut answer) = (Vec::new(), None);
            let fed = events.feed(piece, |data| heard.extend(message::line(data)));
            for line in heard {
                match Message::of(&line) {
                    Message::Answer(_) => answer = answer.or(Some(line)),
                    Message::Initialize(_)
                    | Message::Modern(_)
                    | Message::Request(_)
                    | Message::Initialized
                    | Message::Cancelled(_)
                    | Message::Notification => out.line(line).await,
                }
            }
            if let Some(answer) = answer {
                tokio::spawn(Arc::clone(&self.0).finish(connection, body));
                return Ok(answer);
            }
            fed.map_err(|_| Trouble::lost("what came is no stream of events"))?;
        }
        Err(Trouble::lost("its stream ended"))
    }
}

fn broke() -> Trouble {
    Trouble::lost("the connection broke")
}

/// All of a body, within bounds.
async fn whole(mut body: Incoming, most: usize) -> Result<Vec<u8>, Trouble> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| broke())?;
        let Some(piece) = frame.data_ref() else { continue };
        if text.len() + piece.len() > most {
            return Err(Trouble::lost("what came is too long"));
        }
        text.extend_from_slice(piece);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_or_taken_back_and_never_both() {
        let sent = Fate::default();
        assert!(sent.leaves() && !sent.is_taken_back() && sent.leaves());
        let taken_back = Fate::default();
        assert!(taken_back.is_taken_back() && !taken_back.leaves() && taken_back.is_taken_back());
    }
}
