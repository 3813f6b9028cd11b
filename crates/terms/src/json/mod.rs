//! Strict JSON in, RFC 8785 (JCS) out. A [`Json`] is canonical by construction: object members are unique
//! and sorted by UTF-16 code units, numbers are what their JCS text denotes. So there is one writer and
//! nothing to canonicalise later (rules R2 and R3; decisions B11).

mod number;
mod parse;
mod write;

pub use number::{Inexact, Number};
pub use parse::{Limits, NotJson, parse, parse_canonical, parse_within};

/// One JSON value, canonical by construction.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A finite double that is exactly what was written.
    Number(Number),
    /// Text; never holds a lone surrogate.
    String(String),
    /// An ordered list.
    Array(Vec<Json>),
    /// Members, unique and sorted.
    Object(Object),
}

/// The members of a JSON object: unique names in the order of RFC 8785 §3.2.3 (UTF-16 code units).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    /// An object without members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        // Of ASCII, which names nearly always are, the order of bytes is that of code units.
        let ascii = name.is_ascii();
        self.0.binary_search_by(|(n, _)| {
            if ascii && n.is_ascii() {
                n.as_str().cmp(name)
            } else {
                n.encode_utf16().cmp(name.encode_utf16())
            }
        })
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.find(name).ok().and_then(|i| self.0.get(i)).map(|(_, v)| v)
    }

    /// The value of a member, to change in place.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.find(name).ok().and_then(|i| self.0.get_mut(i)).map(|(_, v)| v)
    }

    /// Sets a member and returns what was there before.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Json>) -> Option<Json> {
        let (name, value) = (name.into(), value.into());
        match self.find(&name) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }

    /// Takes out the members whose names are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// The members in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From members in any order; `Err` names a member that came twice.
    pub(crate) fn from_members(mut members: Vec<(String, Json)>) -> Result<Self, String> {
        members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        let twice = members.windows(2).find_map(|pair| match pair {
            [(a, _), (b, _)] if a == b => Some(a.clone()),
            _ => None,
        });
        twice.map_or(Ok(Self(members)), Err)
    }
}

/// Members may come in any order; of two with one name the later one stays.
impl<N: Into<String>, V: Into<Json>> FromIterator<(N, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(members: I) -> Self {
        let mut object = Self::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

impl Json {
    /// An object of the given members.
    pub fn object<N: Into<String>, V: Into<Self>>(members: impl IntoIterator<Item = (N, V)>) -> Self {
        Self::Object(members.into_iter().collect())
    }

    /// The canonical text (RFC 8785).
    #[must_use]
    pub fn text(&self) -> String {
        write::text(self)
    }

    /// A member of an object; `None` for other kinds of value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object().and_then(|o| o.get(name))
    }

    /// The text of a string.
    #[must_use]
    pub const fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self { Some(s.as_str()) } else { None }
    }

    /// The members of an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        if let Self::Object(o) = self { Some(o) } else { None }
    }

    /// The items of an array.
    #[must_use]
    pub const fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(a) = self { Some(a.as_slice()) } else { None }
    }

    /// A boolean.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

    /// An integer, when the number is one that a double holds exactly.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(n) = self { n.as_i64() } else { None }
    }

    /// Whether this is `null`.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl From<&str> for Json {
    fn from(s: &str) -> Self {
        Self::String(s.to_owned())
    }
}

impl From<String> for Json {
    fn from(s: String) -> Self {
        Self::String(s)
    }
}

impl From<bool> for Json {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<Object> for Json {
    fn from(o: Object) -> Self {
        Self::Object(o)
    }
}

impl From<u32> for Json {
    fn from(n: u32) -> Self {
        Self::Number(Number::from(n))
    }
}

/// An integer as JSON; beyond ±2^53 it is written as a string, because no double holds it.
impl From<i64> for Json {
    fn from(n: i64) -> Self {
        Number::try_from(n).map_or_else(|_| Self::String(n.to_string()), Self::Number)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
