#include "compare/figures.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace tape {

namespace {

// ---------------------------------------------------------------------------------------------------------- contact
// maps

TestExample const* find_example(Result const& result, std::string const& id, Task const*& task) {
    for (auto const& entry : result.tasks)
        if (entry.task.kind == TaskKind::residue_pair)
            for (auto const& example : entry.examples)
                if (example.id == id) {
                    task = &entry.task;
                    return &example;
                }
    return nullptr;
}

bool resolved(TestExample const& example, int residue) {
    return example.mask.empty() || example.mask[static_cast<std::size_t>(residue)];
}

/// The L most probable pairs at least six apart, as the map says.
std::vector<PairPrediction> strongest_pairs(ContactMap const& map, TestExample const& example) {
    std::vector<PairPrediction> pairs;
    for (int i = 0; i < map.length; ++i)
        for (int j = i + 6; j < map.length; ++j)
            if (resolved(example, i) && resolved(example, j))
                pairs.push_back(
                    {i, j,
                     stored_probability(
                         map.probability[static_cast<std::size_t>(i) * static_cast<std::size_t>(map.length) +
                                         static_cast<std::size_t>(j)])});
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](auto const& a, auto const& b) { return a.probability > b.probability; });
    pairs.resize(std::min(pairs.size(), static_cast<std::size_t>(map.length)));
    return pairs;
}

/// Confidence in five steps of darkness.
int confidence_step(float probability) {
    return probability < .1F ? 0 : probability < .25F ? 1 : probability < .5F ? 2 : probability < .75F ? 3 : 4;
}

std::string cell(int x, int y) { return "M" + std::to_string(x) + " " + std::to_string(y) + "h1v1h-1z"; }

Svg contact_panel(ContactMap const& map, TestExample const& example, std::vector<PairPrediction> const& pairs) {
    constexpr double side = 243;
    Svg svg{side + 2, side + 2, "Contact map of " + map.id + ", " + map.arm,
            "Lower triangle: true contacts. Upper triangle: the " + std::to_string(pairs.size()) +
                " most probable predicted contacts, hits and misses in two colours, stronger when more confident."};
    svg.rect(1, 1, side, side, "panel");
    svg.open_group("translate(1 1) scale(" + compact_number(side / map.length, 4) + ")");
    std::set<std::array<int, 2>> const truth{example.contacts.begin(), example.contacts.end()};
    std::set<std::array<int, 2>> found;
    std::string cells[2][5];
    for (auto const& [i, j, probability] : pairs) {
        bool const hit = truth.contains({i, j});
        if (hit) found.insert({i, j});
        cells[hit][confidence_step(probability)] += cell(j, i);
    }
    std::string known, recovered;
    for (auto const& [i, j] : truth) (found.contains({i, j}) ? recovered : known) += cell(i, j);
    svg.path(known, "truth");
    svg.path(recovered, "found");
    for (int step = 0; step < 5; ++step) {
        svg.path(cells[0][step], "miss c" + std::to_string(step));
        svg.path(cells[1][step], "hit c" + std::to_string(step));
    }
    svg.close_group();
    svg.line(1, 1, side + 1, side + 1, "axis");
    svg.rect(1, 1, side, side, "frame");
    return svg;
}

} // namespace

Figure contact_figure(Result const& result) {
    Figure figure{
        .id = "contacts",
        .title = "True contacts below the diagonal, predictions above",
        .caption =
            "Below the diagonal the true contacts (closer than 8 \xC3\x85, at least six apart), stronger where the "
            "prediction found them; above it the L most probable predictions of the arm, stronger when more "
            "confident. The share of hits among those L stands in each heading.",
        .legend = "<span class=\"key\"><i class=\"swatch hit\"></i>hit</span> <span class=\"key\"><i class=\"swatch "
                  "miss\"></i>miss</span> <span class=\"key\"><i class=\"swatch found\"></i>true, found</span> "
                  "<span class=\"key\"><i class=\"swatch truth\"></i>true, not found</span>",
        .tsv = "protein\tarm\ti\tj\tprobability\tcontact\n",
        .panels = {}};
    for (auto const& map : result.contact_maps) {
        Task const* task = nullptr;
        TestExample const* example = find_example(result, map.id, task);
        if (example == nullptr || example->residues.size() != static_cast<std::size_t>(map.length)) continue;
        auto const pairs = strongest_pairs(map, *example);
        std::set<std::array<int, 2>> const truth{example->contacts.begin(), example->contacts.end()};
        std::size_t hits = 0;
        for (auto const& [i, j, probability] : pairs) {
            bool const hit = truth.contains({i, j});
            hits += hit;
            figure.tsv += map.id + "\t" + map.arm + "\t" + std::to_string(i + 1) + "\t" + std::to_string(j + 1) + "\t" +
                          compact_number(probability, 6) + "\t" + (hit ? "1" : "0") + "\n";
        }
        double const share = pairs.empty() ? NAN : static_cast<double>(hits) / static_cast<double>(pairs.size());
        figure.panels.push_back({map.id + ", " + map.arm + ": " + fixed_number(100 * share, 0) + "% hits",
                                 contact_panel(map, *example, pairs)});
    }
    return figure;
}

