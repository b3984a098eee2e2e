#include "align/family.hpp"

#include "align/guide_tree.hpp"
#include "data/error.hpp"
#include "data/parallel.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

namespace tape {
namespace {

using Sequences = std::vector<std::vector<Residue>>;

constexpr std::size_t most_refined = 2000; ///< larger sets are aligned once

/// Alignment of some of the sequences.
struct Block {
    std::vector<std::size_t> members;
    std::vector<std::vector<std::uint32_t>> columns; ///< per member, the column of each residue
    std::size_t length = 0;
};

Block single(std::size_t member, std::size_t length) {
    Block block{{member}, {std::vector<std::uint32_t>(length)}, length};
    std::iota(block.columns.front().begin(), block.columns.front().end(), 0U);
    return block;
}

/// The two laid on each other as the operations say ('M', 'D' the first only, 'I' the second only).
Block joined(Block&& a, Block&& b, std::string const& operations) {
    std::vector<std::uint32_t> place_a, place_b;
    place_a.reserve(a.length), place_b.reserve(b.length);
    for (std::uint32_t column = 0; column < operations.size(); ++column) {
        if (operations[column] != 'I') place_a.push_back(column);
        if (operations[column] != 'D') place_b.push_back(column);
    }
    Block block{std::move(a.members), std::move(a.columns), operations.size()};
    for (auto& row : block.columns)
        for (auto& column : row) column = place_a[column];
    for (auto& row : b.columns)
        for (auto& column : row) column = place_b[column];
    block.members.insert(block.members.end(), b.members.begin(), b.members.end());
    std::ranges::move(b.columns, std::back_inserter(block.columns));
    return block;
}

/// The chosen rows without the columns in which none of them has a residue.
Block extracted(Block const& block, std::vector<bool> const& chosen, bool value) {
    std::vector<std::uint32_t> place(block.length, 0);
    for (std::size_t r = 0; r < block.members.size(); ++r)
        if (chosen[block.members[r]] == value)
            for (auto const column : block.columns[r]) place[column] = 1;
    Block part;
    for (auto& column : place) part.length += column, column = static_cast<std::uint32_t>(part.length) - 1;
    for (std::size_t r = 0; r < block.members.size(); ++r) {
        if (chosen[block.members[r]] != value) continue;
        part.members.push_back(block.members[r]), part.columns.push_back(block.columns[r]);
        for (auto& column : part.columns.back()) column = place[column];
    }
    return part;
}

/// How two blocks are laid on each other: by profiles, or by posteriors.
class Aligner {
  public:
    Aligner() = default;
    Aligner(Aligner const&) = delete;
    Aligner& operator=(Aligner const&) = delete;
    virtual ~Aligner() = default;
    [[nodiscard]] virtual std::string operations(Block const& a, Block const& b) const = 0;
};

class ProfileAligner : public Aligner {
  public:
    ProfileAligner(Sequences const& sequences, std::vector<float> const& weights)
        : sequences_{sequences}, weights_{weights} {}
    [[nodiscard]] std::string operations(Block const& a, Block const& b) const override {
        return align_profiles(profile(a), profile(b)).operations;
    }

  private:
    [[nodiscard]] ColumnProfile profile(Block const& block) const {
        std::vector<PlacedRow> rows;
        for (std::size_t r = 0; r < block.members.size(); ++r)
            rows.push_back({sequences_[block.members[r]], block.columns[r], weights_[block.members[r]]});
        return {rows, block.length};
    }
    Sequences const& sequences_;
    std::vector<float> const& weights_;
};

/// Posteriors of all ordered pairs of some sequences, which are numbered within the part.
class PairTable {
  public:
    explicit PairTable(std::size_t count) : count_{count}, pairs_(count * count) {}
    SparsePosteriors& operator()(std::size_t a, std::size_t b) { return pairs_[a * count_ + b]; }
    SparsePosteriors const& operator()(std::size_t a, std::size_t b) const { return pairs_[a * count_ + b]; }
    [[nodiscard]] std::size_t count() const { return count_; }

    /// Fills (b, a) from (a, b) for a < b.
    void mirror(Sequences const& part, int threads) {
        parallel_for(count_, threads, [&](std::size_t a, int) {
            for (std::size_t b = a + 1; b < count_; ++b) (*this)(b, a) = transposed((*this)(a, b), part[b].size());
        });
    }

