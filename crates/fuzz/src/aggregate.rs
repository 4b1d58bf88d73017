use bytes::{Bytes, BytesMut};
use flv::{aggregate as message, write_tag};

use crate::flv_tag::check;
use crate::pieces::choices;

/// An aggregate message: four bytes for its time, then its body.
pub fn aggregate(data: &[u8]) {
    let Some((time, body)) = choices::<4>(data) else {
        return;
    };
    let tags: Vec<_> =
        message::split(u32::from_be_bytes(time), Bytes::copy_from_slice(body)).collect();
    let taken: usize = tags.iter().map(|tag| tag.payload.len() + 11).sum();
    assert!(taken <= body.len(), "tags hold more than the message");
    let mut written = BytesMut::new();
    for tag in &tags {
        check(tag);
        write_tag(tag, tag.dts, &mut written);
    }
    let Some(first) = tags.first() else { return };
    let again: Vec<_> = message::split(first.dts, written.freeze()).collect();
    assert_eq!(again, tags, "written and split again");
}