// -----------------------------------------------------------------------------------------------------------------
// t-SNE

namespace {

constexpr int colour_steps = 12;

struct ValueRange {
    double low = INFINITY, high = -INFINITY;

    [[nodiscard]] int step(double value) const {
        double const share = high > low ? (value - low) / (high - low) : 0.5;
        return std::clamp(static_cast<int>(share * colour_steps), 0, colour_steps - 1);
    }
};

Svg tsne_panel(EmbeddingSample const& sample, ValueRange const& range) {
    constexpr double side = 245, pad = 12;
    Svg svg{side, side, "t-SNE of GFP variants, features of " + sample.source,
            std::to_string(sample.points.size()) +
                " variants, coloured by log-fluorescence from dark (dim) to bright."};
    svg.rect(0, 0, side, side, "panel");
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (auto const& point : sample.points)
        for (int axis = 0; axis < 2; ++axis) {
            low[axis] = std::min(low[axis], point[static_cast<std::size_t>(axis)]);
            high[axis] = std::max(high[axis], point[static_cast<std::size_t>(axis)]);
        }
    double const extent = std::max({high[0] - low[0], high[1] - low[1], 1e-6F});
    double const scale = (side - 2 * pad) / extent;
    std::string paths[colour_steps];
    for (std::size_t i = 0; i < sample.points.size(); ++i) {
        double const x = side / 2 + scale * (sample.points[i][0] - 0.5 * (low[0] + high[0]));
        double const y = side / 2 - scale * (sample.points[i][1] - 0.5 * (low[1] + high[1]));
        paths[range.step(sample.values[i])] += "M" + compact_number(x, 1) + " " + compact_number(y, 1) + "h0";
    }
    for (int step = 0; step < colour_steps; ++step) svg.path(paths[step], "dots s" + std::to_string(step));
    return svg;
}

} // namespace

Figure tsne_figure(Result const& result) {
    Figure figure{.id = "tsne",
                  .title = "GFP variants as each source sees them",
                  .caption = {},
                  .legend = {},
                  .tsv = "source\tvariant\tx\ty\tlog_fluorescence\tmutations\n",
                  .panels = {}};
    ValueRange range;
    for (auto const& sample : result.embeddings)
        for (double const value : sample.values)
            if (std::isfinite(value)) range.low = std::min(range.low, value), range.high = std::max(range.high, value);
    for (auto const& sample : result.embeddings) {
        if (sample.points.empty()) continue;
        figure.panels.push_back(
            {sample.source + ", KL " + fixed_number(sample.kl_divergence, 2), tsne_panel(sample, range)});
        for (std::size_t i = 0; i < sample.points.size(); ++i)
            figure.tsv += sample.source + "\t" + sample.ids[i] + "\t" + compact_number(sample.points[i][0], 4) + "\t" +
                          compact_number(sample.points[i][1], 4) + "\t" + compact_number(sample.values[i], 6) + "\t" +
                          std::to_string(sample.mutations[i]) + "\n";
    }
    if (figure.panels.empty()) return figure;
    figure.caption =
        "t-SNE (from the first two principal components, perplexity " +
        compact_number(result.embeddings.front().perplexity) + ") of the features of " +
        std::to_string(result.embeddings.front().ids.size()) +
        " variants of avGFP, coloured by measured log-fluorescence; the same variants, perplexity and kind of start in "
        "every panel. Joined sources are scaled to the same total variance first; @random is the network before "
        "pretraining. Axes have no unit; distances between far groups mean little. KL: divergence of the map from the "
        "features' neighbourhoods, in nats; smaller is truer.";
    figure.legend = "<span class=\"key\">" + fixed_number(range.low, 2) + " <i class=\"ramp\">";
    for (int step = 0; step < colour_steps; ++step) figure.legend += "<b class=\"r" + std::to_string(step) + "\"></b>";
    figure.legend += "</i> " + fixed_number(range.high, 2) + " log-fluorescence</span>";
    return figure;
}

