#include "compare/experiment.hpp"

#include "compare/experiment_contacts.hpp"
#include "compare/experiment_figures.hpp"
#include "compare/experiment_heads.hpp"
#include "compare/experiment_relatives.hpp"
#include "compare/experiment_sources.hpp"
#include "compare/experiment_store.hpp"
#include "compare/metrics.hpp"
#include "data/cache.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/parallel.hpp"
#include "features/msa_source.hpp"
#include "features/search_database.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <numeric>
#include <optional>
#include <set>

namespace tape {

namespace {

/// Raised whenever a head, its training or this file changes what a run predicts, so that stored runs are not taken for
/// new.
constexpr int head_version = 5;
constexpr int most_heads_at_once = 8; // each holds its training features
constexpr std::size_t showcase_count = 3;
constexpr std::size_t embedded_variants = 1000;
constexpr std::size_t least_variants = 10; ///< of a parent, for a rank correlation
constexpr std::size_t alignment_rows_shown = 40;
constexpr std::size_t showcase_rows_shown = 10;
constexpr int audit_version = 1;

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string in_seconds(double seconds) {
    char text[64];
    std::snprintf(text, sizeof text, ", %.1f s", seconds);
    return text;
}

/// Where every test protein is a variant of a named parent: the mean over parents of the rank correlation within each.
/// The overall correlation mixes that with differences between a handful of parents, on which chance weighs more.
std::string within_parents_note(TaskResult const& task) {
    std::map<std::string, std::vector<std::size_t>> groups;
    for (std::size_t k = 0; k < task.examples.size(); ++k) {
        auto const found = task.examples[k].attributes.find("parent");
        if (found == task.examples[k].attributes.end() || found->second.empty()) return {};
        groups[found->second].push_back(k);
    }
    std::erase_if(groups, [](auto const& group) { return group.second.size() < least_variants; });
    if (groups.size() < 2 || task.task.kind != TaskKind::protein_value) return {};
    std::string text =
        "mean Spearman within each of the " + std::to_string(groups.size()) + " parent proteins (first seed):";
    std::set<std::string> told;
    for (auto const& run : task.runs) {
        if (!told.insert(run.arm).second) continue;
        double sum = 0;
        for (auto const& [parent, members] : groups) {
            std::vector<double> predicted, truth;
            for (std::size_t const k : members)
                predicted.push_back(run.predictions[k].value), truth.push_back(task.examples[k].value);
            double const rho = spearman(predicted, truth);
            sum += std::isfinite(rho) ? rho : 0;
        }
        char shown[64];
        std::snprintf(shown, sizeof shown, " %.3f", sum / static_cast<double>(groups.size()));
        text += (told.size() > 1 ? ", " : " ") + run.arm + shown;
    }
    return text + "; the headline also ranks the parents against each other";
}

/// The smallest kind of value that a task's sources have stored.
FeatureRequest evidence_request(HeadKind head) { return {.rows = is_network(head), .pooled = !is_network(head)}; }

TestExample test_example(Example const& example, TaskKind kind, ContactAtom atom) {
    TestExample test{.id = example.protein.id,
                     .residues = example.protein.residues,
                     .residue_labels = example.residue_labels,
                     .mask = example.valid_mask,
                     .contacts = {},
                     .class_label = example.class_label,
                     .value = example.value,
                     .attributes = example.attributes};
    if (kind == TaskKind::residue_pair) test.contacts = true_contacts(example, atom);
    return test;
}

std::vector<Protein> proteins_of(std::initializer_list<std::vector<Example> const*> parts) {
    std::vector<Protein> proteins;
    for (auto const* part : parts)
        for (auto const& example : *part) proteins.push_back(example.protein);
    return proteins;
}

std::vector<std::size_t> showcase(TaskData const& data, EvidenceRow const* evidence);

/// Runs one grid. Members live as long as the grid does.
class Grid {
  public:
    explicit Grid(Plan const& plan)
        : plan_{plan}, store_{plan.options.cache / "runs"}, pool_{plan.arms, plan.seeds, source_settings(plan)} {}

