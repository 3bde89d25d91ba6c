//! The key by which a share of the requests is selected.

use configuration::Section;
use host::Host;

use crate::matches;
use crate::matching::{HeaderId, HeaderNames, RequestAtHand};
use crate::random;

/// The sampling key. Requests with the same key are both in a share, or both not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// No key: each request is drawn independently.
    Random,
    /// The request's id, which is the same at all proxies.
    RequestId(HeaderId),
    /// The value of a header.
    Header(HeaderId),
}

impl Sampling {
    /// By the request's id.
    pub fn by_request_id(headers: &mut HeaderNames) -> Self {
        Self::RequestId(headers.id("x-request-id"))
    }

    /// Reads `key`.
    pub fn read(section: &mut Section, headers: &mut HeaderNames) -> Option<Self> {
        section.scalar("key", |key| match key.split_once(':') {
            None if key == "random" => Ok(Self::Random),
            None if key == "requestId" => Ok(Self::by_request_id(headers)),
            Some(("header", name)) if matches::is_header_name(name) => {
                Ok(Self::Header(headers.id(&name.to_ascii_lowercase())))
            }
            _ => Err("must be requestId, random or header:<name>".into()),
        })
    }

    /// What the request has of it. `None` if it is to be drawn: a key that is missing is no reason to treat all who lack it
    /// alike.
    pub fn key<H: Host>(self, request: &mut RequestAtHand<H>) -> Option<Vec<u8>> {
        let key = match self {
            Self::Random => None,
            Self::RequestId(header) => request.header(header).map(|id| random::request_id_key(&id).collect()),
            Self::Header(header) => request.header(header),
        };
        key.filter(|key: &Vec<u8>| !key.is_empty())
    }
}
