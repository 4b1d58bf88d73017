//! The few AMF0 values a load generator says and hears.

/// A list of values in the making.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn number(mut self, value: f64) -> Self {
        self.0.push(0);
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn boolean(mut self, value: bool) -> Self {
        self.0.extend_from_slice(&[1, u8::from(value)]);
        self
    }

    pub(crate) fn string(mut self, value: &str) -> Self {
        self.0.push(2);
        self.key(value)
    }

    pub(crate) fn null(mut self) -> Self {
        self.0.push(5);
        self
    }

    pub(crate) fn object(mut self) -> Self {
        self.0.push(3);
        self
    }

    pub(crate) fn array(mut self, length: u32) -> Self {
        self.0.push(8);
        self.0.extend_from_slice(&length.to_be_bytes());
        self
    }

    /// The name of an object's next value.
    pub(crate) fn key(mut self, name: &str) -> Self {
        self.0.extend_from_slice(&(name.len() as u16).to_be_bytes());
        self.0.extend_from_slice(name.as_bytes());
        self
    }

    pub(crate) fn end(mut self) -> Self {
        self.0.extend_from_slice(&[0, 0, 9]);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A server's answer, as far as this tool reads it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) name: String,
    pub(crate) transaction: f64,
    /// The number behind the null: the message stream of `createStream`.
    pub(crate) number: Option<f64>,
    pub(crate) code: String,
    pub(crate) description: String,
}

/// Reads a command; what is missing stays empty.
pub(crate) fn answer(payload: &[u8]) -> Answer {
    let mut rest = payload;
    let mut answer = Answer {
        name: string(&mut rest).unwrap_or_default(),
        transaction: number(&mut rest).unwrap_or_default(),
        code: field(payload, "code"),
        description: field(payload, "description"),
        ..Answer::default()
    };
    if let Some(behind_null) = rest.strip_prefix(&[5]) {
        rest = behind_null;
        answer.number = number(&mut rest);
    }
    answer
}

fn string(bytes: &mut &[u8]) -> Option<String> {
    let (length, rest) = bytes.strip_prefix(&[2])?.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn number(bytes: &mut &[u8]) -> Option<f64> {
    let (value, rest) = bytes.strip_prefix(&[0])?.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(f64::from_be_bytes(*value))
}

/// The text of a named value, wherever in the objects it stands.
fn field(payload: &[u8], name: &str) -> String {
    let mut pattern = (name.len() as u16).to_be_bytes().to_vec();
    pattern.extend_from_slice(name.as_bytes());
    let at = payload
        .windows(pattern.len())
        .position(|window| window == pattern);
    at.and_then(|at| payload.get(at + pattern.len()..))
        .and_then(|mut rest| string(&mut rest))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_stream_of_a_result_and_the_code_of_a_status() {
        let result = Writer::default()
            .string("_result")
            .number(2.0)
            .null()
            .number(1.0)
            .done();
        let read = answer(&result);
        assert_eq!(
            (read.name.as_str(), read.transaction, read.number),
            ("_result", 2.0, Some(1.0))
        );

        let status = Writer::default()
            .string("onStatus")
            .number(0.0)
            .null()
            .object()
            .key("level")
            .string("status")
            .key("code")
            .string("NetStream.Play.Start")
            .end()
            .done();
        assert_eq!(answer(&status).code, "NetStream.Play.Start");
    }

    #[test]
    fn a_cut_off_answer_is_read_as_far_as_it_goes() {
        let whole = Writer::default()
            .string("_result")
            .number(2.0)
            .null()
            .number(1.0)
            .done();
        for cut in 0..whole.len() {
            assert_eq!(answer(&whole[..cut]).number, None);
        }
    }
}
