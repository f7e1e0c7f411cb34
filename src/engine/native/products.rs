//! Products of random numbers, as ggml and as a kernel of ours has them. (Tests.)
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::backend::Backend;
use super::graph::Graph;
use super::store::{Store, fill};
use super::tensor::{Kind, Tensor};
use super::workspace::Workspace;

/// Whose kernel computes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Ggml,
    Ours,
}

/// What is multiplied: matrices of this kind and these dimensions, and rows of single precision.
pub struct Factors {
    pub kind: Kind,
    pub matrices: [usize; 4],
    pub rows: [usize; 4],
    pub threads: u8,
}

impl Factors {
    /// ggml's products and ours, described by `multiply`; ours are of matrices that `lay_out` has seen.
    pub fn products(
        &self,
        lay_out: impl Fn(Tensor<'static>) -> Result<(), String>,
        multiply: impl for<'g> Fn(&'g Graph, Tensor<'g>, Tensor<'g>, Whose) -> Tensor<'g>,
    ) -> [Vec<f32>; 2] {
        let mut random = fastrand::Rng::with_seed(7);
        let mut numbers = |dims: [usize; 4]| -> Vec<f32> {
            (0..dims.into_iter().product()).map(|_| random.f32() * 2.0 - 1.0).collect()
        };
        let (weights, rows) = (numbers(self.matrices), numbers(self.rows));
        let mut backend = Backend::new(None, self.threads).unwrap();
        let mut store = Store::new(2).unwrap();
        let matrices = [(); 2].map(|()| store.tensor(self.kind, self.matrices));
        store.allocate(backend.memory(), "a test").unwrap();
        for matrix in matrices {
            fill(matrix, &self.kind.from_f32(&weights, self.matrices[0]), 0).unwrap();
        }
        lay_out(matrices[1]).unwrap();
        [(matrices[0], Whose::Ggml), (matrices[1], Whose::Ours)].map(|(matrices, whose)| {
            let graph = Graph::new(8).unwrap();
            let input = graph.input(Kind::F32, self.rows);
            let product = graph.output(multiply(&graph, matrices, input, whose));
            let mut memory = Workspace::new(backend.memory());
            let mut placed = memory.place(&graph).unwrap();
            placed.set(input, &rows).unwrap();
            placed.compute(&mut backend).unwrap();
            placed.read(&product, 0, product.bytes() / size_of::<f32>()).unwrap().into_owned()
        })
    }
}

/// The greatest difference of both.
pub fn off([theirs, ours]: &[Vec<f32>; 2]) -> f32 {
    assert_eq!(theirs.len(), ours.len());
    theirs.iter().zip(ours).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
