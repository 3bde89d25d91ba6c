//! Many attributes in one host call.
//!
//! Reading an attribute costs a microsecond, of which most is the way out of the sandbox and memory for the answer. So the
//! attributes that a filter needs of every stream are one expression, a list, that Envoy evaluates at once. An attribute
//! that is not there is an empty element: the engine gives no list at all if one of its elements fails. Within a tick,
//! where the engine has no stream, and where it fails all the same, the attributes are read one by one.

use core::ops::Range;

use crate::expression::{is_name, Kind};
use crate::host::{Expression, Host};
use crate::property::Property;

/// Attributes that each stream has when it ends, a request that is not HTTP and a connection included. To ask for them first
/// would take as long as to read them.
const ALWAYS_THERE: [&str; 14] = [
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "connection_id",
    "request\0time",
    "request\0size",
    "request\0total_size",
    "response\0flags",
    "response\0size",
    "response\0total_size",
    "source\0address",
    "destination\0address",
    "connection\0mtls",
    "xds\0listener_direction",
];

/// Attributes that are read together.
#[derive(Debug, Default)]
pub struct Batch {
    slots: Vec<(String, Kind)>,
    expression: Option<Expression>,
}

/// The values of a batch's attributes for one stream.
#[derive(Debug, Default)]
pub struct Values {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
}

impl Batch {
    /// A place for an attribute; the same for the same path.
    pub fn slot(&mut self, path: &str, kind: Kind) -> usize {
        if let Some(known) = self.slots.iter().position(|(known, _)| known == path) {
            return known;
        }
        self.slots.push((path.into(), kind));
        self.slots.len().saturating_sub(1)
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Makes the expression, once all places are taken. Works only while the plugin is configured.
    pub fn compile(&mut self, host: &impl Host) {
        if self.slots.len() > 1 {
            let elements: Vec<String> = self.slots.iter().map(|(path, _)| element(path)).collect();
            let expression = host.create_expression(&["[", &elements.join(", "), "]"].concat());
            self.expression = expression
                .inspect_err(|error| {
                    log::warn!("attributes are read one by one: their list does not compile ({error})")
                })
                .ok();
        }
    }

    /// Reads all of them for the current stream; one by one if `within_tick`.
    pub fn read(&self, host: &impl Host, within_tick: bool) -> Values {
        let all = self.expression.filter(|_| !within_tick).and_then(|expression| {
            let values = host.evaluate(expression).and_then(Values::of_list);
            if values.is_none() {
                log::debug!("attributes are read one by one: Envoy gave no list");
            }
            values
        });
        all.filter(|values| values.spans.len() == self.slots.len()).unwrap_or_else(|| self.read_each(host))
    }

    fn read_each(&self, host: &impl Host) -> Values {
        let mut values = Values::default();
        for (path, _) in &self.slots {
            let start = values.bytes.len();
            if let Some(value) = host.property(Property(path)) {
                values.bytes.extend_from_slice(&value);
            }
            values.spans.push(start..values.bytes.len());
        }
        values
    }
}

impl Values {
    /// The elements of a list, in the form in which proxy-wasm gives maps: their number, the lengths of each key and
    /// value, then keys and values, each with a NUL behind. A list's elements are keys.
    fn of_list(bytes: Vec<u8>) -> Option<Self> {
        let count = length_at(&bytes, 0)?;
        // What is not true ends below, but first it is not believed.
        let mut spans = Vec::with_capacity(count.min(bytes.len()));
        let mut sizes_at = 4usize;
        let mut start = count.checked_mul(8)?.checked_add(4)?;
        for _ in 0..count {
            let key = length_at(&bytes, sizes_at)?;
            let value = length_at(&bytes, sizes_at.checked_add(4)?)?;
            let end = start.checked_add(key)?;
            if end >= bytes.len() {
                return None;
            }
            spans.push(start..end);
            start = end.checked_add(value)?.checked_add(2)?;
            sizes_at = sizes_at.checked_add(8)?;
        }
        Some(Self { bytes, spans })
    }

    /// An attribute's bytes, if it is there.
    pub fn bytes(&self, slot: usize) -> Option<&[u8]> {
        self.bytes.get(self.spans.get(slot)?.clone()).filter(|bytes| !bytes.is_empty())
    }

    /// An attribute of 8 bytes.
    pub fn int(&self, slot: usize) -> Option<i64> {
        Some(i64::from_le_bytes(self.bytes(slot)?.try_into().ok()?))
    }

