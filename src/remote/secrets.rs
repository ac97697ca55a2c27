//! What must not be told, and texts of others without it.

use std::borrow::Cow;

use url::Url;

/// The longest text of another program that is told.
const LONGEST: usize = 300;

/// Values that errors and logs must not have.
#[derive(Debug, Default, Clone)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Password and query of an address.
    pub(super) fn of_url(url: &Url) -> Self {
        let parts = [url.password(), url.query()];
        Self(parts.into_iter().flatten().filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    /// Values of options, but for those whose names say that anybody may know them.
    pub(super) fn add<'a>(&mut self, options: impl Iterator<Item = &'a (String, String)>) {
        const HARMLESS: [&str; 6] = ["region", "endpoint", "bucket", "profile", "account_name", "allow_http"];
        let is_secret = |name: &str| !HARMLESS.iter().any(|word| name.contains(word));
        // Short values ("true") are in every sentence.
        let secret = options.filter(|(name, value)| value.len() > 5 && is_secret(name));
        self.0.extend(secret.map(|(_, value)| value.clone()));
        self.0.sort_by_key(|value| std::cmp::Reverse(value.len()));
    }

    /// A text without them, on one line, and not too long.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "…").into();
            }
        }
        let words: Vec<String> = text.split_whitespace().map(without_query).collect();
        let mut line = words.join(" ");
        if let Some((end, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(end);
            line.push('…');
        }
        line
    }
}

/// A word without the query of an address in it: signatures stand there.
fn without_query(word: &str) -> String {
    match (word.find("://"), word.find('?')) {
        (Some(scheme), Some(query)) if scheme < query => {
            let end = word[query..].find([')', '"', '\'', '>', ',']).map_or(word.len(), |end| query + end);
            format!("{}?…{}", &word[..query], &word[end..])
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_has_a_secret() {
        let url = Url::parse("https://me:hunter2@host/a?sig=sesame").unwrap();
        let mut secrets = Secrets::of_url(&url);
        let options = [
            ("aws_secret_access_key".to_owned(), "wJalrXUtnFEMI/K7".to_owned()),
            ("aws_region".to_owned(), "eu-west-1".to_owned()),
        ];
        secrets.add(options.iter());
        let text =
            "error for url (https://me:hunter2@host/a?sig=sesame&x=1): wJalrXUtnFEMI/K7\n  in eu-west-1";
        assert_eq!(secrets.hide(text), "error for url (https://me:…@host/a?…): … in eu-west-1");
        assert_eq!(secrets.hide(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
