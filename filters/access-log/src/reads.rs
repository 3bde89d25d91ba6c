//! Reads the attributes of a stream: each one only when a line first needs it, and only once.
//!
//! Each read of bytes makes Envoy call back into the module for memory, which is most of the cost. If several headers are
//! needed, one read gets all headers of their map. Values that another filter has read are not read again. An expression
//! with a list of attributes as result also takes one call, but Envoy's engine needs more time for each attribute than a
//! separate read.

use core::cell::{Cell, OnceCell};
use core::ops::Range;

use collections::names::Names;
use host::pairs::Pairs;
use host::property::{self, Property};
use host::{HeaderMap, Host};
use labels::facts::Facts;
use labels::response_flags;

/// The attributes that are headers, with the header's name.
const HEADERS: [(&str, &str); 7] = [
    ("request\0method", ":method"),
    ("request\0path", ":path"),
    ("request\0host", ":authority"),
    ("request\0scheme", ":scheme"),
    ("request\0useragent", "user-agent"),
    ("request\0referer", "referer"),
    ("request\0id", "x-request-id"),
];
const REQUEST_HEADERS: &str = "request\0headers\0";
const RESPONSE_HEADERS: &str = "response\0headers\0";

/// Attributes with the reason of a failure. They exist only if a response flag is set.
const ONLY_FLAGGED: [&str; 2] = ["connection\0termination_details", "upstream\0transport_failure_reason"];

/// Attributes that another filter may have read.
const KNOWN: [Property; 4] =
    [property::RESPONSE_CODE, property::RESPONSE_FLAGS, property::CLUSTER_NAME, property::REQUEST_DURATION];

/// The attributes that may be read, and the values of the current stream.
#[derive(Debug, Default)]
pub struct Reads {
    slots: Vec<AttributeSlot>,
    /// The paths of the slots.
    paths: Names,
    /// How many are headers of the request, and how many of the response.
    headers: [usize; 2],
    maps: [OnceCell<Vec<u8>>; 2],
    /// Slots of [`KNOWN`].
    known: [Option<usize>; 4],
}

#[derive(Debug)]
struct AttributeSlot {
    header: Option<(HeaderMap, String)>,
    /// Whether the attribute is absent if no response flag is set.
    only_flagged: bool,
    value: OnceCell<Option<ReadValue>>,
    /// Of a header of several lines, all of them, as Envoy joins them.
    joined: OnceCell<Option<Vec<u8>>>,
    has_several: Cell<bool>,
}

#[derive(Debug)]
enum ReadValue {
    Bytes(Vec<u8>),
    Number([u8; 8]),
    /// Its position in the header map.
    Line(Range<usize>),
}

/// The attributes of one stream.
#[derive(Debug)]
pub struct Values<'a, H> {
    reads: &'a Reads,
    host: &'a H,
}

impl Reads {
    /// The slot of an attribute. Equal paths share a slot.
    pub fn slot(&mut self, path: &str) -> usize {
        let (place, is_new) = self.paths.add(path);
        if !is_new {
            return place;
        }
        let header = header_of(path);
        if let Some(count) = header.as_ref().and_then(|(map, _)| self.headers.get_mut(index(*map))) {
            *count = count.saturating_add(1);
        }
        let only_flagged = ONLY_FLAGGED.contains(&path);
        for (known, at) in KNOWN.iter().zip(&mut self.known) {
            if known.0 == path {
                *at = Some(place);
            }
        }
        let (value, joined, has_several) = (OnceCell::new(), OnceCell::new(), Cell::new(false));
        self.slots.push(AttributeSlot { header, only_flagged, value, joined, has_several });
        place
    }

    /// Clears the values of the previous stream.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.value.take();
            slot.joined.take();
            slot.has_several.set(false);
        }
        for map in &mut self.maps {
            map.take();
        }
    }

    /// The attributes of the current stream.
    pub fn values<'a, H: Host>(&'a self, host: &'a H) -> Values<'a, H> {
        Values { reads: self, host }
    }

    /// Whether one read gets all request headers.
    pub fn has_request_headers(&self) -> bool {
        self.headers[0] > 1
    }
}