    Result run();

  private:
    /// One head to fit, or to find in the store; several cells of the grid may share it.
    struct Job {
        ArmSpec const* arm;
        std::uint64_t seed;
        bool keep_maps;
        std::string key;
    };

    static SourceSettings source_settings(Plan const& plan);
    TaskResult run_task(TaskData const& data, Result& result);
    std::vector<Job> jobs_of(TaskData const& data);
    std::string key_of(TaskData const& data, Job const& job);
    bool is_complete(StoredRun const& stored, TaskData const& data, Job const& job) const;
    void prepare(TaskData const& data, Job const& job);
    struct HeadThreads {
        int heads, each; ///< heads side by side, threads of each
    };
    [[nodiscard]] HeadThreads head_threads(HeadKind head) const;
    std::map<std::string, StoredRun> fit_missing(TaskData const& data, std::vector<Job> const& jobs);
    StoredRun fit(TaskData const& data, Job const& job, int threads);
    void add_contact_maps(TaskData const& data, std::map<std::string, StoredRun> const& done,
                          std::vector<Job> const& jobs, Result& result) const;
    void add_alignments(TaskData const& data, TaskResult const& task, Result& result);
    void add_relatives(TaskData const& data, TaskResult& task);
    std::vector<float> audited(std::string const& key, std::size_t proteins,
                               std::function<std::vector<float>()> const& compute) const;
    void add_maps(std::vector<Example> const& sample, Result& result);
    void add_fluorescence_figures(TaskData const& data, Result& result);
    void say(std::string const& text) const;

