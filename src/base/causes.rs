//! An error in one sentence.

use std::error::Error;

/// An error with its causes, those left out that it repeats itself.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Words(&'static str, #[source] Option<Box<Words>>);

    #[test]
    fn causes_follow_and_nothing_is_said_twice() {
        let cause = Words("no such file", Some(Box::new(Words("code 2", None))));
        let error = Words("cannot open 'a': no such file", Some(Box::new(cause)));
        assert_eq!(chain(&error), "cannot open 'a': no such file: code 2");
    }
}