  private:
    std::size_t count_;
    std::vector<SparsePosteriors> pairs_;
};

PairTable all_pairs(Sequences const& part, int threads) {
    PairTable table{part.size()};
    // Sixteen partners at a time, so that lanes hold sequences of like length (the order of the part).
    constexpr std::size_t batch = 16;
    std::size_t const batches = (part.size() + batch - 1) / batch;
    parallel_for(part.size() * batches, threads, [&](std::size_t task, int) {
        std::size_t const a = task % part.size(), first = std::max(task / part.size() * batch, a + 1);
        std::size_t const end = std::min(part.size(), (task / part.size() + 1) * batch);
        std::vector<std::span<Residue const>> others;
        for (std::size_t b = first; b < end; ++b) others.emplace_back(part[b]);
        auto posteriors = pair_posteriors(part[a], others);
        for (std::size_t b = first; b < end; ++b) table(a, b) = std::move(posteriors[b - first]);
    });
    table.mirror(part, threads);
    return table;
}

/// 1 - expected share of right pairs if each residue of the shorter were given its likeliest partner.
DistanceMatrix accuracy_distances(PairTable const& table, Sequences const& part) {
    DistanceMatrix distances{part.size()};
    for (std::size_t a = 0; a < part.size(); ++a)
        for (std::size_t b = 0; b < a; ++b) {
            bool const a_shorter = part[a].size() <= part[b].size();
            auto const& pair = a_shorter ? table(a, b) : table(b, a);
            std::uint64_t sum = 0;
            for (std::size_t i = 0; i < pair.rows(); ++i) {
                std::uint16_t best = 0;
                for (auto const entry : pair.row(i)) best = std::max(best, entry.probability);
                sum += best;
            }
            distances(a, b) =
                static_cast<float>(1 - static_cast<double>(sum) / 65535 / static_cast<double>(pair.rows()));
        }
    return distances;
}

/// Path of greatest sum through a table of a rows and b columns; ties prefer pairs, then columns of the first.
std::string best_path(std::vector<float> const& scores, std::size_t a, std::size_t b) {
    std::vector<float> best(b + 1);
    std::vector<char> trace(a * b);
    for (std::size_t i = 0; i < a; ++i) {
        float diagonal = 0;
        for (std::size_t j = 0; j < b; ++j) {
            float const pair = diagonal + scores[i * b + j];
            float value = pair;
            char step = 'M';
            if (best[j + 1] > value) value = best[j + 1], step = 'D';
            if (best[j] > value) value = best[j], step = 'I';
            diagonal = best[j + 1], best[j + 1] = value, trace[i * b + j] = step;
        }
    }
    std::string operations;
    std::size_t i = a, j = b;
    while (i > 0 && j > 0) {
        char const step = trace[(i - 1) * b + j - 1];
        operations.push_back(step);
        i -= step != 'I', j -= step != 'D';
    }
    operations.append(i, 'D').append(j, 'I');
    std::ranges::reverse(operations);
    return operations;
}

/// Adds one pair's posteriors, times `weight`, to the scores of the columns its residues stand in.
void add_pair(std::vector<float>& scores, std::size_t width, SparsePosteriors const& pair,
              std::vector<std::uint32_t> const& columns_a, std::vector<std::uint32_t> const& columns_b, float weight) {
    float const unit = weight / posterior_scale;
    for (std::size_t i = 0; i < pair.rows(); ++i) {
        float* const row = scores.data() + columns_a[i] * width;
        for (auto const entry : pair.row(i))
            row[columns_b[entry.column]] += unit * static_cast<float>(entry.probability);
    }
}

/// Maximum expected accuracy: weighted sums of the posteriors of all pairs across the two blocks.
class PosteriorAligner : public Aligner {
  public:
    PosteriorAligner(PairTable const& table, std::vector<float> const& weights) : table_{table}, weights_{weights} {}
    [[nodiscard]] std::string operations(Block const& a, Block const& b) const override {
        std::vector<float> scores(a.length * b.length);
        for (std::size_t r = 0; r < a.members.size(); ++r)
            for (std::size_t s = 0; s < b.members.size(); ++s)
                add_pair(scores, b.length, table_(a.members[r], b.members[s]), a.columns[r], b.columns[s],
                         weights_[a.members[r]] * weights_[b.members[s]]);
        return best_path(scores, a.length, b.length);
    }

