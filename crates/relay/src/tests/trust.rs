//! Who is believed, and who is not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use media::Limits;
use proto::relay::v1 as wire;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{Code, Request};

use super::fake::{self, Proof};
use super::support::*;
use crate::client::raw;
use crate::clock::unix_millis;
use crate::{Auth, Client, Error, Member, NotAdmitted, Peer, Subscribe, TlsFiles, Tuning};

const PATIENCE: Duration = Duration::from_secs(10);

async fn reason(client: &Client, peer: &Peer) -> (NotAdmitted, String) {
    match soon(client.ping(peer, PATIENCE)).await {
        Err(Error::NotAdmitted { reason, sentence }) => (reason, sentence),
        other => panic!("{other:?}"),
    }
}

fn client_with(secret: &str) -> Client {
    let auth = Auth::secret(secret).expect("long enough");
    Client::new(member("edge"), auth, Tuning::default())
}

#[tokio::test]
async fn who_has_the_secret_is_believed_and_nobody_else() {
    let origin = origin().await;
    origin.node.stream("a", Limits::default());
    soon(client("edge").ping(&origin.peer, PATIENCE))
        .await
        .expect("believed");
    let stranger = client_with("another secret of others");
    assert_eq!(reason(&stranger, &origin.peer).await.0, NotAdmitted::Secret);
    let pulled = soon(stranger.pull(&origin.peer, Subscribe::new(key("a")))).await;
    let Err(error @ Error::NotAdmitted { .. }) = pulled else {
        panic!("{pulled:?}");
    };
    assert!(!error.is_retryable() && error.is_distrust());
    // The node has not heard of it.
    assert!(origin.node.wanted.lock().expect("not poisoned").is_empty());
}

#[tokio::test]
async fn who_shows_nothing_is_not_served() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let status = soon(calls.ping(Request::new(wire::PingRequest {}))).await;
    let status = status.expect_err("nothing shown");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("relay.secret"), "{status}");
}

