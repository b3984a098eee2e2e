#include "align/gapped.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#define HWY_WANT_AVX3_DL 1
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "align/gapped.cpp"
// foreach_target.h comes first: it includes this file again for every target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>
#include "align/simd.hpp"
// clang-format on

#ifndef TAPE_ALIGN_GAPPED_SHARED
#define TAPE_ALIGN_GAPPED_SHARED
namespace tape {

/// One width of cells: the striped query and how wide a stripe is. A cell holds score + floor.
template <typename T> struct StripedQuery {
    std::size_t vectors = 0, lanes = 0;
    hwy::AlignedFreeUniquePtr<T[]> table; ///< 32 x vectors x lanes
    T gap_first = 0, gap_extend = 0;      ///< cost of a gap's first and of each further residue

    [[nodiscard]] std::size_t stride() const { return vectors * lanes; }
};

/// Columns of the matrix during a pass. `previous` and `gaps` enter as the state before the first residue and leave as
/// the state after the last; `columns`, if not null, receives every column (residues x stride).
template <typename T> struct ColumnPass {
    StripedQuery<T> const* query;
    std::span<Residue const> residues;
    T* previous;
    T* current;
    T* gaps;
    T* columns;
    T best;
};

} // namespace tape
#endif

HWY_BEFORE_NAMESPACE();
namespace tape::HWY_NAMESPACE {

// 8 and 16 bits: cells start at the type's minimum, so that saturation is the zero floor. 32 bits has room: floor at 0.
template <typename T> constexpr T floor_of = sizeof(T) == 4 ? T{0} : std::numeric_limits<T>::min();

template <class D, class V = hn::Vec<D>> HWY_INLINE V add(D d, V cell, V score) {
    if constexpr (sizeof(hn::TFromD<D>) == 4)
        return hn::Max(hn::Add(cell, score), hn::Zero(d));
    else
        return hn::SaturatedAdd(cell, score);
}

template <class D, class V = hn::Vec<D>> HWY_INLINE V subtract(D d, V cell, V cost) {
    if constexpr (sizeof(hn::TFromD<D>) == 4)
        return hn::Max(hn::Sub(cell, cost), hn::Zero(d));
    else
        return hn::SaturatedSub(cell, cost);
}

template <typename T> void run_pass(ColumnPass<T>& pass) {
    hn::ScalableTag<T> const d;
    using V = hn::Vec<decltype(d)>;
    std::size_t const lanes = hn::Lanes(d), vectors = pass.query->vectors, stride = vectors * lanes;
    V const floor = hn::Set(d, floor_of<T>);
    V const first = hn::Set(d, pass.query->gap_first), extend = hn::Set(d, pass.query->gap_extend);
    V best = hn::Set(d, pass.best);
    T const* previous = pass.previous;
    T* scratch[2] = {pass.current, pass.previous};
    for (std::size_t t = 0; t < pass.residues.size(); ++t) {
        T const* const row = pass.query->table.get() + (pass.residues[t] & 31U) * stride;
        T* const current = pass.columns ? pass.columns + t * stride : scratch[t % 2];
        V down = floor; // best score of a gap running along the query
        V diagonal = shift_in(d, hn::Load(d, previous + (vectors - 1) * lanes), floor);
        for (std::size_t v = 0; v < vectors; ++v) {
            V across = hn::Load(d, pass.gaps + v * lanes);
            V const cell = hn::Max(hn::Max(add(d, diagonal, hn::Load(d, row + v * lanes)), across), down);
            best = hn::Max(best, cell);
            diagonal = hn::Load(d, previous + v * lanes);
            hn::Store(cell, d, current + v * lanes);
            V const opened = subtract(d, cell, first);
            hn::Store(hn::Max(subtract(d, across, extend), opened), d, pass.gaps + v * lanes);
            down = hn::Max(subtract(d, down, extend), opened);
        }
        // Gaps along the query that cross from one lane to the next: rare, so looked at only while one still improves a
        // cell.
        for (std::size_t crossing = 0; crossing < lanes; ++crossing) {
            down = shift_in(d, down, floor);
            bool improves = true;
            for (std::size_t v = 0; v < vectors; ++v) {
                V cell = hn::Load(d, current + v * lanes);
                improves = !hn::AllFalse(d, hn::Gt(down, subtract(d, cell, first)));
                if (!improves) break;
                cell = hn::Max(cell, down);
                hn::Store(cell, d, current + v * lanes);
                V const across = hn::Load(d, pass.gaps + v * lanes);
                hn::Store(hn::Max(across, subtract(d, cell, first)), d, pass.gaps + v * lanes);
                down = subtract(d, down, extend);
            }
            if (!improves) break;
        }
        previous = current;
    }
    if (previous != pass.previous) std::copy_n(previous, stride, pass.previous);
    alignas(64) T found[hn::MaxLanes(hn::ScalableTag<T>{})];
    hn::Store(best, d, found);
    pass.best = *std::max_element(found, found + lanes);
}

void run_pass_8(ColumnPass<std::int8_t>& pass) { run_pass(pass); }
void run_pass_16(ColumnPass<std::int16_t>& pass) { run_pass(pass); }
void run_pass_32(ColumnPass<std::int32_t>& pass) { run_pass(pass); }

std::size_t vector_bytes() { return hn::Lanes(hn::ScalableTag<std::int8_t>{}); }

} // namespace tape::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tape {
namespace {

HWY_EXPORT(run_pass_8);
HWY_EXPORT(run_pass_16);
HWY_EXPORT(run_pass_32);
HWY_EXPORT(vector_bytes);

constexpr std::size_t kept_bytes = std::size_t{64} << 20;

template <typename T> constexpr std::int64_t floor_of = sizeof(T) == 4 ? 0 : std::numeric_limits<T>::min();
template <typename T> constexpr std::int64_t highest_score = std::numeric_limits<T>::max() - floor_of<T>;

void run(ColumnPass<std::int8_t>& pass) { HWY_DYNAMIC_DISPATCH(run_pass_8)(pass); }
void run(ColumnPass<std::int16_t>& pass) { HWY_DYNAMIC_DISPATCH(run_pass_16)(pass); }
void run(ColumnPass<std::int32_t>& pass) { HWY_DYNAMIC_DISPATCH(run_pass_32)(pass); }

template <typename T> StripedQuery<T> stripe(IntegerScores const& scores, GapCosts gaps) {
    StripedQuery<T> query;
    query.lanes = std::max<std::size_t>(1, HWY_DYNAMIC_DISPATCH(vector_bytes)() /
                                               sizeof(T)); // a scalar target has one lane of any width
    query.vectors = (static_cast<std::size_t>(scores.length) + query.lanes - 1) / query.lanes;
    query.gap_first = static_cast<T>(gaps.open + gaps.extend);
    query.gap_extend = static_cast<T>(gaps.extend);
    if (scores.length == 0) return query;
    query.table = hwy::AllocateAligned<T>(32 * query.stride());
    std::fill_n(query.table.get(), 32 * query.stride(), T{-128});
    for (std::size_t i = 0; i < static_cast<std::size_t>(scores.length); ++i)
        for (std::size_t code = 0; code < 32; ++code)
            query.table[code * query.stride() + (i % query.vectors) * query.lanes + i / query.vectors] =
                static_cast<T>(scores.at(static_cast<int>(i), static_cast<int>(code)));
    return query;
}

/// Grows on demand, never shrinks.
class AlignedBuffer {
  public:
    template <typename T> T* as(std::size_t count) {
        if (count * sizeof(T) > size_) {
            size_ = count * sizeof(T);
            data_ = hwy::AllocateAligned<std::uint8_t>(size_);
        }
        return reinterpret_cast<T*>(data_.get());
    }

