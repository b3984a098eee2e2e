#include "features/placement.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <unordered_set>

namespace tape {
namespace {

constexpr double least_identity = 0.8;

bool agree(Residue a, Residue b) { return a == b && a < amino_acid_count; }

bool enough(std::size_t equal, std::size_t length) {
    return static_cast<double>(equal) >= least_identity * static_cast<double>(length);
}

/// The offset with the most equal residues, if they are enough.
std::optional<Placement> place_at_offset(std::span<Residue const> protein, std::span<Residue const> query) {
    if (protein.size() > query.size()) return std::nullopt;
    std::size_t best = 0, best_equal = 0;
    for (std::size_t offset = 0; offset + protein.size() <= query.size(); ++offset) {
        std::size_t equal = 0;
        for (std::size_t c = 0; c < protein.size(); ++c) equal += protein[c] == query[offset + c];
        if (equal > best_equal) best_equal = equal, best = offset;
    }
    if (!enough(best_equal, protein.size())) return std::nullopt;
    Placement placement;
    for (std::size_t c = 0; c < protein.size(); ++c) placement.columns.push_back(static_cast<int>(best + c));
    return placement;
}

/// 80% identity leaves a quarter of all 6-mers untouched; unrelated sequences share next to none.
bool share_words(std::span<Residue const> protein, std::span<Residue const> query) {
    constexpr std::size_t word = 6;
    if (protein.size() < word || query.size() < word) return false;
    auto const word_at = [](std::span<Residue const> residues, std::size_t begin) {
        std::uint64_t code = 0;
        for (std::size_t i = 0; i < word; ++i) code = code << 8 | residues[begin + i];
        return code;
    };
    std::unordered_set<std::uint64_t> words;
    for (std::size_t i = 0; i + word <= query.size(); ++i) words.insert(word_at(query, i));
    std::size_t shared = 0;
    for (std::size_t i = 0; i + word <= protein.size(); ++i) shared += words.contains(word_at(protein, i));
    return 10 * shared >= protein.size() - word + 1;
}

/// Global alignment with affine gaps (Gotoh, J Mol Biol 162:705, 1982), ends free on both sides.
class GappedPlacement {
  public:
    GappedPlacement(std::span<Residue const> protein, std::span<Residue const> query)
        : protein_{protein}, query_{query}, width_{query.size() + 1}, steps_((protein.size() + 1) * width_, 0) {}

    std::optional<Placement> run() {
        fill();
        Placement placement = trace();
        std::size_t equal = 0;
        for (std::size_t i = 0; i < protein_.size(); ++i)
            equal +=
                placement.columns[i] >= 0 && agree(protein_[i], query_[static_cast<std::size_t>(placement.columns[i])]);
        return enough(equal, protein_.size()) ? std::optional{std::move(placement)} : std::nullopt;
    }

  private:
    static constexpr int match = 2, mismatch = -1, open = 6, extend = 1;
    // Bits of a step: where the best score comes from, and whether a gap that ends here was already open.
    static constexpr std::uint8_t from_pair = 1, from_protein_gap = 2, from_query_gap = 3, source = 3,
                                  protein_gap_open = 4, query_gap_open = 8;

    void fill() {
        int const low = std::numeric_limits<int>::min() / 2;
        std::vector<int> best(width_, 0), query_gap(width_, low);
        for (std::size_t i = 1; i <= protein_.size(); ++i) {
            int diagonal = best[0], protein_gap = low;
            for (std::size_t j = 1; j < width_; ++j) {
                std::uint8_t step = from_pair;
                query_gap[j] = std::max(best[j] - open, query_gap[j] - extend);
                if (query_gap[j] > best[j] - open) step |= query_gap_open;
                protein_gap = std::max(best[j - 1] - open, protein_gap - extend);
                if (protein_gap > best[j - 1] - open) step |= protein_gap_open;
                int score = diagonal + (agree(protein_[i - 1], query_[j - 1]) ? match : mismatch);
                if (query_gap[j] > score)
                    score = query_gap[j], step = static_cast<std::uint8_t>((step & ~source) | from_query_gap);
                if (protein_gap > score)
                    score = protein_gap, step = static_cast<std::uint8_t>((step & ~source) | from_protein_gap);
                diagonal = best[j], best[j] = score;
                steps_[i * width_ + j] = step;
                bool const at_end = i == protein_.size() || j + 1 == width_;
                if (at_end && score > best_score_) best_score_ = score, end_i_ = i, end_j_ = j;
            }
        }
    }