#[tokio::test]
async fn a_call_that_somebody_heard_is_not_made_twice() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let signed = |method| {
        raw::sign(
            &member("edge"),
            &origin.peer,
            method,
            &secret(),
            unix_millis(),
        )
    };
    let heard = signed("Status");
    let request = || {
        let mut request = Request::new(wire::StatusRequest::default());
        *request.metadata_mut() = heard.clone();
        request
    };
    soon(calls.status(request())).await.expect("the first time");
    let again = soon(calls.status(request()))
        .await
        .expect_err("the second time");
    assert_eq!(again.code(), Code::Unauthenticated);
    assert_eq!(again.message(), "the call was made before");
    // Nor on another connection.
    let mut calls = raw::client(origin.peer.address()).await;
    let elsewhere = soon(calls.status(request())).await.expect_err("still");
    assert_eq!(elsewhere.message(), "the call was made before");
    // Nor for another call.
    for method in ["Status", "Ping"] {
        let mut request = Request::new(wire::ActRequest::default());
        *request.metadata_mut() = signed(method);
        let other = soon(calls.act(request))
            .await
            .expect_err("signed for another call");
        assert_eq!(other.code(), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_named() {
    let origin = origin().await;
    for clock in [(|| unix_millis() - 40_000) as fn() -> i64, || {
        unix_millis() + 40_000
    }] {
        let edge = Client::with_clock(member("edge"), secret(), Tuning::default(), clock);
        let (reason, sentence) = reason(&edge, &origin.peer).await;
        assert_eq!(reason, NotAdmitted::Clock);
        assert!(
            sentence.starts_with("clock skew: the clock of node edge is "),
            "{sentence}"
        );
    }
    // As far ahead as is allowed; behind by that would be before the node started.
    let clock: fn() -> i64 = || unix_millis() + 29_000;
    let edge = Client::with_clock(member("edge"), secret(), Tuning::default(), clock);
    soon(edge.ping(&origin.peer, PATIENCE))
        .await
        .expect("near enough");
}

#[tokio::test]
async fn a_call_of_another_cluster_or_for_another_node_is_refused() {
    let origin = origin().await;
    let stranger = Member::new("elsewhere", "edge").expect("names");
    let stranger = Client::new(stranger, secret(), Tuning::default());
    assert_eq!(
        reason(&stranger, &origin.peer).await.0,
        NotAdmitted::Cluster
    );
    let mistaken = Peer::new("other", origin.peer.address()).expect("a name");
    let (why, sentence) = reason(&client("edge"), &mistaken).await;
    assert_eq!(why, NotAdmitted::Callee);
    assert_eq!(sentence, r#"this is node origin, not "other""#);
}

#[tokio::test]
async fn a_no_is_proved_too() {
    let origin = origin().await;
    let mut calls = raw::client(origin.peer.address()).await;
    let mistaken = Peer::new("other", origin.peer.address()).expect("a name");
    let mut request = Request::new(wire::PingRequest {});
    *request.metadata_mut() =
        raw::sign(&member("edge"), &mistaken, "Ping", &secret(), unix_millis());
    let status = soon(calls.ping(request)).await.expect_err("for another");
    assert!(status.metadata().contains_key("weir-proof"), "{status:?}");
    // To a stranger nothing is proved, who could use it.
    let status = soon(calls.ping(Request::new(wire::PingRequest {}))).await;
    let status = status.expect_err("nothing shown");
    assert!(!status.metadata().contains_key("weir-proof"), "{status:?}");
}

#[tokio::test]
async fn who_only_says_to_be_the_origin_is_no_origin() {
    let edge = client("edge");
    for proof in [Proof::None, Proof::Made] {
        let peer = fake::serve(Vec::new(), proof).await;
        let pulled = soon(edge.pull(&peer, Subscribe::new(key("a")))).await;
        assert!(matches!(pulled, Err(Error::Impostor { .. })), "{pulled:?}");
        let pong = soon(edge.ping(&peer, PATIENCE)).await;
        assert!(matches!(pong, Err(Error::Impostor { .. })), "{pong:?}");
        // Nor is its no believed.
        let located = soon(edge.locate(&peer, &key("a"))).await;
        assert!(
            matches!(located, Err(Error::Impostor { .. })),
            "{located:?}"
        );
        let release = crate::Release {
            key: key("a"),
            epoch: epoch(1),
            identity: Vec::new(),
            publisher: String::new(),
            only_asks: false,
        };
        let released = soon(edge.release(&peer, release)).await;
        assert!(
            matches!(released, Err(Error::Impostor { .. })),
            "{released:?}"
        );
    }
}

/// Certificates of one authority.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let folder = TempDir::new().expect("a folder");
        let authority = Self { issuer, folder };
        fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("writes");
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The files of a node whose certificate is for `name`.
    fn issue(&self, name: &str) -> TlsFiles {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        let files = TlsFiles {
            ca: self.path("ca.pem"),
            cert: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
            name: None,
        };
        fs::write(&files.cert, certificate.pem()).expect("writes");
        fs::write(&files.key, key.serialize_pem()).expect("writes");
        files
    }
}

fn tls_client(files: TlsFiles) -> Client {
    Client::new(
        member("edge"),
        Auth::tls(files).expect("files"),
        Tuning::default(),
    )
}

#[tokio::test]
async fn nodes_with_certificates_of_one_authority_believe_each_other() {
    let authority = Authority::new();
    let auth = Auth::tls(authority.issue("127.0.0.1")).expect("files");
    let origin = serve(auth, Tuning::default()).await;
    let stream = origin.node.stream("a", Limits::default());
    let mut publisher = stream.ring.begin(epoch(5), 0);
    let mut encoder = Encoder::default();
    encoder.start(&mut publisher);
    encoder.send(&mut publisher, 25);
    let edge = tls_client(authority.issue("edge.example"));
    let (_, mut pulling) = pull(&edge, &origin.peer, "a").await;
    assert_eq!(backfill(&mut pulling).await.len(), 50);
    // Still, a call is for one node.
    let mistaken = Peer::new("other", origin.peer.address()).expect("a name");
    assert_eq!(reason(&edge, &mistaken).await.0, NotAdmitted::Callee);
}

#[tokio::test]
async fn both_sides_look_at_the_other_sides_certificate() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let origin = serve(
        Auth::tls(ours.issue("127.0.0.1")).expect("files"),
        Tuning::default(),
    )
    .await;

    let mut stranger = theirs.issue("edge.example");
    stranger.ca = ours.path("ca.pem");
    let refused = soon(tls_client(stranger).ping(&origin.peer, PATIENCE)).await;
    assert!(refused.is_err(), "the origin looks: {refused:?}");

    let edge = tls_client(theirs.issue("edge.example"));
    let refused = soon(edge.ping(&origin.peer, PATIENCE)).await;
    assert!(
        matches!(refused, Err(Error::Tls { .. })),
        "the edge looks: {refused:?}"
    );

    let plain = client("edge");
    let refused = soon(plain.ping(&origin.peer, PATIENCE)).await;
    assert!(refused.is_err(), "no certificate at all: {refused:?}");
}

#[tokio::test]
async fn who_has_the_authority_but_no_certificate_is_not_served() {
    let authority = Authority::new();
    let auth = Auth::tls(authority.issue("127.0.0.1")).expect("files");
    let origin = serve(auth, Tuning::default()).await;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority.issuer.der().to_vec()))
        .expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(origin.peer.address()).await;
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, socket.expect("connects"))
        .await;
    // In TLS 1.3 the caller learns it when it reads.
    let mut stream = connected.expect("the caller's side of it is done");
    let mut said = Vec::new();
    let read = soon(stream.read_to_end(&mut said)).await;
    let error = read.expect_err("a certificate is required").to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    assert!(said.is_empty(), "{said:?}");
}

