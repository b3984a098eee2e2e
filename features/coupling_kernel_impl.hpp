// Included by one source file per instruction set, which first renames Eigen's namespace (`#define Eigen ...`) and
// names the function (`#define TAPE_COUPLING_KERNEL ...`). Without the renaming the linker would keep one copy of each
// of Eigen's inline functions, possibly that of an instruction set this machine does not have. For the same reason
// nothing of the standard library that is not a plain function is used here.
#include "features/coupling_kernel.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Core>

namespace tape {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic>;
using Index = Eigen::Index;
constexpr Index block = 20;

/// Z of the header, n x rank or n x n.
Matrix inverse_factor(CouplingProblem const& problem) {
    Index const n = problem.states * problem.length;
    Eigen::Map<Matrix const> const scaled{problem.scaled, n, problem.rank};
    if (problem.rank < n) {
        Matrix gram = Matrix::Identity(problem.rank, problem.rank);
        gram.selfadjointView<Eigen::Lower>().rankUpdate(scaled.transpose());
        Eigen::LLT<Eigen::Ref<Matrix>> const cholesky{gram};
        Matrix turned = scaled.transpose();
        cholesky.matrixL().solveInPlace(turned);
        return turned.transpose();
    }
    Matrix full = Matrix::Identity(n, n);
    full.selfadjointView<Eigen::Lower>().rankUpdate(scaled);
    Eigen::LLT<Eigen::Ref<Matrix>> const cholesky{full};
    Matrix inverse = Matrix::Identity(n, n);
    cholesky.matrixL().solveInPlace(inverse);
    return inverse.transpose();
}

} // namespace

void TAPE_COUPLING_KERNEL(CouplingProblem const& problem) {
    Index const s = problem.states, length = problem.length;
    Matrix const factor = inverse_factor(problem);
    Eigen::Map<Matrix const> const transform{problem.transform, block, s};
    Matrix gauged(block * length, factor.cols());
    for (Index c = 0; c < length; ++c)
        gauged.middleRows(block * c, block).noalias() = transform * factor.middleRows(s * c, s);
    Eigen::Map<Matrix> norms{problem.norms, length, length};
    norms.setZero();
    constexpr Index group = 16; // positions a product: wide enough for Eigen's kernel, small enough for the cache
    Matrix product;
    for (Index first = 0; first < length; first += group) {
        Index const count = first + group < length ? group : length - first;
        product.noalias() =
            gauged.bottomRows(block * (length - first)) * gauged.middleRows(block * first, block * count).transpose();
        for (Index i = 0; i < count; ++i)
            for (Index j = i + 1; j < length - first; ++j)
                norms(first + i, first + j) = norms(first + j, first + i) =
                    product.block<block, block>(block * j, block * i).norm();
    }
}

} // namespace tape
