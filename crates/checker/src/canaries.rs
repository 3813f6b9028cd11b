//! Secrets that must be in no output, plain or encoded (O3).

use std::io::{self, Read};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// One form of one canary, to be looked for.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Which canary, from 1: reports never repeat the secret.
    number: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

/// A canary too short to be told from noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("canary {0} is shorter than {SHORTEST} bytes")]
pub struct TooShort(usize);

/// The fewest bytes that a canary has.
const SHORTEST: usize = 8;

/// Every form of the canaries in a text, one a line.
///
/// # Errors
/// [`TooShort`].
pub fn forms(text: &str) -> Result<Vec<Canary>, TooShort> {
    let mut forms = Vec::new();
    for (i, secret) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let number = i.saturating_add(1);
        if secret.len() < SHORTEST {
            return Err(TooShort(number));
        }
        let mut form = |form, bytes: Vec<u8>| forms.push(Canary { number, form, bytes });
        form("plain", secret.as_bytes().to_vec());
        form("hexadecimal", secret.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
        let escaped = serde_json::Value::from(secret).to_string();
        form("JSON", escaped.trim_matches('"').as_bytes().to_vec());
        for offset in 0..3 {
            form("base64", inside(&STANDARD_NO_PAD.encode(at(secret, offset)), offset));
            form("base64url", inside(&URL_SAFE_NO_PAD.encode(at(secret, offset)), offset));
        }
    }
    forms.retain(|canary| !canary.bytes.is_empty());
    Ok(forms)
}

/// The secret behind so many other bytes.
fn at(secret: &str, offset: usize) -> Vec<u8> {
    [&vec![0; offset], secret.as_bytes()].concat()
}

/// The characters that are the same whatever stands before and after the secret.
fn inside(encoded: &str, offset: usize) -> Vec<u8> {
    let first = [0, 2, 3].get(offset).copied().unwrap_or_default();
    let last = encoded.len().saturating_sub(usize::from(!encoded.len().is_multiple_of(4)));
    encoded.get(first..last).unwrap_or_default().as_bytes().to_vec()
}

/// Looks for every form in an output of any size, and says which is where; never the secret itself.
///
/// # Errors
/// What reading fails with.
pub fn scan(name: &str, mut output: impl Read, canaries: &[Canary]) -> io::Result<Vec<String>> {
    let overlap = canaries.iter().map(|canary| canary.bytes.len()).max().unwrap_or(0);
    let mut found = vec![false; canaries.len()];
    let (mut window, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let read = match output.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        window.extend_from_slice(chunk.get(..read).unwrap_or_default());
        for (canary, found) in canaries.iter().zip(&mut found) {
            *found = *found || window.windows(canary.bytes.len()).any(|bytes| bytes == canary.bytes);
        }
        let keep = window.len().saturating_sub(overlap);
        window.drain(..keep);
    }
    let leaks = canaries.iter().zip(found).filter(|(_, found)| *found);
    Ok(leaks
        .map(|(canary, _)| format!("{name}: canary {} is in it ({})", canary.number, canary.form))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c4n\"ary-of-this-test";

    fn leaks(output: &str) -> Vec<String> {
        scan("out", output.as_bytes(), &forms(SECRET).unwrap()).unwrap()
    }

    #[test]
    fn a_canary_is_found_in_every_form_and_never_repeated() {
        assert_eq!(leaks("nothing here"), Vec::<String>::new());
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut outputs =
            vec![format!("a{SECRET}b"), format!("a{hex}b"), "{\"x\":\"c4n\\\"ary-of-this-test\"}".to_owned()];
        for before in 0..6 {
            let text = format!("{}{SECRET}{}", "?".repeat(before), "~".repeat(5));
            outputs.extend([STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]);
        }
        for output in outputs {
            let found = leaks(&output);
            assert!(!found.is_empty(), "{output}");
            assert!(found.iter().all(|found| !found.contains("c4n")));
        }
    }

    #[test]
    fn a_canary_across_two_reads_is_found() {
        let padding = "x".repeat((1 << 20) - 5);
        assert_eq!(leaks(&format!("{padding}{SECRET}")).len(), 1);
    }

    #[test]
    fn a_canary_that_is_too_short_is_refused() {
        assert_eq!(forms("long-enough\nshort").unwrap_err(), TooShort(2));
    }
}
