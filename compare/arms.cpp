#include "compare/arms.hpp"

#include "align/database.hpp"
#include "data/dataset.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "features/msa_source.hpp"
#include "features/onehot.hpp"
#include "learn/encoder_source.hpp"

#include <algorithm>
#include <set>

namespace tape {

namespace {

/// `model` is used unless other weights are given.
auto encoder_maker(std::string model) {
    return [model = std::move(model)](SourceSpec const& spec, SourceSettings const& settings) {
        return make_encoder_source(spec.text, spec.weights.empty() ? model : spec.weights, spec.random,
                                   {.device = settings.device, .threads = settings.threads, .seed = settings.seed});
    };
}

/// FASTA becomes a database in the cache, once for each content.
std::filesystem::path database_of(std::filesystem::path const& file, SourceSettings const& settings) {
    if (file.extension() == ".tdb") return file;
#ifdef TAPE_WITH_SEARCH
    if (!std::filesystem::exists(file))
        throw data_error{"database '" + file.string() + "' does not exist; give --db a .tdb or FASTA file"};
    auto const folder = settings.cache / "databases" / content_hash_of_file(file);
    std::string name = file.filename().string();
    auto const built = folder / (name.substr(0, name.find('.')) + ".tdb");
    if (!std::filesystem::exists(built)) {
        std::filesystem::create_directories(folder);
        build_database(file, built, {.threads = settings.threads, .quiet = settings.quiet});
    }
    return built;
#else
    (void)settings;
    throw usage_error{
        "this build has no search (TAPE_WITH_SEARCH=OFF); give --msa-dir, or --msa-none to go without alignments"};
#endif
}

std::unique_ptr<FeatureSource> make_msa_source(SourceSpec const&, SourceSettings const& settings) {
    auto const& chosen = settings.alignments;
    MsaSourceOptions options{.directory = chosen.directory,
                             .families = bundled_alignments(),
                             .database = {},
                             .clusters = {},
                             .rounds = chosen.rounds,
                             .parents = {},
                             .threads = settings.threads,
                             .quiet = settings.quiet};
    if (chosen.search) {
        options.database = database_of(chosen.database.empty() ? starter_database() : chosen.database, settings);
        options.clusters = chosen.clusters;
    }
    return std::make_unique<MsaSource>(std::move(options));
}

std::string names_text() {
    std::string text;
    for (auto const& row : source_registry()) text += (text.empty() ? "" : ", ") + row.name;
    return text;
}

SourceRow const& find_row(SourceSpec const& spec) {
    std::vector<std::string> names;
    for (auto const& row : source_registry()) {
        if (row.name == spec.name) return row;
        names.push_back(row.name);
    }
    throw usage_error{"unknown arm `" + spec.text + "`" + did_you_mean(spec.name, names) + "; known: " + names_text()};
}

SourceSpec parse_source(std::string const& text, std::string const& arm) {
    if (text.empty())
        throw usage_error{"arm `" + arm + "` has an empty part; write names joined by '+', such as msa+transformer"};
    auto const at = text.find('@');
    SourceSpec spec{.text = text, .name = text.substr(0, at), .weights = {}, .random = false};
    auto const& row = find_row(spec);
    std::string const suffix = at == std::string::npos ? "" : text.substr(at + 1);
    spec.random = suffix == "random";
    if (row.takes_weights == TakesWeights::must && (suffix.empty() || spec.random))
        throw usage_error{"`" + text + "` names no weights; write " + spec.name + "@DIR"};
    if (row.takes_weights == TakesWeights::must_or_random && suffix.empty())
        throw usage_error{"`" + text + "` names no weights; write " + spec.name + "@DIR or " + spec.name + "@random"};
    if (at == std::string::npos) return spec;
    if (row.takes_weights == TakesWeights::no)
        throw usage_error{"`" + spec.name + "` takes no weights, seen `" + text + "`" +
                          (spec.name == "msa" ? "; choose alignments with --db or --msa-dir" : "")};
    if (suffix.empty()) throw usage_error{"`" + text + "` names no weights after '@'; write a path or `random`"};
    if (!spec.random) spec.weights = suffix;
    return spec;
}

ArmSpec parse_arm(std::string const& text) {
    ArmSpec arm{.name = text, .sources = {}};
    std::size_t begin = 0;
    while (true) {
        auto const end = text.find('+', begin);
        arm.sources.push_back(parse_source(text.substr(begin, end - begin), text));
        if (std::ranges::count(arm.sources, arm.sources.back()) > 1)
            throw usage_error{"arm `" + text + "` names `" + arm.sources.back().text + "` twice"};
        if (end == std::string::npos) return arm;
        begin = end + 1;
    }
}

/// Two arms are the same if they join the same sources, in whatever order.
std::set<std::string> source_set(ArmSpec const& arm) {
    std::set<std::string> texts;
    for (auto const& source : arm.sources) texts.insert(source.text);
    return texts;
}

bool contains_arm(std::vector<ArmSpec> const& arms, ArmSpec const& wanted) {
    return std::ranges::any_of(arms, [&](ArmSpec const& arm) { return source_set(arm) == source_set(wanted); });
}

bool is_plain(ArmSpec const& arm) {
    return arm.sources.size() == 1 && arm.sources.front().name != "onehot" && !arm.sources.front().random;
}

ArmSpec union_of_plain(std::vector<ArmSpec> const& arms) {
    ArmSpec joined;
    for (auto const& arm : arms) {
        if (!is_plain(arm)) continue;
        joined.name += (joined.name.empty() ? "" : "+") + arm.name;
        joined.sources.push_back(arm.sources.front());
    }
    return joined;
}

} // namespace

std::filesystem::path starter_database() { return data_directory() / "starter" / "starter.fasta.xz"; }

std::vector<SourceRow> const& source_registry() {
    static std::vector<SourceRow> const rows{
        {"onehot",
         "the residues themselves",
         TakesWeights::no,
         {1e-8, 21, 21, 0},
         [](SourceSpec const&, SourceSettings const&) { return std::make_unique<OneHotSource>(); }},
        {"msa",
         "profile and couplings of an alignment: ready, bundled, or searched for",
         TakesWeights::no,
         {1.8e-4, 69, 91, 4, true},
         make_msa_source},
        {"transformer",
         "masked language model: ours, bundled, or an ESM-2 folder",
         TakesWeights::yes,
         {2.6e-5, 192, 192, 24},
         encoder_maker("transformer")},
        {"bert",
         "BERT of a folder (bert@DIR): ProtBert, or TAPE's own",
         TakesWeights::must,
         {6.5e-3, 1024, 1024, 480}, // ProtBert's shape
         encoder_maker("")},
        {"lstm",
         "TAPE's LSTM of a folder (lstm@DIR), or lstm@random",
         TakesWeights::must_or_random,
         {1e-3, 2048, 2048, 0},
         encoder_maker("lstm")},
        {"resnet",
         "TAPE's ResNet of a folder (resnet@DIR), or resnet@random",
         TakesWeights::must_or_random,
         {5e-4, 512, 512, 0},
         encoder_maker("resnet")},
        {"bepler",
         "Bepler & Berger's model of a folder (bepler@DIR), or bepler@random",
         TakesWeights::must_or_random,
         {1e-3, 100, 100, 0},
         encoder_maker("bepler")},
        {"unirep",
         "UniRep's mLSTM of 1900 units (tape-data fetch unirep)",
         TakesWeights::yes,
         {6.4e-5, 1900, 1900, 0},
         encoder_maker("unirep")},
        {"unirep-64",
         "UniRep of four layers of 64 units",
         TakesWeights::yes,
         {1e-5, 64, 64, 0},
         encoder_maker("unirep-64")},
        {"unirep-256",
         "UniRep of four layers of 256 units",
         TakesWeights::yes,
         {3e-5, 256, 256, 0},
         encoder_maker("unirep-256")}};
    return rows;
}

std::vector<ArmSpec> parse_arms(std::vector<std::string> const& features, bool baseline, bool hybrid) {
    std::vector<ArmSpec> arms;
    for (auto const& text : features) {
        ArmSpec arm = parse_arm(text);
        if (contains_arm(arms, arm)) throw usage_error{"arm `" + text + "` is given twice"};
        arms.push_back(std::move(arm));
    }
    if (arms.empty()) throw usage_error{"--features names no arm; known: " + names_text()};
    if (ArmSpec const onehot = parse_arm("onehot"); baseline && !contains_arm(arms, onehot))
        arms.insert(arms.begin(), onehot);
    if (ArmSpec joined = union_of_plain(arms); hybrid && joined.sources.size() > 1 && !contains_arm(arms, joined))
        arms.push_back(std::move(joined));
    return arms;
}

std::optional<SourceSpec> unpretrained_control(std::vector<ArmSpec> const& arms) {
    std::optional<SourceSpec> control;
    for (auto const& arm : arms)
        for (auto const& spec : arm.sources) {
            if (spec.random) return std::nullopt;
            if (!control && spec.weights.empty() && find_row(spec).takes_weights == TakesWeights::yes)
                control = parse_source(spec.name + "@random", spec.name + "@random");
        }
    return control;
}

std::unique_ptr<FeatureSource> make_source(SourceSpec const& spec, SourceSettings const& settings) {
    return find_row(spec).make(spec, settings);
}

bool draws_weights(SourceSpec const& spec) { return spec.random; }

std::string instance_name(SourceSpec const& spec, std::uint64_t seed) {
    return draws_weights(spec) ? spec.text + " (seed " + std::to_string(seed) + ")" : spec.text;
}

} // namespace tape
