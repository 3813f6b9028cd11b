//! Standard Webhooks, "Signature scheme": HMAC-SHA256 over id, timestamp and body, symmetric.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use terms::Secret;

/// The key of a receiver.
#[derive(Debug)]
pub struct Key(hmac::Key);

/// The secret is not `whsec_` and base64 of 24 to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's secret is not whsec_ and base64 of 24 to 64 bytes")]
pub struct NotAKey;

impl Key {
    /// Reads a secret as receivers are given it.
    ///
    /// # Errors
    /// [`NotAKey`] for any other text.
    pub fn of(secret: &Secret<String>) -> Result<Self, NotAKey> {
        let text = secret.expose().strip_prefix("whsec_").ok_or(NotAKey)?;
        let bytes = STANDARD.decode(text).map_err(|_| NotAKey)?;
        let fits = (24..=64).contains(&bytes.len());
        fits.then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))).ok_or(NotAKey)
    }
}

/// The value of `webhook-signature`; `at` in seconds since 1970.
#[must_use]
pub fn signature(key: &Key, id: &str, at: i64, body: &str) -> String {
    let signed = hmac::sign(&key.0, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<Key, NotAKey> {
        Key::of(&Secret::new(text.to_owned()))
    }

    /// The example of the specification's own libraries.
    #[test]
    fn the_published_example_has_the_published_signature() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for text in ["", "whsec_", "whsec_short", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!!"] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