    /// A boolean attribute.
    pub fn boolean(&self, slot: usize) -> Option<bool> {
        self.bytes(slot)?.first().map(|byte| *byte != 0)
    }
}

fn length_at(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()
}

/// The attribute, or an empty text where it is not there. It is asked for step by step: a step into nothing fails.
fn element(path: &str) -> String {
    let mut parts = path.split('\0');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    if ALWAYS_THERE.contains(&path) {
        return path.replace('\0', ".");
    }
    // Other names at the top are filter state of some module.
    let in_state = rest.is_empty() || matches!(first, "upstream_peer" | "downstream_peer");
    let mut conditions: Vec<String> = Vec::new();
    let mut expression = String::from(first);
    if in_state {
        conditions.push(["'wasm.", first, "' in filter_state"].concat());
        expression = ["filter_state['wasm.", first, "']"].concat();
    }
    for (index, part) in rest.iter().enumerate() {
        let deeper = match is_name(part) {
            true => [expression.as_str(), ".", part].concat(),
            false => [expression.as_str(), "['", &part.replace(['\\', '\''], ""), "']"].concat(),
        };
        let map_of_stream = matches!((first, *part), ("request" | "response", "headers" | "trailers"));
        if !map_of_stream {
            // Header maps know `in`, messages and attributes `has`.
            let of_map = index > 0 || in_state || first == "filter_state";
            conditions.push(match of_map {
                true => ["'", &part.replace(['\\', '\''], ""), "' in ", &expression].concat(),
                false => ["has(", &deeper, ")"].concat(),
            });
        }
        expression = deeper;
    }
    [&conditions.join(" && "), " ? ", &expression, " : ''"].concat()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::fake::FakeHost;

    const PATHS: [(&str, Kind); 5] = [
        ("request\0path", Kind::Text),
        ("response\0code", Kind::Integer),
        ("connection\0mtls", Kind::Boolean),
        ("request\0headers\0x-user", Kind::Text),
        ("operation", Kind::Text),
    ];

    fn host() -> FakeHost {
        let mut host = FakeHost::new();
        host.with_text(Property("request\0path"), "/a")
            .with_int(Property("response\0code"), 200)
            .with_boolean(Property("connection\0mtls"), false)
            .with_state("operation", b"read");
        host
    }

    fn batch(host: &FakeHost) -> Batch {
        let mut batch = Batch::default();
        for (path, kind) in PATHS {
            batch.slot(path, kind);
        }
        assert_eq!(batch.slot("response\0code", Kind::Integer), 1, "each path has one place");
        batch.compile(host);
        host.take_calls();
        batch
    }

    #[test]
    fn one_call_reads_all_and_a_tick_reads_each() {
        let host = host();
        let batch = batch(&host);
        for (within_tick, calls) in [(false, 1), (true, PATHS.len())] {
            let values = batch.read(&host, within_tick);
            assert_eq!(host.take_calls(), calls);
            assert_eq!(values.bytes(0), Some(&b"/a"[..]));
            assert_eq!(values.int(1), Some(200));
            assert_eq!(values.boolean(2), Some(false));
            assert_eq!(values.bytes(3), None);
            assert_eq!(values.bytes(4), Some(&b"read"[..]));
            assert_eq!(values.bytes(5), None);
        }
    }

    #[test]
    fn steps_into_nothing_are_not_taken() {
        for (path, expected) in [
            ("request\0path", "has(request.path) ? request.path : ''"),
            ("request\0headers\0x-a", "'x-a' in request.headers ? request.headers['x-a'] : ''"),
            ("filter_state\0a.b", "'a.b' in filter_state ? filter_state['a.b'] : ''"),
            ("fault_flags", "'wasm.fault_flags' in filter_state ? filter_state['wasm.fault_flags'] : ''"),
            ("plugin_name", "plugin_name"),
            ("response\0flags", "response.flags"),
            (
                "metadata\0filter_metadata\0a.b\0c",
                "has(metadata.filter_metadata) && 'a.b' in metadata.filter_metadata && 'c' in metadata.filter_metadata['a.b'] \
                 ? metadata.filter_metadata['a.b'].c : ''",
            ),
            (
                "upstream_peer\0labels\0app",
                "'wasm.upstream_peer' in filter_state && 'labels' in filter_state['wasm.upstream_peer'] && \
                 'app' in filter_state['wasm.upstream_peer'].labels ? filter_state['wasm.upstream_peer'].labels.app : ''",
            ),
        ] {
            assert_eq!(element(path), expected);
        }
    }

    #[test]
    fn a_broken_list_is_none() {
        let list = |count: u32, sizes: &[u32], rest: &[u8]| {
            let numbers = [count].iter().chain(sizes).flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
            Values::of_list([&numbers, rest].concat()).map(|values| values.bytes(0).map(<[u8]>::to_vec))
        };
        assert_eq!(list(1, &[2, 0], b"ab\0\0"), Some(Some(b"ab".to_vec())));
        assert_eq!(list(1, &[0, 0], b"\0\0"), Some(None));
        assert_eq!(list(0, &[], b""), Some(None));
        for (count, sizes, rest) in [
            (1, &[][..], &b""[..]),
            (1, &[3, 0], b"ab"),
            (1, &[u32::MAX, u32::MAX], b"ab\0\0"),
            (u32::MAX, &[1, 0], b"a\0\0"),
        ] {
            assert_eq!(list(count, sizes, rest), None, "{count} {sizes:?}");
        }
        assert!(Values::of_list(vec![1]).is_none());
    }
}
