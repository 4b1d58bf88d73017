//! What goes over a connection whose requests wait: bytes in, answers out; no sockets here.

use anyhow::{Result, ensure};

use crate::http::{self, Head};

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    /// 0 where there was none: a request that was given up.
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// All of it, its head included, where it came as it is kept.
    pub(crate) whole: &'a [u8],
}

/// One connection's side of a protocol.
pub(crate) trait Protocol {
    /// Whether requests may be sent.
    fn is_ready(&self) -> bool;

    /// Requests for `path`, as many as the connection carries at a time, are added to `out`.
    fn ask(&mut self, authority: &str, path: &str, out: &mut Vec<u8>);

    /// Reads `bytes`, adds to `out` what they ask for, and calls `sink` for every answer that became whole.
    fn input(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Said<'_>),
    ) -> Result<()>;
}

/// HTTP/1.1: one request at a time.
#[derive(Default)]
pub(crate) struct Http1 {
    /// The beginning of an answer that is not whole.
    begun: Vec<u8>,
}

impl Protocol for Http1 {
    fn is_ready(&self) -> bool {
        true
    }

    fn ask(&mut self, authority: &str, path: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&http::request(authority, path));
    }

    fn input(
        &mut self,
        bytes: &[u8],
        _: &mut Vec<u8>,
        sink: &mut dyn FnMut(Said<'_>),
    ) -> Result<()> {
        // Mostly an answer comes in one piece, and need not be copied.
        if self.begun.is_empty() {
            let rest = answers(bytes, sink)?;
            self.begun.extend_from_slice(rest);
            return Ok(());
        }
        self.begun.extend_from_slice(bytes);
        let begun = std::mem::take(&mut self.begun);
        self.begun = answers(&begun, sink)?.to_vec();
        Ok(())
    }
}

/// Calls `sink` for every whole answer, and gives back what is behind the last.
fn answers<'a>(mut bytes: &'a [u8], sink: &mut dyn FnMut(Said<'_>)) -> Result<&'a [u8]> {
    while !bytes.is_empty() {
        let Some(head) = Head::parse(bytes)? else {
            break;
        };
        let Some((whole, rest)) = bytes.split_at_checked(head.size + head.length) else {
            break;
        };
        sink(Said {
            status: head.status,
            body: whole.get(head.size..).unwrap_or_default(),
            whole,
        });
        ensure!(!head.closes, "the server closes the connection");
        bytes = rest;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_wherever_they_are_cut() {
        let one = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let two = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        let both = [&one[..], two].concat();
        for cut in 0..=both.len() {
            let mut protocol = Http1::default();
            let mut said = Vec::new();
            for piece in [&both[..cut], &both[cut..]] {
                let mut sink = |it: Said<'_>| {
                    said.push((it.status, it.body.to_vec(), it.whole.to_vec()));
                };
                protocol.input(piece, &mut Vec::new(), &mut sink).unwrap();
            }
            let one = (200, b"abc".to_vec(), one.to_vec());
            assert_eq!(said, [one, (503, Vec::new(), two.to_vec())], "{cut}");
        }
    }

    #[test]
    fn a_connection_that_is_given_up_is_an_error() {
        let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let mut count = 0;
        let mut sink = |_: Said<'_>| count += 1;
        let result = Http1::default().input(last, &mut Vec::new(), &mut sink);
        assert!(result.is_err());
        assert_eq!(count, 1);
    }
}
