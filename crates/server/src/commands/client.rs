//! Asking a node over HTTP.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Failure;

/// A connection must be made within this.
const CONNECT: Duration = Duration::from_secs(5);
/// A node asks others and gives them a second; it has the rest for itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a node says at a path of the API where it has none.
const NO_PATH: &str = "there is nothing at this path";
/// What to do where no API answers.
const ELSEWHERE: &str =
    "Where its API is elsewhere (http.listen, admin.listen), say so with --api URL or WEIR_API";
/// No answer is longer.
const LONGEST: usize = 256 << 20;

/// Asks one node.
pub(super) struct Client {
    /// `host:port`.
    authority: String,
    address: (String, u16),
    /// What stands in front of all paths, where a proxy put it there.
    prefix: String,
    key: Option<HeaderValue>,
}

impl Client {
    pub(super) fn new(api: &str, key: Option<String>) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::Usage(format!(
                "{api:?} is no address of an API: {what}; write http://host:8080"
            ))
        };
        let url = match api.contains("://") {
            true => api.to_owned(),
            false => format!("http://{api}"),
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong(
                "only http:// is spoken here, as at http.listen and admin.listen",
            ));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(wrong("it names no host"));
        }
        let key = key.map(|key| HeaderValue::try_from(format!("Bearer {key}")));
        let key = key.transpose().map_err(|_| {
            Failure::Usage("the key has characters that no key can have".to_owned())
        })?;
        let host = authority.host();
        let port = authority.as_str().strip_prefix(host).unwrap_or_default();
        if !port.is_empty() && authority.port_u16().is_none() {
            return Err(wrong("its port is no number up to 65535"));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            address: (bare.to_owned(), authority.port_u16().unwrap_or(80)),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            key,
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let (status, answer) = self.ask(Method::GET, path, &Value::Null).await?;
        self.fine(status, answer)
    }

    /// An answer of any status.
    pub(super) async fn get_any(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.ask(Method::GET, path, &Value::Null).await?.1)
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let (status, answer) = self.ask(Method::POST, path, body).await?;
        self.fine(status, answer)
    }

    fn fine(&self, status: StatusCode, answer: Value) -> Result<Value, Failure> {
        if status.is_success() {
            return Ok(answer);
        }
        let sentence = answer.get("error").and_then(Value::as_str);
        let Some(sentence) = sentence.map(str::to_owned) else {
            return Err(Failure::Failed(format!(
                "http://{} answers {status}: is it a node of Weir? {ELSEWHERE}",
                self.authority
            )));
        };
        match status {
            StatusCode::NOT_FOUND if sentence == NO_PATH => Err(Failure::Failed(format!(
                "the node at http://{} has its API elsewhere. {ELSEWHERE}",
                self.authority
            ))),
            StatusCode::BAD_REQUEST => Err(Failure::Usage(sentence)),
            StatusCode::UNAUTHORIZED => Err(Failure::Failed(format!(
                "{sentence}; give it with WEIR_API_KEY or --key"
            ))),
            _ => Err(Failure::Failed(sentence)),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Failure> {
        let socket = self.connect().await?;
        let late = |_| {
            let seconds = PATIENCE.as_secs();
            Failure::Failed(format!(
                "http://{} does not answer within {seconds} s: the node is stuck, or something \
                 else has that port. {ELSEWHERE}",
                self.authority
            ))
        };
        let (status, text) = timeout(PATIENCE, self.exchange(socket, method, path, body))
            .await
            .map_err(late)?
            .map_err(|error| {
                Failure::Failed(format!(
                    "http://{} does not answer as a node does: {error}. {ELSEWHERE}",
                    self.authority
                ))
            })?;
        // What is no JSON comes from something else, or says nothing.
        Ok((status, serde_json::from_slice(&text).unwrap_or_default()))
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let (host, port) = &self.address;
        let connected = timeout(CONNECT, TcpStream::connect((host.as_str(), *port))).await;
        let why = match connected {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} s", CONNECT.as_secs()),
        };
        Err(Failure::Failed(format!(
            "nobody answers at http://{}: {why}. Does a node run there? {ELSEWHERE}",
            self.authority
        )))
    }

    async fn exchange(
        &self,
        socket: TcpStream,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Vec<u8>), Box<dyn std::error::Error>> {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key);
        }
        let request = request.body(body)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        // It ends with the answer.
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let text = collect(body).await;
        connection.abort();
        Ok((head.status, text?))
    }
}

async fn collect(mut body: Incoming) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut text = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let data: Option<Bytes> = frame?.into_data().ok();
        text.extend_from_slice(&data.unwrap_or_default());
        if text.len() > LONGEST {
            return Err("the answer has no end".into());
        }
    }
    Ok(text)
}

/// A part of a path, slashes included.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_may_be_written_without_its_scheme() {
        for (text, authority, port, prefix) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", 8080, ""),
            ("node-1:9000/", "node-1:9000", 9000, ""),
            ("http://[::1]:8080/weir/", "[::1]:8080", 8080, "/weir"),
            ("http://weir.example", "weir.example", 80, ""),
        ] {
            let client = Client::new(text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
            let (host, at) = &client.address;
            assert_eq!(
                (client.authority.as_str(), *at, client.prefix.as_str()),
                (authority, port, prefix)
            );
            assert!(!host.contains('['), "{host}");
        }
        for wrong in [
            "",
            "https://node",
            "http://",
            "http://a b",
            "http://u:p@node",
            "ftp://x",
        ] {
            let refused = Client::new(wrong, None);
            assert!(matches!(refused, Err(Failure::Usage(_))), "{wrong}");
        }
        assert!(Client::new("node", Some("a\nb".to_owned())).is_err());
    }

    #[test]
    fn a_key_is_one_part_of_a_path() {
        assert_eq!(encoded("live/why"), "live%2Fwhy");
        assert_eq!(encoded("a b?%"), "a%20b%3F%25");
    }
}
