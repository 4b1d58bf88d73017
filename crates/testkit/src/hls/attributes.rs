//! Attribute lists and their values (RFC 8216bis, 4.2).

/// The attributes of a tag, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(Vec<(String, Value)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Quoted(String),
    Bare(String),
}

impl Attributes {
    /// Reads a list; what is wrong with it comes beside it.
    pub(super) fn parse(text: &str) -> (Self, Vec<String>) {
        let (mut list, mut findings) = (Self::default(), Vec::new());
        let mut rest = text;
        while !rest.is_empty() {
            let Some((name, behind)) = rest.split_once('=') else {
                findings.push(format!("“{rest}” is no attribute"));
                break;
            };
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(is_name) {
                findings.push(format!("“{name}” is no name of an attribute"));
            }
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => match quoted.split_once('"') {
                    Some((value, behind)) => (Value::Quoted(value.to_owned()), behind),
                    None => {
                        findings.push(format!("the quote of {name} does not end"));
                        break;
                    }
                },
                None => {
                    let end = behind.find(',').unwrap_or(behind.len());
                    let (value, behind) = behind.split_at(end);
                    (Value::Bare(value.to_owned()), behind)
                }
            };
            if list.0.iter().any(|(other, _)| other == name) {
                findings.push(format!("{name} is there twice"));
            }
            list.0.push((name.to_owned(), value));
            rest = match behind.strip_prefix(',') {
                Some("") => {
                    findings.push("the list ends with a comma".to_owned());
                    ""
                }
                Some(rest) => rest,
                None if behind.is_empty() => "",
                None => {
                    findings.push(format!("“{behind}” stands behind {name}"));
                    break;
                }
            };
        }
        (list, findings)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a quoted string.
    pub(super) fn quoted(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Quoted(value) => Some(value),
            Value::Bare(_) => None,
        }
    }

    /// The value of anything else.
    pub(super) fn bare(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Bare(value) => Some(value),
            Value::Quoted(_) => None,
        }
    }

    /// The value of a number of seconds, in nanoseconds.
    pub(super) fn seconds(&self, name: &str) -> Option<i64> {
        decimal(self.bare(name)?)
    }

    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        integer(self.bare(name)?)
    }

    /// Whether an attribute that can only be YES is.
    pub(super) fn says_yes(&self, name: &str) -> bool {
        self.bare(name) == Some("YES")
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }
}

/// A number of seconds, in nanoseconds: digits, and perhaps a point and digits.
pub(super) fn decimal(text: &str) -> Option<i64> {
    const DIGITS: usize = 9;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole = i64::try_from(integer(whole)?).ok()?;
    integer(fraction.get(..fraction.len().min(DIGITS))?)?;
    let padded = format!("{fraction:0<DIGITS$}");
    let nanoseconds: i64 = padded.get(..DIGITS)?.parse().ok()?;
    whole.checked_mul(super::SECOND)?.checked_add(nanoseconds)
}

/// A number of digits.
pub(super) fn integer(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists() {
        let (list, findings) = Attributes::parse("URI=\"a,b=c\",DURATION=0.200000,GAP=YES,N=12");
        assert_eq!(findings, [""; 0]);
        assert_eq!(list.quoted("URI"), Some("a,b=c"));
        assert_eq!(list.seconds("DURATION"), Some(200_000_000));
        assert_eq!(list.integer("N"), Some(12));
        assert!(list.says_yes("GAP") && !list.has("X"));
        assert_eq!((list.bare("URI"), list.quoted("N")), (None, None));
    }

    #[test]
    fn finds_what_is_wrong() {
        for text in ["A", "a=1", "A=\"x", "A=1,", "A=1,A=2", "A=\"x\"y", "=1"] {
            assert_ne!(Attributes::parse(text).1, [""; 0], "{text}");
        }
        for text in ["", "x", "1.", ".5", "-1", "1e3", "1.5s"] {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert_eq!(decimal("1.0000000019"), Some(1_000_000_001));
    }
}
