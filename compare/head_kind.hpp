#pragma once

namespace tape {

struct TaskData;

/// Which head of a kind of task every arm gets (--head).
enum class HeadStyle {
    published, ///< TAPE's convolution for residues; exact linear models on averages over the protein
    strong     ///< residual convolutions over the rows; for variants of one protein a linear model of positions
};

/// A head that is fitted: what compare/experiment_heads.cpp tells apart.
enum class HeadKind {
    residues,          ///< TAPE's residue head
    strong_residues,   ///< residual convolutions
    pairs,             ///< the pair head, of either style
    class_of_averages, ///< logistic regression on pooled features
    class_of_rows,     ///< residual convolutions and attention
    value_of_averages, ///< ridge regression on pooled features
    value_of_rows,     ///< residual convolutions and attention
    value_of_positions ///< ridge regression on the residues at their positions beside pooled features
};

/// @param data  its kind of task, and its proteins: they decide whether the task's proteins are variants of one
HeadKind head_kind(TaskData const& data, HeadStyle style);

/// Networks, trained by steps from a seed, read a row a residue; exact solutions one pooled vector a protein.
bool is_network(HeadKind head);

} // namespace tape
