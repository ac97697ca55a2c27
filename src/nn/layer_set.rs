//! Which layers are reset: one by one, jointly, and in families of joint sets; named by patterns.

use std::collections::BTreeSet;

use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::base::name::LayerName;
use crate::nn::reset::{ResetError, Row};

/// Some layers, jointly: names, and patterns with `*`, `?` and `[…]`. `!` in front takes layers away: from those before it, or from all
/// if it comes first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Selection(pub Vec<String>);

/// A selection, or none: `none`, a text with commas (so that an axis can hold it), or a list.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected 'none', or layers: a list, or a text with commas")]
pub enum Chosen {
    /// As in `stage*.*, !*.resblk1`.
    Text(String),
    /// As in `["stage*.*", "!*.resblk1"]`.
    List(Selection),
}

impl Chosen {
    /// Reads a field that is absent where nothing is chosen.
    pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Selection>, D::Error> {
        Ok(match Option::<Self>::deserialize(deserializer)? {
            None => None,
            Some(Self::List(selection)) => Some(selection),
            Some(Self::Text(text)) if text == "none" => None,
            Some(Self::Text(text)) => {
                Some(Selection(text.split(',').map(|pattern| pattern.trim().to_owned()).collect()))
            }
        })
    }
}

/// An entry of a list of layers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name of a layer, a list of names, or one of 'prefixes', 'suffixes' and 'pairs'"
)]
pub enum Group {
    /// A row for the layer; for a pattern, a row for each that it matches.
    Each(String),
    /// One row.
    Joint(Selection),
    /// Several sets of a selection.
    Family(Family),
}

/// Sets of layers made of a selection, a row each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Family {
    /// The first one, the first two, ...
    Prefixes(Selection),
    /// The last one, the last two, ...
    Suffixes(Selection),
    /// Every two of them.
    Pairs(Selection),
}

/// The rows of these groups: single layers in chain order, then each joint set, with its complement behind it if that
/// is wanted and not empty. Equal rows are merged.
pub fn rows(chain: &[LayerName], groups: &[Group], complement: bool) -> Result<Vec<Row>, ResetError> {
    let (mut singles, mut joint) = (BTreeSet::new(), Vec::new());
    for group in groups {
        match group {
            Group::Each(pattern) => singles.extend(Selection(vec![pattern.clone()]).places(chain)?),
            Group::Joint(selection) => joint.push(selection.places(chain)?),
            Group::Family(family) => joint.extend(family.sets(chain)?),
        }
    }
    let row = |is_in: &dyn Fn(&usize) -> bool| {
        Row::of((0..chain.len()).filter(is_in).map(|place| chain[place].clone()).collect())
    };
    let mut rows: Vec<Row> = singles.iter().map(|single| row(&|place| place == single)).collect();
    for set in joint {
        rows.push(row(&|place| set.contains(place)));
        if complement && set.len() < chain.len() {
            rows.push(row(&|place| !set.contains(place)));
        }
    }
    let mut merged: Vec<Row> = Vec::new();
    for row in rows {
        if !merged.contains(&row) {
            merged.push(row);
        }
    }
    Ok(merged)
}

impl Group {
    /// What is wrong with it, whatever the chain.
    pub fn problem(&self) -> Option<ResetError> {
        match self {
            Self::Each(pattern) => parse(pattern).err(),
            Self::Joint(selection) => selection.problem(),
            Self::Family(family) => family.selection().problem(),
        }
    }
}

impl Family {
    fn selection(&self) -> &Selection {
        match self {
            Self::Prefixes(selection) | Self::Suffixes(selection) | Self::Pairs(selection) => selection,
        }
    }

    /// Places in the chain of each set.
    fn sets(&self, chain: &[LayerName]) -> Result<Vec<BTreeSet<usize>>, ResetError> {
        let places: Vec<usize> = self.selection().places(chain)?.into_iter().collect();
        let some = |places: &[usize]| places.iter().copied().collect();
        Ok(match self {
            Self::Prefixes(_) => (1..=places.len()).map(|count| some(&places[..count])).collect(),
            Self::Suffixes(_) => (0..places.len()).rev().map(|first| some(&places[first..])).collect(),
            Self::Pairs(_) => {
                let pairs = |(index, first): (usize, &usize)| {
                    places[index + 1..].iter().map(|second| [*first, *second].into()).collect::<Vec<_>>()
                };
                places.iter().enumerate().flat_map(pairs).collect()
            }
        })
    }
}

impl Selection {
    /// The layers that are chosen of a chain, in its order; at least one.
    pub fn of(&self, chain: &[LayerName]) -> Result<Vec<LayerName>, ResetError> {
        Ok(self.places(chain)?.into_iter().map(|place| chain[place].clone()).collect())
    }

    /// What is wrong with it, whatever the chain.
    pub fn problem(&self) -> Option<ResetError> {
        if self.0.is_empty() {
            return Some(ResetError::Nothing { selection: "[]".to_owned() });
        }
        self.0.iter().find_map(|pattern| parse(pattern).err())
    }

    /// Places in the chain; at least one.
    fn places(&self, chain: &[LayerName]) -> Result<BTreeSet<usize>, ResetError> {
        let mut places = BTreeSet::new();
        for (index, text) in self.0.iter().enumerate() {
            let (is_kept, pattern) = parse(text)?;
            let matched: BTreeSet<_> =
                (0..chain.len()).filter(|at| pattern.matches(chain[*at].as_str())).collect();
            if matched.is_empty() {
                return Err(ResetError::no_layer(pattern.as_str(), chain));
            }
            if !is_kept && index == 0 {
                places.extend(0..chain.len());
            }
            if is_kept {
                places.extend(matched);
            } else {
                places.retain(|place| !matched.contains(place));
            }
        }
        if places.is_empty() {
            return Err(ResetError::Nothing { selection: self.0.join(", ") });
        }
        Ok(places)
    }
}