  private:
    hwy::AlignedFreeUniquePtr<std::uint8_t[]> data_;
    std::size_t size_ = 0;
};

GapCosts scaled(GapCosts gaps, double scale) {
    return {static_cast<int>(std::lround(gaps.open * scale)), static_cast<int>(std::lround(gaps.extend * scale))};
}

} // namespace

struct GappedAligner::Workspace::Buffers {
    AlignedBuffer previous, current, gaps, columns, saved;
};

GappedAligner::Workspace::Workspace() : buffers{std::make_unique<Buffers>()} {}
GappedAligner::Workspace::~Workspace() = default;
GappedAligner::Workspace::Workspace(Workspace&&) noexcept = default;
GappedAligner::Workspace& GappedAligner::Workspace::operator=(Workspace&&) noexcept = default;

struct GappedAligner::State {
    IntegerScores scores;
    GapCosts gaps;          ///< in units of the scores
    std::int64_t bound = 0; ///< no alignment scores more: the sum of the best score of every position
    StripedQuery<std::int8_t> narrow;
    StripedQuery<std::int16_t> middle;
    StripedQuery<std::int32_t> wide;
};

namespace {

template <typename T>
std::int64_t best_score(StripedQuery<T> const& query, std::span<Residue const> target,
                        GappedAligner::Workspace::Buffers& buffers) {
    std::size_t const stride = query.stride();
    constexpr T floor = static_cast<T>(floor_of<T>);
    ColumnPass<T> pass{
        &query,  target, buffers.previous.as<T>(stride), buffers.current.as<T>(stride), buffers.gaps.as<T>(stride),
        nullptr, floor};
    std::fill_n(pass.previous, stride, floor);
    std::fill_n(pass.gaps, stride, floor);
    run(pass);
    return pass.best - floor_of<T>;
}

/// The matrix of one target, in blocks of columns that are computed again when the traceback steps into them.
template <typename T> class Matrix {
  public:
    Matrix(StripedQuery<T> const& query, std::span<Residue const> target, GappedAligner::Workspace::Buffers& buffers)
        : query_{query}, target_{target}, stride_{query.stride()}, block_{std::clamp<std::size_t>(
                                                                       kept_bytes / (stride_ * sizeof(T)), 16,
                                                                       std::max<std::size_t>(target.size(), 16))} {
        std::size_t const blocks = (target.size() + block_ - 1) / block_;
        saved_ = buffers.saved.as<T>(blocks * 2 * stride_);
        columns_ = buffers.columns.as<T>(block_ * stride_);
        previous_ = buffers.previous.as<T>(stride_);
        gaps_ = buffers.gaps.as<T>(stride_);
        constexpr T floor = static_cast<T>(floor_of<T>);
        std::fill_n(previous_, stride_, floor);
        std::fill_n(gaps_, stride_, floor);
        for (std::size_t b = 0; b < blocks; ++b) {
            std::copy_n(previous_, stride_, saved_ + 2 * b * stride_);
            std::copy_n(gaps_, stride_, saved_ + (2 * b + 1) * stride_);
            if (T const best = compute(b); best > best_) best_ = best, best_block_ = b;
        }
    }

    [[nodiscard]] int best() const { return static_cast<int>(best_ - floor_of<T>); }

    /// First column, then first row, that holds the best score.
    [[nodiscard]] std::pair<int, int> end() {
        if (best() == 0) return {-1, -1};
        load(best_block_);
        T const* const found = std::find(columns_, columns_ + block_ * stride_, best_);
        std::size_t const column = static_cast<std::size_t>(found - columns_) / stride_;
        for (int i = 0;; ++i)
            if (columns_[column * stride_ + place(i)] == best_) return {i, static_cast<int>(loaded_ * block_ + column)};
    }

    /// Score at query position i and target position j, zero outside; j's block is computed if it is not the one at
    /// hand.
    [[nodiscard]] int at(int i, int j) {
        if (i < 0 || j < 0) return 0;
        load(static_cast<std::size_t>(j) / block_);
        return static_cast<int>(columns_[(static_cast<std::size_t>(j) - loaded_ * block_) * stride_ + place(i)] -
                                floor_of<T>);
    }

    /// Makes column j's block the one at hand.
    void visit(int j) { load(static_cast<std::size_t>(j) / block_); }

    [[nodiscard]] bool at_hand(int j) const { return j >= 0 && static_cast<std::size_t>(j) / block_ == loaded_; }

  private:
    [[nodiscard]] std::size_t place(int i) const {
        return static_cast<std::size_t>(i) % query_.vectors * query_.lanes +
               static_cast<std::size_t>(i) / query_.vectors;
    }

    T compute(std::size_t b) {
        auto const residues = target_.subspan(b * block_, std::min(block_, target_.size() - b * block_));
        ColumnPass<T> pass{&query_, residues, previous_, nullptr, gaps_, columns_, static_cast<T>(floor_of<T>)};
        run(pass);
        loaded_ = b;
        return pass.best;
    }

    void load(std::size_t b) {
        if (b == loaded_) return;
        std::copy_n(saved_ + 2 * b * stride_, stride_, previous_);
        std::copy_n(saved_ + (2 * b + 1) * stride_, stride_, gaps_);
        compute(b);
    }

    StripedQuery<T> const& query_;
    std::span<Residue const> target_;
    std::size_t stride_, block_, loaded_ = 0, best_block_ = 0;
    T *saved_, *columns_, *previous_, *gaps_;
    T best_ = static_cast<T>(floor_of<T>);
};

/// Walks back from the best cell using cell scores alone: a cell's score is its diagonal neighbour's plus the pair's
/// score, or some cell's further up or left minus the gap between.
template <typename T>
Alignment trace(IntegerScores const& scores, GapCosts gaps, StripedQuery<T> const& query,
                std::span<Residue const> target, GappedAligner::Workspace::Buffers& buffers) {
    Matrix<T> matrix{query, target, buffers};
    Alignment alignment;
    alignment.score = matrix.best();
    auto [i, j] = matrix.end();
    alignment.query_end = i + 1, alignment.target_end = j + 1;
    std::string backward;
    for (int score = alignment.score; score > 0;) {
        if (int const diagonal = score - scores.at(i, target[j] & 31); diagonal == matrix.at(i - 1, j - 1)) {
            backward += 'M';
            --i, --j;
            score = diagonal;
            continue;
        }
        matrix.visit(j); // the diagonal may lie in the block before
        int across = 0, down = 0, beyond = 0;
        for (int n = 1; !across && !down && (i - n >= 0 || j - n >= 0); ++n) {
            int const wanted = score + gaps.open + n * gaps.extend;
            if (wanted > alignment.score) break;
            if (i - n >= 0 && matrix.at(i - n, j) == wanted)
                down = n;
            else if (matrix.at_hand(j - n) && matrix.at(i, j - n) == wanted)
                across = n;
            else if (!beyond && j - n >= 0 && !matrix.at_hand(j - n))
                beyond = n;
        }
        // Not in this block: the gap runs along the target into blocks before.
        for (int n = beyond; beyond && !across && !down && j - n >= 0; ++n)
            if (matrix.at(i, j - n) == score + gaps.open + n * gaps.extend) across = n;
        backward.append(static_cast<std::size_t>(down), 'D').append(static_cast<std::size_t>(across), 'I');
        score += gaps.open + (down + across) * gaps.extend;
        i -= down, j -= across;
    }
    alignment.query_begin = i + 1, alignment.target_begin = j + 1;
    alignment.operations.assign(backward.rbegin(), backward.rend());
    return alignment;
}

} // namespace

