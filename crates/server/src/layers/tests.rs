use std::path::Path;
use std::time::Duration;

use node::config::{AtEdge, Coalesce, OnConflict, Role};
use tempfile::TempDir;

use super::*;

/// Sources of one file with this text, and the folder that keeps it.
fn file(text: &str) -> (TempDir, Sources) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weir.toml");
    std::fs::write(&path, text).expect("writes");
    (
        folder,
        Sources {
            files: vec![path],
            ..Sources::default()
        },
    )
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The lines about what is wrong, without the folder.
fn faults(sources: &Sources) -> Vec<String> {
    let faults = load(sources).expect_err("is broken").to_string();
    let folder = sources
        .files
        .first()
        .and_then(|file| file.parent())
        .unwrap_or(Path::new("-"));
    let folder = format!("{}/", folder.display());
    faults
        .lines()
        .map(|line| line.replace(&folder, ""))
        .collect()
}

#[test]
fn nothing_set_is_all_defaults() {
    let loaded = load(&Sources::default()).expect("loads");
    assert_eq!(loaded.settings, Settings::default());
    assert_eq!(loaded.sources(), "defaults");
}

#[test]
fn values_are_read_in_all_their_forms() {
    let (_folder, sources) = file(
        r#"
        play.wait = 1.5
        [node]
        role = "origin"
        drain_timeout = "1h30m"
        [rtmp]
        listen = "[::1]:0"
        chunk_size = "4KiB"
        window_ack_size = 5000
        apps = ["live", "event"]
        enhanced = "only"
        [publish]
        grace = 5
        on_conflict = "always"
        [egress]
        coalesce = 0
        [ring]
        max_bytes = "4MB"
        "#,
    );
    let node = load(&sources).expect("loads").settings.node;
    assert_eq!(node.node.role, Role::Origin);
    assert_eq!(node.node.drain_timeout, Duration::from_secs(5400));
    assert_eq!(node.play.wait, Duration::from_millis(1500));
    assert_eq!(
        node.rtmp.listen.map(|listen| listen.to_string()).as_deref(),
        Some("[::1]:0")
    );
    assert_eq!(
        (node.rtmp.chunk_size, node.rtmp.window_ack_size),
        (4096, 5000)
    );
    assert_eq!(node.rtmp.apps, ["live", "event"]);
    assert_eq!(node.publish.grace, Duration::from_secs(5));
    assert_eq!(node.publish.on_conflict, OnConflict::Always);
    assert_eq!(node.egress.coalesce, Coalesce::Fixed(Duration::ZERO));
    assert_eq!(node.ring.max_bytes, 4_000_000);
}

#[test]
fn a_cluster_is_read() {
    let (_folder, sources) = file(
        r#"
        [node]
        role = "edge"
        [directory]
        kind = "etcd"
        endpoints = ["http://a:2379", "http://b:2379"]
        lease_ttl = 10
        [relay]
        listen = "10.0.0.1:7935"
        secret = "sixteen bytes !!"
        [publish]
        redirect = "redirect"
        on_conflict = "backup"
        [hls]
        mode = "off"
        [pull]
        linger = "1m"
        negative_keys = 0
        [limits]
        egress = "100MB"
        headroom = "80%"
        [rtmp]
        public_url = "rtmp://in.example:1935"
        "#,
    );
    let node = load(&sources).expect("loads").settings.node;
    assert_eq!(node.node.role, Role::Edge);
    assert!(node.is_clustered());
    assert_eq!(node.directory.endpoints, ["http://a:2379", "http://b:2379"]);
    assert_eq!(node.directory.lease_ttl, Duration::from_secs(10));
    let listen = node.relay_listen().map(|listen| listen.to_string());
    assert_eq!(listen.as_deref(), Some("10.0.0.1:7935"));
    assert_eq!(node.publish.redirect, AtEdge::Redirect);
    assert_eq!(node.publish.on_conflict, OnConflict::Backup);
    assert_eq!(node.hls.cutting(), None);
    assert_eq!(node.pull.linger, Duration::from_secs(60));
    assert_eq!(node.pull.negative_keys, 0);
    assert_eq!(node.limits.egress, 100_000_000);
    assert_eq!(node.limits.headroom, 0.8);
}

