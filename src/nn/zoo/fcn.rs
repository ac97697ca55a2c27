//! The study's fully connected networks "D×H": D dense ReLU layers of width H and a linear output (its section 3).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::name::LayerName;
use crate::nn::links::Link;
use crate::nn::links::dense::Dense;
use crate::nn::network::{Layer, Network};
use crate::nn::problem::{self, Problem};
use crate::nn::zoo::Model;

/// Depth and width of a fully connected network; 3×256 has four layers, `layer1` to `layer4`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fcn {
    /// Number of hidden layers.
    pub depth: usize,
    /// Width of each.
    pub width: usize,
}

impl Model for Fcn {
    fn name(&self) -> String {
        format!("fcn{}x{}", self.depth, self.width)
    }

    fn problem(&self) -> Option<Problem> {
        let hint = "give 1 or more";
        problem::first([
            (self.depth >= 1, Problem { path: "fcn.depth", message: "there is no hidden layer", hint }),
            (self.width >= 1, Problem { path: "fcn.width", message: "the hidden layers are empty", hint }),
        ])
    }

    fn network(&self, shape: [usize; 3], classes: usize) -> Network {
        let mut inputs = shape.iter().product();
        let mut layers = Vec::new();
        for index in 1..=self.depth + 1 {
            let hidden = index <= self.depth;
            let outputs = if hidden { self.width } else { classes };
            let link: Box<dyn Link> = Box::new(Dense::new(inputs, outputs, hidden));
            layers.push(Layer { name: LayerName::new(format!("layer{index}")), link });
            inputs = outputs;
        }
        Network::new(layers)
    }
}
