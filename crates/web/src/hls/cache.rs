//! For how long answers may be kept, and by whom.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// What is refused is refused now.
pub(super) const NO_STORE: &str = "no-store";

/// How long something stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// It may be another the next time.
    NotAtAll,
    /// It will be the same, but nobody asks for it for longer.
    For(Duration),
    /// Its name never means anything else.
    Forever,
}

/// What is told to caches. What has come for a token is for who has the token: caches that others share do not keep it.
pub(super) fn control(keeps: Keeps, is_private: bool) -> HeaderValue {
    let fixed = match (keeps, is_private) {
        (Keeps::NotAtAll, false) => "no-cache",
        (Keeps::NotAtAll, true) => "private, no-cache",
        (Keeps::Forever, false) => "public, max-age=31536000, immutable",
        (Keeps::Forever, true) => "private, max-age=31536000, immutable",
        (Keeps::For(time), is_private) => {
            let who = if is_private { "private" } else { "public" };
            let control = format!("{who}, max-age={}", time.as_secs());
            let no_cache = HeaderValue::from_static("no-cache");
            return HeaderValue::try_from(control).unwrap_or(no_cache);
        }
    };
    HeaderValue::from_static(fixed)
}

/// Whether who asks has what is known by `tag` (RFC 9110, 13.1.2).
pub(super) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','));
    known.any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_for_a_token_is_kept_by_nobody_else() {
        let told = |keeps, is_private| {
            control(keeps, is_private)
                .to_str()
                .map(str::to_owned)
                .expect("a text")
        };
        let some = Keeps::For(Duration::from_secs(24));
        assert_eq!(told(some, false), "public, max-age=24");
        for keeps in [Keeps::NotAtAll, some, Keeps::Forever] {
            assert!(told(keeps, true).starts_with("private, "));
            assert!(!told(keeps, false).contains("private"));
        }
    }

    #[test]
    fn who_has_it_says_so_in_one_of_several_tags() {
        let asked = |known: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for known in known {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(known));
            }
            has(&headers, "\"a\"")
        };
        assert!(asked(&["\"a\""]) && asked(&["\"b\" , W/\"a\""]) && asked(&["*"]));
        assert!(asked(&["\"b\"", "\"a\""]));
        assert!(!asked(&[]) && !asked(&["a"]) && !asked(&["\"b\""]) && !asked(&[""]));
    }
}