#[test]
fn nested_keys_are_set_by_every_layer_and_remembered() {
    let (folder, mut sources) = file("[relay]\nlisten = ':1'\n[relay.tls]\nca = 'a'\nname = 'n'\n");
    sources.environment = vec![
        pair("WEIR_RELAY__TLS__CERT", "b"),
        pair("WEIR_RELAY__TLS__NAME", "123"),
        pair("WEIR_DIRECTORY__TLS__CA", "d"),
    ];
    sources.set = vec!["relay.tls.key=c".to_owned(), "relay.listen=:2".to_owned()];
    let loaded = load(&sources).expect("loads");
    let node = &loaded.settings.node;
    assert_eq!(node.relay.listen.as_deref(), Some(":2"));
    let tls = &node.relay.tls;
    let files = [&tls.ca, &tls.cert, &tls.key, &node.directory.tls.ca];
    let files = files.map(|file| file.clone().unwrap_or_default());
    assert_eq!(files, ["a", "b", "c", "d"].map(PathBuf::from));
    assert_eq!(tls.name.as_deref(), Some("123"));

    let file = sources.files[0].display().to_string();
    let shown = crate::check::show(&loaded);
    for (section, expected) in [
        ("[relay]", "listen = \":2\" # flag --set".to_owned()),
        ("[relay.tls]", format!("ca = \"a\" # {file}:4")),
        (
            "[relay.tls]",
            "cert = \"b\" # environment WEIR_RELAY__TLS__CERT".to_owned(),
        ),
        ("[relay.tls]", "key = \"c\" # flag --set".to_owned()),
        (
            "[directory.tls]",
            "ca = \"d\" # environment WEIR_DIRECTORY__TLS__CA".to_owned(),
        ),
    ] {
        let (_, rest) = shown.split_once(&format!("\n{section}\n")).expect(section);
        let below = rest.split("\n\n").next().unwrap_or_default();
        let found = below
            .lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == expected);
        assert!(found, "{expected} in\n{below}");
    }
    // What is shown can be read again.
    let again = folder.path().join("again.toml");
    std::fs::write(&again, &shown).expect("writes");
    let again = Sources {
        files: vec![again],
        ..Sources::default()
    };
    assert_eq!(load(&again).expect("loads").settings, loaded.settings);
}

#[test]
fn wrong_nested_keys_are_explained_in_the_environment_and_flags() {
    let sources = Sources {
        environment: vec![
            pair("WEIR_RELAY_TLS_CA", "a"),
            pair("WEIR_RELAY__TLS", "{ ca = 'a' }"),
            pair("WEIR_RELAY__TLS__CRT", "a"),
        ],
        set: vec!["relay.tls.kye=a".to_owned()],
        ..Sources::default()
    };
    let expected = [
        "environment WEIR_RELAY_TLS_CA: relay.tls.ca: not read; did you mean WEIR_RELAY__TLS__CA?",
        "environment WEIR_RELAY__TLS: relay.tls: is a section; set its keys, such as relay.tls.ca",
        "environment WEIR_RELAY__TLS__CRT: relay.tls.crt: unknown key; did you mean relay.tls.cert?",
        "flag --set: relay.tls.kye: unknown key; did you mean relay.tls.key?",
    ];
    assert_eq!(faults(&sources), expected);
}

#[test]
fn what_only_a_cluster_uses_is_said_of_a_node_alone() {
    let notes = |text: &str| {
        let closed = "[auth]\nadmin_key = 'sesame'\nstatic = { '*' = 't' }";
        let (_folder, sources) = file(&format!("{closed}\n{text}"));
        crate::check::notes(&load(&sources).expect("loads").settings)
    };
    assert!(notes("").is_empty());
    let endpoints = notes("[directory]\nendpoints = 'a:2379'");
    assert!(endpoints[0].contains("directory.endpoints is set but not used"));
    let relay = notes("[relay]\nsecret = 'sixteen bytes !!'");
    assert!(relay[0].contains("relay is set but not used"), "{relay:?}");
    let cluster =
        "[directory]\nkind = 'etcd'\nendpoints = 'a:2379'\n[relay]\nsecret = 'sixteen bytes !!'";
    assert!(notes(cluster).is_empty());
}

