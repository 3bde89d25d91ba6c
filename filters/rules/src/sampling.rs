//! What requests must have in common so that a share has both or neither.

use configuration::Section;
use host::Host;

use crate::matches;
use crate::matching::{HeaderId, HeaderNames, RequestAtHand};
use crate::random;

/// What a request must have in common with another so that both are among a share, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Nothing: it is drawn.
    Random,
    /// Its id: it is the same request at another proxy.
    RequestId(HeaderId),
    /// A header.
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
