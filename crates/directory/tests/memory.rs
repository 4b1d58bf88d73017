//! What it takes to know a stream.

use std::sync::Arc;

use directory::contract::{eventually, live_key, live_record};
use directory::{Directory, Embedded, NodeId, Options};
use weir_directory as directory;

const MANY: usize = 10_000;

#[test]
fn ten_thousand_idle_streams_take_a_few_megabytes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let hub = Embedded::new();
    let join = |node: &str| hub.join(NodeId::parse(node).expect("a name"), Options::default());
    let (a, _claims) = runtime.block_on(async {
        let a = join("origin-1.example.net");
        let mut claims = Vec::new();
        for i in 0..MANY {
            let key = live_key(&format!("a-room-with-a-name/camera-{i:05}"));
            claims.push(
                a.claim(live_record(&a, &key), None)
                    .await
                    .expect("nobody has it"),
            );
        }
        (a, claims)
    });
    let mut b: Option<Arc<dyn Directory>> = None;
    let used = allocation_counter::measure(|| {
        runtime.block_on(async {
            let joined = join("edge-1.example.net");
            eventually(&joined, "it is in", || joined.is_up()).await;
            b = Some(joined);
        });
    });
    let b = b.expect("joined");
    assert_eq!(b.streams().len(), MANY);
    let each = used.bytes_current / i64::try_from(MANY).expect("fits");
    println!(
        "a known stream takes {each} bytes; while listing, {} at most",
        used.bytes_max
    );
    assert!((1..1000).contains(&each), "{each}");
    assert!(used.bytes_max < 20_000_000, "{}", used.bytes_max);
    drop(a);
}