/// Whether layers are added, and which.
fn parse(text: &str) -> Result<(bool, Pattern), ResetError> {
    let stripped = text.strip_prefix('!');
    let parsed = Pattern::new(stripped.unwrap_or(text));
    let parsed = parsed.map_err(|e| ResetError::Pattern { pattern: text.to_owned(), problem: e.msg })?;
    Ok((stripped.is_none(), parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain_of(depth: usize) -> Vec<LayerName> {
        (1..=depth).map(|i| LayerName::new(format!("layer{i}"))).collect()
    }

    fn resnet() -> Vec<LayerName> {
        let blocks =
            (1..=2).flat_map(|stage| (1..=3).map(move |block| format!("stage{stage}.resblk{block}")));
        let names = std::iter::once("stage0".to_owned()).chain(blocks).chain(["final_linear".to_owned()]);
        names.map(LayerName::new).collect()
    }

    fn each(pattern: &str) -> Group {
        Group::Each(pattern.to_owned())
    }

    fn select(patterns: &[&str]) -> Selection {
        Selection(patterns.iter().map(|text| (*text).to_owned()).collect())
    }

    fn joint(patterns: &[&str]) -> Group {
        Group::Joint(select(patterns))
    }

    fn labels(chain: &[LayerName], groups: &[Group], complement: bool) -> Vec<String> {
        rows(chain, groups, complement).unwrap().into_iter().map(|row| row.label).collect()
    }

    #[test]
    fn rows_are_in_chain_order_and_joint_sets_behind() {
        let chain = chain_of(4);
        let groups = [joint(&["layer4", "layer2"]), each("layer3"), each("layer1"), each("layer3")];
        assert_eq!(labels(&chain, &groups, false), ["layer1", "layer3", "layer2+layer4"]);
        assert_eq!(labels(&chain, &groups, true), ["layer1", "layer3", "layer2+layer4", "layer1+layer3"]);
    }

    #[test]
    fn complements_are_not_empty_and_not_repeated() {
        let chain = chain_of(4);
        let halves = [joint(&["layer1", "layer2"]), joint(&["layer3", "layer4"])];
        assert_eq!(labels(&chain, &halves, true), ["layer1+layer2", "layer3+layer4"]);
        assert_eq!(labels(&chain, &[joint(&["layer2"])], true), ["layer2", "layer1+layer3+layer4"]);
        assert_eq!(labels(&chain, &[joint(&["*"])], true), ["layer1+layer2+layer3+layer4"]);
    }

    #[test]
    fn patterns_name_the_sets_of_the_study() {
        let chain = resnet();
        let but_the_first = ["stage1.resblk2", "stage1.resblk3", "stage2.resblk2", "stage2.resblk3"];
        assert_eq!(labels(&chain, &[joint(&["stage*.*", "!*.resblk1"])], false), [but_the_first.join("+")]);
        assert_eq!(labels(&chain, &[each("stage?.resblk[23]")], false), but_the_first);
        let all_but = labels(&chain, &[joint(&["!stage*"])], true);
        assert_eq!(all_but[0], "final_linear");
        assert!(all_but[1].starts_with("stage0+stage1.resblk1+") && all_but[1].ends_with("stage2.resblk3"));
    }

    #[test]
    fn none_a_text_or_a_list() {
        let read = |text: &str| Chosen::read(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read("null").unwrap(), None);
        assert_eq!(read("\"none\"").unwrap(), None);
        let both = Some(select(&["stage*.*", "!*.resblk1"]));
        assert_eq!(read("\"stage*.*, !*.resblk1\"").unwrap(), both);
        assert_eq!(read("[\"stage*.*\", \"!*.resblk1\"]").unwrap(), both);
        assert!(read("3").unwrap_err().to_string().starts_with("expected 'none', or layers"));
    }

    #[test]
    fn families() {
        let chain = chain_of(3);
        let of =
            |family: fn(Selection) -> Family| labels(&chain, &[Group::Family(family(select(&["*"])))], false);
        assert_eq!(of(Family::Prefixes), ["layer1", "layer1+layer2", "layer1+layer2+layer3"]);
        assert_eq!(of(Family::Suffixes), ["layer3", "layer2+layer3", "layer1+layer2+layer3"]);
        assert_eq!(of(Family::Pairs), ["layer1+layer2", "layer1+layer3", "layer2+layer3"]);
    }

    #[test]
    fn what_is_no_layer_is_told() {
        let error = |groups: &[Group]| rows(&chain_of(2), groups, false).unwrap_err();
        let unknown = error(&[joint(&["layer2", "layr1"])]);
        assert_eq!(unknown.to_string(), "the network has no layer 'layr1'");
        assert_eq!(unknown.hint().unwrap(), "did you mean 'layer1'?");
        assert_eq!(error(&[each("head")]).hint().unwrap(), "use one of 'layer1', 'layer2'");
        assert_eq!(error(&[joint(&["!*"])]).to_string(), "no layer is in '!*'");
        assert_eq!(error(&[joint(&["layer*", "!stage*"])]).to_string(), "the network has no layer 'stage*'");
        assert!(
            joint(&["layer[1"]).problem().unwrap().to_string().starts_with("'layer[1' is not a pattern: ")
        );
        assert!(joint(&[]).problem().is_some() && joint(&["layer[12]", "!layer1"]).problem().is_none());
    }
}