// ---------------------------------------------------------------------------------------------------------------
// mutations

namespace {

Svg mutation_panel(std::vector<MutationCount> const& counts) {
    constexpr double left = 44, top = 22, height = 220, step = 38;
    double const width = step * static_cast<double>(counts.size()) + 12;
    double low = INFINITY, high = -INFINITY;
    for (auto const& count : counts) low = std::min(low, count.low), high = std::max(high, count.high);
    double const pad = std::max(0.05 * (high - low), 0.01);
    low -= pad, high += pad;
    auto const y_of = [&](double value) { return top + height * (high - value) / (high - low); };
    Svg svg{left + width + 10, top + height + 54, "Log-fluorescence by number of mutations",
            "Median, quartiles and the middle 90% of the measured values for each number of mutations."};
    svg.rect(left, top, width, height, "panel");
    for (double const tick : ticks(low, high, 6)) {
        svg.line(left, y_of(tick), left + width, y_of(tick), "axis");
        svg.text(left - 6, y_of(tick) + 4, compact_number(tick), "small", "end");
    }
    std::string medians;
    for (std::size_t k = 0; k < counts.size(); ++k) {
        auto const& count = counts[k];
        double const x = left + 6 + step * (static_cast<double>(k) + 0.5);
        svg.line(x, y_of(count.low), x, y_of(count.high), "interval faint a2");
        svg.rect(x - 8, y_of(count.upper_quartile), 16,
                 std::max(1.0, y_of(count.lower_quartile) - y_of(count.upper_quartile)), "box a2");
        svg.circle(x, y_of(count.median), 4, "f1",
                   std::to_string(count.mutations) + " mutations: median " + fixed_number(count.median, 2));
        medians += (medians.empty() ? "M" : "L") + compact_number(x) + " " + compact_number(y_of(count.median));
        svg.text(x, top + height + 15, std::to_string(count.mutations), "small", "middle");
        svg.text(x, top + height + 29, std::to_string(count.variants), "small", "middle");
    }
    svg.path(medians, "series a1");
    svg.text(left, top - 8, "log-fluorescence", "small");
    svg.text(left + width / 2, top + height + 47, "mutations; below them the number of variants", "small", "middle");
    return svg;
}

} // namespace

Figure mutation_figure(Result const& result) {
    Figure figure{.id = "mutations",
                  .title = "Fluorescence falls with the number of mutations",
                  .caption =
                      "Measured log-fluorescence of all variants (training, validation and test) by their number of "
                      "mutations: dot and line the median, box the quartiles, bar the middle 90%. Training and "
                      "validation hold up to three mutations, the test set four and more.",
                  .legend = {},
                  .tsv = "mutations\tvariants\tquantile_5\tquantile_25\tmedian\tquantile_75\tquantile_95\n",
                  .panels = {}};
    if (result.positions.empty() || result.positions.front().by_mutations.empty()) return figure;
    auto const& counts = result.positions.front().by_mutations;
    for (auto const& count : counts) {
        figure.tsv += std::to_string(count.mutations) + "\t" + std::to_string(count.variants);
        for (double const value : {count.low, count.lower_quartile, count.median, count.upper_quartile, count.high})
            figure.tsv += "\t" + compact_number(value, 6);
        figure.tsv += "\n";
    }
    figure.panels.push_back({"", mutation_panel(counts)});
    return figure;
}

// ---------------------------------------------------------------------------------------------------------------
// entropy

