//! Labels short enough to head a row: `layer2+layer3+layer5+layer6` → `layer2,3,5,6`.

/// Shortens the name of a joint set: names that differ in their last number alone share what is before it, and three
/// or more numbers in a row (two, if they are all there is) become a range. A single name stays as it is.
pub fn short(label: &str) -> String {
    if !label.contains('+') {
        return label.to_owned();
    }
    let names: Vec<_> = label.split('+').map(split_number).collect();
    let groups = names.chunk_by(|a, b| a.0 == b.0 && a.1.is_some() && b.1.is_some());
    groups.map(short_group).collect::<Vec<_>>().join(" + ")
}

/// `layer12` → (`layer`, 12).
fn split_number(name: &str) -> (&str, Option<u64>) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match name[stem.len()..].parse() {
        Ok(number) if !name[stem.len()..].starts_with('0') || number == 0 => (stem, Some(number)),
        _ => (name, None),
    }
}

fn short_group(group: &[(&str, Option<u64>)]) -> String {
    let numbers: Vec<u64> = group.iter().filter_map(|(_, number)| *number).collect();
    let runs: Vec<_> = numbers.chunk_by(|a, b| a + 1 == *b).collect();
    let parts: Vec<_> = runs
        .iter()
        .flat_map(|run| match run {
            [first, .., last] if run.len() > 2 || runs.len() == 1 => vec![format!("{first}–{last}")],
            _ => run.iter().map(u64::to_string).collect(),
        })
        .collect();
    format!("{}{}", group[0].0, parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_joint_sets_only() {
        let cases = [
            ("layer2", "layer2"),
            ("fullmodel", "fullmodel"),
            ("layer1+layer2", "layer1–2"),
            ("layer1+layer4", "layer1,4"),
            ("layer2+layer3+layer5+layer6", "layer2,3,5,6"),
            ("layer2+layer3+layer4+layer5+layer6", "layer2–6"),
            ("layer1+layer2+layer3+layer5", "layer1–3,5"),
            ("stage1.resblk2+stage2.resblk2+stage2.resblk3", "stage1.resblk2 + stage2.resblk2–3"),
            ("stage0+final_linear", "stage0 + final_linear"),
        ];
        for (label, expected) in cases {
            assert_eq!(short(label), expected);
        }
    }
}