    Plan const& plan_;
    RunStore store_;
    SourcePool pool_;
    std::map<std::string, double> feature_seconds_; ///< instance name -> seconds spent on the current task
};

SourceSettings Grid::source_settings(Plan const& plan) {
    auto const& options = plan.options;
    return {.alignments = options.alignments,
            .cache = options.cache,
            .device = options.device,
            .threads = options.threads,
            .seed = options.seed,
            .quiet = options.quiet};
}

void Grid::say(std::string const& text) const {
    if (!plan_.options.quiet) std::cerr << text + '\n'; // one piece: heads speak from several threads
}

std::string Grid::key_of(TaskData const& data, Job const& job) {
    std::string text = "run " + std::to_string(head_version) + '\n' + data.task.name + '\n' + data.hash + '\n' +
                       (plan_.options.contact_atom == ContactAtom::ca ? "ca\n" : "cb\n");
    text += std::to_string(data.max_epochs) + '\n';
    for (auto const* source : pool_.sources(*job.arm, job.seed)) text += source->content_hash() + '\n';
    text += std::to_string(static_cast<int>(data.head)) + '\n';
    if (depends_on_seed(data.head, *job.arm)) text += std::to_string(job.seed);
    return content_hash(text);
}

std::vector<Grid::Job> Grid::jobs_of(TaskData const& data) {
    std::vector<Job> jobs;
    for (auto const& arm : plan_.arms)
        for (auto const seed : plan_.seeds) {
            bool const maps = data.task.kind == TaskKind::residue_pair && seed == plan_.seeds.front();
            Job job{.arm = &arm, .seed = seed, .keep_maps = maps, .key = {}};
            job.key = key_of(data, job);
            jobs.push_back(std::move(job));
        }
    return jobs;
}

bool Grid::is_complete(StoredRun const& stored, TaskData const& data, Job const& job) const {
    return stored.run.predictions.size() == data.test.size() &&
           (!job.keep_maps || stored.maps.size() == data.test.size());
}

void Grid::prepare(TaskData const& data, Job const& job) {
    auto const proteins = proteins_of({&data.train, &data.valid, &data.test});
    for (auto const& spec : job.arm->sources) {
        std::string const label = instance_name(spec, job.seed);
        if (feature_seconds_.contains(label)) continue;
        auto const start = std::chrono::steady_clock::now();
        auto& source = pool_.source(spec, job.seed);
        FeatureRequest const request = request_of(data.head, JoinedFeatures{{&source}});
        auto const summary = source.prefetch(proteins, request);
        feature_seconds_[label] = seconds_since(start);
        say("  " + label + ": features of " + std::to_string(summary.computed) + " proteins computed, " +
            std::to_string(summary.found) + " from the cache" + in_seconds(feature_seconds_[label]));
    }
}

/// Network heads train one thread each, several side by side: rounding inside matrix products depends on the number of
/// threads, so that a head's answer would depend on it too, and two busy threads of one small head wait for each other
/// most of the time. Exact heads sum in a fixed order and hold N x D features each: one after another, all threads.
Grid::HeadThreads Grid::head_threads(HeadKind head) const {
    if (!is_network(head)) return {1, plan_.options.threads};
    if (plan_.options.device == "cuda") return {1, 1};
    return {std::min(resolve_threads(plan_.options.threads), most_heads_at_once), 1};
}

/// Every run of the jobs by key: found in the store, or fitted and stored as soon as it is done.
std::map<std::string, StoredRun> Grid::fit_missing(TaskData const& data, std::vector<Job> const& jobs) {
    std::map<std::string, StoredRun> done;
    std::vector<Job const*> missing;
    for (auto const& job : jobs) {
        if (done.contains(job.key)) continue;
        auto stored = plan_.options.force ? std::nullopt : store_.find(job.key);
        if (!stored || !is_complete(*stored, data, job)) missing.push_back(&job), stored.emplace();
        done.emplace(job.key, std::move(*stored));
    }
    for (auto const* job : missing) prepare(data, *job);
    auto const threads = head_threads(data.head);
    parallel_for(missing.size(), threads.heads, [&](std::size_t k, int) {
        auto& place = done.at(missing[k]->key);
        place = fit(data, *missing[k], threads.each);
        store_.store(missing[k]->key, place);
    });
    return done;
}

StoredRun Grid::fit(TaskData const& data, Job const& job, int threads) {
    JoinedFeatures const features{pool_.sources(*job.arm, job.seed)};
    HeadOptions const options{
        .seed = job.seed, .threads = threads, .device = plan_.options.device, .max_epochs = data.max_epochs};
    auto const start = std::chrono::steady_clock::now();
    StoredRun stored = fit_head(data, features, plan_.options.contact_atom, options, job.keep_maps);
    stored.run.head_seconds = seconds_since(start);
    say("  " + job.arm->name + ": head" +
        (depends_on_seed(data.head, *job.arm) ? " of seed " + std::to_string(job.seed) : "") +
        in_seconds(stored.run.head_seconds));
    stored.run.train_size = data.train.size();
    stored.run.valid_size = data.valid.size();
    for (auto const& spec : job.arm->sources)
        stored.run.feature_seconds += feature_seconds_.at(instance_name(spec, job.seed));
    stored.evidence = features.evidence(data.test, evidence_request(data.head));
    stored.run.arm = job.arm->name;
    stored.run.seed = job.seed;
    return stored;
}

TaskResult Grid::run_task(TaskData const& data, Result& result) {
    TaskResult task{.task = data.task,
                    .train_available = data.train_available,
                    .examples = {},
                    .runs = {},
                    .evidence = {},
                    .relatives = {},
                    .notes = data.notes};
    for (auto const& example : data.test)
        task.examples.push_back(test_example(example, data.task.kind, plan_.options.contact_atom));

    feature_seconds_.clear();
    // Test first: what a source derives from the order (parents of variants) then depends least on --train-limit.
    pool_.prepare(proteins_of({&data.test, &data.train, &data.valid}));
    auto const jobs = jobs_of(data);
    auto const done = fit_missing(data, jobs);
    for (auto const& job : jobs) {
        auto const& stored = done.at(job.key);
        Run run = stored.run;
        run.arm = job.arm->name;
        run.seed = job.seed;
        task.runs.push_back(std::move(run));
        if (!stored.evidence.depth.empty()) task.evidence[job.arm->name] = stored.evidence;
    }
    if (auto note = within_parents_note(task); !note.empty()) task.notes.push_back(std::move(note));
    if (data.task.kind == TaskKind::residue_pair) add_contact_maps(data, done, jobs, result);
    add_alignments(data, task, result);
    add_relatives(data, task);
    return task;
}

/// Identities of the leak audit from the cache, or computed and kept.
std::vector<float> Grid::audited(std::string const& key, std::size_t proteins,
                                 std::function<std::vector<float>()> const& compute) const {
    auto const file =
        plan_.options.cache / "relatives" / (content_hash(std::to_string(audit_version) + '\n' + key) + ".json");
    if (std::filesystem::exists(file)) {
        auto const known = nlohmann::json::parse(read_text(file), nullptr, false);
        if (known.is_array() && known.size() == proteins &&
            std::ranges::all_of(known, [](auto const& identity) { return identity.is_number(); }))
            return known.get<std::vector<float>>();
    }
    auto const identities = compute();
    std::filesystem::create_directories(file.parent_path());
    write_text(file, nlohmann::json(identities).dump());
    return identities;
}

void Grid::add_relatives(TaskData const& data, TaskResult& task) {
    auto const start = std::chrono::steady_clock::now();
    auto const& options = plan_.options;
    auto const test = proteins_of({&data.test}), train = proteins_of({&data.train});
    auto const add = [&](std::string set, std::string name, std::string const& key, auto const& compute) {
        task.relatives.push_back({std::move(set), std::move(name), relative_coverage,
                                  audited(data.hash + '\n' + key, test.size(), compute)});
    };
    add("training", std::to_string(train.size()) + " training proteins", "training",
        [&] { return closest_identities(test, train, options.threads); });
#ifdef TAPE_WITH_SEARCH
    auto const search = [&](std::string const& set, std::filesystem::path const& file) {
        auto const database = searchable_database(file, options.cache, true);
        add(set, file.filename().string(), content_hash_of_file(database),
            [&] { return closest_identities(test, database, options.threads); });
    };
    bool const searched = options.alignments.search && std::ranges::any_of(plan_.arms, [](ArmSpec const& arm) {
                              return std::ranges::find(arm.sources, "msa", &SourceSpec::name) != arm.sources.end();
                          });
    if (searched)
        search("database", options.alignments.database.empty() ? starter_database() : options.alignments.database);
    if (!options.corpus.empty()) search("corpus", options.corpus);
#endif
    say("  identity of the test proteins to what was read" + in_seconds(seconds_since(start)));
}

/// Shows the test proteins whose alignments are of median depth (of median length where no arm has alignments): neither
/// the luckiest nor the poorest.
std::vector<std::size_t> showcase(TaskData const& data, EvidenceRow const* evidence) {
    std::vector<std::size_t> order(data.test.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    auto const measure = [&](std::size_t index) {
        return evidence != nullptr ? evidence->depth[index]
                                   : static_cast<float>(data.test[index].protein.residues.size());
    };
    std::ranges::stable_sort(order, {}, measure);
    std::size_t const count = std::min(showcase_count, order.size());
    std::size_t const first = (order.size() - count) / 2;
    return {order.begin() + static_cast<std::ptrdiff_t>(first),
            order.begin() + static_cast<std::ptrdiff_t>(first + count)};
}

void Grid::add_contact_maps(TaskData const& data, std::map<std::string, StoredRun> const& done,
                            std::vector<Job> const& jobs, Result& result) const {
    EvidenceRow const* evidence = nullptr;
    for (auto const& job : jobs)
        if (evidence == nullptr && !done.at(job.key).evidence.depth.empty()) evidence = &done.at(job.key).evidence;
    for (std::size_t const index : showcase(data, evidence))
        for (auto const& job : jobs) {
            if (!job.keep_maps) continue;
            auto const& map = done.at(job.key).maps.at(index);
            ContactMap shown{.id = data.test[index].protein.id,
                             .arm = job.arm->name,
                             .length = static_cast<int>(map.rows()),
                             .probability = {map.data(), map.data() + map.size()}};
            for (auto& probability : shown.probability) probability = stored_probability(probability);
            result.contact_maps.push_back(std::move(shown));
        }
}

/// Alignments of the showcase proteins of residue tasks, as the first arm with an alignment reads them.
void Grid::add_alignments(TaskData const& data, TaskResult const& task, Result& result) {
    if (data.task.kind != TaskKind::residue_class && data.task.kind != TaskKind::residue_pair) return;
    for (auto const& arm : plan_.arms)
        for (auto const& spec : arm.sources) {
            auto* const source = dynamic_cast<MsaSource*>(&pool_.source(spec, plan_.seeds.front()).source());
            auto const evidence = task.evidence.find(arm.name);
            if (source == nullptr || evidence == task.evidence.end()) continue;
            for (std::size_t const index : showcase(data, &evidence->second)) {
                auto const& protein = data.test[index].protein;
                result.alignments.push_back(
                    shown_alignment(data.task.name, protein, source->alignment(protein), showcase_rows_shown));
            }
            return;
        }
}

/// What the maps of the variants show: every source once, then the unpretrained control, then the joined arms.
std::vector<ArmSpec> mapped_arms(std::vector<ArmSpec> const& arms) {
    std::vector<ArmSpec> shown;
    for (auto const& arm : arms)
        for (auto const& spec : arm.sources)
            if (std::ranges::find(shown, spec.text, &ArmSpec::name) == shown.end())
                shown.push_back({spec.text, {spec}});
    if (auto control = unpretrained_control(arms)) shown.push_back({control->text, {*control}});
    std::ranges::copy_if(arms, std::back_inserter(shown), [](ArmSpec const& arm) { return arm.sources.size() > 1; });
    return shown;
}

/// t-SNE of the variants as each source and each joined arm of the first seed has them.
void Grid::add_maps(std::vector<Example> const& sample, Result& result) {
    std::vector<std::uint64_t> const seeds{plan_.seeds.front()};
    auto const arms = mapped_arms(plan_.arms);
    std::optional<SourcePool> control;           // its weights are in no arm
    std::map<std::string, FeatureMatrix> pooled; // by source
    for (auto const& arm : arms)
        for (auto const& spec : arm.sources) {
            if (pooled.contains(spec.text)) continue;
            if (!pool_.contains(spec, seeds.front()))
                control.emplace(std::span{&arm, 1}, seeds, source_settings(plan_));
            auto& source = (pool_.contains(spec, seeds.front()) ? pool_ : *control).source(spec, seeds.front());
            source.prefetch(proteins_of({&sample}), {.pooled = true});
            pooled.emplace(spec.text, JoinedFeatures{{&source}}.pooled(sample));
        }
    // One thread a map: its many short steps would wait for each other's threads on a busy machine.
    result.embeddings.resize(arms.size());
    parallel_for(arms.size(), plan_.options.threads, [&](std::size_t k, int) {
        std::vector<FeatureMatrix> parts;
        for (auto const& spec : arms[k].sources) parts.push_back(pooled.at(spec.text));
        result.embeddings[k] = embedding_sample(arms[k].name, sample, joined_evenly(parts), 1);
    });
}

void Grid::add_fluorescence_figures(TaskData const& data, Result& result) {
    auto const start = std::chrono::steady_clock::now();
    std::vector<Example> sample;
    for (std::size_t const index : chosen_by_hash(data.test, embedded_variants, "t-SNE"))
        sample.push_back(data.test[index]);
    add_maps(sample, result);
    std::vector<Example> variants;
    for (auto const& split : {data.task.train, data.task.valid, data.task.test})
        std::ranges::move(load_split(data.task, split).examples, std::back_inserter(variants));
    // The bundled alignment, whatever the arms read: the figure is about the protein family.
    MsaSourceOptions options;
    options.families = bundled_alignments();
    options.threads = plan_.options.threads;
    MsaSource family{std::move(options)};
    Msa const alignment = family.alignment(variants.front().protein);
    if (alignment.depth() > 1)
        result.positions.push_back(position_statistics(alignment, variants, alignment_rows_shown));
    say("  numbers for the figures" + in_seconds(seconds_since(start)));
}

Result Grid::run() {
    Result result;
    result.preset = plan_.options.preset;
    result.seeds = plan_.seeds;
    for (auto const& spec : plan_.arms) {
        Arm arm{.name = spec.name, .sources = {}, .descriptions = {}, .run = {}};
        for (auto const* source : pool_.sources(spec, plan_.seeds.front())) {
            arm.sources.push_back(source->name());
            arm.descriptions.push_back(source->description());
            result.manifest.inputs[source->name()] = source->content_hash();
        }
        result.arms.push_back(std::move(arm));
    }
    std::size_t number = 0;
    for (auto const& data : plan_.tasks) {
        say("[" + std::to_string(++number) + "/" + std::to_string(plan_.tasks.size()) + "] " + data.task.title + ": " +
            std::to_string(data.train.size()) + " train, " + std::to_string(data.valid.size()) + " valid, " +
            std::to_string(data.test.size()) + " test, " + std::to_string(plan_.arms.size()) + " arms");
        result.manifest.inputs[data.task.name] = data.hash;
        result.tasks.push_back(run_task(data, result));
        if (data.task.name == "fluorescence") add_fluorescence_figures(data, result);
    }
    result.manifest.seed = plan_.options.seed;
    return result;
}

/// Opens what is otherwise read only after other work, so that a wrong name is told at once.
void check_inputs(ExperimentOptions const& options) {
    for (auto const& file : {options.alignments.database, options.alignments.clusters, options.corpus})
        if (!file.empty()) (void)open_input(file);
    auto const& directory = options.alignments.directory;
    if (!directory.empty() && !std::filesystem::is_directory(directory))
        throw data_error{directory.string() + ": no such directory of alignments (--msa-dir)"};
}

} // namespace

bool depends_on_seed(HeadKind head, ArmSpec const& arm) {
    return is_network(head) || std::ranges::any_of(arm.sources, draws_weights);
}

Plan make_plan(ExperimentOptions options) {
    Preset const& preset = find_preset(options.preset);
    if (options.cache.empty()) options.cache = cache_directory();
    if (options.features.empty()) options.features = preset.features;
    if (options.tasks.empty()) options.tasks = preset.tasks;
    if (!options.seeds) options.seeds = preset.seeds;
    options.alignments.rounds = options.rounds.value_or(preset.search_rounds);
    if (*options.seeds < 1)
        throw usage_error{"--seeds is " + std::to_string(*options.seeds) + "; at least one is needed"};

    Plan plan{.options = options,
              .arms = parse_arms(options.features, options.baseline, options.hybrid),
              .seeds = {},
              .tasks = {}};
    for (int k = 0; k < *options.seeds; ++k) plan.seeds.push_back(options.seed + static_cast<std::uint64_t>(k));
    for (auto const& task : parse_tasks(options.tasks)) {
        TaskLimits limits = limits_of(preset, task);
        if (options.train_limit) limits.train = *options.train_limit;
        if (options.valid_limit) limits.valid = *options.valid_limit;
        if (options.test_limit) limits.test = *options.test_limit;
        if (options.max_epochs) limits.max_epochs = *options.max_epochs;
        plan.tasks.push_back(load_task(task, limits, options.seed));
        plan.tasks.back().head = head_kind(plan.tasks.back(), options.head);
    }
    check_inputs(options);
    return plan;
}

Result run_experiment(Plan const& plan) {
    auto const& cache = plan.options.cache;
    try {
        std::filesystem::create_directories(cache);
        write_text(cache / ".probe", "");
        std::filesystem::remove(cache / ".probe");
    } catch (std::exception const&) {
        std::throw_with_nested(
            error{"cache folder '" + cache.string() + "' cannot be written; choose another with --cache"});
    }
    if (!plan.options.corpus.empty()) // made now: what is wrong with it should not come out after the first task
        (void)searchable_database(plan.options.corpus, cache, plan.options.quiet);
    return Grid{plan}.run();
}

} // namespace tape
