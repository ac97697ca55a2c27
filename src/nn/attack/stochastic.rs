//! Stochastic replacement (the study's Table 2): at an inference, some random stages each swap one random block of theirs for one of a
//! few sets of random weights.
//!
//! A block can be swapped if its skip is an identity: such blocks survive fresh weights. Which layers swap is drawn for each example and
//! each inference anew; the weight sets are drawn once, by [`Network::draw`], and are not made here.

use crate::base::rng::Stream;
use crate::nn::attack::target::Swap;
use crate::nn::network::Network;

/// The random swaps of a network's inferences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stochastic {
    /// Of each stage, places in the chain of the blocks that can be swapped.
    blocks: Vec<Vec<usize>>,
    /// How many stages swap a block at an inference.
    stages: usize,
    /// How many weight sets there are.
    sets: usize,
}

/// More stages are to swap a block than there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a block is to be swapped in {wanted} of the network's stages, and {present} have blocks whose skip is an identity"
)]
pub struct TooFewStages {
    /// How many are asked for.
    pub wanted: usize,
    /// How many there are.
    pub present: usize,
}

impl Stochastic {
    /// So many stages of a network swap a block for one of so many sets.
    pub fn new(network: &Network, stages: usize, sets: usize) -> Result<Self, TooFewStages> {
        let mut blocks: Vec<(&str, Vec<usize>)> = Vec::new();
        for (place, layer) in network.layers().iter().enumerate() {
            let Some((stage, block)) = layer.name.as_str().split_once('.') else { continue };
            if !block.starts_with("resblk") || layer.link.input() != layer.link.output() {
                continue;
            }
            match blocks.last_mut() {
                Some((last, places)) if *last == stage => places.push(place),
                _ => blocks.push((stage, vec![place])),
            }
        }
        if stages > blocks.len() {
            return Err(TooFewStages { wanted: stages, present: blocks.len() });
        }
        Ok(Self { blocks: blocks.into_iter().map(|(_, places)| places).collect(), stages, sets })
    }

    /// Places in the chain of all blocks that may be swapped.
    pub fn swappable(&self) -> Vec<usize> {
        if self.stages == 0 { Vec::new() } else { self.blocks.concat() }
    }

    /// The swaps of one inference of one example.
    pub fn draw(&self, stream: &mut Stream) -> Vec<Swap> {
        let stages = stream.permutation(self.blocks.len());
        let swap = |stage: &u32| {
            let blocks = &self.blocks[*stage as usize];
            let block = blocks[stream.below(blocks.len() as u64) as usize];
            (block, stream.below(self.sets as u64) as usize)
        };
        stages.iter().take(self.stages).map(swap).collect()
    }
}
