//! Networks: kernels, layers, models, training, checkpoints, resets, probes, distances.
//!
//! Knows tensors, and nothing of pipelines, stores or keys. A [`network::Network`] is a linear chain of named layers;
//! each is a [`links::Link`] that knows its tensors, its forward and its backward pass over [`kernels`]. The layer's
//! name is the prefix of its tensors' names, so a reset is "overwrite the tensors under a prefix".
//!
//! A [`learner::Learner`] makes steps, a [`train::Trainer`] epochs; [`run`] is how the result looks on disk. The kernels'
//! reference is [`autograd`]: the same chain in candle.

pub mod attack;
pub mod autograd;
pub mod distance;
pub mod evaluate;
pub mod examples;
pub mod import;
pub mod init;
pub mod kernels;
pub mod layer_set;
pub mod learner;
pub mod links;
pub mod loss;
pub mod metric;
pub mod network;
pub mod optimizer;
pub mod params;
pub mod prefix_tree;
pub mod probe;
pub mod problem;
pub mod recover;
pub mod reset;
pub mod run;
pub mod schedule;
pub mod similarity;
pub mod source;
pub mod spectrum;
pub mod state;
pub mod tensors;
pub mod train;
pub mod unit;
pub mod zoo;
