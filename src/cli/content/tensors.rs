//! Checkpoints: a line per tensor, with enough to see a network that went wrong.

use std::fmt::Write;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::cli::content::{Content, shape};
use crate::cli::failure::Style;
use crate::cli::page;

/// Least, mean and largest value.
struct Extent {
    least: f64,
    mean: f64,
    largest: f64,
}

/// A file of tensors with a sound header.
pub(super) fn read(bytes: &[u8], style: Style) -> Option<Content> {
    // Eight bytes of length, then JSON.
    if bytes.get(8) != Some(&b'{') {
        return None;
    }
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let mut views = tensors.tensors();
    views.sort_by(|(a, _), (b, _)| crate::table::order::natural(a, b));
    let mut rows = vec![page::row(["tensor", "type", "shape", "min", "mean", "max"])];
    let mut facts = Vec::new();
    for (name, view) in &views {
        let (kind, extent) = (format!("{:?}", view.dtype()).to_lowercase(), extent(view));
        let number =
            |get: fn(&Extent) -> f64| extent.as_ref().map_or(String::new(), |e| format!("{:.4}", get(e)));
        rows.push(vec![
            name.clone(),
            kind.clone(),
            shape(view.shape().iter()),
            number(|e| e.least),
            number(|e| e.mean),
            number(|e| e.largest),
        ]);
        facts.push(json!({
            "name": name, "dtype": kind, "shape": view.shape(),
            "min": extent.as_ref().map(|e| e.least), "mean": extent.as_ref().map(|e| e.mean), "max": extent.as_ref().map(|e| e.largest),
        }));
    }
    let lines = page::columns(&rows, "");
    let (head, rest) = lines.split_once('\n').unwrap_or((&lines, ""));
    let mut text = format!("{}\n{rest}", style.strong(head));
    let values: usize = views.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();
    text +=
        &style.faint(&format!("{}, {}", page::count(views.len(), "tensor"), page::count(values, "value")));
    text.push('\n');
    let metadata = metadata(bytes);
    for (name, value) in metadata.as_object().into_iter().flatten() {
        _ = writeln!(text, "{name}: {}", value.as_str().unwrap_or_default());
    }
    Some(Content { form: "safetensors", facts: json!({ "tensors": facts, "metadata": metadata }), text })
}

/// The texts that the file carries beside its tensors, sorted by name.
fn metadata(bytes: &[u8]) -> Value {
    let metadata = SafeTensors::read_metadata(bytes).ok().and_then(|(_, header)| header.metadata().clone());
    let sorted: std::collections::BTreeMap<_, _> = metadata.into_iter().flatten().collect();
    json!(sorted)
}

/// `None` if there is no value, or the type is a rare one.
fn extent(view: &TensorView<'_>) -> Option<Extent> {
    let bytes = view.data();
    let values: Vec<f64> = match view.dtype() {
        Dtype::F64 => elements(bytes, f64::from_le_bytes).collect(),
        Dtype::F32 => elements(bytes, |b| f64::from(f32::from_le_bytes(b))).collect(),
        Dtype::I64 => elements(bytes, |b| i64::from_le_bytes(b) as f64).collect(),
        Dtype::I32 => elements(bytes, |b| f64::from(i32::from_le_bytes(b))).collect(),
        Dtype::U32 => elements(bytes, |b| f64::from(u32::from_le_bytes(b))).collect(),
        Dtype::U8 => elements(bytes, |[b]: [u8; 1]| f64::from(b)).collect(),
        _ => return None,
    };
    let first = *values.first()?;
    // Unlike `f64::min`, a comparison that a NaN is to survive.
    let pick = |keep: fn(f64, f64) -> bool| {
        values.iter().fold(first, |best, v| if best.is_nan() || keep(best, *v) { best } else { *v })
    };
    Some(Extent {
        least: pick(|best, v| best <= v),
        mean: values.iter().sum::<f64>() / values.len() as f64,
        largest: pick(|best, v| best >= v),
    })
}

fn elements<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> impl Iterator<Item = f64> {
    bytes.as_chunks::<N>().0.iter().map(move |chunk| value(*chunk))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn tensors_tell_their_extent_and_nan_is_seen() {
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let (a, b) = (bytes(&[1.0, -2.0, 4.0, 0.0]), bytes(&[f32::NAN, 1.0]));
        let views = [
            ("layer10.weight", TensorView::new(Dtype::F32, vec![2, 2], &a).unwrap()),
            ("layer2.bias", TensorView::new(Dtype::F32, vec![2], &b).unwrap()),
            ("none", TensorView::new(Dtype::F32, vec![0], &[]).unwrap()),
            ("flag", TensorView::new(Dtype::BOOL, vec![1], &[1]).unwrap()),
        ];
        let file =
            safetensors::serialize(views, Some([("epoch".to_owned(), "3".to_owned())].into())).unwrap();
        assert_snapshot!(read(&file, Style { colour: false }).unwrap().text, @r"
        tensor          type  shape  min       mean      max
        flag            bool  1
        layer2.bias     f32   2      NaN       NaN       NaN
        layer10.weight  f32   2 × 2   -2.0000    0.7500    4.0000
        none            f32   0
        4 tensors, 7 values
        epoch: 3
        ");
        assert!(read(&file[..file.len() - 1], Style { colour: false }).is_none());
    }
}
