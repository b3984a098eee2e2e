#include "compare/analysis.hpp"

#include "compare/analysis_groups.hpp"
#include "data/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace tape {

namespace {

std::string base_of(std::string const& source) { return source.substr(0, source.find('@')); }

bool is_random(std::string const& source) { return source.ends_with("@random"); }

/// Runs of an arm, in the order of their seeds.
std::vector<Run const*> runs_of(TaskResult const& task, std::string const& arm) {
    std::vector<Run const*> runs;
    for (auto const& run : task.runs)
        if (run.arm == arm) runs.push_back(&run);
    std::stable_sort(runs.begin(), runs.end(), [](Run const* x, Run const* y) { return x->seed < y->seed; });
    return runs;
}

bool same_answer(Prediction const& x, Prediction const& y) {
    return x.value == y.value && x.top_classes == y.top_classes;
}

/// One answer for every protein, which a broken head gives (TAPE's issue 103); residue tasks are judged residue by
/// residue.
bool is_constant(Run const& run, TaskKind kind) {
    if (run.predictions.size() < 2 || kind == TaskKind::residue_pair) return false;
    if (kind != TaskKind::residue_class)
        return std::all_of(run.predictions.begin(), run.predictions.end(),
                           [&](Prediction const& p) { return same_answer(p, run.predictions.front()); });
    std::set<std::int16_t> classes;
    for (auto const& prediction : run.predictions)
        classes.insert(prediction.residue_classes.begin(), prediction.residue_classes.end());
    return classes.size() < 2;
}

/// Scores of every metric: [metric][arm][seed].
std::vector<ScoreTable> score_tables(TaskResult const& task, TaskAnalysis const& analysis) {
    std::vector<ScoreTable> tables;
    for (auto const& metric : analysis.metrics) {
        auto& table = tables.emplace_back();
        for (auto const& arm : analysis.arms) {
            auto& runs = table.emplace_back();
            for (Run const* run : runs_of(task, arm.arm)) runs.push_back(example_scores(metric, task.examples, *run));
        }
    }
    return tables;
}

double mean(std::vector<double> const& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> evaluate_all(std::vector<ExampleScores> const& runs) {
    std::vector<double> values;
    for (auto const& run : runs) values.push_back(evaluate(run));
    return values;
}

struct Pairing {
    std::size_t a, b;
    Question question;
};

std::string name_in_run(std::string const& source, Arm const& like) {
    return like.run.empty() ? source : source + " [" + like.run + "]";
}

std::string plain_name(Arm const& arm) {
    return arm.run.empty() ? arm.name : arm.name.substr(0, arm.name.size() - arm.run.size() - 3);
}

/// Pairings of the arms that ran, by question, each pair once.
class PairingBuilder {
  public:
    PairingBuilder(std::vector<Arm> const& arms, std::vector<double> const& values) : arms_{arms}, values_{values} {}

    std::vector<Pairing> build() {
        for (std::size_t a = 0; a < arms_.size(); ++a) sources(a);
        for (std::size_t a = 0; a < arms_.size(); ++a) joined(a);
        for (std::size_t a = 0; a < arms_.size(); ++a) pretraining(a);
        for (std::size_t a = 0; a < arms_.size(); ++a) models(a);
        for (std::size_t a = 0; a < arms_.size(); ++a) baseline(a);
        for (std::size_t a = 0; a < arms_.size(); ++a) other_run(a);
        return pairings_;
    }

  private:
    void add(std::size_t a, std::size_t b, Question question) {
        bool const known =
            std::any_of(pairings_.begin(), pairings_.end(), [&](Pairing const& p) { return p.a == a && p.b == b; });
        if (!known && a != b) pairings_.push_back({a, b, question});
    }
    void sources(std::size_t a) {
        if (role_of(arms_[a]) != ArmRole::alignment) return;
        for (std::size_t b = 0; b < arms_.size(); ++b)
            if (role_of(arms_[b]) == ArmRole::language_model && arms_[b].run == arms_[a].run)
                add(a, b, Question::sources);
    }
    void joined(std::size_t a) {
        if (role_of(arms_[a]) != ArmRole::joined) return;
        std::size_t best = a;
        for (auto const& source : arms_[a].sources)
            for (std::size_t b = 0; b < arms_.size(); ++b)
                if (arms_[b].name == name_in_run(source, arms_[a]) && (best == a || values_[b] > values_[best]))
                    best = b;
        add(a, best, Question::joined);
    }
    void pretraining(std::size_t a) {
        if (role_of(arms_[a]) != ArmRole::language_model) return;
        for (std::size_t b = 0; b < arms_.size(); ++b)
            if (role_of(arms_[b]) == ArmRole::random_model && arms_[b].run == arms_[a].run &&
                base_of(arms_[b].sources[0]) == base_of(arms_[a].sources[0]))
                add(a, b, Question::pretraining);
    }
    void models(std::size_t a) {
        if (role_of(arms_[a]) != ArmRole::language_model) return;
        for (std::size_t b = 0; b < a; ++b)
            if (role_of(arms_[b]) == ArmRole::language_model && arms_[b].run == arms_[a].run)
                add(a, b, Question::models);
    }
    void baseline(std::size_t a) {
        for (std::size_t b = 0; b < arms_.size(); ++b)
            if (arms_[b].sources == std::vector<std::string>{"onehot"} && arms_[b].run == arms_[a].run)
                add(a, b, Question::baseline);
    }
    void other_run(std::size_t a) {
        for (std::size_t b = 0; b < a; ++b)
            if (arms_[b].run != arms_[a].run && plain_name(arms_[b]) == plain_name(arms_[a])) add(a, b, Question::runs);
    }

    std::vector<Arm> const& arms_;
    std::vector<double> const& values_;
    std::vector<Pairing> pairings_;
};

double standard_deviation(std::vector<double> values) {
    std::erase_if(values, [](double v) { return std::isnan(v); });
    if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
    double const centre = mean(values);
    double square = 0;
    for (double const v : values) square += (v - centre) * (v - centre);
    return std::sqrt(square / static_cast<double>(values.size() - 1));
}

Difference difference_of(Pairing const& pairing, TaskAnalysis const& task, ScoreTable const& table,
                         std::vector<std::vector<double>> const& replicates, ResamplingOptions const& options) {
    Difference difference;
    difference.a = task.arms[pairing.a].arm;
    difference.b = task.arms[pairing.b].arm;
    difference.question = pairing.question;
    std::vector<double> resampled(replicates[pairing.a].size());
    for (std::size_t r = 0; r < resampled.size(); ++r)
        resampled[r] = replicates[pairing.a][r] - replicates[pairing.b][r];
    difference.detectable = 2.8 * standard_deviation(resampled);
    double const value =
        task.arms[pairing.a].metrics[0].interval.value - task.arms[pairing.b].metrics[0].interval.value;
    difference.interval = percentile_interval(value, resampled, options.level);
    auto const contributions = paired_contributions(table[pairing.a], table[pairing.b]);
    difference.p = std::isnan(value) ? value : sign_flip_test(contributions, options);
    difference.effect = mean(contributions) / standard_deviation(contributions);
    for (double const c : contributions) difference.better += c > 0, difference.worse += c < 0;
    return difference;
}

void add_without_leaked(TaskResult const& task, TaskAnalysis& analysis, ScoreTable const& table,
                        ResamplingOptions const& options) {
    std::vector<std::size_t> clean;
    for (std::size_t i = 0; i < task.examples.size(); ++i) {
        auto const found = task.examples[i].attributes.find("in_train");
        if (found == task.examples[i].attributes.end() || found->second != "1") clean.push_back(i);
    }
    analysis.in_training = task.examples.size() - clean.size();
    if (analysis.in_training > 0 && !clean.empty())
        analysis.without_leaked = estimate_subset(table, clean, {}, options).arms;
}

/// Language model minus alignment and union minus its better part, with the indices of their arms.
std::vector<std::array<std::size_t, 2>> add_gaps(TaskAnalysis& analysis) {
    std::vector<std::array<std::size_t, 2>> pairs;
    auto const index_of = [&](std::string const& arm) {
        return static_cast<std::size_t>(std::ranges::find(analysis.arms, arm, &ArmEstimate::arm) -
                                        analysis.arms.begin());
    };
    for (auto const question : {Question::sources, Question::joined}) {
        auto const found = std::ranges::find(analysis.differences, question, &Difference::question);
        if (found == analysis.differences.end()) continue;
        bool const swap = question == Question::sources; // differences say alignment minus language model
        analysis.gaps.push_back({swap ? found->b : found->a, swap ? found->a : found->b, question});
        pairs.push_back({index_of(analysis.gaps.back().a), index_of(analysis.gaps.back().b)});
    }
    return pairs;
}

void add_arms(Result const& result, TaskResult const& task, TaskAnalysis& analysis) {
    for (auto const& arm : result.arms) {
        auto const runs = runs_of(task, arm.name);
        if (runs.empty()) continue;
        ArmEstimate estimate{.arm = arm.name, .metrics = {}, .seeds = {}, .constant = false};
        for (Run const* run : runs) {
            estimate.seeds.push_back(run->seed);
            estimate.constant = estimate.constant || is_constant(*run, task.task.kind);
        }
        analysis.arms.push_back(std::move(estimate));
    }
}

TaskAnalysis analyse_task(Result const& result, TaskResult const& task, ResamplingOptions const& options) {
    TaskAnalysis analysis;
    analysis.metrics = metrics_of(task.task);
    add_arms(result, task, analysis);
    auto const tables = score_tables(task, analysis);
    auto const replicates = bootstrap(tables, options);
    for (std::size_t arm = 0; arm < analysis.arms.size(); ++arm)
        for (std::size_t m = 0; m < tables.size(); ++m) {
            auto by_seed = evaluate_all(tables[m][arm]);
            auto const interval = percentile_interval(mean(by_seed), replicates[m][arm], options.level);
            analysis.arms[arm].metrics.push_back({analysis.metrics[m].name, interval, std::move(by_seed)});
        }
    std::vector<Arm> ran;
    std::vector<double> values;
    for (auto const& arm : analysis.arms) {
        ran.push_back(
            *std::find_if(result.arms.begin(), result.arms.end(), [&](Arm const& a) { return a.name == arm.arm; }));
        values.push_back(arm.metrics[0].interval.value);
    }
    if (!tables.empty()) {
        for (auto const& pairing : PairingBuilder{ran, values}.build())
            analysis.differences.push_back(difference_of(pairing, analysis, tables[0], replicates[0], options));
        auto const pairs = add_gaps(analysis);
        analysis.groupings = group_examples(task, ran, tables[0], pairs, options);
        analysis.leaks = audit_leaks(task, tables[0], pairs, options);
        for (auto const& arm : analysis.arms)
            if (auto calibration = calibration_of(task, arm.arm, options))
                analysis.calibrations.push_back(std::move(*calibration));
        add_without_leaked(task, analysis, tables[0], options);
    }
    return analysis;
}

} // namespace

bool Difference::significant() const { return p_holm < 0.05 && (interval.low > 0 || interval.high < 0); }

ArmRole role_of(Arm const& arm) {
    if (arm.sources.size() > 1) return ArmRole::joined;
    std::string const source = arm.sources.empty() ? arm.name : arm.sources.front();
    if (is_random(source)) return ArmRole::random_model;
    if (base_of(source) == "onehot") return ArmRole::sequence;
    return base_of(source) == "msa" ? ArmRole::alignment : ArmRole::language_model;
}

ArmEstimate const* find_arm(TaskAnalysis const& task, std::string const& arm) {
    auto const found =
        std::find_if(task.arms.begin(), task.arms.end(), [&](ArmEstimate const& a) { return a.arm == arm; });
    return found == task.arms.end() ? nullptr : &*found;
}

Analysis analyse(Result const& result, ResamplingOptions const& options) {
    Analysis analysis{options, {}};
    for (auto const& task : result.tasks) analysis.tasks.push_back(analyse_task(result, task, options));
    std::vector<double> p_values;
    for (auto const& task : analysis.tasks)
        for (auto const& difference : task.differences) p_values.push_back(difference.p);
    auto const adjusted = holm(p_values);
    std::size_t next = 0;
    for (auto& task : analysis.tasks)
        for (auto& difference : task.differences) difference.p_holm = adjusted[next++];
    return analysis;
}

} // namespace tape
