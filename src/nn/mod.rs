//! Networks: kernels, layers, models, training, checkpoints, resets, probes, distances.
//!
//! Knows tensors, and nothing of pipelines, stores or keys.
