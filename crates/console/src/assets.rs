//! Style, script and icon, in the binary. Their addresses carry their hashes, so they are kept for ever and never
//! stale.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use terms::Digest;

/// The assets of this binary.
pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let [style, script, icon] = FILES.map(|file| file.url());
    Assets { style, script, icon }
});

/// Addresses of the assets.
#[derive(Clone, Debug)]
pub struct Assets {
    /// The style sheet.
    pub style: String,
    /// The script.
    pub script: String,
    /// The icon.
    pub icon: String,
}

#[derive(Clone, Copy)]
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const FILES: [File; 3] = [
    File {
        name: "stepup.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/stepup.css"),
    },
    File {
        name: "stepup.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/stepup.js"),
    },
    File { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../assets/icon.svg") },
];

impl File {
    fn url(self) -> String {
        let digest = Digest::plain(self.bytes);
        let short: String = terms::hash::hex(digest.bytes()).take(16).collect();
        format!("/assets/{short}/{}", self.name)
    }
}

/// One asset. An address with another hash is nothing.
pub async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    let asked = format!("/assets/{hash}/{name}");
    let Some(file) = FILES.into_iter().find(|file| file.url() == asked) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, file.kind), (header::CACHE_CONTROL, kept)], file.bytes).into_response()
}