GappedAligner::GappedAligner(IntegerScores scores, GapCosts gaps) : state_{std::make_unique<State>()} {
    state_->gaps = scaled(gaps, scores.scale);
    for (int i = 0; i < scores.length; ++i) {
        auto const* const row = scores.values.data() + static_cast<std::size_t>(i) * IntegerScores::row_width;
        state_->bound += std::max<int>(0, *std::max_element(row, row + IntegerScores::row_width));
    }
    state_->narrow = stripe<std::int8_t>(scores, state_->gaps);
    if (state_->bound >= highest_score<std::int8_t>) state_->middle = stripe<std::int16_t>(scores, state_->gaps);
    if (state_->bound >= highest_score<std::int16_t>) state_->wide = stripe<std::int32_t>(scores, state_->gaps);
    state_->scores = std::move(scores);
}

GappedAligner::~GappedAligner() = default;
GappedAligner::GappedAligner(GappedAligner&&) noexcept = default;
GappedAligner& GappedAligner::operator=(GappedAligner&&) noexcept = default;

int GappedAligner::score(std::span<Residue const> target, Workspace& workspace) const {
    if (state_->scores.length == 0 || target.empty()) return 0;
    auto& buffers = *workspace.buffers;
    auto score = best_score(state_->narrow, target, buffers);
    if (score >= highest_score<std::int8_t>) score = best_score(state_->middle, target, buffers);
    if (score >= highest_score<std::int16_t>) score = best_score(state_->wide, target, buffers);
    return static_cast<int>(score);
}

