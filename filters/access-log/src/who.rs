//! Who called whom: the values of a line that come from more than one attribute.
//!
//! What a label says is decided where the labels of metrics come from, too; here is what a line has besides.

use labels::resolver::Needs;
use labels::stream::{End, LabelValue, Stream};
use labels::Label;

/// A value that tells who called whom, or how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// What a label of the metrics says.
    Label(Label),
    /// Name of the pod at an end.
    Name(End),
    /// URI of what owns the pod at an end.
    Owner(End),
}

impl Who {
    /// What it says of a stream.
    pub fn value<'a>(self, stream: &'a Stream) -> LabelValue<'a> {
        match self {
            Self::Label(label) => stream.value(label),
            Self::Name(end) => LabelValue::Text(stream.workload(end).name.as_bytes()),
            Self::Owner(end) => LabelValue::Text(stream.workload(end).owner.as_bytes()),
        }
    }

    /// Adds what it takes.
    pub fn add_to(self, needs: &mut Needs) {
        match self {
            Self::Label(label) => needs.add(label),
            Self::Name(_) | Self::Owner(_) => needs.add_workloads(),
        }
    }
}
