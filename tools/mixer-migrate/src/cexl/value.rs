//! Types and values.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use super::{duration::format_duration, time::format_timestamp};

/// The types of Mixer's `ValueType`. They are never converted into each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // They are what they are called.
pub enum Type {
    String,
    Int64,
    Double,
    Bool,
    Timestamp,
    IpAddress,
    EmailAddress,
    Uri,
    DnsName,
    Duration,
    StringMap,
}

impl Type {
    /// All types, with their names in manifests.
    pub const ALL: [(&'static str, Self); 11] = [
        ("STRING", Self::String),
        ("INT64", Self::Int64),
        ("DOUBLE", Self::Double),
        ("BOOL", Self::Bool),
        ("TIMESTAMP", Self::Timestamp),
        ("IP_ADDRESS", Self::IpAddress),
        ("EMAIL_ADDRESS", Self::EmailAddress),
        ("URI", Self::Uri),
        ("DNS_NAME", Self::DnsName),
        ("DURATION", Self::Duration),
        ("STRING_MAP", Self::StringMap),
    ];

    /// The name in manifests.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, ty)| *ty == self).map_or("", |(name, _)| name)
    }

    /// The type with this name in manifests.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, ty)| *ty)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A value of one of the types.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// STRING
    String(String),
    /// INT64
    Int64(i64),
    /// DOUBLE
    Double(f64),
    /// BOOL
    Bool(bool),
    /// TIMESTAMP: nanoseconds since 1970 in UTC.
    Timestamp(i128),
    /// IP_ADDRESS: an IPv4 address is never in its IPv6 form.
    IpAddress(IpAddr),
    /// EMAIL_ADDRESS
    EmailAddress(String),
    /// URI
    Uri(String),
    /// DNS_NAME
    DnsName(String),
    /// DURATION: nanoseconds.
    Duration(i64),
    /// STRING_MAP
    StringMap(BTreeMap<String, String>),
}

impl Value {
    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Self::String(_) => Type::String,
            Self::Int64(_) => Type::Int64,
            Self::Double(_) => Type::Double,
            Self::Bool(_) => Type::Bool,
            Self::Timestamp(_) => Type::Timestamp,
            Self::IpAddress(_) => Type::IpAddress,
            Self::EmailAddress(_) => Type::EmailAddress,
            Self::Uri(_) => Type::Uri,
            Self::DnsName(_) => Type::DnsName,
            Self::Duration(_) => Type::Duration,
            Self::StringMap(_) => Type::StringMap,
        }
    }

    /// An address; an IPv4 address in its IPv6 form is converted.
    pub fn ip(address: IpAddr) -> Self {
        Self::IpAddress(address.to_canonical())
    }
}

impl fmt::Display for Value {
    /// The form in which Mixer's adapters write it in labels and logs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) | Self::EmailAddress(text) | Self::Uri(text) | Self::DnsName(text) => {
                out.write_str(text)
            }
            Self::Int64(number) => write!(out, "{number}"),
            Self::Double(number) => out.write_str(&format_double(*number)),
            Self::Bool(is) => write!(out, "{is}"),
            Self::Timestamp(nanoseconds) => out.write_str(&format_timestamp(*nanoseconds)),
            Self::IpAddress(address) => write!(out, "{address}"),
            Self::Duration(nanoseconds) => out.write_str(&format_duration(*nanoseconds)),
            Self::StringMap(map) => {
                out.write_str("stringmap[")?;
                for (index, (key, value)) in map.iter().enumerate() {
                    write!(out, "{}{key}:{value}", if index == 0 { "" } else { " " })?;
                }
                out.write_str("]")
            }
        }
    }
}

/// The shortest text without an exponent that is parsed as `number`.
pub fn format_double(number: f64) -> String {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else {
        number.to_string()
    }
}