#[test]
fn later_layers_win_and_are_remembered() {
    let (folder, mut sources) =
        file("[publish]\ngrace = '1s'\nsilence = '1s'\n[play]\nwait = '1s'");
    let second = folder.path().join("second.toml");
    std::fs::write(&second, "[publish]\nsilence = '2s'\n[play]\nwait = '2s'\n").expect("writes");
    sources.files.push(second.clone());
    sources.environment = vec![
        pair("WEIR_PLAY__WAIT", "3s"),
        pair("WEIR_NODE__ROLE", "all"),
    ];
    sources.set = vec!["log.level=warn".to_owned(), "log.level=debug".to_owned()];
    sources.role = Some("origin".to_owned());

    let loaded = load(&sources).expect("loads");
    let node = &loaded.settings.node;
    let seconds = [node.publish.grace, node.publish.silence, node.play.wait].map(|d| d.as_secs());
    assert_eq!(seconds, [1, 2, 3]);
    assert_eq!(node.node.role, Role::Origin);
    assert_eq!(loaded.settings.own.log.level, "debug");

    let origin = |key| {
        loaded
            .origin(key, None)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let (first, second) = (
        sources.files[0].display().to_string(),
        second.display().to_string(),
    );
    assert_eq!(origin("publish.grace"), format!("{first}:2"));
    assert_eq!(origin("publish.silence"), format!("{second}:2"));
    assert_eq!(origin("play.wait"), "environment WEIR_PLAY__WAIT");
    assert_eq!(origin("node.role"), "flag --role");
    assert_eq!(origin("ring.max_bytes"), "");
    assert_eq!(
        loaded.sources(),
        format!("defaults, {first}, {second}, environment, flags")
    );
}

#[test]
fn environment_and_flags_take_toml_and_bare_texts() {
    let mut sources = Sources::default();
    for (set, expected) in [
        ("node.id=123", "123"),
        ("node.id=1.10", "1.10"),
        ("node.id=true", "true"),
        ("node.id='quoted'", "quoted"),
        ("node.id=bare-text", "bare-text"),
    ] {
        sources.set = vec![set.to_owned()];
        let loaded = load(&sources).expect(set);
        assert_eq!(
            loaded.settings.node.node.id.as_deref(),
            Some(expected),
            "{set}"
        );
    }
    sources.set = vec![
        "rtmp.apps=['a','b']".to_owned(),
        "play.gop_cache=false".to_owned(),
    ];
    sources.environment = vec![
        pair("WEIR_RTMP__LISTEN", ":0"),
        pair("WEIR_HTTP__LISTEN", ""),
        pair("WEIR_LIMITS__STREAMS", "7"),
        pair("WEIR_RING__MAX_BYTES", "2MiB"),
        // Not about keys.
        pair("WEIR_FFMPEG9", "/usr/bin/ffmpeg"),
        pair("WEIR_PORT_1935_TCP_ADDR", "10.0.0.1"),
        pair("PATH", "/bin"),
    ];
    let settings = load(&sources).expect("loads").settings;
    assert_eq!(settings.node.rtmp.apps, ["a", "b"]);
    assert!(!settings.node.play.gop_cache);
    assert_eq!(
        settings.node.rtmp.listen.map(|listen| listen.port()),
        Some(0)
    );
    assert_eq!(settings.web.http.listen, None);
    assert_eq!(settings.node.limits.streams, 7);
    assert_eq!(settings.node.ring.max_bytes, 2 << 20);
}

#[test]
fn tokens_add_up_over_the_layers() {
    let (_folder, mut sources) = file("[auth.static]\n\"live/a\" = \"1\"\n\"live/b\" = \"2\"\n");
    sources.environment = vec![pair(
        "WEIR_AUTH__STATIC",
        "{ 'live/b' = '3', 'live/c' = { play = '4' } }",
    )];
    sources.set = vec![
        "auth.static.\"live/d=e\"=5".to_owned(),
        "auth.static.live/f=x=y".to_owned(),
    ];
    // A stream key has no `=`, which is said with the place where it stands.
    assert_eq!(
        faults(&sources),
        [
            "flag --set: auth.static: \"live/d=e\" is no pattern: write app/name, such as \"live/cam\" or \"live/*\""
        ]
    );
    sources.set.remove(0);
    let loaded = load(&sources).expect("loads");
    let rules: Vec<_> = loaded.settings.node.auth.rules().collect();
    assert_eq!(
        rules,
        [
            ("live/a", Some("1"), Some("1")),
            ("live/b", Some("3"), Some("3")),
            ("live/c", None, Some("4")),
            ("live/f", Some("x=y"), Some("x=y")),
        ]
    );
    let origin = loaded
        .origin("auth.static", Some("live/b"))
        .map(ToString::to_string);
    assert_eq!(origin.as_deref(), Some("environment WEIR_AUTH__STATIC"));
}

#[test]
fn broken_files_are_explained_with_key_line_and_what_to_write() {
    for (text, expected) in [
        (
            "[rtmp]\n\nlitsen = ':1'",
            "weir.toml:3: rtmp.litsen: unknown key; did you mean rtmp.listen?",
        ),
        (
            "[rtpm]\nlisten = ':1'",
            "weir.toml:2: rtpm.listen: unknown key; did you mean rtmp.listen?",
        ),
        (
            "[play]\ngrace = 1",
            "weir.toml:2: play.grace: unknown key; did you mean publish.grace?",
        ),
        (
            "grace = 1",
            "weir.toml:1: grace: unknown key; did you mean publish.grace?",
        ),
        (
            "\n[colours]\nred = 1",
            "weir.toml:3: colours.red: unknown key; docs/configuration.md lists",
        ),
        (
            "[srt]\nlisten = ':10080'",
            "weir.toml:2: srt.listen: [srt] is not built yet",
        ),
        (
            "[hls]\nmode = 'dash'",
            "weir.toml:2: hls.mode: expected one of ll, fmp4, ts, off; found \"dash\"",
        ),
        (
            "[hls]\nmode = 'ts'\nsegment = '100ms'",
            "weir.toml:3: hls.segment: segments last from 0.5 to 60 seconds",
        ),
        (
            "[hls]\nwindow = 2",
            "weir.toml:2: hls.window: from 3 to 1000 segments are listed",
        ),
        (
            "[directory]\nkind = 'etcd'",
            "directory.endpoints: directory.kind is etcd, so this must be set",
        ),
        (
            "[directory]\nkind = 'etcd'\nendpoints = 'a:2379'",
            "relay.secret: nodes must know each other",
        ),
        (
            "[directory]\nkind = 'zookeeper'",
            "weir.toml:2: directory.kind: unknown variant `zookeeper`, expected `embedded` or `etcd`",
        ),
        (
            "[directory]\nkind = 'etcd'\n[relay]\nlisten = ''",
            "weir.toml:4: relay.listen: other nodes must be able to call",
        ),
        (
            "[relay]\nlisten = '7935'",
            "weir.toml:2: relay.listen: expected an address such as :1935",
        ),
        (
            "[relay]\ntls = { ca = 'a', crt = 'b' }",
            "weir.toml:2: relay.tls.crt: unknown key; did you mean relay.tls.cert?",
        ),
        (
            "[relay.tls]\n\nkye = 'a'",
            "weir.toml:3: relay.tls.kye: unknown key; did you mean relay.tls.key?",
        ),
        (
            "[relay.tsl]\nca = 'a'",
            "weir.toml:1: relay.tsl: unknown key; did you mean relay.tls?",
        ),
        (
            "[relay]\ntls = 'ca.pem'",
            "weir.toml:2: relay.tls: is a section; write [relay.tls] and its keys below",
        ),
        (
            "[directory]\nkind = 'etcd'\n[relay.tls]\nca = 'a'",
            "relay.tls.cert: TLS needs",
        ),
        (
            "[directory]\nkind = 'etcd'\nendpoints = 'a:1'\n[relay.tls]\nca = '/nowhere/a'\ncert = '/nowhere/c'\nkey = '/nowhere/k'",
            ": relay.tls.",
        ),
        (
            "[directory]\nkind = 'etcd'\nendpoints = 'a:1'\n[relay]\nlisten = ':1935'",
            "weir.toml:5: relay.listen: :1935 is the address of rtmp.listen too",
        ),
        (
            "[rtmp]\npublic_url = 'rtmp://host/live'",
            "weir.toml:2: rtmp.public_url: \"rtmp://host/live\" is not how RTMP is reached",
        ),
        (
            "[limits]\nheadroom = 95",
            "weir.toml:2: limits.headroom: expected a share such as 0.95 or 95%, found 95",
        ),
        (
            "[publish]\nredirect = true",
            "publish.redirect: expected one of refuse, redirect; found true",
        ),
        (
            "rtmp = ':1935'",
            "weir.toml:1: rtmp: is a section; write [rtmp]",
        ),
        (
            "[rtmp]\nlisten = 1935",
            "weir.toml:2: rtmp.listen: expected an address such as :1935",
        ),
        (
            "[rtmp]\nlisten = '::1:80'",
            "(an IPv6 address goes in brackets)",
        ),
        ("[rtmp]\nlisten = ':99999'", "(the highest port is 65535)"),
        (
            "[rtmp]\nlisten = true",
            "weir.toml:2: rtmp.listen: expected an address",
        ),
        (
            "[rtmp]\nlisten = [':1', ':2']",
            "weir.toml:2: rtmp.listen: invalid type: sequence, expected a text or a number",
        ),
        (
            "[rtmp]\nchunk_size = '64K'",
            "weir.toml:2: rtmp.chunk_size: expected a size such as 64KiB, 4MB",
        ),
        (
            "[rtmp]\nchunk_size = 64",
            "weir.toml:2: rtmp.chunk_size: 64 is out of range, 128 to 16777215",
        ),
        (
            "[rtmp]\nchunk_size = '5GiB'",
            "weir.toml:2: rtmp.chunk_size: \"5GiB\" is too large",
        ),
        (
            "[rtmp]\nenhanced = 'yes'",
            "rtmp.enhanced: expected one of auto, legacy, only; found \"yes\"",
        ),
        (
            "[rtmp]\napps = ['live', 'api']",
            "weir.toml:2: rtmp.apps: the app \"api\" is reserved",
        ),
        (
            "[publish]\ngrace = 'soon'",
            "publish.grace: expected a duration such as 500ms, 2s or 1h30m, found \"soon\"",
        ),
        (
            "[publish]\ngrace = -1",
            "weir.toml:2: publish.grace: expected a duration of 0 to 365d, found -1",
        ),
        (
            "[publish]\non_conflict = 'first'",
            "expected one of same_identity_or_stale, reject, always, backup; found \"first\"",
        ),
        (
            "[egress]\ncoalesce = 'fast'",
            "egress.coalesce: expected adaptive or a duration such as 40ms",
        ),
        (
            "[egress]\nmax_lag = '9s'\ndrop_after = '5s'",
            "weir.toml:3: egress.drop_after: shorter than egress.max_lag",
        ),
        (
            "[limits]\nstreams = 1.5",
            "weir.toml:2: limits.streams: expected a count, found 1.5",
        ),
        (
            "[limits]\nstreams = -1",
            "weir.toml:2: limits.streams: expected a count, found -1",
        ),
        (
            "[limits]\nidle_timeout = 0",
            "weir.toml:2: limits.idle_timeout: 0 would cut every peer",
        ),
        (
            "[play]\ngop_cache = 1",
            "weir.toml:2: play.gop_cache: expected true or false, found 1",
        ),
        (
            "[rtmps]\nlisten = ':1936'",
            "weir.toml:2: rtmps.listen: needs tls.cert and tls.key",
        ),
        (
            "[https]\nlisten = ':8443'",
            "weir.toml:2: https.listen: needs tls.cert and tls.key",
        ),
        (
            "[tls]\ncert = 'c.pem'",
            "tls.key: tls.cert is set, so this must be too",
        ),
        (
            "[node]\nrole = 'edge'",
            "weir.toml:2: node.role: an edge pulls from the origins of a cluster",
        ),
        (
            "[node]\nrole = 'both'",
            "node.role: expected one of all, origin, edge; found \"both\"",
        ),
        (
            "[node]\nid = 'a b'",
            "weir.toml:2: node.id: \"a b\" is no name",
        ),
        (
            "[log]\nlevel = 'inof'",
            "weir.toml:2: log.level: expected one of off, error, warn, info",
        ),
        (
            "[auth.static]\ncam = 'x'",
            "weir.toml:2: auth.static: \"cam\" is no pattern: write app/name",
        ),
        (
            "[auth.static]\n'live/cam' = ''",
            "weir.toml:2: auth.static.\"live/cam\": a token must not be empty",
        ),
        (
            "[auth.static]\n'a/b' = { watch = 'x' }",
            "expected publish or play, found \"watch\"",
        ),
        (
            "[rtmp]\nlisten = :1935",
            "weir.toml:2: rtmp.listen: this must be TOML, in which texts are in quotes",
        ),
        ("rtmp:\n  listen: 1935", "weir.toml:1: this must be TOML"),
        (
            "[http]\nlisten = ':1935'",
            "weir.toml:2: http.listen: :1935 is the address of rtmp.listen too",
        ),
        (
            "[auth.static]\n'vod/x' = 't'",
            "weir.toml:2: auth.static: the app \"vod\" is reserved",
        ),
        (
            "[tls]\ncert = '/nowhere/c.pem'\nkey = '/nowhere/k.pem'",
            "weir.toml:2: tls.cert: /nowhere/c.pem cannot be read: No such file",
        ),
        (
            "[rtmp]\nlisten = ':1'\nlisten = ':2'",
            "weir.toml:3: rtmp.listen: duplicate key",
        ),
        ("[rtmp\nlisten = ':1'", "weir.toml:1: "),
    ] {
        let (_folder, sources) = file(text);
        let faults = faults(&sources);
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{text:?}: {faults:#?}"
        );
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let (_folder, mut sources) = file("[rtmp]\nlitsen = ':1'\nchunk_size = 'x'\n");
    sources.environment = vec![
        pair("WEIR_RTMP__LITSEN", ":1"),
        pair("WEIR_RTMP_LISTEN", ":1"),
        pair("WEIR_PLAY__WAIT", "soon"),
    ];
    sources.set = vec!["rtmp.listen".to_owned(), "rtmp.lisden=:1".to_owned()];
    sources.role = Some("queen".to_owned());
    let expected = [
        "weir.toml:2: rtmp.litsen: unknown key; did you mean rtmp.listen?",
        "weir.toml:3: rtmp.chunk_size: expected a size such as 64KiB, 4MB or a number of bytes, found \"x\"",
        "environment WEIR_PLAY__WAIT: play.wait: expected a duration such as 500ms, 2s or 1h30m, found \"soon\"",
        "environment WEIR_RTMP_LISTEN: rtmp.listen: not read; did you mean WEIR_RTMP__LISTEN?",
        "environment WEIR_RTMP__LITSEN: rtmp.litsen: unknown key; did you mean rtmp.listen?",
        "flag --set: rtmp.listen: expected KEY=VALUE, such as rtmp.listen=:1935, and KEY= for an empty value",
        "flag --set: rtmp.lisden: unknown key; did you mean rtmp.listen?",
        "flag --role: node.role: expected one of all, origin, edge; found \"queen\"",
    ];
    assert_eq!(faults(&sources), expected);
}

#[test]
fn an_entry_in_a_variable_is_shown_what_works() {
    let sources = Sources {
        environment: vec![pair("WEIR_AUTH__STATIC__live/cam", "31337")],
        ..Sources::default()
    };
    let expected = "environment WEIR_AUTH__STATIC__live/cam: auth.static: entries are set together, \
                    as in WEIR_AUTH__STATIC='{ \"live/cam\" = \"TOKEN\" }'";
    assert_eq!(faults(&sources), [expected]);
}

#[test]
fn what_is_left_open_to_publishers_is_said() {
    let notes = |text: &str| {
        let (_folder, sources) = file(&format!("[auth]\nadmin_key = 'sesame'\n{text}"));
        crate::check::notes(&load(&sources).expect("loads").settings)
    };
    assert_eq!(notes("").len(), 1);
    let open = notes("[auth.static]\n'live/cam' = { play = 'q' }\n'live/a' = 't'");
    assert_eq!(open.len(), 1, "{open:?}");
    assert!(open[0].contains("anybody may publish live/cam"), "{open:?}");
    assert!(notes("[auth.static]\n'live/cam' = { publish = 'q' }").is_empty());
}

#[test]
fn certificate_files_are_read() {
    let (folder, mut sources) = file("[tls]\ncert = 'C'\nkey = 'K'\n");
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("other")).expect("a folder");
    let one = testkit::certificate::write(folder.path(), "one");
    let other = testkit::certificate::write(&path("other"), "other");
    std::fs::write(path("no.pem"), "nothing").expect("writes");
    for (cert, key, expected) in [
        (&one.certificate, &one.key, None),
        (
            &one.certificate,
            &other.key,
            Some("tls.key: other/key.pem is not the key of the certificate cert.pem"),
        ),
        (
            &path("no.pem"),
            &one.key,
            Some("tls.cert: no.pem holds no usable PEM certificate"),
        ),
        (
            &one.certificate,
            &path("no.pem"),
            Some("tls.key: no.pem holds no usable PEM private key"),
        ),
        (
            &one.certificate,
            &path("absent"),
            Some("tls.key: absent cannot be read: No such file"),
        ),
    ] {
        sources.set = vec![
            format!("tls.cert={}", cert.display()),
            format!("tls.key={}", key.display()),
        ];
        match (load(&sources), expected) {
            (Ok(_), None) => {}
            (Ok(_), Some(expected)) => panic!("no fault: {expected}"),
            (Err(faults), None) => panic!("{faults}"),
            (Err(_), Some(expected)) => {
                let faults = self::faults(&sources);
                assert_eq!(faults.len(), 1);
                assert!(
                    faults[0].starts_with(&format!("flag --set: {expected}")),
                    "{faults:?}"
                );
            }
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources {
        files: vec!["/nowhere/weir.toml".into()],
        ..Sources::default()
    };
    let faults = faults(&sources);
    assert!(
        faults[0].starts_with("weir.toml: cannot be read"),
        "{faults:?}"
    );
}

#[test]
fn no_message_shows_a_token() {
    for text in [
        "[auth.static]\n'a/b' = 31337",
        "[auth.static]\n'a/b' = { publish = 31337 }",
        "[auth.static]\n'a/b' = [\"31337\"]",
        "[auth.static]\n'a/b' = \"31337\n",
        "[auth.static]\n'a/b' = 31337.5",
    ] {
        let (_folder, sources) = file(text);
        let faults = faults(&sources);
        assert!(
            !faults.iter().any(|fault| fault.contains("31337")),
            "{text:?}: {faults:?}"
        );
    }
    let (_folder, sources) = file("[auth.static]\n'a/b' = '31337'\n'a/c' = { publish = '31337' }");
    let loaded = load(&sources).expect("loads");
    assert!(!format!("{loaded:?}").contains("31337"));
    assert!(!crate::check::show(&loaded).contains("31337"));
}

#[test]
fn no_message_shows_a_secret() {
    for key in ["relay.secret", "directory.password", "auth.admin_key"] {
        for value in [
            "31337",
            "31337.5",
            "['31337']",
            "{ a = '31337' }",
            "'31337\n",
            "31337x",
        ] {
            let (_folder, sources) = file(&format!("{key} = {value}"));
            let faults = faults(&sources);
            let shown = faults.iter().any(|fault| fault.contains("31337"));
            assert!(!shown, "{key} = {value}: {faults:?}");
        }
        for value in ["31337", "'31337'", "31337-bare-text"] {
            let mut sources = Sources {
                set: vec![format!("{key}={value}")],
                ..Sources::default()
            };
            if key == "directory.password" {
                sources.set.push("directory.user=u".to_owned());
            }
            let loaded = load(&sources).expect("loads");
            assert!(!format!("{loaded:?}").contains("31337"), "{key}");
            let shown = crate::check::show(&loaded);
            assert!(
                !shown.contains("31337") && shown.contains("********"),
                "{shown}"
            );
        }
    }
}
