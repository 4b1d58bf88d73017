//! Who is let in: users and certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, Permission, PermissionType, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::backend::config;
use super::directory::contract::{eventually, live_key, live_record};
use super::directory::{Config, Directory, Etcd as Joined, NodeId, Options, Secret, TlsConfig};
use super::process::Etcd;

fn join(config: Config, node: &str) -> Arc<dyn Directory> {
    assert_eq!(config.problems(), []);
    let options = Options {
        lease_ttl: config.lease_ttl,
        ..Options::default()
    };
    Joined::join(config, NodeId::parse(node).expect("a name"), options)
}

/// That something does not happen can only be waited for.
async fn stay_out(configs: impl IntoIterator<Item = Config>, node: &str) {
    let directories = configs.into_iter().map(|config| join(config, node));
    futures::future::join_all(directories.map(stays_out)).await;
}

async fn stays_out(directory: Arc<dyn Directory>) {
    let began = tokio::time::Instant::now();
    assert!(directory.resolve(&live_key("cam")).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!directory.is_up());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_user_is_let_in_where_it_may() {
    let mut etcd = Etcd::start().await;
    let mut admin = etcd.admin().await;
    let permission = Permission::new(PermissionType::Readwrite, "/weir/default/").with_prefix();
    admin.role_add("weir").await.expect("adds");
    admin
        .role_grant_permission("weir", permission)
        .await
        .expect("grants");
    for (user, role) in [("root", "root"), ("weir", "weir")] {
        admin.user_add(user, "s3cret", None).await.expect("adds");
        let _ = admin.role_add(role).await;
        admin.user_grant_role(user, role).await.expect("grants");
    }
    admin.auth_enable().await.expect("enables");

    let with = |user: Option<&str>, password: &str, cluster: &str| Config {
        user: user.map(str::to_owned),
        password: user.map(|_| Secret::new(password.to_owned())),
        cluster: cluster.to_owned(),
        ..config(vec![etcd.url()])
    };
    let refused = [
        with(None, "", "default"),
        with(Some("weir"), "wrong", "default"),
        with(Some("weir"), "s3cret", "other"),
    ];
    stay_out(refused, "a").await;
    let fine = with(Some("weir"), "s3cret", "default");
    let a = join(fine, "a");
    let key = live_key("cam");
    let claim = a
        .claim(live_record(&a, &key), None)
        .await
        .expect("is let in");

    // A restarted etcd knows none of the tokens it gave out.
    etcd.stop();
    eventually(&a, "it is noticed", || !a.is_up()).await;
    let address = etcd.address;
    let standalone = [
        "--listen-peer-urls".to_owned(),
        "http://127.0.0.1:0".to_owned(),
    ];
    etcd.run_at(address, &standalone).await;
    etcd.ready(Some(ConnectOptions::new().with_user("root", "s3cret")))
        .await;
    eventually(&a, "it is back", || a.is_up()).await;
    a.update(&claim, live_record(&a, &key))
        .await
        .expect("is let in again");
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        Self {
            issuer: issuer.expect("a certificate"),
        }
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).expect("writes");
        path
    }

    /// A certificate for this machine and its key.
    fn sign(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let paths = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        );
        std::fs::write(&paths.0, cert.pem()).expect("writes");
        std::fs::write(&paths.1, key.serialize_pem()).expect("writes");
        paths
    }
}

#[tokio::test]
async fn both_ends_show_their_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ca = ours.write(folder.path());
    let (cert, key) = ours.sign(folder.path(), "etcd");
    let text = |path: &Path| path.to_str().expect("a path").to_owned();
    let arguments = [
        "--client-cert-auth",
        "--trusted-ca-file",
        &text(&ca),
        "--cert-file",
        &text(&cert),
        "--key-file",
        &text(&key),
    ]
    .map(str::to_owned);
    let mut etcd = Etcd::prepare(&arguments, "https");
    etcd.run().await;
    let (cert, key) = ours.sign(folder.path(), "node");
    let read = |path: &Path| std::fs::read(path).expect("reads");
    let tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(read(&ca)))
        .identity(Identity::from_pem(read(&cert), read(&key)));
    etcd.ready(Some(ConnectOptions::new().with_tls(tls))).await;

    let with = |tls: TlsConfig| Config {
        tls,
        ..config(vec![etcd.url()])
    };
    let fine = TlsConfig {
        ca: Some(ca.clone()),
        cert: Some(cert),
        key: Some(key),
    };
    let a = join(with(fine.clone()), "a");
    let claim = a
        .claim(live_record(&a, &live_key("cam")), None)
        .await
        .expect("is let in");

    // Without a certificate of one's own, with another's, and where etcd is not who it should be.
    let nobody = TlsConfig {
        ca: Some(ca.clone()),
        cert: None,
        key: None,
    };
    let others = tempfile::tempdir().expect("a folder");
    let (cert, key) = theirs.sign(others.path(), "node");
    let somebody = TlsConfig {
        ca: Some(ca),
        cert: Some(cert),
        key: Some(key),
    };
    let elsewhere = TlsConfig {
        ca: Some(theirs.write(others.path())),
        ..fine.clone()
    };
    let nowhere = TlsConfig {
        ca: Some(others.path().join("nothing.pem")),
        ..fine
    };
    stay_out([nobody, somebody, elsewhere, nowhere].map(with), "b").await;
    a.release(claim).await.expect("is still let in");
}
