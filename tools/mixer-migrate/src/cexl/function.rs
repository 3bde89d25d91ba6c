//! The functions of CEXL and their types.

use super::value::Type;

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `match(text, pattern)`: by prefix, suffix or as a whole.
    Match,
    /// `pattern.matches(text)`: the receiver is the regular expression.
    Matches,
    /// `text.startsWith(prefix)`
    StartsWith,
    /// `text.endsWith(suffix)`
    EndsWith,
    /// `ip(text)`
    Ip,
    /// `timestamp(text)`
    Timestamp,
    /// `dnsName(text)`
    DnsName,
    /// `email(text)`
    Email,
    /// `uri(text)`
    Uri,
    /// `conditional(condition, then, else)`. Only the selected branch is evaluated.
    Conditional,
    /// The same for texts. Both branches are evaluated.
    ConditionalString,
    /// `emptyStringMap()`
    EmptyStringMap,
    /// `toLower(text)`
    ToLower,
    /// `size(text)`, in bytes.
    Size,
}

/// The types of arguments and result.
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// Whether it is called as a method of the first argument.
    pub(super) method: bool,
    /// `None` stands for one type, the same for all such arguments and the result.
    pub(super) arguments: &'static [Option<Type>],
    pub(super) returns: Option<Type>,
}

const STRING: Option<Type> = Some(Type::String);
const BOOL: Option<Type> = Some(Type::Bool);

const fn signature(
    name: &'static str,
    function: Function,
    method: bool,
    arguments: &'static [Option<Type>],
    returns: Option<Type>,
) -> Signature {
    Signature { name, function, method, arguments, returns }
}

pub(super) const SIGNATURES: [Signature; 14] = [
    signature("match", Function::Match, false, &[STRING, STRING], BOOL),
    signature("matches", Function::Matches, true, &[STRING, STRING], BOOL),
    signature("startsWith", Function::StartsWith, true, &[STRING, STRING], BOOL),
    signature("endsWith", Function::EndsWith, true, &[STRING, STRING], BOOL),
    signature("ip", Function::Ip, false, &[STRING], Some(Type::IpAddress)),
    signature("timestamp", Function::Timestamp, false, &[STRING], Some(Type::Timestamp)),
    signature("dnsName", Function::DnsName, false, &[STRING], Some(Type::DnsName)),
    signature("email", Function::Email, false, &[STRING], Some(Type::EmailAddress)),
    signature("uri", Function::Uri, false, &[STRING], Some(Type::Uri)),
    signature("conditional", Function::Conditional, false, &[BOOL, None, None], None),
    signature("conditionalString", Function::ConditionalString, false, &[BOOL, STRING, STRING], STRING),
    signature("emptyStringMap", Function::EmptyStringMap, false, &[], Some(Type::StringMap)),
    signature("toLower", Function::ToLower, false, &[STRING], STRING),
    signature("size", Function::Size, false, &[STRING], Some(Type::Int64)),
];

impl Function {
    /// The name in calls.
    pub fn name(self) -> &'static str {
        SIGNATURES.iter().find(|signature| signature.function == self).map_or("", |signature| signature.name)
    }
}
