//! The two headers of metadata exchange.
//!
//! `x-envoy-peer-metadata` is a `google.protobuf.Struct`, serialized deterministically, in padded standard base64;
//! `x-envoy-peer-metadata-id` is the node id of the proxy. Both are Istio's.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use labels::peer::Peer;
use labels::protobuf::Struct;
use prost::Message;

use crate::counters::Rejection;

/// The header with the metadata of the proxy that sends it.
pub const METADATA_HEADER: &str = "x-envoy-peer-metadata";
/// The header with the node id of the proxy that sends it.
pub const ID_HEADER: &str = "x-envoy-peer-metadata-id";

/// Longer metadata is neither sent nor read.
pub const MAX_METADATA_BYTES: usize = 8192;
/// A longer id is not read. Istio's ids contain pod name, namespace and address.
pub const MAX_ID_BYTES: usize = 1024;

/// Encodes with padding, decodes with and without, as Istio does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The value of the metadata header for `peer`.
pub fn encode(peer: &Peer) -> Result<String, Rejection> {
    let header = BASE64.encode(peer.to_metadata().encode_to_vec());
    if header.len() > MAX_METADATA_BYTES {
        return Err(Rejection::TooLarge);
    }
    Ok(header)
}

/// The peer in a metadata header.
pub fn decode(header: &[u8]) -> Result<Peer, Rejection> {
    if header.len() > MAX_METADATA_BYTES {
        return Err(Rejection::TooLarge);
    }
    let bytes = BASE64.decode(header).map_err(|_| Rejection::Malformed)?;
    let metadata = Struct::of_bytes(&bytes).ok_or(Rejection::Malformed)?;
    Ok(Peer::from_metadata(&metadata))
}

#[cfg(test)]
mod tests {
    use labels::protobuf::ValueKind;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Metadata as Istio's C++ serializes it: map entries sorted by key, each `0a len (0a len key 12 len value)`.
    fn struct_bytes(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in entries {
            let mut entry = vec![0x0a, key.len() as u8];
            entry.extend_from_slice(key.as_bytes());
            entry.extend_from_slice(&[0x12, value.len() as u8]);
            entry.extend_from_slice(value);
            bytes.extend_from_slice(&[0x0a, entry.len() as u8]);
            bytes.extend_from_slice(&entry);
        }
        bytes
    }

    fn text(value: &str) -> Vec<u8> {
        [&[0x1a, value.len() as u8], value.as_bytes()].concat()
    }

    fn structure(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let bytes = struct_bytes(entries);
        [&[0x2a, bytes.len() as u8], bytes.as_slice()].concat()
    }

    fn productpage() -> Peer {
        Peer {
            namespace: "default".into(),
            workload_name: "productpage-v1".into(),
            labels: [("app".to_string(), "productpage".to_string())].into(),
            ..Peer::default()
        }
    }

    #[test]
    fn the_header_has_istio_s_bytes() {
        let expected = struct_bytes(&[
            ("LABELS", &structure(&[("app", &text("productpage"))])),
            ("NAMESPACE", &text("default")),
            ("WORKLOAD_NAME", &text("productpage-v1")),
        ]);
        let header = encode(&productpage()).expect("fits");
        assert_eq!(BASE64.decode(&header).expect("base64"), expected);
        assert_eq!(header.len() % 4, 0, "padded");
        assert_eq!(decode(header.as_bytes()), Ok(productpage()));
    }

    #[test]
    fn unpadded_headers_are_read() {
        let header = encode(&Peer { workload_name: "ab".into(), ..Peer::default() }).expect("fits");
        let unpadded = header.trim_end_matches('=');
        assert_ne!(unpadded, header);
        assert!(decode(unpadded.as_bytes()).is_ok());
    }

    #[test]
    fn any_order_and_unknown_keys_and_kinds_are_read() {
        let bytes = struct_bytes(&[
            ("WORKLOAD_NAME", &text("productpage-v1")),
            ("APP_CONTAINERS", &text("productpage,helper")),
            ("FROM_THE_FUTURE", &[0x3a, 0x01, 0x00]),
            ("NAMESPACE", &text("default")),
            ("LABELS", &structure(&[("app", &text("productpage"))])),
        ]);
        assert_eq!(decode(BASE64.encode(bytes).as_bytes()), Ok(productpage()));
    }

    #[test]
    fn what_a_peer_does_not_say_is_no_mistake() {
        let labels = structure(&[("app", &text("productpage"))]);
        let [name, namespace, workload] = ["productpage-v1-1", "default", "productpage-v1"].map(text);
        let fields: [(&str, &[u8]); 4] =
            [("LABELS", &labels), ("NAME", &name), ("NAMESPACE", &namespace), ("WORKLOAD_NAME", &workload)];
        let whole = Peer { name: "productpage-v1-1".into(), ..productpage() };
        for (left_out, expected) in [
            ("", whole.clone()),
            ("NAME", Peer { name: String::new(), ..whole.clone() }),
            ("LABELS", Peer { labels: Default::default(), ..whole.clone() }),
        ] {
            let said: Vec<_> = fields.into_iter().filter(|(name, _)| *name != left_out).collect();
            assert_eq!(decode(BASE64.encode(struct_bytes(&said)).as_bytes()), Ok(expected), "without {left_out}");
        }
    }

    #[test]
    fn what_is_not_metadata_is_malformed() {
        for header in ["!!!", "x", "AAAA,AAAA", "Cg==", "/////w==", "ütf"] {
            assert_eq!(decode(header.as_bytes()), Err(Rejection::Malformed), "{header}");
        }
    }

    #[test]
    fn metadata_that_is_nested_deeply_is_malformed() {
        let nested = |depth| {
            (0..depth).fold(Struct::default(), |inner, _| {
                let mut outer = Struct::default();
                outer.set("LABELS", ValueKind::Struct(inner));
                outer
            })
        };
        assert!(decode(BASE64.encode(nested(10).encode_to_vec()).as_bytes()).is_ok());
        assert_eq!(decode(BASE64.encode(nested(200).encode_to_vec()).as_bytes()), Err(Rejection::Malformed));
    }

    #[test]
    fn large_metadata_is_neither_read_nor_sent() {
        assert_eq!(decode(&[b'A'; MAX_METADATA_BYTES + 1]), Err(Rejection::TooLarge));
        let peer = Peer { owner: "x".repeat(MAX_METADATA_BYTES), ..Peer::default() };
        assert_eq!(encode(&peer), Err(Rejection::TooLarge));
    }

    #[test]
    fn an_empty_header_is_a_peer_that_says_nothing() {
        assert_eq!(decode(b""), Ok(Peer::default()));
    }
}
