use hls::{Directives, Name, Playlist, Query, Variant};

use crate::memory::bounded;

/// The last segment of a path: what it names is written as it was read.
pub fn hls_name(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let name = bounded(text.len(), 0, 0, || Name::parse(text));
    let Some(name) = name else { return };
    assert_eq!(name.to_string(), text, "each thing has one name");
    let kind = match text.rsplit_once('.') {
        Some((_, "ts")) => "video/mp2t",
        _ => "video/mp4",
    };
    assert_eq!(name.media_type(), kind);
    let epoch = text.split('-').next();
    assert_eq!(epoch, Some(&*name.epoch().to_string()));
}

/// The query of a playlist: what it asks for, and what of it goes into the URIs.
pub fn hls_query(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    if let Ok(directives) = bounded(text.len(), 0, 0, || Directives::parse(text)) {
        assert!(directives.part.is_none() || directives.msn.is_some());
        assert!(directives.msn.is_none() || text.contains("_HLS_msn="));
    }
    let Some(query) = bounded(text.len(), 1, 0, || Query::new(text)) else {
        return;
    };
    assert_eq!(query.as_str(), text);
    let playlist = Playlist::multivariant(&Variant::default());
    let carried = playlist.with(&query);
    let last = carried.lines().last();
    assert_eq!(
        last,
        Some(&*format!("media.m3u8?{text}")),
        "it stays in its line"
    );
    assert_eq!(carried.len(), playlist.text().len() + text.len() + 1);
}
