//! Datasets: published files to tensors.
