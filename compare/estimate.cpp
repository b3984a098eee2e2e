#include "compare/estimate.hpp"

#include "data/text.hpp"
#include "features/msa_source.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <unordered_set>

namespace tape {

namespace {

/// Seconds a head takes on two cores, measured with the quick preset.
double head_seconds_of(TaskData const& data) {
    double residues = 0;
    for (auto const& example : data.train) residues += static_cast<double>(example.protein.residues.size());
    auto const proteins = static_cast<double>(data.train.size());
    switch (data.head) {
    case HeadKind::residues:
        return 1 + residues * 3e-5;
    case HeadKind::strong_residues:
    case HeadKind::class_of_rows:
    case HeadKind::value_of_rows:
        return 1 + residues * 1e-4;
    case HeadKind::pairs: // a step a protein and epoch, on a window of one size
        return 1 + 0.023 * proteins * (data.max_epochs > 0 ? data.max_epochs : std::clamp(800 / proteins, 6.0, 20.0));
    case HeadKind::class_of_averages:
        return 0.1 + 1e-3 * proteins;
    case HeadKind::value_of_positions:
        return 1 + 2e-3 * proteins;
    case HeadKind::value_of_averages:
        break;
    }
    return 0.1 + 2e-5 * proteins;
}

SourceRow const& row_of(SourceSpec const& spec) {
    auto const& rows = source_registry();
    return *std::ranges::find(rows, spec.name, &SourceRow::name);
}

/// Share of the proteins that are searched with themselves: variants share the search of their parent. From a sample.
double searched_share(TaskData const& data) {
    constexpr std::size_t sample_size = 2000;
    std::vector<Example> all = data.test;
    all.insert(all.end(), data.train.begin(), data.train.end());
    all.insert(all.end(), data.valid.begin(), data.valid.end());
    std::vector<Protein> sample;
    for (std::size_t const index : chosen_by_hash(all, sample_size, "estimate")) sample.push_back(all[index].protein);
    auto const parents = choose_parents(sample);
    auto const shares = [&](Protein const& protein) {
        return std::ranges::any_of(parents, [&](std::string const& parent) {
            if (parent.size() != protein.residues.size()) return false;
            std::size_t differences = 0;
            for (std::size_t i = 0; i < parent.size(); ++i) differences += parent[i] != protein.residues[i];
            return differences <= std::max<std::size_t>(4, parent.size() / 10);
        });
    };
    auto const variants = static_cast<std::size_t>(std::ranges::count_if(sample, shares));
    return static_cast<double>(sample.size() - variants + parents.size()) / static_cast<double>(sample.size());
}

/// Size of the database in starter databases (18.6 M residues), from the size of its file; compression halves FASTA.
double database_factor(AlignmentSettings const& alignments) {
    if (!alignments.search) return 0;
    double factor = alignments.rounds / 2.0;
    if (!alignments.clusters.empty()) factor *= 0.6;
    std::error_code missing;
    auto const bytes = alignments.database.empty() ? 0 : std::filesystem::file_size(alignments.database, missing);
    if (alignments.database.empty() || missing) return factor;
    std::string const extension = alignments.database.extension().string();
    bool const compressed = extension == ".gz" || extension == ".xz" || extension == ".zst";
    return factor * static_cast<double>(bytes) * (compressed ? 2 : 1) / 18.6e6;
}

SourceEstimate estimate_source(TaskData const& data, SourceSpec const& spec, std::string const& instance,
                               AlignmentSettings const& alignments) {
    SourceEstimate cost{.task = data.task.name, .source = instance};
    SourceCost const& rate = row_of(spec).cost;
    std::unordered_set<std::string_view> seen;
    for (auto const* part : {&data.train, &data.valid, &data.test})
        for (auto const& example : *part) {
            if (!seen.insert(example.protein.residues).second) continue;
            auto const length = static_cast<double>(example.protein.residues.size());
            ++cost.proteins;
            cost.residues += example.protein.residues.size();
            cost.seconds += length * rate.seconds_per_residue;
            cost.bytes += is_network(data.head) ? 2 * length * rate.residue_width : 4.0 * rate.pooled_width;
            if (data.task.kind == TaskKind::residue_pair) cost.bytes += 2 * length * length * rate.pair_width;
        }
    if (rate.searches) cost.seconds *= searched_share(data) * database_factor(alignments);
    return cost;
}

std::string human_seconds(double seconds) {
    char text[64];
    if (seconds < 120)
        std::snprintf(text, sizeof text, "%.0f s", seconds);
    else if (seconds < 7200)
        std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
    else
        std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
    return text;
}

std::string human_bytes(double bytes) {
    char text[64];
    if (bytes < 1e9)
        std::snprintf(text, sizeof text, "%.0f MB", bytes / 1e6);
    else
        std::snprintf(text, sizeof text, "%.1f GB", bytes / 1e9);
    return text;
}

} // namespace

double Estimate::seconds() const {
    double sum = head_seconds;
    for (auto const& source : features) sum += source.seconds;
    return sum;
}

double Estimate::bytes() const {
    double sum = 0;
    for (auto const& source : features) sum += source.bytes;
    return sum;
}

Estimate estimate(Plan const& plan) {
    Estimate total;
    for (auto const& data : plan.tasks) {
        std::set<std::string> counted;
        for (auto const& arm : plan.arms) {
            for (auto const& spec : arm.sources)
                for (auto const seed : plan.seeds)
                    if (auto const instance = instance_name(spec, seed); counted.insert(instance).second)
                        total.features.push_back(estimate_source(data, spec, instance, plan.options.alignments));
            std::size_t const fits = depends_on_seed(data.head, arm) ? plan.seeds.size() : 1;
            total.heads += fits;
            total.head_seconds += static_cast<double>(fits) * head_seconds_of(data);
        }
    }
    return total;
}

std::string describe_estimate(Plan const& plan, Estimate const& estimate) {
    std::string text = "arms:";
    for (auto const& arm : plan.arms) text += " " + arm.name;
    text += "\nseeds:";
    for (auto const seed : plan.seeds) text += " " + std::to_string(seed);
    text += "\n\ntask                    train  valid   test\n";
    char line[1024]; // a source may be the path of a folder
    for (auto const& data : plan.tasks) {
        std::snprintf(line, sizeof line, "%-22s %6zu %6zu %6zu\n", data.task.name.c_str(), data.train.size(),
                      data.valid.size(), data.test.size());
        text += line;
    }
    int width = 22;
    for (auto const& source : estimate.features) width = std::max(width, static_cast<int>(source.source.size()));
    std::snprintf(line, sizeof line, "\n%-22s %-*s %8s %10s %8s %8s\n", "task", width, "source", "proteins", "residues",
                  "time", "disk");
    text += line;
    for (auto const& source : estimate.features) {
        std::snprintf(line, sizeof line, "%-22s %-*s %8zu %10llu %8s %8s\n", source.task.c_str(), width,
                      source.source.c_str(), source.proteins, static_cast<unsigned long long>(source.residues),
                      human_seconds(source.seconds).c_str(), human_bytes(source.bytes).c_str());
        text += line;
    }
    text += "\n" + counted(estimate.heads, "head") + " to fit, " + human_seconds(estimate.head_seconds) +
            "; in all about " + human_seconds(estimate.seconds()) + " on two cores and " +
            human_bytes(estimate.bytes()) + " of cache, if nothing is cached yet. Nothing was computed or written.\n";
    return text;
}

} // namespace tape
