//! Tokens, and who is counted.

use hls::Mode;

use crate::cast::Cast;
use crate::peer::uris;
use crate::site::{Site, TOKEN};

#[tokio::test]
async fn a_token_of_the_query_is_carried_from_playlist_to_playlist() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/locked", cast.stream())]);
    let mut player = site.peer().await;
    let mut path = format!("index.m3u8?x=1&token={TOKEN}&_HLS_skip=YES");
    let carried = format!("?token={TOKEN}");
    for _ in 0..2 {
        let playlist = player.get(&format!("/live/locked/{path}")).await;
        let uris = uris(playlist.playlist());
        assert!(uris.iter().all(|uri| uri.ends_with(&carried)), "{uris:?}");
        path.clone_from(&uris[0]);
    }
    // The first file of the media playlist.
    let file = player.get(&format!("/live/locked/{path}")).await;
    assert_eq!(file.status, 200);
    let name = path.split('?').next().expect("a name");
    for (query, status, code) in [
        ("", 401, "unauthorized"),
        ("?token=guess", 403, "forbidden"),
    ] {
        for name in [name, "index.m3u8", "media.m3u8"] {
            let refused = player.get(&format!("/live/locked/{name}{query}")).await;
            assert_eq!(
                refused.refusal(),
                (status, code.to_owned()),
                "{name}{query}"
            );
        }
    }
    // All else is as without.
    let (msn, part) = cast.newest();
    let media = player
        .get(&format!("/live/locked/media.m3u8{carried}"))
        .await;
    assert_eq!(
        media.playlist().replace(&carried, ""),
        cast.text(msn, part, false)
    );
}

#[tokio::test]
async fn a_token_is_written_so_that_it_stays_what_it_is() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let mut player = site.peer().await;
    for (token, carried) in [("a%22b", "a%22b"), ("it's", "it%27s"), ("a=b", "a=b")] {
        let index = player
            .get(&format!("/live/a/index.m3u8?token={token}"))
            .await;
        assert_eq!(
            uris(index.playlist()),
            [format!("media.m3u8?token={carried}")]
        );
    }
    let long = "x".repeat(2000);
    let refused = player
        .get(&format!("/live/a/index.m3u8?token={long}"))
        .await;
    assert_eq!(refused.refusal(), (400, "invalid".to_owned()));
}

#[tokio::test]
async fn viewers_are_told_apart_by_agent_and_token_on_all_connections() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    for (path, headers) in [
        ("media.m3u8", "user-agent: a\r\n"),
        ("index.m3u8?x=1", "user-agent: a\r\n"),
        ("media.m3u8", "user-agent: b\r\n"),
        ("media.m3u8?token=t", "user-agent: a\r\n"),
        ("media.m3u8", "user-agent: a\r\nauthorization: Bearer t\r\n"),
        (
            "media.m3u8",
            "user-agent: a\r\nx-forwarded-for: 10.0.0.1\r\n",
        ),
    ] {
        let mut player = site.peer().await;
        player.ask("GET", &format!("/live/a/{path}"), headers).await;
    }
    let viewers: Vec<u64> = site.asked().iter().map(|it| it.viewer).collect();
    let [one, same, other, token, bearer, forwarded] = viewers[..] else {
        panic!("{viewers:?}")
    };
    assert_eq!([same, forwarded], [one; 2]);
    assert_eq!(token, bearer);
    assert!(other != one && token != one && token != other);
    assert_eq!(site.asked()[4].token.as_deref(), Some("t"));
    assert_eq!(site.asked()[3].query, "token=t");
}
