#include "compare/presets.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/own_task.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <tuple>
#include <unordered_set>

namespace tape {

namespace {

std::map<std::string, std::string> const& task_short_names() {
    static std::map<std::string, std::string> const names{
        {"ss", "secondary_structure"}, {"ss3", "secondary_structure"},  {"ss8", "secondary_structure_q8"},
        {"contacts", "contact"},       {"homology", "remote_homology"}, {"gfp", "fluorescence"}};
    return names;
}

std::vector<std::string> task_words() {
    std::vector<std::string> words{"all"};
    for (auto const& task : bundled_tasks()) words.push_back(task.name);
    for (auto const& [word, name] : task_short_names()) words.push_back(word);
    return words;
}

/// Indices in the order of a hash of salt and id.
std::vector<std::size_t> ranked_by_hash(std::span<Example const> examples, std::string const& salt) {
    std::vector<std::string> hashes;
    hashes.reserve(examples.size());
    for (auto const& example : examples) hashes.push_back(content_hash(salt + '\n' + example.protein.id));
    std::vector<std::size_t> order(examples.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order,
                      [&](std::size_t a, std::size_t b) { return std::tie(hashes[a], a) < std::tie(hashes[b], b); });
    return order;
}

void keep(std::vector<Example>& examples, std::vector<std::size_t> const& chosen) {
    std::vector<Example> kept;
    kept.reserve(chosen.size());
    for (std::size_t const index : chosen) kept.push_back(std::move(examples[index]));
    examples = std::move(kept);
}

void keep_by_hash(std::vector<Example>& examples, std::size_t limit, std::string const& salt) {
    if (limit != 0 && examples.size() > limit) keep(examples, chosen_by_hash(examples, limit, salt));
}

/// The classes with most test proteins, ties to the lower label.
std::unordered_set<int> frequent_classes(std::vector<Example> const& test, std::size_t count) {
    std::map<int, std::size_t> frequency;
    for (auto const& example : test) ++frequency[example.class_label];
    std::vector<std::pair<int, std::size_t>> ranked{frequency.begin(), frequency.end()};
    std::ranges::stable_sort(ranked, std::greater<>{}, &std::pair<int, std::size_t>::second);
    if (ranked.size() > count) ranked.resize(count);
    std::unordered_set<int> chosen;
    for (auto const& entry : ranked) chosen.insert(entry.first);
    return chosen;
}

void keep_classes(std::vector<Example>& examples, std::unordered_set<int> const& classes) {
    std::erase_if(examples, [&](Example const& example) { return !classes.contains(example.class_label); });
}

/// At most `limit` examples a class, by hash; file order stays.
void limit_per_class(std::vector<Example>& examples, std::size_t limit, std::string const& salt) {
    std::map<int, std::size_t> taken;
    auto const ranked = ranked_by_hash(examples, salt);
    std::vector<std::size_t> chosen;
    for (std::size_t const index : ranked)
        if (taken[examples[index].class_label]++ < limit) chosen.push_back(index);
    std::ranges::sort(chosen);
    keep(examples, chosen);
}

void drop_long(std::vector<Example>& examples, std::size_t max_length) {
    std::erase_if(examples, [&](Example const& example) { return example.protein.residues.size() > max_length; });
}

std::size_t mark_seen_sequences(std::vector<Example> const& train, std::vector<Example>& test) {
    std::unordered_set<std::string_view> sequences;
    for (auto const& example : train) sequences.insert(example.protein.residues);
    std::size_t seen = 0;
    for (auto& example : test)
        if (sequences.contains(example.protein.residues)) example.attributes["in_train"] = "1", ++seen;
    return seen;
}

std::string of_total(std::size_t kept, std::size_t total) {
    return std::to_string(kept) + (kept == total ? "" : " of " + std::to_string(total));
}

void require_examples(std::vector<Example> const& examples, Task const& task, std::string const& split) {
    if (examples.empty())
        throw data_error{"task " + task.name + ": no example of split '" + split +
                         "' is left after the limits; raise --train-limit, --valid-limit or --test-limit"};
}

std::string subset_hash(std::vector<Dataset const*> const& sets, TaskData const& data) {
    std::string text;
    for (auto const* set : sets) text += set->hash + '\n';
    for (auto const* part : {&data.train, &data.valid, &data.test}) {
        for (auto const& example : *part) text += example.protein.id + '\n';
        text += "--\n";
    }
    return content_hash(text);
}

} // namespace

std::vector<Preset> const& presets() {
    // Quick answers on two shared cores in under five minutes from an empty cache: 195 s, 360 CPU seconds, with msa,
    // transformer and their union. Sizes were set from the speed of the parts (lines on stderr): two search rounds of
    // the starter database 0.08 CPU seconds a query of 230 residues; the bundled Transformer 22,000 residues a CPU
    // second; a residue head 4 and a pair head 14 CPU seconds. Variants of one protein are cheap for msa, so
    // fluorescence is bounded by the Transformer, and stability (every design its own search) by both.
    static std::vector<Preset> const all{
        {.name = "quick",
         .summary = "parts of every task that two cores answer in under five minutes",
         .limits = {{"secondary_structure", {.train = 300, .valid = 60, .test = 100, .max_length = 500}},
                    {"secondary_structure_q8", {.train = 200, .valid = 40, .test = 80, .max_length = 500}},
                    {"contact", {.train = 40, .valid = 12, .test = 30, .max_epochs = 8, .max_length = 250}},
                    {"remote_homology", {.valid = 60, .test = 150, .classes = 25, .per_class = 12, .max_length = 500}},
                    {"fluorescence", {.train = 1500, .valid = 400, .test = 1500}},
                    {"stability", {.train = 1500, .valid = 400, .test = 1500}}},
         .seeds = 2,
         .search_rounds = 2},
        // --dry-run: 73 min on two free cores with the starter database, of which 27 min are heads.
        {.name = "seed-finding",
         .summary =
             "the published finding with its control: every test protein of TAPE's five tasks, most of the training "
             "proteins",
         .limits = {{"secondary_structure", {.train = 6000, .valid = 500, .max_length = 500}},
                    {"contact", {.train = 600, .valid = 50, .max_epochs = 8, .max_length = 400}}},
         .seeds = 2,
         .search_rounds = 2,
         .features = {"msa", "transformer", "transformer@random"},
         .tasks = {"secondary_structure", "contact", "remote_homology", "fluorescence", "stability"}},
        {.name = "full",
         .summary = "every example of every task; hours on two cores, days with a large database",
         .limits = {}}};
    return all;
}

Preset const& find_preset(std::string const& name) {
    std::vector<std::string> names;
    for (auto const& preset : presets()) {
        if (preset.name == name) return preset;
        names.push_back(preset.name);
    }
    throw usage_error{"unknown preset `" + name + "`" + did_you_mean(name, names) +
                      "; there are quick, seed-finding and full"};
}

std::vector<Task> parse_tasks(std::vector<std::string> const& names) {
    std::unordered_set<std::string> wanted;
    std::vector<Task> own;
    for (auto const& word : names) {
        if (is_task_file(word)) {
            Task task = own_task(word);
            if (std::ranges::find(own, task.name, &Task::name) != own.end())
                throw usage_error{word + ": another file of --tasks is called `" + task.name +
                                  "` too; name each once, or rename one"};
            own.push_back(std::move(task));
            continue;
        }
        auto const alias = task_short_names().find(word);
        std::string const name = alias == task_short_names().end() ? word : alias->second;
        bool const known =
            name == "all" || std::ranges::any_of(bundled_tasks(), [&](Task const& t) { return t.name == name; });
        if (!known) {
            std::string list;
            for (auto const& task : bundled_tasks()) list += ", " + task.name;
            throw usage_error{"unknown task `" + word + "`" + did_you_mean(word, task_words()) + "; known: all" + list};
        }
        wanted.insert(name);
    }
    if (wanted.empty() && own.empty()) throw usage_error{"--tasks names no task; use all or a comma list"};
    std::vector<Task> tasks;
    for (auto const& task : bundled_tasks())
        if (wanted.contains("all") || wanted.contains(task.name)) tasks.push_back(task);
    std::ranges::move(own, std::back_inserter(tasks));
    return tasks;
}

TaskLimits limits_of(Preset const& preset, Task const& task) {
    auto found = preset.limits.find(task.name);
    if (!task.file.empty()) {
        auto const alike = std::ranges::find(bundled_tasks(), task.kind, &Task::kind);
        if (alike != bundled_tasks().end()) found = preset.limits.find(alike->name);
    }
    TaskLimits limits = found == preset.limits.end() ? TaskLimits{} : found->second;
    if (!task.file.empty()) limits.classes = 0;
    return limits;
}

std::vector<std::size_t> chosen_by_hash(std::span<Example const> examples, std::size_t limit, std::string const& salt) {
    auto chosen = ranked_by_hash(examples, salt);
    chosen.resize(std::min(limit, chosen.size()));
    std::ranges::sort(chosen);
    return chosen;
}

TaskData load_task(Task const& task, TaskLimits const& limits, std::uint64_t seed) {
    Dataset train = load_split(task, task.train), valid = load_split(task, task.valid),
            test = load_split(task, task.test);
    std::size_t const totals[3]{train.examples.size(), valid.examples.size(), test.examples.size()};
    TaskData data{.task = task,
                  .train = std::move(train.examples),
                  .valid = std::move(valid.examples),
                  .test = std::move(test.examples),
                  .head = {},
                  .max_epochs = limits.max_epochs,
                  .train_available = totals[0],
                  .hash = {},
                  .notes = {}};

    if (task.kind == TaskKind::protein_class && limits.classes != 0) {
        auto const classes = frequent_classes(data.test, limits.classes);
        for (auto* part : {&data.train, &data.valid, &data.test}) keep_classes(*part, classes);
        data.notes.push_back(
            "sub-problem: only the " + std::to_string(classes.size()) +
            " classes with the most test proteins, in all three splits; its accuracy is not comparable with "
            "the full task of " +
            std::to_string(task.class_count) + " classes");
    }
    if (limits.max_length != 0) {
        drop_long(data.train, limits.max_length);
        drop_long(data.valid, limits.max_length);
        data.notes.push_back("training and validation proteins longer than " + std::to_string(limits.max_length) +
                             " residues left out; test proteins of every length kept");
    }
    std::string const salt = task.name + ":train:" + std::to_string(seed);
    if (limits.per_class != 0) limit_per_class(data.train, limits.per_class, salt);
    keep_by_hash(data.train, limits.train, salt);
    // Without the task's name: both secondary-structure tasks then share their test proteins, and so their features.
    keep_by_hash(data.valid, limits.valid, "valid");
    keep_by_hash(data.test, limits.test, "test");
    require_examples(data.train, task, task.train);
    require_examples(data.valid, task, task.valid);
    require_examples(data.test, task, task.test);

    data.notes.insert(data.notes.begin(), "examples: train " + of_total(data.train.size(), totals[0]) + ", valid " +
                                              of_total(data.valid.size(), totals[1]) + ", test " +
                                              of_total(data.test.size(), totals[2]) + " (split '" + task.test + "')");
    if (std::size_t const seen = mark_seen_sequences(data.train, data.test); seen != 0)
        data.notes.push_back(
            std::to_string(seen) +
            " test sequences also stand in the training part used here; they are kept and marked in_train");
    data.hash = subset_hash({&train, &valid, &test}, data);
    return data;
}

} // namespace tape
