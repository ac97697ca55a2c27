//! "Did you mean …?"

/// Returns the candidate nearest to `word`, if one is near enough to be a slip of the keys.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= limit || candidate.starts_with(word) || word.starts_with(candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns a hint that begins with a verb: the few candidates that go on where the word ends, the nearest one, or the list of all.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let longer: Vec<_> =
        candidates.clone().into_iter().filter(|candidate| candidate.starts_with(word)).collect();
    if (2..=6).contains(&longer.len()) {
        return one_of(longer);
    }
    if let Some(candidate) = nearest(word, candidates.clone()) {
        return format!("did you mean '{candidate}'?");
    }
    one_of(candidates)
}

/// Returns a hint that lists all candidates.
pub fn one_of<'a>(candidates: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<_> = candidates.into_iter().map(|c| format!("'{c}'")).collect();
    match &all[..] {
        [] => "there is none to choose from".to_owned(),
        [only] => format!("use {only}"),
        all => format!("use one of {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_slips_only() {
        assert_eq!(nearest("epoch", ["epochs", "batch"]), Some("epochs"));
        assert_eq!(nearest("trian", ["train", "evaluate"]), Some("train"));
        assert_eq!(nearest("zebra", ["train", "evaluate"]), None);
        assert_eq!(hint("zebra", ["train", "reset"]), "use one of 'train', 'reset'");
        assert_eq!(
            hint("Table3", ["Table1", "Table3-vgg", "Table3-resnet"]),
            "use one of 'Table3-vgg', 'Table3-resnet'"
        );
    }
}
