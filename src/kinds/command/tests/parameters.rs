//! What can be written in a pipeline, and what enters the key.

use super::*;
use crate::stage::ParseError;

#[test]
fn the_key_has_no_defaults_and_no_spellings() {
    let parameters = |value: Value| KIND.parse(&value).unwrap().parameters();
    let short = json!({"run": "true", "outputs": "a"});
    let long =
        json!({"run": "true", "outputs": ["a"], "files": [], "env": {}, "sandbox": "auto", "read": []});
    assert_eq!(parameters(short.clone()), json!({"run": "true", "outputs": ["a"]}));
    assert_eq!(parameters(long), parameters(short));
    let number =
        json!({"run": ["p", 1], "outputs": ["b/", "a"], "env": {"N": 0.5, "B": true}, "sandbox": "off"});
    let text = json!({"run": ["p", "1"], "outputs": ["a", "b/"], "env": {"B": "true", "N": "0.5"}, "sandbox": "off"});
    assert_eq!(parameters(number), text);
    assert_eq!(parameters(text.clone()), text);
}

#[test]
fn declared_files_are_sources() {
    let stage = KIND.parse(&json!({"run": "true", "outputs": "a", "files": ["src/", "b.txt"]})).unwrap();
    assert_eq!(stage.sources(), ["b.txt", "src"]);
    let one = KIND.parse(&json!({"run": "true", "outputs": "a", "files": "b.txt"})).unwrap();
    assert_eq!(one.sources(), ["b.txt"]);
    assert_eq!(one.parameters()["files"], json!(["b.txt"]));
}

#[test]
fn mistakes_in_parameters() {
    let files = |files: Value| json!({"run": "true", "outputs": ["out"], "files": files});
    let outputs = |outputs: Value| json!({"run": "true", "outputs": outputs});
    let mistakes = [
        json!({"run": " ", "outputs": "a"}),
        json!({"run": [], "outputs": "a"}),
        json!({"run": 3, "outputs": "a"}),
        json!({"run": true, "outputs": "a"}),
        json!({"run": {"sh": "true"}, "outputs": "a"}),
        json!({"run": [["a"]], "outputs": "a"}),
        json!({"run": "true"}),
        outputs(json!([])),
        outputs(json!("")),
        outputs(json!("/elsewhere/a")),
        outputs(json!("a/../b")),
        outputs(json!("./a")),
        outputs(json!("a//b")),
        outputs(json!("a/.hidden")),
        outputs(json!(["a", "a/"])),
        outputs(json!(["a", "a-b", "a/b"])),
        files(json!(["../a"])),
        files(json!(["src/", "src/0.txt"])),
        files(json!(["out/a"])),
        files(json!(["out/"])),
        json!({"run": "true", "outputs": "a", "env": {"1A": "x"}}),
        json!({"run": "true", "outputs": "a", "env": {"A": null}}),
        json!({"run": "true", "outputs": "a", "read": ["data"]}),
        json!({"run": "true", "outputs": "a", "sandbox": "on"}),
    ];
    let tell = |value: &Value| match KIND.parse(value) {
        Err(ParseError::Shape { path, message }) => format!("{value}\n  {path}: {message}\n"),
        Err(ParseError::Value(error)) => {
            format!("{value}\n  {}: {}\n  help: {}\n", error.path, error.message, error.hint)
        }
        Ok(_) => panic!("{value} is taken"),
    };
    insta::assert_snapshot!(mistakes.iter().map(tell).collect::<String>());
}
