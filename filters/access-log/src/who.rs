//! Values of both workloads: values of a line that depend on more than one attribute.
//!
//! Labels have the same values as in metrics. The others exist only in lines.

use labels::resolver::Needs;
use labels::stream::{LabelValue, Stream};
use labels::End;
use labels::Label;

/// A value about the two workloads, or about the protocol between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The value of a metric label.
    Label(Label),
    /// Pod name of this end.
    Name(End),
    /// URI of the pod's owner at this end.
    Owner(End),
}

impl Who {
    /// The value for a stream.
    pub fn value<'a>(self, stream: &'a Stream) -> LabelValue<'a> {
        match self {
            Self::Label(label) => stream.value(label),
            Self::Name(end) => LabelValue::Text(stream.workload(end).name.as_bytes()),
            Self::Owner(end) => LabelValue::Text(stream.workload(end).owner.as_bytes()),
        }
    }

    /// Adds what the value needs.
    pub fn add_to(self, needs: &mut Needs) {
        match self {
            Self::Label(label) => needs.add(label),
            Self::Name(_) | Self::Owner(_) => needs.add_workloads(),
        }
    }
}
