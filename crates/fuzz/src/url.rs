use rtmp::{Params, Url, stream_path};

use crate::memory::bounded;

/// A URL or what stands in one: its parts, its query, the path of a stream.
pub fn url(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    bounded(text.len(), 256, 4096, || {
        check_url(text);
        check_params(text);
    });
    let (app, name) = text.split_once('/').unwrap_or((text, ""));
    let path = stream_path(app, name);
    assert!(!path.starts_with('/') && !path.ends_with('/') && path.contains('/'));
}

fn check_url(text: &str) {
    let Ok(url) = Url::parse(text) else { return };
    assert!(!url.host().is_empty() && url.port() != 0);
    assert!(!url.app().contains('/'));
    // Printing keeps secrets: so much is shown of the name, and nothing of the query.
    let shown = url.to_string().len();
    assert!(shown <= url.tc_url().len() + 1 + 4 * 8 + 4, "{url}");
    let again = format!("{}/{}", url.tc_url(), url.stream());
    assert_eq!(Url::parse(&again), Ok(url), "put together again");
}

fn check_params(query: &str) {
    let params = Params::parse(query);
    let decoded: usize = params
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(decoded <= query.len());
    for (name, _) in params.iter() {
        assert!(params.get(name).is_some());
    }
}