namespace {

Svg entropy_panel(std::vector<double> const& entropy, std::vector<double> const& means, std::string const& wild_type,
                  std::string const& title) {
    constexpr double left = 44, top = 22, width = 330, height = 220;
    double low = INFINITY, high = -INFINITY, most = 0;
    for (std::size_t i = 0; i < entropy.size(); ++i)
        if (std::isfinite(entropy[i]) && std::isfinite(means[i]))
            low = std::min(low, means[i]), high = std::max(high, means[i]), most = std::max(most, entropy[i]);
    double const pad = std::max(0.05 * (high - low), 0.01);
    low -= pad, high += pad, most = std::max(1.04 * most, 0.1);
    auto const x_of = [&](double value) { return left + width * value / most; };
    auto const y_of = [&](double value) { return top + height * (high - value) / (high - low); };
    Svg svg{left + width + 10, top + height + 40, title,
            "One dot a position of avGFP; its column entropy against the mean of its mutants."};
    svg.rect(left, top, width, height, "panel");
    for (double const tick : ticks(0, most, 6)) {
        svg.line(x_of(tick), top, x_of(tick), top + height, "axis");
        svg.text(x_of(tick), top + height + 15, compact_number(tick), "small", "middle");
    }
    for (double const tick : ticks(low, high, 6)) {
        svg.line(left, y_of(tick), left + width, y_of(tick), "axis");
        svg.text(left - 6, y_of(tick) + 4, compact_number(tick), "small", "end");
    }
    for (std::size_t i = 0; i < entropy.size(); ++i)
        if (std::isfinite(entropy[i]) && std::isfinite(means[i]))
            svg.circle(x_of(entropy[i]), y_of(means[i]), 3, "f2 dim",
                       std::string{wild_type[i]} + std::to_string(i + 1));
    svg.text(left, top - 8, "mean log-fluorescence", "small");
    svg.text(left + width / 2, top + height + 33, "column entropy, nats", "small", "middle");
    return svg;
}

std::size_t measured(std::vector<double> const& entropy, std::vector<double> const& means) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < entropy.size(); ++i) count += std::isfinite(entropy[i]) && std::isfinite(means[i]);
    return count;
}

} // namespace

Figure entropy_figure(Result const& result) {
    Figure figure{.id = "entropy",
                  .title = "What evolution varies, mutants tolerate",
                  .caption = {},
                  .legend = {},
                  .tsv = "position\twild_type\tentropy\tmean_all\tmean_single\n",
                  .panels = {}};
    if (result.positions.empty()) return figure;
    auto const& positions = result.positions.front();
    auto const cell = [](double value) { return std::isnan(value) ? std::string{} : compact_number(value, 6); };
    for (std::size_t i = 0; i < positions.wild_type.size(); ++i)
        figure.tsv += std::to_string(i + 1) + "\t" + positions.wild_type[i] + "\t" + cell(positions.entropy[i]) + "\t" +
                      cell(positions.mean_value[i]) + "\t" + cell(positions.mean_single[i]) + "\n";
    auto const add = [&](std::vector<double> const& means, double rho, std::string const& name) {
        if (measured(positions.entropy, means) < 3) return;
        std::string const title = name + ": Spearman " + fixed_number(rho, 2);
        figure.panels.push_back({title, entropy_panel(positions.entropy, means, positions.wild_type, title)});
    };
    add(positions.mean_value, positions.spearman_all, "All variants");
    add(positions.mean_single, positions.spearman_single, "Single mutants");
    figure.caption =
        "Mean log-fluorescence of the variants mutated at a position (vertical) against the entropy of the alignment's "
        "column there. Alignment: " +
        escape(positions.alignment) +
        ". Conserved columns are those whose mutants go dark (Sarkisyan et al., Nature 533:397, 2016, report about "
        "0.4).";
    return figure;
}

// -------------------------------------------------------------------------------------------------------------
// alignment

namespace {

char const* biophysical_group(char residue) {
    if (std::string_view{"CAVLIMFW"}.find(residue) != std::string_view::npos) return "hydrophobic";
    if (std::string_view{"DERK"}.find(residue) != std::string_view::npos) return "charged";
    if (std::string_view{"STNQ"}.find(residue) != std::string_view::npos) return "polar";
    return "other";
}

struct AlignmentLayout {
    static constexpr double cell_width = 8, row_height = 12, left = 128, strip = 26, header = 14;
    std::size_t rows, columns;
    static constexpr std::size_t per_block = 120;

