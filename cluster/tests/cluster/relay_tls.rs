//! Nodes that show each other certificates.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use weir_cluster::Cluster;

#[tokio::test]
async fn a_stream_is_pulled_under_the_certificates_of_one_authority() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let node = CertificateParams::new(["weir".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let certificate = node.signed_by(&key, &authority).expect("signs");
    for (file, pem) in [
        ("ca", authority.pem()),
        ("cert", certificate.pem()),
        ("key", key.serialize_pem()),
    ] {
        fs::write(path(file), pem).expect("writes");
    }
    let mut builder = Cluster::builder().etcd(1).origins(1).edges(1);
    builder = builder.set("limits.headroom=1").set("relay.tls.name=weir");
    for file in ["ca", "cert", "key"] {
        builder = builder.set(&format!("relay.tls.{file}={}", path(file).display()));
    }
    let cluster = builder.start().await;

    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 30);
    let url = cluster.node("o1").url("live/cam");
    let publisher = Publisher::start(&url, tags, 1.0).await.expect("accepted");
    let player = Peer::play(cluster.node("e1").rtmp, "live", "cam").await;
    let frames = |heard: &[Heard]| {
        let tags = heard.iter().filter_map(Heard::tag);
        tags.filter(|tag| tag.is_frame()).count() > 60
    };
    player.until("pictures", frames).await;
    assert!(!publisher.has_ended());
}
