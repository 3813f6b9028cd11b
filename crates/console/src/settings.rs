//! Where the people's listener is, as browsers see it.

use http::Uri;

use crate::notify::{Routes, Text};

/// The addresses that pages are served at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The one address that people use, without a path: `https://stepup.example`, `http://localhost:7301`.
    pub public_url: String,
    /// `Host` headers that are answered, exactly; that of `public_url` is the first.
    pub hosts: Vec<String>,
    /// Origins that may post, exactly; that of `public_url` is the first.
    pub origins: Vec<String>,
    /// Where callers are pointed at, as the pages say it.
    pub agents_url: String,
    /// Pages that may follow changes at one time, over all people.
    pub followers: usize,
    /// Who is told over which channels; of them the desktop is the page's own.
    pub routes: Routes,
    /// How much pops up on a desktop.
    pub desktop: Text,
}

impl Settings {
    /// Pages at this address and no other. An address that cannot be read answers nobody.
    #[must_use]
    pub fn at(public_url: &str) -> Self {
        let origin = public_url.trim_end_matches('/').to_owned();
        let host = origin.parse::<Uri>().ok().and_then(|uri| Some(uri.authority()?.as_str().to_lowercase()));
        Self {
            hosts: host.into_iter().collect(),
            origins: vec![origin.clone()],
            public_url: origin,
            agents_url: "http://127.0.0.1:7300".to_owned(),
            followers: 256,
            routes: Routes::default(),
            desktop: Text::default(),
        }
    }

    /// Whether browsers come over TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// Whether browsers are told never to come without TLS. Not of `localhost`: they keep that for every port of it, and what else
    /// is developed on this machine would be gone (RFC 6797, 8.3).
    #[must_use]
    pub fn strict(&self) -> bool {
        let host = self.public_url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_lowercase));
        self.tls() && host.is_some_and(|host| host != "localhost" && !host.ends_with(".localhost"))
    }

    /// The name of the session's cookie: `__Host-` over TLS; plain on `http://localhost`, where Safari drops
    /// secure cookies (decisions A29). Browsers send a cookie to every port of its host (RFC 6265 §8.5), so the name
    /// holds ours: another stepup on this host neither reads it nor writes over it.
    #[must_use]
    pub fn cookie(&self) -> String {
        let (prefix, default) = if self.tls() { ("__Host-", 443) } else { ("", 80) };
        let port = self.public_url.parse::<Uri>().ok().and_then(|uri| uri.port_u16()).unwrap_or(default);
        format!("{prefix}stepup-{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_its_host_and_its_origin() {
        let settings = Settings::at("http://localhost:7301/");
        assert_eq!(settings.hosts, ["localhost:7301"]);
        assert_eq!(settings.origins, ["http://localhost:7301"]);
    }

    #[test]
    fn no_two_addresses_of_one_host_have_a_cookie_of_the_same_name() {
        let names = [
            ("https://stepup.example", "__Host-stepup-443"),
            ("https://stepup.example:8443/", "__Host-stepup-8443"),
            ("http://localhost:7301", "stepup-7301"),
            ("http://localhost:7401", "stepup-7401"),
            ("http://localhost", "stepup-80"),
        ];
        for (address, name) in names {
            assert_eq!(Settings::at(address).cookie(), name);
        }
    }

    #[test]
    fn what_is_strict_for_a_name_is_not_for_this_machine() {
        let names = [
            ("https://stepup.example", true),
            ("https://stepup.example:8443", true),
            ("http://stepup.example", false),
            ("https://localhost:7301", false),
            ("https://stepup.localhost", false),
            ("http://localhost:7301", false),
        ];
        for (address, strict) in names {
            assert_eq!(Settings::at(address).strict(), strict, "{address}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_answers_nobody() {
        assert!(Settings::at("not an address").hosts.is_empty());
    }
}
