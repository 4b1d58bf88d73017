use std::fmt;

/// One value of either version of the format.
///
/// What only AMF3 has becomes its nearest relative: an integer is a [`Value::Number`], a vector
/// a [`Value::StrictArray`], a byte array [`Value::Unsupported`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double; AMF0 has no other number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A string of any length. Bytes that were no UTF-8 have been replaced.
    String(String),
    /// An object without a class.
    Object(Object),
    /// Null.
    Null,
    /// Undefined.
    Undefined,
    /// An array with named members.
    EcmaArray(Object),
    /// An array with numbered members.
    StrictArray(Vec<Value>),
    /// A date in milliseconds since 1970, and a time zone that is meant to be 0.
    Date {
        /// Milliseconds since 1970, UTC.
        millis: f64,
        /// The zone as sent; reserved, and ignored.
        zone: i16,
    },
    /// An XML document, as its text.
    Xml(String),
    /// An object with a class.
    TypedObject {
        /// The name of the class.
        class: String,
        /// The members.
        object: Object,
    },
    /// Something the sender could not express, or this crate cannot hold.
    Unsupported,
}

impl Value {
    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(boolean) => Some(*boolean),
            _ => None,
        }
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(string) => Some(string),
            _ => None,
        }
    }

    /// The named members of an object, typed object or ECMA array.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) | Self::TypedObject { object, .. } => {
                Some(object)
            }
            _ => None,
        }
    }

    /// The same, by value.
    pub fn into_object(self) -> Option<Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) | Self::TypedObject { object, .. } => {
                Some(object)
            }
            _ => None,
        }
    }

    /// The members of a strict array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::StrictArray(values) => Some(values),
            _ => None,
        }
    }

    /// Whether it is null or undefined, which senders do not tell apart.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

impl From<&str> for Value {
    fn from(string: &str) -> Self {
        Self::String(string.to_owned())
    }
}

impl From<String> for Value {
    fn from(string: String) -> Self {
        Self::String(string)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::StrictArray(values)
    }
}

/// Named members in the order they were sent.
///
/// A name a peer sends twice is kept twice, so that what is relayed stays what was sent; a
/// lookup finds the later one.
#[derive(Clone, Default, PartialEq)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a member: in its place if the name is there, else at the end. Yields the old value.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().rev().find(|(key, _)| *key == name) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((name, value));
                None
            }
        }
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// The member of that name, else one whose name differs in ASCII case only.
    pub fn get_ignore_case(&self, name: &str) -> Option<&Value> {
        self.get(name).or_else(|| {
            let mut members = self.0.iter().rev();
            let found = members.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        })
    }

    /// Takes all members of that name out, and yields the last of them.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let mut removed = None;
        self.0.retain_mut(|(key, value)| {
            let matches = key == name;
            if matches {
                removed = Some(std::mem::replace(value, Value::Null));
            }
            !matches
        });
        removed
    }

    /// The members in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a member without a search, which would make decoding quadratic.
    pub(crate) fn push(&mut self, name: String, value: Value) {
        self.0.push((name, value));
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let members = members.into_iter();
        Self(
            members
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl IntoIterator for Object {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_keeps_its_place_when_it_is_set_again() {
        let mut object = Object::new();
        assert_eq!(object.insert("a", 1.0), None);
        assert_eq!(object.insert("b", true), None);
        assert_eq!(object.insert("a", "x"), Some(Value::Number(1.0)));
        let names: Vec<_> = object.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(object.get("a").and_then(Value::as_str), Some("x"));
    }

    #[test]
    fn a_lookup_finds_the_later_of_two_and_prefers_the_exact_case() {
        let object: Object = [
            ("tcurl", "1"),
            ("tcUrl", "2"),
            ("TCURL", "3"),
            ("tcUrl", "4"),
        ]
        .into_iter()
        .collect();
        assert_eq!(object.get("tcUrl"), Some(&"4".into()));
        assert_eq!(object.get_ignore_case("tcUrl"), Some(&"4".into()));
        assert_eq!(object.get_ignore_case("TcUrL"), Some(&"4".into()));
        assert_eq!(object.get("TcUrL"), None);
    }

    #[test]
    fn removing_takes_every_member_of_the_name() {
        let mut object: Object = [("a", 1.0), ("b", 2.0), ("a", 3.0)].into_iter().collect();
        assert_eq!(object.remove("a"), Some(Value::Number(3.0)));
        assert_eq!(object.remove("a"), None);
        assert_eq!(object.len(), 1);
    }
}