  private:
    PairTable const& table_;
    std::vector<float> const& weights_;
};

/// The same from a sample of each side's sequences, computed when asked: for sets whose pairs are too many. Blocks too
/// long for a table of posteriors are aligned by their profiles.
class SampledPosteriorAligner : public Aligner {
  public:
    SampledPosteriorAligner(Sequences const& sequences, std::vector<float> const& weights, int threads)
        : sequences_{sequences}, weights_{weights}, threads_{threads}, profiles_{sequences, weights} {}
    [[nodiscard]] std::string operations(Block const& a, Block const& b) const override {
        constexpr std::size_t most_cells = std::size_t{1} << 26;
        if (a.length * b.length > most_cells) return profiles_.operations(a, b);
        auto const rows_a = sample(a), rows_b = sample(b);
        std::vector<std::span<Residue const>> others;
        for (auto const s : rows_b) others.emplace_back(sequences_[b.members[s]]);
        std::vector<std::vector<SparsePosteriors>> pairs(rows_a.size());
        parallel_for(rows_a.size(), threads_,
                     [&](std::size_t k, int) { pairs[k] = pair_posteriors(sequences_[a.members[rows_a[k]]], others); });
        std::vector<float> scores(a.length * b.length);
        for (std::size_t k = 0; k < rows_a.size(); ++k)
            for (std::size_t l = 0; l < rows_b.size(); ++l)
                add_pair(scores, b.length, pairs[k][l], a.columns[rows_a[k]], b.columns[rows_b[l]],
                         weights_[a.members[rows_a[k]]] * weights_[b.members[rows_b[l]]]);
        return best_path(scores, a.length, b.length);
    }

