//! What is logged, and what is not.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use directory::contract::{eventually, live_record};
use directory::{
    Clock, Config, DirectoryKind, Embedded, Etcd, Expect, Kind, Life, NodeId, NodeRecord, Options,
    Role, Secret, SettingName,
};
use media::StreamKey;
use weir_directory as directory;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that this thread logs from here on.
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self, what: &str) -> Vec<String> {
        let log = String::from_utf8_lossy(&self.0.lock().expect("a lock")).into_owned();
        log.lines()
            .filter(|line| line.contains(what))
            .map(str::to_owned)
            .collect()
    }
}

fn id(node: &str) -> NodeId {
    NodeId::parse(node).expect("a name")
}

#[tokio::test]
async fn no_secret_is_logged() {
    let (log, _guard) = Log::start();
    let hub = Embedded::new();
    let (a, b) = (
        hub.join(id("a"), Options::default()),
        hub.join(id("b"), Options::default()),
    );
    eventually(&b, "b is in", || a.is_up() && b.is_up()).await;
    let key = StreamKey::parse("live/sk-0123456789-secret").expect("a key");
    let claim = a
        .claim(live_record(&a, &key), None)
        .await
        .expect("nobody has it");
    let over = a.lookup(&key).map(|held| held.revision);
    let error = b
        .claim(live_record(&b, &key), None)
        .await
        .expect_err("is held");
    tracing::info!(%error, debug = ?error, "as a caller would log it");
    let _of_b = b
        .claim(live_record(&b, &key), over)
        .await
        .expect("supersedes");
    eventually(&a, "the loss is known", || {
        !log.lines("a claim is lost").is_empty()
    })
    .await;
    tracing::info!(?claim, "as a caller would log it");
    let name = SettingName::parse("live/sk-0123456789-secret").expect("a name");
    let value = serde_json::json!("secret");
    let set = a
        .put_setting(Kind::Tokens, name.clone(), value, Life::Kept, Expect::Any)
        .await;
    set.expect("is set");
    tracing::info!(setting = ?a.setting(Kind::Tokens, &name), ?name, "as a caller would log it");
    // Nor that of etcd, even if it cannot be reached.
    let config = Config {
        kind: DirectoryKind::Etcd,
        endpoints: vec!["http://127.0.0.1:1".to_owned()],
        user: Some("weir".to_owned()),
        password: Some(Secret::new("secret".to_owned())),
        ..Config::default()
    };
    tracing::info!(?config, "as a caller would log it");
    let c = Etcd::join(config, id("c"), Options::default());
    eventually(&c, "it is given up", || {
        !log.lines("out of reach").is_empty()
    })
    .await;

    assert!(log.lines("weir_directory").len() >= 3);
    assert_eq!(log.lines("secret"), Vec::<String>::new());
    assert!(!log.lines("live/sk-…").is_empty());
}

#[tokio::test]
async fn what_someone_must_act_on_is_logged_once() {
    let (log, _guard) = Log::start();
    let hub = Embedded::new();
    let a = hub.join(id("a"), Options::default());
    let announce = |node: &Arc<dyn directory::Directory>, started, draining| {
        let record = NodeRecord::new(node.node().clone(), Role::All);
        node.announce(NodeRecord {
            started,
            draining,
            ..record
        });
    };
    announce(&a, 1, false);
    eventually(&a, "it is known", || a.find_node(&id("a")).is_some()).await;
    // Another process with the same name, and one with a wrong clock.
    let twin = hub.join(id("a"), Options::default());
    let slow = Options {
        clock: Clock::shifted(-60_000),
        ..Options::default()
    };
    let slow = hub.join(id("slow"), slow);
    for draining in [true, false, true, false] {
        announce(&twin, 2, draining);
        announce(&slow, 3, draining);
        eventually(&a, "both are known", || {
            ["a", "slow"].iter().all(|node| {
                a.find_node(&id(node))
                    .is_some_and(|node| node.started > 1 && node.draining == draining)
            })
        })
        .await;
    }
    assert_eq!(log.lines("another node has the name of this one").len(), 1);
    // By each of the three.
    eventually(&a, "all is logged", || {
        log.lines("the clock of a node differs").len() == 3
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(log.lines("the clock of a node differs").len(), 3);
    hub.down(true);
    eventually(&a, "it is noticed", || {
        !a.is_up() && !twin.is_up() && !slow.is_up()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(log.lines("the directory is out of reach").len(), 3);
    hub.down(false);
    eventually(&a, "it is back", || {
        a.is_up() && twin.is_up() && slow.is_up()
    })
    .await;
    assert_eq!(log.lines("the directory is reached").len(), 6);
}
