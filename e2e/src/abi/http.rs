//! Calls about requests.

use std::time::Duration;

use crate::abi::calls::Call;
use crate::abi::context::{End, Kind};
use crate::abi::envoy::Envoy;
use crate::abi::headers::Headers;
use crate::abi::status::{BAD_ARGUMENT, INTERNAL_FAILURE, NOT_FOUND};
use crate::abi::stream::{Buffer, Map};

impl Envoy {
    pub(super) fn set_filter_state(&mut self, key: &[u8], value: &[u8]) -> Result<(), u32> {
        let context = self.context()?;
        let is_writable = context.has_filter_state();
        let stream = context.stream.as_mut().filter(|_| is_writable).ok_or(NOT_FOUND)?;
        stream.set_state(&String::from_utf8_lossy(key), value);
        Ok(())
    }

    pub(super) fn header(&mut self, map: u32, name: &[u8]) -> Result<Vec<u8>, u32> {
        let name = String::from_utf8_lossy(name).to_lowercase();
        let headers = self.headers(map)?.ok_or(NOT_FOUND)?;
        headers.get(&name).map(Into::into).ok_or(NOT_FOUND)
    }

    /// All lines. Where there is no such map, there are none.
    pub(super) fn header_pairs(&mut self, map: u32) -> Result<Vec<u8>, u32> {
        Map::of(map).ok_or(BAD_ARGUMENT)?;
        Ok(self.headers(map).ok().flatten().map(|headers| headers.encoded()).unwrap_or_default())
    }

    pub(super) fn replace_header(&mut self, map: u32, name: &[u8], value: &[u8]) -> Result<(), u32> {
        self.writable(map)?.replace(&String::from_utf8_lossy(name), value);
        Ok(())
    }

    pub(super) fn remove_header(&mut self, map: u32, name: &[u8]) -> Result<(), u32> {
        self.writable(map)?.remove(&String::from_utf8_lossy(name));
        Ok(())
    }

    /// A map that can be read now; nothing in it if it may be read and does not exist.
    fn headers(&mut self, map: u32) -> Result<Option<&Headers>, u32> {
        let map = Map::of(map).ok_or(BAD_ARGUMENT)?;
        if matches!(map, Map::CallHeaders | Map::CallTrailers) {
            let response = self.root()?.1.response.as_ref().ok_or(BAD_ARGUMENT)?;
            return Ok(Some(if map == Map::CallHeaders { &response.headers } else { &response.trailers }));
        }
        let context = self.context()?;
        if !context.readable().contains(&map) {
            return if context.logs { Ok(None) } else { Err(BAD_ARGUMENT) };
        }
        Ok(context.stream.as_ref().and_then(|stream| stream.headers(map)))
    }

    fn writable(&mut self, map: u32) -> Result<&mut Headers, u32> {
        let map = Map::of(map).ok_or(BAD_ARGUMENT)?;
        let context = self.context()?;
        if !context.passing.contains(&map) {
            return Err(BAD_ARGUMENT);
        }
        Ok(context.stream.as_mut().ok_or(BAD_ARGUMENT)?.map(map))
    }

    pub(super) fn reply(&mut self, end: End) -> Result<(), u32> {
        // About anything else, it has no effect.
        let context = self.context()?;
        if matches!(context.kind, Kind::Http) {
            context.ends.push(end);
        }
        Ok(())
    }

    pub(super) fn continue_stream(&mut self, stream: u32) -> Result<(), u32> {
        let context = self.context()?;
        match (stream, &context.kind) {
            (0, Kind::Http) => {
                context.passing.clear();
                context.ends.push(End::Resumed);
            }
            (2, Kind::Tcp) => context.release(Buffer::Downstream),
            (3, Kind::Tcp) => context.release(Buffer::Upstream),
            (0..=3, _) => {}
            _ => return Err(BAD_ARGUMENT),
        }
        Ok(())
    }

    pub(super) fn close_stream(&mut self, stream: u32) -> Result<(), u32> {
        let context = self.context()?;
        match (stream, &context.kind) {
            (0, Kind::Http) => context.ends.push(End::Reset),
            (0..=3, _) => {}
            _ => return Err(BAD_ARGUMENT),
        }
        Ok(())
    }

    pub(super) fn call(&mut self, cluster: &[u8], headers: &[u8], body: &[u8], milliseconds: u32) -> Result<u32, u32> {
        let cluster = String::from_utf8_lossy(cluster).into_owned();
        let headers = Headers::decoded(headers);
        let has_host = *self.clusters.get(&cluster).ok_or(BAD_ARGUMENT)?;
        if [":method", ":path", ":authority"].iter().any(|name| headers.get(name).is_none()) {
            return Err(BAD_ARGUMENT);
        }
        if !has_host {
            return Err(INTERNAL_FAILURE);
        }
        let (root, _) = self.root()?;
        let from = self.about();
        let token = self.next_token;
        self.next_token += 4;
        let (body, timeout) = (body.to_vec(), Duration::from_millis(milliseconds.into()));
        self.calls.push(Call { token, root, from, cluster, headers, body, timeout });
        Ok(token)
    }
}
