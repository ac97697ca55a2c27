//! The pipeline language as JSON Schema (draft 2020-12), for editors: made from the kinds themselves.
//!
//! What a schema cannot say (that names are declared, that types of artifacts fit) is left to `check`.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::pipeline::axes::RESERVED;
use crate::stage::{Arity, Kind, Registry, Slot};

/// Describes a pipeline file.
pub fn schema(registry: Registry) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let stages: Vec<Value> = registry.0.iter().map(|kind| stage(kind, &mut generator)).collect();
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut().filter_map(|value| <&mut Schema>::try_from(value).ok()) {
        References.transform(definition);
    }
    definitions.extend(common());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "layerwise pipeline",
        "type": "object",
        "properties": {
            "pipeline": { "description": "Name: results go to results/NAME.", "$ref": "#/$defs/name" },
            "about": { "description": "One line for people.", "type": "string" },
            "use": {
                "description": "Other pipeline files whose stages, parameters and axes are shared; relative to this file.",
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
            },
            "params": {
                "description": "Values that stages refer to as ${params.NAME}, and that '--set NAME=VALUE' replaces.",
                "type": "object",
                "propertyNames": { "$ref": "#/$defs/name" },
            },
            "matrix": { "$ref": "#/$defs/matrix" },
            "scales": {
                "description": "Named sets of other values for parameters and axes, which '--scale NAME' takes; results go to results/PIPELINE-NAME.",
                "type": "object",
                "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": { "type": "object", "propertyNames": { "$ref": "#/$defs/name" } },
            },
            "stages": {
                "description": "Units of work, by name.",
                "type": "object",
                "propertyNames": { "$ref": "#/$defs/name" },
                "additionalProperties": { "oneOf": stages },
            },
        },
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// A stage of one kind.
fn stage(kind: &Kind, generator: &mut SchemaGenerator) -> Value {
    let mut parameters = kind.schema(generator);
    References.transform(&mut parameters);
    let mut properties = Map::new();
    let about = format!("{} (gives '{}')", capitalised(kind.about), kind.output);
    properties
        .insert(kind.name.to_owned(), json!({ "description": about, "anyOf": [parameters, reference()] }));
    properties.insert("needs".to_owned(), needs(kind));
    for name in ["matrix", "resources", "timeout", "retries"] {
        properties.insert(name.to_owned(), json!({ "$ref": format!("#/$defs/{name}") }));
    }
    properties.insert("about".to_owned(), json!({ "description": "One line for people.", "type": "string" }));
    let is_lacking = kind.slots.iter().any(|slot| slot.arity != Arity::Any);
    let required: Vec<&str> = [kind.name].into_iter().chain(is_lacking.then_some("needs")).collect();
    json!({
        "title": kind.name,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The slots of a kind.
fn needs(kind: &Kind) -> Value {
    let slots: Map<String, Value> =
        kind.slots.iter().map(|slot| (slot.name.clone().into_owned(), need(slot))).collect();
    let required: Vec<&str> =
        kind.slots.iter().filter(|slot| slot.arity != Arity::Any).map(|slot| &*slot.name).collect();
    let further = kind.open.as_ref().map_or(Value::Bool(false), need);
    json!({
        "description": "Inputs: slot → the stage that fills it.",
        "type": "object",
        "properties": slots,
        "required": required,
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": further,
    })
}

fn need(slot: &Slot) -> Value {
    let name = json!({ "$ref": "#/$defs/name" });
    match slot.arity {
        Arity::One => {
            json!({ "description": format!("A stage that gives '{}'.", slot.ty), "$ref": "#/$defs/name" })
        }
        Arity::Many | Arity::Any => json!({
            "description": format!("One stage or more that give '{}'.", slot.ty),
            "anyOf": [name, { "type": "array", "items": name, "minItems": 1 }],
        }),
    }
}

fn reference() -> Value {
    json!({ "$ref": "#/$defs/reference" })
}

/// What does not depend on the kinds.
fn common() -> Map<String, Value> {
    let name = "[A-Za-z][A-Za-z0-9_-]*";
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let rows = |about: &str| {
        json!({
            "description": about,
            "type": "array",
            "minItems": 1,
            "items": { "type": "object", "minProperties": 1, "additionalProperties": scalar },
        })
    };
    let [zip, include, exclude] = RESERVED;
    let matrix = json!({
        "description": "Axes: every stage that mentions $AXIS exists once per value.",
        "type": "object",
        "properties": {
            zip: rows("Axes that vary together: one combination per entry."),
            include: rows("Whole combinations beside the product of the axes."),
            exclude: rows("Combinations to leave out: values for some of the axes."),
        },
        "additionalProperties": { "type": "array", "items": scalar, "minItems": 1 },
    });
    let reference = json!({
        "description": "The value of an axis or of a parameter.",
        "type": "string",
        "pattern": format!("^\\$({name}|\\{{params\\.{name}\\}})$"),
    });
    let named = json!({ "type": "string", "pattern": format!("^{name}$") });
    let all = [("matrix", matrix), ("name", named), ("reference", reference)].into_iter().chain(handling());
    all.map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// How a stage is run. No axis can stand here, but a parameter can.
fn handling() -> [(&'static str, Value); 3] {
    let parameter = json!({ "type": "string", "pattern": "^\\$\\{params\\.[A-Za-z][A-Za-z0-9_-]*\\}$" });
    let or_parameter = |form: Value| json!([form, parameter]);
    let resources = json!({
        "description": "What the stage occupies while it runs.",
        "type": "object",
        "properties": {
            "cores": { "anyOf": or_parameter(json!({ "type": "integer", "minimum": 1 })) },
            "memory": {
                "description": "Bytes, or an amount as in '4 GiB'.",
                "anyOf": or_parameter(json!({ "anyOf": [
                    { "type": "integer", "minimum": 0 },
                    { "type": "string", "pattern": "^[0-9.]+ *([kMGT]?B|[KMGT]iB)$" },
                ] })),
            },
            "gpu": { "anyOf": or_parameter(json!({ "type": "integer", "minimum": 0 })) },
            "time": {
                "description": "On a cluster: how long the job may take, as in '90 min'.",
                "anyOf": or_parameter(json!({ "type": "string", "pattern": "^[0-9.]+ *(ms|s|min|h|d)$" })),
            },
            "partition": { "description": "On a cluster: where it is queued.", "type": "string" },
            "account": { "description": "On a cluster: who pays.", "type": "string" },
            "extra": {
                "description": "On a cluster: further options of its own command, as in '--qos=high'.",
                "type": "array",
                "items": { "type": "string", "pattern": "^-" },
            },
        },
        "additionalProperties": false,
    });
    let timeout = json!({
        "description": "How long one attempt may take, as in '90 s', '10 min' or '2 h'.",
        "anyOf": or_parameter(json!({ "type": "string", "pattern": "^[0-9.]+ *(ms|s|min|h|d)$" })),
    });
    let retries = json!({
        "description": "How often the stage is tried again after a failure; on a cluster, also with how much more after it ran out of memory or time.",
        "anyOf": or_parameter(json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 100 },
            {
                "type": "object",
                "properties": {
                    "times": { "type": "integer", "minimum": 0, "maximum": 100 },
                    "memory": { "description": "As in 'x2'.", "type": "string", "pattern": "^x[0-9.]+$" },
                    "time": { "description": "As in 'x2'.", "type": "string", "pattern": "^x[0-9.]+$" },
                },
                "additionalProperties": false,
            },
        ] })),
    });
    [("resources", resources), ("retries", retries), ("timeout", timeout)]
}

/// Lets a reference stand in the place of every value.
#[derive(Clone)]
struct References;

impl Transform for References {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(members) = schema.as_object_mut() else { return };
        for (key, value) in members {
            match (key.as_str(), value) {
                ("properties", Value::Object(properties)) => properties.values_mut().for_each(or_reference),
                ("items" | "additionalProperties", value) if !value.is_boolean() => or_reference(value),
                _ => {}
            }
        }
    }
}

fn or_reference(value: &mut Value) {
    let mut outer = Map::new();
    if let Value::Object(members) = value {
        for key in ["description", "default"] {
            outer.extend(members.remove(key).map(|value| (key.to_owned(), value)));
        }
    }
    outer.insert("anyOf".to_owned(), json!([value.take(), reference()]));
    *value = Value::Object(outer);
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + characters.as_str())
        .unwrap_or_default()
}
