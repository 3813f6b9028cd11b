//! JSON Pointers (RFC 6901) into arguments.

use crate::json::Json;

/// Where in a JSON value something is: `""` is the whole, `"/a/0"` the first item of member `a`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer(Vec<String>);

/// The text is not a JSON Pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a JSON Pointer: it is empty or starts with \"/\", and \"~\" is followed by 0 or 1 (RFC 6901 §3)"
)]
pub struct NotAPointer;

impl Pointer {
    /// The whole value.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The place one step further in.
    #[must_use]
    pub fn child(&self, step: impl Into<String>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        Self(steps)
    }

    /// The same place, seen from one step further out.
    #[must_use]
    pub fn within(&self, step: impl Into<String>) -> Self {
        Self(std::iter::once(step.into()).chain(self.0.iter().cloned()).collect())
    }

    /// The steps from the root.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// Whether `other` is this place or inside it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The value at this place.
    #[must_use]
    pub fn of<'j>(&self, value: &'j Json) -> Option<&'j Json> {
        self.0.iter().try_fold(value, |at, step| match at {
            Json::Object(members) => members.get(step),
            Json::Array(items) => items.get(index(step)?),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        })
    }

    /// The value at this place, to change in place.
    pub fn of_mut<'j>(&self, value: &'j mut Json) -> Option<&'j mut Json> {
        self.0.iter().try_fold(value, |at, step| match at {
            Json::Object(members) => members.get_mut(step),
            Json::Array(items) => items.get_mut(index(step)?),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
        })
    }
}

impl Pointer {
    /// Takes the member at this place out of a value; `None` where there is no such member of an object.
    pub fn take(&self, value: &mut Json) -> Option<Json> {
        let (last, before) = self.0.split_last()?;
        let holder = Self(before.to_vec());
        if let Json::Object(members) = holder.of_mut(value)? { members.remove(last) } else { None }
    }
}

/// RFC 6901 §4: digits without a leading zero.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
    plain.then(|| step.parse().ok()).flatten()
}

impl std::str::FromStr for Pointer {
    type Err = NotAPointer;

    fn from_str(text: &str) -> Result<Self, NotAPointer> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        let steps = text.strip_prefix('/').ok_or(NotAPointer)?;
        steps.split('/').map(unescape).collect::<Option<Vec<_>>>().map(Self).ok_or(NotAPointer)
    }
}

fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest =
            part.strip_prefix('0').map(|r| ('~', r)).or_else(|| part.strip_prefix('1').map(|r| ('/', r)));
        let (escaped, rest) = rest?;
        out.push(escaped);
        out.push_str(rest);
    }
    Some(out)
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

impl From<Pointer> for Json {
    fn from(pointer: Pointer) -> Self {
        Self::String(pointer.to_string())
    }
}

impl From<&Pointer> for Json {
    fn from(pointer: &Pointer) -> Self {
        Self::String(pointer.to_string())
    }
}