    [[nodiscard]] std::size_t blocks() const { return (columns + per_block - 1) / per_block; }
    [[nodiscard]] double block_height() const { return strip + header + row_height * static_cast<double>(rows) + 18; }
    [[nodiscard]] double height() const { return block_height() * static_cast<double>(blocks()); }
    [[nodiscard]] double width() const {
        return left + cell_width * static_cast<double>(std::min(columns, per_block)) + 4;
    }
};

/// Colours of one block: one path a group, runs of equal colour joined.
void draw_cells(Svg& svg, PositionStatistics const& positions, AlignmentLayout const& layout, std::size_t from,
                std::size_t to, double top) {
    for (std::string const group : {"hydrophobic", "charged", "polar", "other"}) {
        std::string path;
        for (std::size_t r = 0; r < layout.rows; ++r)
            for (std::size_t c = from; c < to;) {
                std::size_t end = c;
                while (end < to && positions.rows[r][end] != '-' && biophysical_group(positions.rows[r][end]) == group)
                    ++end;
                if (end > c) {
                    double const x = layout.left + layout.cell_width * static_cast<double>(c - from);
                    std::string const width = compact_number(layout.cell_width * static_cast<double>(end - c));
                    path += "M" + compact_number(x) + " " +
                            compact_number(top + layout.row_height * static_cast<double>(r)) + "h" + width + "v11.5h-" +
                            width + "z";
                }
                c = std::max(end, c + 1);
            }
        svg.path(path, group);
    }
}

/// Entropy of every column as a bar above the block; ln 20 is the most.
void draw_entropy(Svg& svg, PositionStatistics const& positions, AlignmentLayout const& layout, std::size_t from,
                  std::size_t to, double base) {
    std::string path;
    for (std::size_t c = from; c < to; ++c) {
        if (!std::isfinite(positions.entropy[c])) continue;
        double const height = (layout.strip - 4) * std::min(1.0, positions.entropy[c] / std::log(20.0));
        path += "M" + compact_number(layout.left + layout.cell_width * static_cast<double>(c - from) + 1) + " " +
                compact_number(base) + "v-" + compact_number(height) + "h6v" + compact_number(height) + "z";
    }
    svg.path(path, "f0");
    svg.text(layout.left - 6, base - 4, "entropy", "small", "end");
}

void draw_letters(Svg& svg, PositionStatistics const& positions, AlignmentLayout const& layout, std::size_t from,
                  std::size_t to, double top) {
    std::vector<double> x;
    for (std::size_t c = from; c < to; ++c)
        x.push_back(layout.left + layout.cell_width * static_cast<double>(c - from) + 1.2);
    for (std::size_t r = 0; r < layout.rows; ++r) {
        double const y = top + layout.row_height * static_cast<double>(r) + 9;
        std::string const id = positions.row_ids[r].size() > 20 ? positions.row_ids[r].substr(0, 19) + "\xE2\x80\xA6"
                                                                : positions.row_ids[r];
        svg.text(layout.left - 6, y, id, "row", "end");
        svg.letters(x, y, positions.rows[r].substr(from, to - from), "mono");
    }
}

Svg alignment_drawing(PositionStatistics const& positions) {
    AlignmentLayout const layout{positions.rows.size(), positions.wild_type.size()};
    Svg svg{layout.width(), layout.height(), "GFP alignment coloured by biophysical group",
            std::to_string(layout.rows) + " rows, avGFP first; hydrophobic, charged, polar and other residues in four "
                                          "colours; bars: column entropy."};
    for (std::size_t b = 0; b < layout.blocks(); ++b) {
        std::size_t const from = b * layout.per_block, to = std::min(layout.columns, from + layout.per_block);
        double const top = layout.block_height() * static_cast<double>(b) + layout.strip + layout.header;
        draw_entropy(svg, positions, layout, from, to, top - layout.header);
        for (std::size_t c = from; c < to; ++c)
            if (c == from || (c + 1) % 10 == 0)
                svg.text(layout.left + layout.cell_width * (static_cast<double>(c - from) + 0.5), top - 3,
                         std::to_string(c + 1), "small", "middle");
        draw_cells(svg, positions, layout, from, to, top);
        draw_letters(svg, positions, layout, from, to, top);
    }
    return svg;
}

} // namespace

Figure alignment_figure(Result const& result) {
    Figure figure{
        .id = "alignment",
        .title = "The GFP family",
        .caption = {},
        .legend =
            "<span class=\"key\"><i class=\"swatch hydrophobic\"></i>hydrophobic CAVLIMFW</span> <span "
            "class=\"key\"><i "
            "class=\"swatch charged\"></i>charged DERK</span> <span class=\"key\"><i class=\"swatch polar\"></i>polar "
            "STNQ</span> <span class=\"key\"><i class=\"swatch other\"></i>others</span>",
        .tsv = "row\tsequence\n",
        .panels = {},
        .wide = true};
    if (result.positions.empty() || result.positions.front().rows.empty()) return figure;
    auto const& positions = result.positions.front();
    for (std::size_t r = 0; r < positions.rows.size(); ++r)
        figure.tsv += positions.row_ids[r] + "\t" + positions.rows[r] + "\n";
    figure.caption = std::to_string(positions.rows.size()) + " rows of the alignment behind the entropies above (" +
                     escape(positions.alignment) + "), avGFP first, columns numbered by its residues.";
    figure.panels.push_back({"", alignment_drawing(positions)});
    return figure;
}

} // namespace tape