impl<'a, H: Host> Values<'a, H> {
    /// An attribute's bytes, if it exists.
    pub fn bytes(&self, slot: usize) -> Option<&'a [u8]> {
        let path = self.reads.paths.text(slot);
        let slot = self.reads.slots.get(slot)?;
        if slot.only_flagged && self.has_no_flags() {
            return None;
        }
        if let (None, Some((map, _))) = (slot.value.get(), &slot.header) {
            self.read_map(*map);
        }
        let read = || self.host.property(Property(path));
        let bytes = match slot.value.get_or_init(|| read().map(ReadValue::Bytes)).as_ref()? {
            ReadValue::Line(_) if slot.has_several.get() => slot.joined.get_or_init(read).as_ref()?,
            ReadValue::Line(range) => {
                let (map, _) = slot.header.as_ref()?;
                self.reads.maps.get(index(*map))?.get()?.get(range.clone())?
            }
            ReadValue::Bytes(bytes) => bytes,
            ReadValue::Number(bytes) => bytes.as_slice(),
        };
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }

    /// An attribute of 8 bytes.
    pub fn int(&self, slot: usize) -> Option<i64> {
        Some(i64::from_le_bytes(self.bytes(slot)?.try_into().ok()?))
    }

    /// Envoy's response flags, from `slot`, and the flags of injected faults, as bits.
    pub fn flags(&self, slot: usize) -> u64 {
        self.int(slot).unwrap_or(0).cast_unsigned() | response_flags::faults(self.host)
    }

    /// A boolean attribute.
    pub fn boolean(&self, slot: usize) -> Option<bool> {
        self.bytes(slot)?.first().map(|byte| *byte != 0)
    }

    /// Takes over values that were already read: the facts and, if it was read, the duration in nanoseconds.
    pub fn know(&self, facts: &Facts, duration: Option<i64>) {
        let [code, flags, cluster, took] = self.reads.known;
        // No response has status 0.
        self.set(code, || Some(facts.response_code).filter(|code| *code != 0).map(number));
        self.set(flags, || Some(number(facts.response_flags.cast_signed())));
        self.set(cluster, || facts.cluster.as_ref().map(|name| ReadValue::Bytes(name.to_vec())));
        if let Some(duration) = duration {
            self.set(took, || Some(number(duration)));
        }
    }

    /// Whether there was a response and no flag is set.
    fn has_no_flags(&self) -> bool {
        let [code, flags, ..] = self.reads.known;
        let is = |slot: Option<usize>| slot.and_then(|slot| self.int(slot));
        is(flags) == Some(0) && is(code).is_some()
    }

    fn set(&self, slot: Option<usize>, value: impl FnOnce() -> Option<ReadValue>) {
        if let Some(slot) = slot.and_then(|slot| self.reads.slots.get(slot)) {
            let _ = slot.value.get_or_init(value);
        }
    }

    /// Reads all headers of a map, if a line may need more than one of them.
    fn read_map(&self, map: HeaderMap) {
        let at = index(map);
        let (Some(2..), Some(read)) = (self.reads.headers.get(at), self.reads.maps.get(at)) else {
            return;
        };
        let of_map = |slot: &&AttributeSlot| matches!(&slot.header, Some((other, _)) if *other == map);
        // A connection has no headers.
        let bytes = read.get_or_init(|| self.host.header_pairs(map).unwrap_or_default());
        let start = bytes.as_ptr().addr();
        for (name, value) in Pairs::new(bytes) {
            let is_it = |slot: &&AttributeSlot| matches!(&slot.header, Some((_, wanted)) if wanted.as_bytes() == name);
            for slot in self.reads.slots.iter().filter(of_map).filter(is_it) {
                let at = value.as_ptr().addr().saturating_sub(start);
                let line = ReadValue::Line(at..at.saturating_add(value.len()));
                slot.has_several.set(slot.value.set(Some(line)).is_err());
            }
        }
        for slot in self.reads.slots.iter().filter(of_map) {
            let _ = slot.value.get_or_init(|| None);
        }
    }
}

fn index(map: HeaderMap) -> usize {
    usize::from(map == HeaderMap::Response)
}

fn number(number: i64) -> ReadValue {
    ReadValue::Number(number.to_le_bytes())
}

/// The header behind an attribute.
pub(crate) fn header_of(path: &str) -> Option<(HeaderMap, String)> {
    if let Some((_, name)) = HEADERS.iter().find(|(attribute, _)| *attribute == path) {
        return Some((HeaderMap::Request, (*name).into()));
    }
    let of = |prefix, map| Some((map, path.strip_prefix(prefix)?.to_ascii_lowercase()));
    of(REQUEST_HEADERS, HeaderMap::Request).or_else(|| of(RESPONSE_HEADERS, HeaderMap::Response))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use host::fake::FakeHost;

    use super::*;

    #[test]
    fn headers_come_in_one_read_and_lines_of_one_name_joined() {
        let mut host = FakeHost::new();
        host.with_header(HeaderMap::Request, ":path", "/a")
            .with_line(HeaderMap::Request, "x-user", b"one")
            .with_line(HeaderMap::Request, "x-user", b"two")
            .with_text(Property("request\0headers\0X-User"), "one,two")
            .with_header(HeaderMap::Request, "x-empty", "");
        let mut reads = Reads::default();
        let slots =
            ["path", "headers\0X-User", "headers\0x-empty", "headers\0x-none"].map(|name| ["request\0", name].concat());
        let slots = slots.map(|path| reads.slot(&path));
        let read = |values: &Values<FakeHost>| slots.map(|slot| values.bytes(slot).map(<[u8]>::to_vec));
        let expected = [Some(b"/a".to_vec()), Some(b"one,two".to_vec()), None, None];
        let values = reads.values(&host);
        assert_eq!(read(&values), expected);
        assert_eq!(read(&values), expected);
        assert_eq!(host.take_calls(), 2, "all of them, and the joined ones");
    }

    #[test]
    fn each_attribute_is_read_once_when_it_is_wanted_and_not_if_it_is_known() {
        let mut host = FakeHost::new();
        host.with_text(Property("xds\0cluster_name"), "a").with_int(property::RESPONSE_CODE, 200);
        let mut reads = Reads::default();
        let slots = ["xds\0cluster_name", "response\0code", "response\0headers\0server", "xds\0route_name"];
        let [cluster, code, server, _] = slots.map(|path| reads.slot(path));
        assert_eq!(reads.slot("xds\0cluster_name"), cluster, "each path has one place");
        let values = reads.values(&host);
        for _ in 0..2 {
            assert_eq!((values.bytes(cluster), values.int(code)), (Some(&b"a"[..]), Some(200)));
            assert_eq!((values.bytes(server), values.bytes(99)), (None, None));
        }
        assert_eq!(host.take_calls(), 3);
        let facts = Facts::of_connection(&host, labels::direction::Direction::Outbound);
        host.take_calls();
        reads.clear();
        let values = reads.values(&host);
        values.know(&facts, None);
        assert_eq!((values.bytes(cluster), values.int(code)), (Some(&b"a"[..]), None));
        assert_eq!(host.take_calls(), 0);
    }
}