    Placement trace() const {
        Placement placement;
        placement.columns.assign(protein_.size(), -1);
        std::size_t i = end_i_, j = end_j_;
        while (i > 0 && j > 0) {
            switch (steps_[i * width_ + j] & source) {
            case from_pair:
                placement.columns[--i] = static_cast<int>(--j);
                break;
            case from_query_gap: // residues of the protein that the query does not have
                for (bool more = true; more && i > 0; --i)
                    more = (steps_[i * width_ + j] & query_gap_open) != 0, ++placement.insertions;
                break;
            default: // columns without a residue of the protein
                for (bool more = true; more && j > 0; --j)
                    more = (steps_[i * width_ + j] & protein_gap_open) != 0,
                    placement.deleted_columns.push_back(static_cast<int>(j) - 1);
            }
        }
        std::ranges::sort(placement.deleted_columns);
        return placement;
    }

    std::span<Residue const> protein_, query_;
    std::size_t width_;
    std::vector<std::uint8_t> steps_;
    int best_score_ = 0;
    std::size_t end_i_ = 0, end_j_ = 0;
};

/// The row as A3M letters over the placed columns; empty without insertions. An insertion stays where the columns on
/// both its sides stay side by side.
std::string placed_insertions(MsaRow const& row, std::span<int const> columns, std::span<Residue const> placed) {
    std::vector<std::string> before(row.columns.size() + 1);
    std::size_t column = 0;
    for (char const letter : row.insertions)
        if (letter >= 'a' && letter <= 'z')
            before[column] += letter;
        else
            ++column;
    std::string letters;
    bool inserted = false;
    int previous = -1;
    for (std::size_t c = 0; c <= columns.size(); ++c) {
        int const next = c < columns.size() ? columns[c] : static_cast<int>(row.columns.size());
        if (next == previous + 1 && (c == 0 || previous >= 0)) {
            std::string const& insertion = before[static_cast<std::size_t>(next)];
            letters += insertion, inserted = inserted || !insertion.empty();
        }
        if (c < columns.size()) letters += residue_letter(placed[c]);
        previous = next;
    }
    return inserted ? letters : std::string{};
}

} // namespace

std::string Placement::text() const {
    // Runs of consecutive columns: "begin+length", and "-length" for residues without a column.
    std::string result;
    for (std::size_t i = 0; i < columns.size();) {
        std::size_t end = i + 1;
        while (end < columns.size() && columns[end] == (columns[i] < 0 ? -1 : columns[end - 1] + 1)) ++end;
        result.append(columns[i] < 0 ? "" : std::to_string(columns[i]) + "+")
            .append(columns[i] < 0 ? "-" : "")
            .append(std::to_string(end - i))
            .append(" ");
        i = end;
    }
    return result;
}

std::optional<Placement> place(std::span<Residue const> protein, std::span<Residue const> query) {
    if (protein.empty() || 10 * protein.size() < 8 * query.size() || 10 * query.size() < 8 * protein.size())
        return std::nullopt;
    if (auto placement = place_at_offset(protein, query)) return placement;
    if (!share_words(protein, query)) return std::nullopt;
    return GappedPlacement{protein, query}.run();
}

Msa placed_alignment(Msa const& msa, Placement const& placement) {
    Msa part{.rows = {}, .source = msa.source};
    for (auto const& row : msa.rows) {
        bool const is_query = part.rows.empty();
        std::vector<Residue> columns;
        columns.reserve(placement.columns.size());
        for (int const column : placement.columns)
            columns.push_back(column >= 0 ? row.columns[static_cast<std::size_t>(column)]
                              : is_query  ? unknown_code
                                          : gap_code);
        if (is_query || std::ranges::any_of(columns, [](Residue code) { return code != gap_code; })) {
            auto insertions =
                row.insertions.empty() ? std::string{} : placed_insertions(row, placement.columns, columns);
            part.rows.push_back({.id = row.id,
                                 .description = row.description,
                                 .columns = std::move(columns),
                                 .insertions = std::move(insertions)});
        }
    }
    return part;
}

} // namespace tape
