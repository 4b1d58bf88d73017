//! What the query of a playlist asks for.

/// What a client asks of a media playlist by its query (RFC 8216bis, 6.2.5). Parameters of other
/// names are none of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// The version wanted: not before this segment is in it.
    pub msn: Option<u64>,
    /// And not before this part of it is. Never without `msn`.
    pub part: Option<u32>,
    /// Whether the client knows the older part of the playlist.
    pub skip: bool,
}

/// Why a query cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectiveError {
    /// A value is no number, or too large to be one.
    #[error("{0} takes a number")]
    Number(&'static str),
    /// `_HLS_skip` knows two values.
    #[error("_HLS_skip takes YES or v2")]
    Skip,
    /// There is no telling which of the two counts.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// RFC 8216bis 6.2.5.2: a part is one of a segment.
    #[error("_HLS_part needs _HLS_msn")]
    PartAlone,
}

const MSN: &str = "_HLS_msn";
const PART: &str = "_HLS_part";
const SKIP: &str = "_HLS_skip";

impl Directives {
    /// Reads a query, without its question mark.
    pub fn parse(query: &str) -> Result<Self, DirectiveError> {
        let (mut msn, mut part, mut skip) = (None, None, None);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (place, name) = match name {
                MSN => (&mut msn, MSN),
                PART => (&mut part, PART),
                SKIP => (&mut skip, SKIP),
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(DirectiveError::Twice(name));
            }
        }
        let part = part.map(|part| number(PART, part)).transpose()?;
        let directives = Self {
            msn: msn.map(|msn| number(MSN, msn)).transpose()?,
            part: part.map(|part| u32::try_from(part).unwrap_or(u32::MAX)),
            skip: match skip {
                None => false,
                // The second would skip date ranges too, of which there are none.
                Some("YES" | "v2") => true,
                Some(_) => return Err(DirectiveError::Skip),
            },
        };
        if directives.part.is_some() && directives.msn.is_none() {
            return Err(DirectiveError::PartAlone);
        }
        Ok(directives)
    }
}

/// RFC 8216bis 4.2: a decimal integer, which may have zeros in front.
fn number(name: &'static str, text: &str) -> Result<u64, DirectiveError> {
    let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain);
    number.ok_or(DirectiveError::Number(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_players_send() {
        let read = |query| Directives::parse(query).unwrap();
        assert_eq!(read(""), Directives::default());
        assert_eq!(read("token=a&_HLS_=1&x"), Directives::default());
        let asked = Directives {
            msn: Some(268),
            part: Some(3),
            skip: true,
        };
        assert_eq!(
            read("_HLS_msn=268&token=a=b&_HLS_part=3&_HLS_skip=YES"),
            asked
        );
        assert_eq!(read("_HLS_part=03&_HLS_skip=v2&_HLS_msn=268"), asked);
        // A part that no segment has is behind its last.
        assert_eq!(read("_HLS_msn=1&_HLS_part=4294967296").part, Some(u32::MAX));
    }

    #[test]
    fn says_what_is_wrong() {
        for (query, error) in [
            ("_HLS_part=1", DirectiveError::PartAlone),
            ("_HLS_msn=", DirectiveError::Number(MSN)),
            ("_HLS_msn", DirectiveError::Number(MSN)),
            ("_HLS_msn=-1", DirectiveError::Number(MSN)),
            ("_HLS_msn=+1", DirectiveError::Number(MSN)),
            ("_HLS_msn=1e3", DirectiveError::Number(MSN)),
            ("_HLS_msn=99999999999999999999", DirectiveError::Number(MSN)),
            ("_HLS_msn=1&_HLS_part=x", DirectiveError::Number(PART)),
            ("_HLS_skip=yes", DirectiveError::Skip),
            ("_HLS_msn=1&_HLS_msn=1", DirectiveError::Twice(MSN)),
        ] {
            assert_eq!(Directives::parse(query), Err(error), "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_query_is_too_strange(query in ".*|(_HLS_(msn|part|skip)=?[0-9YES]*&?){0,4}") {
            if let Ok(directives) = Directives::parse(&query) {
                prop_assert!(directives.part.is_none() || directives.msn.is_some());
            }
        }
    }
}
