use super::*;
use crate::figure::svg::tests::assert_texts_apart;

fn chart(form: Form, places: usize, series: usize, name: &str) -> Chart {
    let point = |place: usize, index: usize| Point {
        value: (place * 7 % 10) as f64 / 10.0 + index as f64 * 0.01,
        whisker: (index == 1).then_some(0.05),
    };
    let series_of = |index: usize| Series {
        name: format!("series {index}"),
        points: (0..places).map(|place| (place != 2).then(|| point(place, index))).collect(),
    };
    Chart {
        form,
        title: "Errors of <layers>".into(),
        place_title: "layer".into(),
        value_title: "error".into(),
        series_title: "reset to epoch τ".into(),
        places: (0..places).map(|place| format!("{name}{place}")).collect(),
        series: (0..series).map(series_of).collect(),
        scale: Scale { min: 0.0, max: 1.0 },
    }
}

#[test]
fn bytes_are_stable() {
    let lines = chart(Form::Lines, 4, 2, "layer");
    assert_eq!(svg(&lines), svg(&lines));
    insta::assert_snapshot!(svg(&lines));
    insta::assert_snapshot!(svg(&chart(Form::Bars, 3, 2, "3×")));
}

#[test]
fn no_text_is_cut_or_covered() {
    for form in [Form::Lines, Form::Bars] {
        for (places, series, name) in [
            (1, 1, "a"),
            (4, 3, "layer"),
            (54, 6, "stage3.resblk"),
            (12, 2, "3×1024 and more "),
            (101, 2, ""),
        ] {
            assert_texts_apart(&svg(&chart(form, places, series, name)), places.min(60) / 10 + series);
        }
    }
}

#[test]
fn a_line_ends_where_a_value_is_missing() {
    let picture = svg(&chart(Form::Lines, 5, 1, "layer"));
    let paths: Vec<_> = picture.lines().filter(|line| line.contains("fill=\"none\"")).collect();
    assert_eq!(paths.len(), 2, "{paths:#?}");
    assert!(paths.iter().all(|path| path.matches('L').count() == 1), "{paths:#?}");
    assert_eq!(picture.matches("<circle").count(), 4 + 1, "four values, and one for the name");
}
