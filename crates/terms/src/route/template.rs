//! The paths that a route has: segments as they are, and segments that vary.

use super::spelling::{Path, encode};
use super::{Crooked, NotARoute};
use crate::Json;
use crate::json::Object;

/// The paths of a route, such as `/customers/{id}/export`. Of two that fit the same path the lesser one is meant: whose first
/// difference is a segment that does not vary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// Before one that varies, so that among routes which fit the one that says more is first.
    Same(String),
    Varies(String),
}

impl Template {
    /// Reads `/customers/{id}/export`.
    ///
    /// # Errors
    /// [`NotARoute`] for a text that is not canonical beside its variables.
    pub fn read(text: &str) -> Result<Self, NotARoute> {
        let crooked = |why: Crooked| NotARoute(format!("the path {text:?}: {why}"));
        let rest =
            text.strip_prefix('/').ok_or_else(|| crooked(Crooked::Path("does not begin with a slash")))?;
        let mut segments: Vec<Segment> = Vec::new();
        let mut plain = String::new();
        for piece in rest.split('/') {
            plain.push('/');
            let inside = piece.strip_prefix('{').and_then(|piece| piece.strip_suffix('}'));
            match inside {
                Some(name) if is_name(name) => {
                    plain.push('x');
                    let varies = Segment::Varies(name.to_owned());
                    if segments.contains(&varies) {
                        return Err(NotARoute(format!("the path {text:?} names {name:?} twice")));
                    }
                    segments.push(varies);
                }
                Some(_) => {
                    let says = "a variable is named with letters, digits, `_` and `-`";
                    return Err(NotARoute(format!("the path {text:?}: {says}")));
                }
                None if piece.contains(['{', '}']) => {
                    return Err(NotARoute(format!("the path {text:?}: a variable is a whole segment")));
                }
                None => {
                    plain.push_str(piece);
                    segments.push(Segment::Same(String::new()));
                }
            }
        }
        let read = Path::read(&plain).map_err(crooked)?;
        for (segment, text) in segments.iter_mut().zip(read.segments()) {
            if let Segment::Same(same) = segment {
                same.clone_from(text);
            }
        }
        Ok(Self(segments))
    }

    /// The names of what varies.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Varies(name) => Some(name.as_str()),
            Segment::Same(_) => None,
        })
    }

    /// How many segments its paths have.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.0.len()
    }

    /// What varies in a path, with what stands there; `None` for a path that is not of this route. What varies is never empty.
    #[must_use]
    pub fn of<'p>(&self, path: &'p Path) -> Option<Vec<(&str, &'p str)>> {
        let segments = path.segments();
        if segments.len() != self.0.len() {
            return None;
        }
        let mut varies = Vec::new();
        for (segment, there) in self.0.iter().zip(segments) {
            match segment {
                Segment::Same(same) if same == there => {}
                Segment::Varies(name) if !there.is_empty() => varies.push((name.as_str(), there.as_str())),
                Segment::Same(_) | Segment::Varies(_) => return None,
            }
        }
        Some(varies)
    }

    /// Whether a reader that does not mind case finds this route at a path, before that other one: where this has a fixed segment
    /// there, the other has one that varies (T43).
    #[must_use]
    pub fn hides(&self, other: &Self, path: &Path) -> bool {
        let segments = path.segments();
        let fits = |(segment, there): (&Segment, &String)| match segment {
            Segment::Same(same) => same.to_lowercase() == there.to_lowercase(),
            Segment::Varies(_) => !there.is_empty(),
        };
        let varies = |segment: &Segment| matches!(segment, Segment::Varies(_));
        let first = self.0.iter().zip(&other.0).find(|(own, others)| varies(own) != varies(others));
        self.0.len() == segments.len()
            && self.0.iter().zip(segments).all(fits)
            && first.is_some_and(|(own, _)| !varies(own))
    }

    /// The path with these variables, as it is sent; `None` where one is missing, or would not be read as it is.
    #[must_use]
    pub fn with(&self, variables: &Object) -> Option<String> {
        let mut path = String::new();
        for segment in &self.0 {
            path.push('/');
            match segment {
                Segment::Same(same) => encode(same, &mut path),
                Segment::Varies(name) => encode(&plain(variables.get(name)?)?, &mut path),
            }
        }
        let read = Path::read(&path).ok()?;
        let same = self
            .of(&read)?
            .into_iter()
            .all(|(name, there)| variables.get(name).and_then(plain).is_some_and(|text| text == there));
        same.then_some(path)
    }

    /// Whether every path of one is a path of the other.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let varies = |segment: &Segment| matches!(segment, Segment::Varies(_));
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a == b || (varies(a) && varies(b)))
    }
}

/// A value as it stands in a path, a query or a header.
pub(super) fn plain(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.text()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::read(text).unwrap()
    }

    #[test]
    fn a_path_is_of_a_route_as_a_whole_or_not_at_all() {
        let export = template("/customers/{id}/export");
        let of = |text: &str| export.of(&Path::read(text).unwrap()).map(|of| of.len());
        assert_eq!(of("/customers/17/export"), Some(1));
        for other in
            ["/customers/17", "/customers/17/export/", "/customers/17/Export", "/customers/17/export/x", "/"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(template("/a/{x}").of(&Path::read("/a/").unwrap()).is_none(), "what varies is not empty");
    }

    #[test]
    fn what_is_written_is_read_as_the_same_variables_or_not_written() {
        let export = template("/customers/{id}");
        let with = |id: Json| export.with(&Object::from_iter([("id", id)]));
        assert_eq!(with(Json::from("a b/")), None);
        assert_eq!(with(Json::from("é+1")).as_deref(), Some("/customers/%C3%A9%2B1"));
        assert_eq!(with(Json::from(17_u32)).as_deref(), Some("/customers/17"));
        for id in ["..", ".", "", "a/b", "a%41", "a;b", "a\\b", "a\0"] {
            assert_eq!(with(Json::from(id)), None, "{id:?}");
        }
        assert_eq!((with(Json::Null), export.with(&Object::new())), (None, None));
    }

    #[test]
    fn a_template_that_could_mean_two_things_is_none() {
        for text in [
            "", "a", "/a//b", "/{}", "/{a}{b}", "/x{a}", "/{a}/{a}", "/{a b}", "/a/../b", "/%2e%2e",
            "/a%2Fb", "/{a", "/a}",
        ] {
            assert!(Template::read(text).is_err(), "{text:?}");
        }
        assert!(template("/a/{x}").same_as(&template("/a/{y}")));
        assert!(!template("/a/{x}").same_as(&template("/{y}/{x}")));
        assert!(template("/a/b") < template("/a/{x}"));
        assert!(template("/a/{x}/c") < template("/{y}/b/c"));
    }
}
