//! The contract between the engine and the kinds of work: all that a kind imports of the pipeline.
//!
//! A kind is a struct of parameters with an implementation of [`Stage`]; the engine sees [`AnyStage`]. This module is
//! pure: it knows neither the store nor the pipeline file, and no kind by name.

pub mod artifact;
pub mod context;
pub mod key;
pub mod parts;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::place::Place;

pub use artifact::{Arity, Artifact, ArtifactType, Inputs, Slot};
pub use context::{Context, Parameter, Report, StageError};
pub use key::{KeyFields, StageKey};

/// One kind of work: the struct is its parameters, the implementation its behaviour.
///
/// The serialised form of the struct is what enters the key, so a field at its no-op default must be left out of it
/// (`#[serde(default, skip_serializing_if = …)]`): then adding an option later keeps old keys.
/// Its schema ([`JsonSchema`], derived) tells editors what the struct takes; doc comments of its fields are shown to users.
pub trait Stage: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// The word in the pipeline file.
    const KIND: &'static str;
    /// Raised when equal inputs should give another output.
    const VERSION: u32;
    /// One line for people.
    const ABOUT: &'static str;
    /// Named inputs.
    const SLOTS: &'static [Slot];
    /// Whether it takes further inputs, under names that the pipeline chooses: the form of their slots.
    const OPEN: Option<Slot> = None;
    /// What comes out.
    const OUTPUT: ArtifactType;
    /// Whether floating-point kernels make the output, so that the numerics class enters the key.
    const NUMERIC: bool = false;
    /// Whether `run` can continue what an interrupted run began. Without it, `out` and `scratch` are empty at the start.
    const RESUMES: bool = false;
    /// Whether the output is placed in `results/<pipeline>/`.
    const PUBLISHED: bool = false;
    /// Whether it is done where the run was started, even if others go to a cluster: it takes moments, or needs the network.
    const LOCAL: bool = false;

    /// Says what is wrong with parameters that have the right types: the path of the offending one within the
    /// parameters (`""` for all of them) and a sentence.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }

    /// Files and folders of the project that it reads, relative to the folder of the pipeline. Their content enters the key.
    fn sources(&self) -> Vec<String> {
        Vec::new()
    }

    /// Does the work: reads the inputs, writes files into `context.out`.
    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError>;
}

/// A parameter of the right type with a value that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub struct ParameterError {
    /// Path within the parameters, as in `optimizer.sgd.lr`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do: begins with a verb.
    pub hint: String,
    /// Where in the parameter, if that is a text.
    pub place: Option<Place>,
}

impl ParameterError {
    /// Builds the error.
    pub fn new(path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), hint: hint.into(), place: None }
    }
}

/// A [`Stage`] with its type forgotten: what the engine holds.
pub trait AnyStage: Send + Sync {
    /// The row of the registry that it belongs to.
    fn kind(&self) -> &'static Kind;
    /// Its parameters as they enter the key.
    fn parameters(&self) -> serde_json::Value;
    /// See [`Stage::sources`].
    fn sources(&self) -> Vec<String>;
    /// Does the work.
    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError>;
}

struct Typed<S> {
    kind: &'static Kind,
    stage: S,
}

impl<S: Stage> AnyStage for Typed<S> {
    fn kind(&self) -> &'static Kind {
        self.kind
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(&self.stage).expect("parameters have string keys and finite numbers")
    }

    fn sources(&self) -> Vec<String> {
        self.stage.sources()
    }

    fn run(&self, inputs: &Inputs, context: &Context) -> Result<(), StageError> {
        self.stage.run(inputs, context)
    }
}

/// Why parameters could not be read.
#[derive(Debug)]
pub enum ParseError {
    /// A wrong type, an unknown or a missing field: the path within the parameters and serde's sentence.
    Shape {
        /// Path within the parameters.
        path: String,
        /// What serde said.
        message: String,
    },
    /// The right types, but a value that makes no sense.
    Value(ParameterError),
}

/// A row of the registry.
#[expect(clippy::struct_excessive_bools, reason = "each is a constant of the stage")]
pub struct Kind {
    /// The word in the pipeline file.
    pub name: &'static str,
    /// See [`Stage::VERSION`].
    pub version: u32,
    /// See [`Stage::ABOUT`].
    pub about: &'static str,
    /// See [`Stage::SLOTS`].
    pub slots: &'static [Slot],
    /// See [`Stage::OPEN`].
    pub open: Option<Slot>,
    /// See [`Stage::OUTPUT`].
    pub output: ArtifactType,
    /// See [`Stage::NUMERIC`].
    pub numeric: bool,
    /// See [`Stage::RESUMES`].
    pub resumes: bool,
    /// See [`Stage::PUBLISHED`].
    pub published: bool,
    /// See [`Stage::LOCAL`].
    pub local: bool,
    parse: ParseFn,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

type ParseFn = fn(&'static Kind, &serde_json::Value) -> Result<Box<dyn AnyStage>, ParseError>;

impl Kind {
    /// The row of a stage type.
    pub const fn of<S: Stage>() -> Self {
        Self {
            name: S::KIND,
            version: S::VERSION,
            about: S::ABOUT,
            slots: S::SLOTS,
            open: S::OPEN,
            output: S::OUTPUT,
            numeric: S::NUMERIC,
            resumes: S::RESUMES,
            published: S::PUBLISHED,
            local: S::LOCAL,
            parse: parse::<S>,
            schema: S::json_schema,
        }
    }

    /// The slot with this name.
    pub fn slot(&self, name: &str) -> Option<Slot> {
        let declared = self.slots.iter().find(|slot| slot.name == name).cloned();
        declared.or_else(|| self.open.as_ref().map(|slot| slot.named(name)))
    }

    /// What its parameters may be, with definitions of their parts left with the generator.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }

    /// Reads parameters into a stage of this kind.
    pub fn parse(&'static self, parameters: &serde_json::Value) -> Result<Box<dyn AnyStage>, ParseError> {
        (self.parse)(self, parameters)
    }
}

fn parse<S: Stage>(
    kind: &'static Kind,
    parameters: &serde_json::Value,
) -> Result<Box<dyn AnyStage>, ParseError> {
    // Following the path costs as much as reading, so it is followed only when there is a mistake to place.
    let stage = S::deserialize(parameters).or_else(|_| {
        serde_path_to_error::deserialize(parameters)
            .map_err(|e| ParseError::Shape { path: e.path().to_string(), message: e.inner().to_string() })
    })?;
    stage.check().map_err(ParseError::Value)?;
    Ok(Box::new(Typed { kind, stage }))
}

/// The kinds that a pipeline may use.
#[derive(Clone, Copy)]
pub struct Registry(pub &'static [Kind]);

impl Registry {
    /// Finds a kind by its word.
    pub fn find(&self, name: &str) -> Option<&'static Kind> {
        self.0.iter().find(|kind| kind.name == name)
    }

    /// All words.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.0.iter().map(|kind| kind.name)
    }
}
