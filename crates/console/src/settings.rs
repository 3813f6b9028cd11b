//! Where the people's listener is, as browsers see it.

use http::Uri;

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
        }
    }

    /// Whether browsers come over TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// The name of the session's cookie: `__Host-` over TLS; plain on `http://localhost`, where Safari drops
    /// secure cookies (decisions A29).
    #[must_use]
    pub fn cookie(&self) -> &'static str {
        if self.tls() { "__Host-stepup" } else { "stepup" }
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
        assert_eq!(Settings::at("https://stepup.example").cookie(), "__Host-stepup");
    }

    #[test]
    fn an_address_that_cannot_be_read_answers_nobody() {
        assert!(Settings::at("not an address").hosts.is_empty());
    }
}