Alignment GappedAligner::align(std::span<Residue const> target, Workspace& workspace) const {
    auto const best = score(target, workspace);
    if (best == 0) return {};
    auto& buffers = *workspace.buffers;
    if (best < highest_score<std::int8_t>) return trace(state_->scores, state_->gaps, state_->narrow, target, buffers);
    if (best < highest_score<std::int16_t>) return trace(state_->scores, state_->gaps, state_->middle, target, buffers);
    return trace(state_->scores, state_->gaps, state_->wide, target, buffers);
}

int gapped_score_reference(IntegerScores const& query, std::span<Residue const> target, GapCosts gaps) {
    auto const [open, extend] = scaled(gaps, query.scale);
    std::size_t const rows = static_cast<std::size_t>(query.length);
    std::vector<int> cells(rows + 1, 0), across(rows + 1, 0);
    int best = 0;
    for (Residue const residue : target) {
        int diagonal = 0, down = 0;
        for (std::size_t i = 1; i <= rows; ++i) {
            int const score =
                std::max({0, diagonal + query.at(static_cast<int>(i - 1), residue & 31), across[i], down});
            diagonal = cells[i];
            cells[i] = score;
            across[i] = std::max(across[i] - extend, score - open - extend);
            down = std::max(down - extend, score - open - extend);
            best = std::max(best, score);
        }
    }
    return best;
}

int score_of(Alignment const& alignment, IntegerScores const& query, std::span<Residue const> target, GapCosts gaps) {
    auto const [open, extend] = scaled(gaps, query.scale);
    int score = 0, i = alignment.query_begin, j = alignment.target_begin;
    char before = 'M';
    for (char const operation : alignment.operations) {
        if (operation == 'M')
            score += query.at(i++, target[j++] & 31);
        else {
            score -= operation == before ? extend : open + extend;
            operation == 'D' ? ++i : ++j;
        }
        before = operation;
    }
    return score;
}

} // namespace tape
#endif