#[tokio::test]
async fn who_shows_no_certificate_at_all_is_let_go() {
    let authority = Authority::new();
    let auth = Auth::tls(authority.issue("127.0.0.1")).expect("files");
    let tuning = Tuning {
        handshake_timeout: Duration::from_millis(200),
        ..Tuning::default()
    };
    let origin = serve(auth, tuning).await;
    let silent = TcpStream::connect(origin.peer.address()).await;
    let mut silent = silent.expect("connects");
    let read = soon(silent.read(&mut [0; 16])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn who_shows_no_certificate_makes_room_for_others() {
    let authority = Authority::new();
    let auth = Auth::tls(authority.issue("127.0.0.1")).expect("files");
    let tuning = Tuning {
        max_strangers: 1,
        handshake_timeout: Duration::from_secs(3600),
        ..Tuning::default()
    };
    let origin = serve(auth, tuning).await;
    let silent = TcpStream::connect(origin.peer.address()).await;
    let mut silent = silent.expect("connects");
    soon(tls_client(authority.issue("edge.example")).ping(&origin.peer, PATIENCE))
        .await
        .expect("a node");
    let read = soon(silent.read(&mut [0; 16])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_certificate_is_for_the_host_or_for_the_name_that_all_bear() {
    let authority = Authority::new();
    let auth = Auth::tls(authority.issue("node.weir.internal")).expect("files");
    let origin = serve(auth, Tuning::default()).await;
    let mut files = authority.issue("edge.example");
    let refused = soon(tls_client(files.clone()).ping(&origin.peer, PATIENCE)).await;
    assert!(matches!(refused, Err(Error::Tls { .. })), "{refused:?}");
    files.name = Some("node.weir.internal".to_owned());
    soon(tls_client(files).ping(&origin.peer, PATIENCE))
        .await
        .expect("believed");
}

#[tokio::test]
async fn with_a_secret_and_certificates_both_are_needed() {
    let authority = Authority::new();
    let both = |name: &str, secret: &str| {
        Auth::secret_and_tls(secret, authority.issue(name)).expect("both")
    };
    let origin = serve(both("127.0.0.1", SECRET), Tuning::default()).await;
    let edge = |secret: &str| {
        Client::new(
            member("edge"),
            both("edge.example", secret),
            Tuning::default(),
        )
    };
    soon(edge(SECRET).ping(&origin.peer, PATIENCE))
        .await
        .expect("believed");
    let wrong = edge("another secret of others");
    assert_eq!(reason(&wrong, &origin.peer).await.0, NotAdmitted::Secret);
    let certificate = tls_client(authority.issue("edge2.example"));
    assert_eq!(
        reason(&certificate, &origin.peer).await.0,
        NotAdmitted::Missing
    );
}

#[tokio::test]
async fn new_certificates_are_used_by_both_sides_without_a_word() {
    let (old, new) = (Authority::new(), Authority::new());
    let (ours, theirs) = (old.issue("127.0.0.1"), old.issue("edge.example"));
    let origin = serve(Auth::tls(ours.clone()).expect("files"), Tuning::default()).await;
    // Makes a connection for each call.
    let linger = Duration::from_millis(5);
    let tuning = Tuning {
        linger,
        ..Tuning::default()
    };
    let edge = Client::new(
        member("edge"),
        Auth::tls(theirs.clone()).expect("files"),
        tuning,
    );
    let ping = async |edge: &Client| {
        tokio::time::sleep(linger * 4).await;
        soon(edge.ping(&origin.peer, PATIENCE)).await
    };
    ping(&edge).await.expect("the old");

    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).expect("copies");
    };
    let renewed = new.issue("127.0.0.1");
    copy(&renewed.key, &ours.key);
    copy(&renewed.cert, &ours.cert);
    copy(&renewed.ca, &ours.ca);
    let fresh = tls_client(new.issue("edge.example"));
    soon(async { while ping(&fresh).await.is_err() {} }).await;
    soon(async { while ping(&edge).await.is_ok() {} }).await;

    let renewed = new.issue("edge3.example");
    copy(&renewed.key, &theirs.key);
    copy(&renewed.cert, &theirs.cert);
    copy(&renewed.ca, &theirs.ca);
    soon(async { while ping(&edge).await.is_err() {} }).await;
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let files = authority.issue("edge.example");
    for (files, named) in [
        (
            TlsFiles {
                ca: authority.path("absent"),
                ..files.clone()
            },
            "absent",
        ),
        (
            TlsFiles {
                cert: files.key.clone(),
                ..files.clone()
            },
            "edge.example.key: no certificate",
        ),
        (
            TlsFiles {
                key: files.cert.clone(),
                ..files.clone()
            },
            "edge.example.pem: no private key",
        ),
    ] {
        let error = Auth::tls(files).expect_err("unusable").to_string();
        assert!(error.contains(named), "{error}");
    }
}
