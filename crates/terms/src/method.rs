//! The methods of HTTP that a route can have (RFC 9110, 9.3; RFC 5789).

/// A method. There is no other: what a proxy has never heard of it cannot judge (T48).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the head alone.
    Head,
    /// Does what its route is for.
    Post,
    /// Puts in place.
    Put,
    /// Changes a part.
    Patch,
    /// Takes away.
    Delete,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// Its name, which is compared with case (RFC 9110, 9.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether content of its requests has a meaning (RFC 9110, 9.3): of the others none is taken.
    #[must_use]
    pub const fn takes_content(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Head | Self::Delete => false,
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t48_a_method_is_one_of_these_to_the_letter() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()), Some(method));
        }
        for name in ["", "get", "Delete", "TRACE", "CONNECT", "OPTIONS", "GET ", "PROPFIND", "PRI"] {
            assert_eq!(Method::named(name), None, "{name:?}");
        }
    }
}
