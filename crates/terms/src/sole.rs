//! What counts only where it comes once.

/// The one value where exactly one comes: two readers could pick different ones of two (T44).
pub fn sole<T>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values = values.into_iter();
    let one = values.next()?;
    values.next().is_none().then_some(one)
}

#[cfg(test)]
mod tests {
    use super::sole;

    #[test]
    fn of_none_and_of_two_there_is_not_one() {
        assert_eq!(sole([7]), Some(7));
        assert_eq!(sole::<u8>([]), None);
        assert_eq!(sole([7, 7]), None);
    }
}
