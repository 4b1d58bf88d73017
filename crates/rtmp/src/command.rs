//! Commands: a name, a transaction id, an object and arguments, in AMF.

use amf::{Object, Value};
use bytes::{Bytes, BytesMut};

use crate::message::{self, Kind, Message};

/// A command or its result (RTMP 7.1.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// What to do; `_result` and `_error` for answers.
    pub name: String,
    /// Echoed in the answer; 0 wants none.
    pub transaction: f64,
    /// The command object, often null.
    pub object: Value,
    /// What follows.
    pub arguments: Vec<Value>,
}

impl Command {
    /// Reads a command message; `None` when it does not begin with a name. What is missing at
    /// the end is taken for null.
    #[must_use]
    pub fn decode(message: &Message) -> Option<Self> {
        let mut values = amf::decode_all(body(message)).into_iter();
        let Some(Value::String(name)) = values.next() else {
            return None;
        };
        let mut next = values.next();
        // A missing transaction id must not swallow the object.
        let transaction = next.as_ref().and_then(Value::as_number);
        if transaction.is_some() {
            next = values.next();
        }
        // Nor must a missing object swallow an argument.
        let is_object = |value: &Value| value.is_null() || value.as_object().is_some();
        let (object, argument) = match next {
            Some(value) if !is_object(&value) => (Value::Null, Some(value)),
            next => (next.unwrap_or(Value::Null), None),
        };
        let arguments = argument.into_iter().chain(values).collect();
        Some(Self {
            name,
            transaction: transaction.unwrap_or(0.0),
            object,
            arguments,
        })
    }

    /// The name alone, without reading the rest.
    #[must_use]
    pub fn name(message: &Message) -> Option<String> {
        match amf::decode(&mut body(message)) {
            Ok(Value::String(name)) => Some(name),
            _ => None,
        }
    }

    /// The command as a message, in AMF0.
    #[must_use]
    pub fn to_message(&self, chunk_stream: u32, stream_id: u32) -> Message {
        let mut payload = BytesMut::new();
        amf::encode(&Value::from(self.name.as_str()), &mut payload);
        amf::encode(&Value::from(self.transaction), &mut payload);
        amf::encode(&self.object, &mut payload);
        for value in &self.arguments {
            amf::encode(value, &mut payload);
        }
        Message {
            chunk_stream,
            timestamp: 0,
            kind: Kind::Command,
            stream_id,
            payload: payload.freeze(),
        }
    }

    /// A command without an object.
    #[must_use]
    pub fn new(name: &str, transaction: f64, arguments: Vec<Value>) -> Self {
        Self {
            name: name.to_owned(),
            transaction,
            object: Value::Null,
            arguments,
        }
    }

    /// The positive answer to `transaction`.
    #[must_use]
    pub fn result(transaction: f64, arguments: Vec<Value>) -> Self {
        Self::new("_result", transaction, arguments)
    }

    /// The `index`th argument as text.
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).and_then(Value::as_str)
    }

    /// The `index`th argument as a number.
    #[must_use]
    pub fn number(&self, index: usize) -> Option<f64> {
        self.arguments.get(index).and_then(Value::as_number)
    }

    /// The `index`th argument as a truth; some clients send numbers.
    #[must_use]
    pub fn truth(&self, index: usize) -> Option<bool> {
        let value = self.arguments.get(index)?;
        value
            .as_bool()
            .or_else(|| value.as_number().map(|number| number != 0.0))
    }
}

/// The AMF0 values of a command or data message: AMF3 messages begin with a format byte, which
/// some senders leave out.
#[must_use]
pub fn body(message: &Message) -> &[u8] {
    match (message.kind, message.payload.split_first()) {
        (Kind::CommandAmf3 | Kind::DataAmf3, Some((0, rest))) => rest,
        _ => &message.payload,
    }
}

/// The body of media and data as it goes on: in AMF0, whichever it came in.
pub(crate) fn data_body(message: &Message) -> Bytes {
    match message.kind {
        Kind::DataAmf3 => amf::to_amf0(&message.payload),
        _ => message.payload.clone(),
    }
}

/// An information object: level, code and description, as `onStatus` and answers carry it.
#[must_use]
pub fn status(level: Level, code: &str, description: &str) -> Object {
    let mut info = Object::new();
    info.insert("level", level.as_str());
    info.insert("code", code);
    info.insert("description", description);
    info
}

/// Whether something in a message was left out because it is nested too deeply or is too large.
pub(crate) fn is_beyond_limits(message: &Message) -> bool {
    let mut rest = body(message);
    loop {
        match amf::decode(&mut rest) {
            Ok(_) if !rest.is_empty() => {}
            Ok(_) => return false,
            Err(error) => return matches!(error, amf::Error::TooDeep | amf::Error::TooLarge),
        }
    }
}

/// How bad a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Status,
    /// Something to know.
    Warning,
    /// It did not work.
    Error,
}

impl Level {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// An `onStatus` about `stream_id`.
#[must_use]
pub fn on_status(stream_id: u32, info: Object) -> Message {
    Command::new("onStatus", 0.0, vec![Value::Object(info)])
        .to_message(message::STATUS_CHUNK_STREAM, stream_id)
}

/// A data message that consists of these values.
#[must_use]
pub fn data(stream_id: u32, values: &[Value]) -> Message {
    Message {
        chunk_stream: message::STATUS_CHUNK_STREAM,
        timestamp: 0,
        kind: Kind::Data,
        stream_id,
        payload: amf::encode_all(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, payload: &[u8]) -> Message {
        Message {
            chunk_stream: 3,
            timestamp: 0,
            kind,
            stream_id: 0,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    #[test]
    fn a_command_survives_the_round_trip() {
        let command = Command {
            name: "play".into(),
            transaction: 4.0,
            object: Value::Null,
            arguments: vec!["cam".into(), (-2000.0).into(), true.into()],
        };
        assert_eq!(Command::decode(&command.to_message(3, 1)), Some(command));
    }

    #[test]
    fn create_stream_has_the_bytes_of_the_specification() {
        let golden = b"\x02\x00\x0ccreateStream\x00\x40\x00\x00\x00\x00\x00\x00\x00\x05";
        let command = Command::new("createStream", 2.0, Vec::new());
        assert_eq!(&command.to_message(3, 0).payload[..], golden);
    }

    #[test]
    fn amf3_commands_may_have_or_lack_the_format_byte() {
        let inner = Command::new("connect", 1.0, Vec::new())
            .to_message(3, 0)
            .payload;
        let wrapped = [&[0], &inner[..]].concat();
        for payload in [&wrapped[..], &inner[..]] {
            let command = Command::decode(&message(Kind::CommandAmf3, payload)).unwrap();
            assert_eq!(
                (command.name.as_str(), command.transaction),
                ("connect", 1.0)
            );
        }
    }

    #[test]
    fn missing_parts_are_null() {
        let command = Command::decode(&message(Kind::Command, b"\x02\x00\x04play")).unwrap();
        assert_eq!(command, Command::new("play", 0.0, Vec::new()));
        assert_eq!(Command::decode(&message(Kind::Command, b"\x05")), None);
        assert_eq!(Command::decode(&message(Kind::Command, b"")), None);
    }
}
