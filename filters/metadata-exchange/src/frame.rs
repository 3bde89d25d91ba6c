//! The frame before the first byte of a TCP connection, if both sides support metadata exchange.
//!
//! `3D 23 04 67`, the length of the rest (both big endian), then a `google.protobuf.Any` of a `google.protobuf.Struct` with
//! the content of the two HTTP headers. Each side sends it once, before its first byte.

use labels::peer::Peer;
use labels::protobuf::{Struct, ValueKind};
use prost::Message;

use crate::counters::Rejection;
use crate::wire::{ID_HEADER, MAX_METADATA_BYTES, METADATA_HEADER};

/// The first bytes of a frame.
pub const MAGIC: [u8; 4] = [0x3d, 0x23, 0x04, 0x67];
const STRUCT_TYPE_URL: &str = "type.googleapis.com/google.protobuf.Struct";

/// Magic and length.
pub const PREFIX_BYTES: usize = 8;

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    // A `bytes` field; on the wire, a message is the same.
    #[prost(message, optional, tag = "2")]
    value: Option<Struct>,
}

/// The content of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The peer's node id; empty if it has none.
    pub id: String,
    /// The peer.
    pub peer: Peer,
}

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Not a frame: the application's own bytes.
    Application,
    /// Like the beginning of a frame, but too few to decide.
    Incomplete,
    /// A frame that cannot be decoded; this many bytes must be dropped.
    Unreadable(usize, Rejection),
    /// A frame, with its length.
    Frame(usize, Box<Introduction>),
}

/// The frame of this proxy.
pub fn encode(id: Option<&str>, peer: &Peer) -> Result<Vec<u8>, Rejection> {
    let mut fields = Struct::default();
    fields.set(METADATA_HEADER, ValueKind::Struct(peer.to_metadata()));
    fields.set_text(ID_HEADER, id.unwrap_or_default());
    let body = Any { type_url: STRUCT_TYPE_URL.into(), value: Some(fields) }.encode_to_vec();
    let length = u32::try_from(body.len()).map_err(|_| Rejection::TooLarge)?;
    if body.len() > MAX_METADATA_BYTES {
        return Err(Rejection::TooLarge);
    }
    Ok([MAGIC.as_slice(), &length.to_be_bytes(), &body].concat())
}

/// Decodes the first bytes of a connection.
pub fn decode(bytes: &[u8]) -> Beginning {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return match bytes.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic) {
            true => Beginning::Incomplete,
            false => Beginning::Application,
        };
    };
    let [m0, m1, m2, m3, length @ ..] = *prefix;
    if [m0, m1, m2, m3] != MAGIC {
        return Beginning::Application;
    }
    let length = u32::from_be_bytes(length) as usize;
    let whole = PREFIX_BYTES.saturating_add(length);
    if length > MAX_METADATA_BYTES {
        return Beginning::Unreadable(whole, Rejection::TooLarge);
    }
    match rest.get(..length).map(introduction) {
        Some(Some(introduction)) => Beginning::Frame(whole, Box::new(introduction)),
        Some(None) => Beginning::Unreadable(whole, Rejection::Malformed),
        None => Beginning::Incomplete,
    }
}

fn introduction(body: &[u8]) -> Option<Introduction> {
    let any = Any::decode(body).ok().filter(|any| any.type_url == STRUCT_TYPE_URL)?;
    let fields = any.value.unwrap_or_default();
    // Istio's proxies send what they have, which may be the id alone, or nothing.
    let peer = fields.structure(METADATA_HEADER).map(Peer::from_metadata).unwrap_or_default();
    Some(Introduction { id: fields.text(ID_HEADER).into(), peer })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn ratings() -> Peer {
        Peer { workload_name: "ratings-v1".into(), namespace: "default".into(), ..Peer::default() }
    }

    fn frame() -> Vec<u8> {
        encode(Some("sidecar~ratings"), &ratings()).expect("fits")
    }

    #[test]
    fn a_frame_has_istio_s_bytes() {
        let frame = frame();
        assert_eq!(frame[..4], [0x3d, 0x23, 0x04, 0x67]);
        assert_eq!(frame[4..8], u32::try_from(frame.len() - 8).expect("short").to_be_bytes());
        assert_eq!(frame[8..10], [0x0a, 42], "the type URL comes first");
        assert_eq!(frame[10..52], *STRUCT_TYPE_URL.as_bytes());
        let introduction = Introduction { id: "sidecar~ratings".into(), peer: ratings() };
        assert_eq!(decode(&frame), Beginning::Frame(frame.len(), Box::new(introduction)));
    }

    #[test]
    fn a_frame_may_come_in_any_pieces_and_with_the_application_behind() {
        let frame = frame();
        for end in 0..frame.len() {
            assert_eq!(decode(&frame[..end]), Beginning::Incomplete, "{end}");
        }
        let with_more = [frame.as_slice(), b"GET rating"].concat();
        assert!(matches!(decode(&with_more), Beginning::Frame(length, _) if length == frame.len()));
    }

    #[test]
    fn what_is_no_frame_is_the_application_s_from_the_first_byte_on() {
        for bytes in [b"G".as_slice(), b"=#", b"=", b"\x3d\x23\x04\x68", b"GET / HTTP/1.1\r\n"] {
            let expected = if MAGIC.starts_with(bytes) { Beginning::Incomplete } else { Beginning::Application };
            assert_eq!(decode(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_a_peer_does_not_say_is_no_mistake() {
        let frame_of = |fields: Option<Struct>| {
            let body = Any { type_url: STRUCT_TYPE_URL.into(), value: fields }.encode_to_vec();
            [MAGIC.as_slice(), &(body.len() as u32).to_be_bytes(), &body].concat()
        };
        let with = |name: &str, kind: ValueKind| {
            let mut fields = Struct::default();
            fields.set(name, kind);
            fields
        };
        // Istio's frames have neither a name nor labels if the node has none.
        let mut metadata = Struct::default();
        metadata.set_text("WORKLOAD_NAME", "ratings-v1");
        metadata.set_text("NAMESPACE", "default");
        for (fields, id, peer) in [
            (Some(with(METADATA_HEADER, ValueKind::Struct(metadata))), "", ratings()),
            (Some(with(METADATA_HEADER, ValueKind::Struct(Struct::default()))), "", Peer::default()),
            (Some(with(ID_HEADER, ValueKind::Text("sidecar~ratings".into()))), "sidecar~ratings", Peer::default()),
            (Some(Struct::default()), "", Peer::default()),
            (None, "", Peer::default()),
        ] {
            let frame = frame_of(fields);
            let introduction = Introduction { id: id.into(), peer };
            assert_eq!(decode(&frame), Beginning::Frame(frame.len(), Box::new(introduction)));
        }
    }

    #[test]
    fn a_frame_that_cannot_be_read_is_still_taken_off_whole() {
        let mut broken = frame();
        broken[8..].fill(0xff);
        assert_eq!(decode(&broken), Beginning::Unreadable(broken.len(), Rejection::Malformed));
        let other_type = Any { type_url: "type.googleapis.com/other".into(), value: None }.encode_to_vec();
        let bytes = [MAGIC.as_slice(), &(other_type.len() as u32).to_be_bytes(), &other_type].concat();
        assert_eq!(decode(&bytes), Beginning::Unreadable(bytes.len(), Rejection::Malformed));
        let huge = [MAGIC.as_slice(), &u32::MAX.to_be_bytes()].concat();
        assert!(matches!(decode(&huge), Beginning::Unreadable(_, Rejection::TooLarge)));
    }
}