  private:
    /// Rows at even distances: a block's rows stand in the order of the tree.
    [[nodiscard]] static std::vector<std::size_t> sample(Block const& block) {
        constexpr std::size_t most = 16; // as many as the widest vector has lanes
        std::size_t const count = std::min(most, block.members.size());
        std::vector<std::size_t> rows(count);
        for (std::size_t k = 0; k < count; ++k) rows[k] = (2 * k + 1) * block.members.size() / (2 * count);
        return rows;
    }
    Sequences const& sequences_;
    std::vector<float> const& weights_;
    int threads_;
    ProfileAligner profiles_;
};

/// Joins the blocks of the leaves up the tree. `blocks` holds one for each leaf.
Block progressive(GuideTree const& tree, std::vector<Block> blocks, Aligner const& aligner) {
    for (auto const& join : tree.joins) {
        auto& left = blocks[join.left];
        auto& right = blocks[join.right];
        auto const operations = aligner.operations(left, right);
        blocks.push_back(joined(std::move(left), std::move(right), operations));
    }
    return std::move(blocks.back());
}

/// Leaves on one side of each branch, from the root down; branches at nodes that are `inside` a part are left out.
std::vector<std::vector<std::size_t>> cuts(GuideTree const& tree, std::vector<bool> const& inside) {
    auto const below = tree.leaves_below();
    std::vector<std::vector<std::size_t>> sides;
    for (std::size_t node = tree.nodes() - 1; node-- > 0;)
        if (node != tree.joins.back().right && (inside.empty() || !inside[node])) // the root's two branches are one
            sides.push_back(below[node]);
    return sides;
}

/// Takes the alignment apart along each cut in turn and aligns the two sides again.
void refine(Block& block, std::size_t count, Aligner const& aligner, std::vector<std::vector<std::size_t>> const& sides,
            int rounds) {
    auto const by_member = [count](Block const& aligned) {
        std::vector<std::vector<std::uint32_t>> columns(count);
        for (std::size_t r = 0; r < aligned.members.size(); ++r) columns[aligned.members[r]] = aligned.columns[r];
        return columns;
    };
    for (int round = 0; round < rounds; ++round) {
        auto const before = by_member(block);
        for (auto const& side : sides) {
            std::vector<bool> chosen(count);
            for (auto const leaf : side) chosen[leaf] = true;
            auto a = extracted(block, chosen, true), b = extracted(block, chosen, false);
            auto const operations = aligner.operations(a, b);
            block = joined(std::move(a), std::move(b), operations);
        }
        if (by_member(block) == before) return;
    }
}

/// Blocks are numbered as the part is.
Block align_by_posteriors(Sequences const& part, FamilyOptions const& options) {
    auto const table = all_pairs(part, options.threads);
    auto const tree = average_linkage(accuracy_distances(table, part));
    auto const weights = branch_weights(tree);
    PosteriorAligner const aligner{table, weights};
    std::vector<Block> blocks;
    for (std::size_t m = 0; m < part.size(); ++m) blocks.push_back(single(m, part[m].size()));
    auto block = progressive(tree, std::move(blocks), aligner);
    refine(block, part.size(), aligner, cuts(tree, {}), options.refinement_rounds);
    return block;
}

/// Whether one thread's tables of posteriors of sequences up to this length are small enough.
bool has_posteriors(std::size_t longest) {
    constexpr std::size_t lanes = 16, kernel_memory = std::size_t{256} << 20;
    return longest * longest * lanes * sizeof(float) <= kernel_memory;
}

/// Whether a part of these sequences may be aligned by posteriors of all pairs. The number of threads must not decide.
bool is_part(Sequences const& sequences, std::vector<std::size_t> const& members, FamilyOptions const& options) {
    constexpr std::size_t most_pairs = 80000;
    constexpr std::size_t bytes =
        32; // a residue and partner: 20 in PF00009 of balifam100, whose posteriors are diffuse
    std::size_t longest = 0, residues = 0;
    for (auto const m : members) longest = std::max(longest, sequences[m].size()), residues += sequences[m].size();
    std::size_t const most = std::min(options.part_members, 2 * most_pairs / sequences.size());
    return members.size() <= std::max<std::size_t>(1, most) && has_posteriors(longest) &&
           members.size() * residues * bytes <= options.memory;
}

/// Joins of parts that are single sequences or aligned by posteriors of all pairs.
Block align_by_parts(Sequences const& sequences, FamilyOptions const& options) {
    auto const tree = average_linkage(subsequence_distances(sequences, options.threads));
    auto const weights = branch_weights(tree);
    auto below = tree.leaves_below();
    std::vector<bool> inside(tree.nodes()); // strictly below the root of a part
    std::vector<Block> blocks(tree.leaves);
    ProfileAligner const profiles{sequences, weights};
    SampledPosteriorAligner const samples{sequences, weights, options.threads};
    bool const by_profiles = options.part_members == 1 || !has_posteriors(sequences.back().size()); // the longest
    Aligner const& aligner = by_profiles ? static_cast<Aligner const&>(profiles) : samples;
    for (std::size_t node = tree.nodes(); node-- > tree.leaves;) {
        auto const& join = tree.joins[node - tree.leaves];
        inside[join.left] = inside[join.right] = inside[node] || is_part(sequences, below[node], options);
    }
    for (std::size_t leaf = 0; leaf < tree.leaves; ++leaf)
        if (!inside[leaf]) blocks[leaf] = single(leaf, sequences[leaf].size());
    for (std::size_t i = 0; i < tree.joins.size(); ++i) {
        auto& [left, right, height] = tree.joins[i];
        blocks.emplace_back();
        if (inside[tree.leaves + i]) continue;
        if (!inside[left]) {
            auto const operations = aligner.operations(blocks[left], blocks[right]);
            blocks.back() = joined(std::move(blocks[left]), std::move(blocks[right]), operations);
            continue;
        }
        auto& members = below[tree.leaves + i];
        std::ranges::sort(members); // by length again
        Sequences part;
        for (auto const m : members) part.push_back(sequences[m]);
        blocks.back() = align_by_posteriors(part, options);
        for (auto& m : blocks.back().members) m = members[m];
    }
    if (sequences.size() <= most_refined)
        refine(blocks.back(), sequences.size(), aligner, cuts(tree, inside), options.refinement_rounds);
    return std::move(blocks.back());
}

void check_sequences(std::span<std::vector<Residue> const> sequences) {
    constexpr std::size_t most = 65536; // 8 GiB of distances
    if (sequences.empty()) throw data_error{"no sequence to align"};
    if (sequences.size() > most)
        throw data_error{std::to_string(sequences.size()) + " sequences are too many to align at once (at most " +
                         std::to_string(most) + "); keep one of each cluster first: tape-db cluster"};
    for (std::size_t s = 0; s < sequences.size(); ++s)
        if (sequences[s].empty())
            throw data_error{"sequence " + std::to_string(s + 1) + " of the set has no residue; remove it"};
}

} // namespace

FamilyAlignment align_family(std::span<std::vector<Residue> const> sequences, FamilyOptions const& options) {
    check_sequences(sequences);
    // In an order of their own, each once: the order given then cannot matter, and equal sequences get equal rows.
    Sequences distinct(sequences.begin(), sequences.end());
    auto const by_length = [](auto const& a, auto const& b) {
        return a.size() != b.size() ? a.size() < b.size() : a < b;
    };
    std::ranges::sort(distinct, by_length);
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    std::vector<std::size_t> all(distinct.size());
    std::iota(all.begin(), all.end(), 0U);
    auto const block = distinct.size() == 1              ? single(0, distinct.front().size())
                       : is_part(distinct, all, options) ? align_by_posteriors(distinct, options)
                                                         : align_by_parts(distinct, options);
    std::vector<std::size_t> row(distinct.size());
    for (std::size_t r = 0; r < row.size(); ++r) row[block.members[r]] = r;
    FamilyAlignment alignment{block.length, {}};
    for (auto const& sequence : sequences) {
        auto const place = std::ranges::lower_bound(distinct, sequence, by_length) - distinct.begin();
        alignment.columns.push_back(block.columns[row[static_cast<std::size_t>(place)]]);
    }
    return alignment;
}

std::string aligned_letters(FamilyAlignment const& alignment, std::size_t row, std::string_view letters) {
    std::string text(alignment.length, '-');
    for (std::size_t r = 0; r < letters.size(); ++r) text[alignment.columns[row][r]] = letters[r];
    return text;
}

} // namespace tape
