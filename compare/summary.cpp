#include "compare/summary.hpp"

#include "compare/published.hpp"
#include "compare/svg.hpp"
#include "data/text.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace tape {

namespace {

std::string interval_text(Interval const& interval, int digits = 3) {
    return "[" + fixed_number(interval.low, digits) + ", " + fixed_number(interval.high, digits) + "]";
}

std::string tasks_text(std::size_t count) { return std::to_string(count) + (count == 1 ? " task" : " tasks"); }

/// One pair of arms over all tasks.
struct Contest {
    std::string a, b;
    Question question{};
    std::vector<std::string> won, lost, open; ///< "Contacts (P@L/5) (+0.120 [0.100, 0.140])"
    std::size_t tasks() const { return won.size() + lost.size() + open.size(); }
};

std::string outcome_text(std::string const& title, Difference const& d, bool towards_b) {
    Interval const& i = d.interval;
    Interval const shown = towards_b ? Interval{-i.value, -i.high, -i.low} : i;
    return title + " " + signed_interval(shown.value, shown.low, shown.high);
}

/// Contests of one question; a union's opponent differs from task to task, so that its contests share a name for b.
std::vector<Contest> contests_of(Result const& result, Analysis const& analysis, Question question) {
    std::vector<Contest> contests;
    for (std::size_t t = 0; t < result.tasks.size(); ++t)
        for (auto const& d : analysis.tasks[t].differences) {
            if (d.question != question || std::isnan(d.interval.value)) continue;
            std::string const opponent = question == Question::joined ? "" : d.b;
            auto found = std::find_if(contests.begin(), contests.end(),
                                      [&](Contest const& c) { return c.a == d.a && c.b == opponent; });
            if (found == contests.end()) found = contests.insert(contests.end(), {d.a, opponent, question, {}, {}, {}});
            bool const better = d.significant() && d.interval.value > 0,
                       worse = d.significant() && d.interval.value < 0;
            (better  ? found->won
             : worse ? found->lost
                     : found->open)
                .push_back(outcome_text(short_title(result, t), d, worse && question == Question::sources));
        }
    return contests;
}

std::string score_text(Contest const& contest) {
    std::vector<std::string> parts;
    if (!contest.won.empty()) parts.push_back("better on " + std::to_string(contest.won.size()));
    if (!contest.lost.empty()) parts.push_back("worse on " + std::to_string(contest.lost.size()));
    if (!contest.open.empty()) parts.push_back("not told apart on " + std::to_string(contest.open.size()));
    return joined(parts);
}

std::string list_text(std::vector<std::string> const& items) {
    std::string text;
    for (auto const& item : items) text += (text.empty() ? "" : "; ") + item;
    return text;
}

std::string sources_headline(Contest const& contest) {
    std::string const alignment = "the alignment (" + contest.a + ")", model = "the language model (" + contest.b + ")";
    if (contest.won.empty() && contest.lost.empty())
        return "On " + tasks_text(contest.tasks()) + " " + alignment + " and " + model + " cannot be told apart.";
    if (contest.won.size() == contest.tasks())
        return "Alignment: " + alignment + " beats " + model + " on every task, " + std::to_string(contest.tasks()) +
               " of " + std::to_string(contest.tasks()) + ".";
    if (contest.lost.size() == contest.tasks())
        return "Language model: " + model + " beats " + alignment + " on every task, " +
               std::to_string(contest.tasks()) + " of " + std::to_string(contest.tasks()) + ".";
    std::string text = "Of " + tasks_text(contest.tasks()) + ", " + alignment + " wins " +
                       std::to_string(contest.won.size()) + ", " + model + " wins " +
                       std::to_string(contest.lost.size());
    return text + (contest.open.empty() ? "." : "; " + std::to_string(contest.open.size()) + " cannot be told apart.");
}

void add_detail(Verdict& verdict, Contest const& contest, std::string const& a, std::string const& b) {
    if (!contest.won.empty()) verdict.sentences.push_back(a + " ahead \xE2\x80\x94 " + list_text(contest.won) + ".");
    if (!contest.lost.empty()) verdict.sentences.push_back(b + " ahead \xE2\x80\x94 " + list_text(contest.lost) + ".");
    if (!contest.open.empty())
        verdict.sentences.push_back("Open, " + a + " minus " + b + " \xE2\x80\x94 " + list_text(contest.open) + ".");
}

void add_scores(Verdict& verdict, std::vector<Contest> const& contests,
                std::function<std::string(Contest const&)> const& subject) {
    for (auto const& contest : contests) {
        std::string text = subject(contest) + ": " + score_text(contest) + " of " + tasks_text(contest.tasks());
        if (!contest.won.empty()) text += " (" + list_text(contest.won) + ")";
        if (!contest.lost.empty()) text += "; worse: " + list_text(contest.lost);
        verdict.sentences.push_back(text + ".");
    }
}

std::size_t fewest_seeds(Analysis const& analysis) {
    std::size_t fewest = SIZE_MAX;
    for (auto const& task : analysis.tasks)
        for (auto const& arm : task.arms) fewest = std::min(fewest, arm.seeds.size());
    return fewest == SIZE_MAX ? 0 : fewest;
}

std::string train_sizes(Result const& result) {
    std::vector<std::string> parts;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t];
        std::size_t size = 0;
        for (auto const& run : task.runs) size = std::max(size, run.train_size);
        if (size == 0 || (task.train_available != 0 && size >= task.train_available)) continue;
        parts.push_back(short_title(result, t) + " " + std::to_string(size) +
                        (task.train_available != 0 ? " of " + std::to_string(task.train_available) : ""));
    }
    return list_text(parts);
}

void add_cautions(Verdict& verdict, Result const& result, Analysis const& analysis) {
    std::string const sizes = train_sizes(result);
    if (result.preset == "quick" && !sizes.empty())
        verdict.cautions.push_back(
            "Quick preset: the heads saw few training proteins (" + sizes +
            "). This shows that the comparison runs; it is not a measurement of the published finding.");
    else if (!sizes.empty() && std::any_of(result.tasks.begin(), result.tasks.end(),
                                           [](auto const& t) { return t.train_available != 0; }))
        verdict.cautions.push_back("Part of the training data was used: " + sizes + ".");
    if (result.seeds.size() < 2 && fewest_seeds(analysis) < 2)
        verdict.cautions.push_back(
            "One seed only: the intervals hold the chance in the test examples, not that of training.");
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& title = result.tasks[t].task.title;
        for (auto const& arm : analysis.tasks[t].arms)
            if (arm.constant)
                verdict.cautions.push_back(title + ": a run of " + arm.arm +
                                           " gives every example the same answer; its head has not learnt.");
        if (analysis.tasks[t].in_training > 0)
            verdict.cautions.push_back(
                title + ": " + std::to_string(analysis.tasks[t].in_training) + " of " +
                std::to_string(result.tasks[t].examples.size()) +
                " test sequences also stand in the training part; the details repeat the results without them.");
        for (auto const& audit : analysis.tasks[t].leaks)
            if (audit.set == "training" && !audit.without.empty())
                verdict.cautions.push_back(
                    title + ": " + std::to_string(audit.leaked) + " of " +
                    std::to_string(result.tasks[t].examples.size()) +
                    " test proteins have a relative in the training part (30% identity over 80% of them); the audit of "
                    "leaks repeats the results without them.");
    }
}

/// Without an alignment and a language model to compare, the best arm of each task is all there is to say.
std::string plain_headline(Result const& result, Analysis const& analysis) {
    std::map<std::string, std::size_t> wins;
    for (auto const& task : analysis.tasks)
        if (auto const best = best_arm(task); !best.empty()) ++wins[best];
    if (wins.empty()) return "No arm has a defined result.";
    std::vector<std::string> parts;
    for (auto const& [arm, count] : wins) parts.push_back(arm + " on " + std::to_string(count));
    return "Highest value on " + tasks_text(result.tasks.size()) + ": " + joined(parts) +
           ". No alignment arm stands beside a language model here, so the page's question is not asked.";
}

/// Whether the one-hot arm's value is above every other's.
bool sequence_alone_is_best(TaskAnalysis const& task) {
    auto const is_sequence = [](auto const& arm) { return arm.arm == "onehot"; };
    auto const value = [](auto const& arm) { return arm.metrics.front().interval.value; };
    auto const sequence = std::ranges::find_if(task.arms, is_sequence);
    return sequence != task.arms.end() && std::ranges::all_of(task.arms, [&](auto const& arm) {
               return is_sequence(arm) || value(arm) < value(*sequence);
           });
}

} // namespace

std::string short_title(Result const& result, std::size_t task) {
    auto const stem = [](std::string const& title) { return title.substr(0, title.find(" (")); };
    std::string const own = stem(result.tasks[task].task.title);
    auto const alike = std::count_if(result.tasks.begin(), result.tasks.end(),
                                     [&](TaskResult const& t) { return stem(t.task.title) == own; });
    return alike > 1 ? result.tasks[task].task.title : own;
}

std::string best_arm(TaskAnalysis const& task) {
    std::string best;
    double most = -INFINITY;
    for (auto const& arm : task.arms)
        if (double const value = arm.metrics.front().interval.value; value > most) most = value, best = arm.arm;
    return best;
}

Verdict make_verdict(Result const& result, Analysis const& analysis) {
    Verdict verdict;
    auto const sources = contests_of(result, analysis, Question::sources);
    verdict.headline = sources.empty() ? plain_headline(result, analysis) : sources_headline(sources.front());
    for (std::size_t c = 0; c < sources.size(); ++c) {
        if (c > 0) verdict.sentences.push_back(sources_headline(sources[c]));
        add_detail(verdict, sources[c], sources[c].a, sources[c].b);
    }
    std::vector<std::string> sequence_best;
    for (std::size_t t = 0; t < result.tasks.size(); ++t)
        if (sequence_alone_is_best(analysis.tasks[t])) sequence_best.push_back(short_title(result, t));
    if (!sources.empty() && !sequence_best.empty())
        verdict.sentences.push_back("The sequence alone (onehot) has the highest value on " + joined(sequence_best) +
                                    ".");
    add_scores(verdict, contests_of(result, analysis, Question::joined),
               [](Contest const& c) { return "Joined (" + c.a + ") against the better of its parts"; });
    add_scores(verdict, contests_of(result, analysis, Question::pretraining),
               [](Contest const& c) { return "Pretraining (" + c.a + " against " + c.b + ")"; });
    for (auto const question : {Question::models, Question::runs})
        add_scores(verdict, contests_of(result, analysis, question),
                   [](Contest const& c) { return c.a + " against " + c.b; });
    if (sources.empty())
        add_scores(verdict, contests_of(result, analysis, Question::baseline),
                   [](Contest const& c) { return c.a + " against " + c.b; });
    add_cautions(verdict, result, analysis);
    return verdict;
}

namespace {

std::size_t display_width(std::string const& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & '\xC0') != '\x80'; }));
}

std::string aligned_table(std::vector<std::vector<std::string>> const& rows) {
    std::vector<std::size_t> widths(rows.front().size());
    for (auto const& row : rows)
        for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
    std::string text;
    for (auto const& row : rows) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c)
            line += row[c] + std::string(widths[c] - display_width(row[c]) + 2, ' ');
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    return text;
}

std::string wrapped(std::string const& text, std::size_t measure) {
    std::string result, line;
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t const end = std::min(text.find(' ', begin), text.size());
        std::string const word = text.substr(begin, end - begin);
        if (!line.empty() && display_width(line) + 1 + display_width(word) > measure)
            result += line + '\n', line.clear();
        line += (line.empty() ? "" : " ") + word;
        begin = end + 1;
    }
    return result + line + '\n';
}

} // namespace

std::string summary_text(Result const& result, Analysis const& analysis) {
    std::vector<std::vector<std::string>> rows{{"task", "metric"}};
    for (auto const& arm : result.arms) rows[0].push_back(arm.name);
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = analysis.tasks[t];
        std::string const best = best_arm(task);
        auto& row = rows.emplace_back(std::vector<std::string>{result.tasks[t].task.name, task.metrics.front().name});
        for (auto const& arm : result.arms) {
            auto const* estimate = find_arm(task, arm.name);
            row.push_back(estimate == nullptr ? "-"
                                              : fixed_number(estimate->metrics.front().interval.value) +
                                                    (arm.name == best ? "* " : " ") +
                                                    interval_text(estimate->metrics.front().interval));
        }
    }
    auto const verdict = make_verdict(result, analysis);
    std::string text = aligned_table(rows) + '\n' + wrapped(verdict.headline, 100);
    for (auto const& sentence : verdict.sentences) text += wrapped(sentence, 100);
    for (auto const& caution : verdict.cautions) text += wrapped("Note: " + caution, 100);
    return text;
}

std::string summary_tsv(Result const& result, Analysis const& analysis) {
    std::string text = "task\tmetric\tarm\tvalue\tlow\thigh\tseeds\texamples\ttrain_size\thead\tpublished\n";
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t];
        for (auto const& arm : analysis.tasks[t].arms) {
            auto const run =
                std::find_if(task.runs.begin(), task.runs.end(), [&](Run const& r) { return r.arm == arm.arm; });
            for (auto const& metric : arm.metrics) {
                std::string published;
                auto const& entry = *std::find_if(result.arms.begin(), result.arms.end(),
                                                  [&](Arm const& a) { return a.name == arm.arm; });
                for (auto const& row : published_rows())
                    if (&metric == &arm.metrics.front() && entry.sources == std::vector<std::string>{row.arm} &&
                        row.of(task.task.name))
                        published = fixed_number(*row.of(task.task.name), 2);
                text += task.task.name + '\t' + metric.metric + '\t' + arm.arm + '\t' +
                        fixed_number(metric.interval.value, 6) + '\t' + fixed_number(metric.interval.low, 6) + '\t' +
                        fixed_number(metric.interval.high, 6) + '\t' + std::to_string(arm.seeds.size()) + '\t' +
                        std::to_string(task.examples.size()) + '\t' + std::to_string(run->train_size) + '\t' +
                        run->head + '\t' + published + '\n';
            }
        }
    }
    return text;
}

std::string summary_markdown(Result const& result, Analysis const& analysis) {
    auto const line = [](std::string const& first, auto const& cell_of_task, std::size_t tasks) {
        std::string text = "| " + first;
        for (std::size_t t = 0; t < tasks; ++t) text += " | " + cell_of_task(t);
        return text + " |\n";
    };
    std::size_t const tasks = result.tasks.size();
    std::string text = line(
        "Arm", [&](std::size_t t) { return result.tasks[t].task.title; }, tasks);
    text += line(
        "---", [](std::size_t) { return std::string{"---"}; }, tasks);
    text += line(
        "test examples", [&](std::size_t t) { return std::to_string(result.tasks[t].examples.size()); }, tasks);
    for (auto const& arm : result.arms)
        text += line(
            arm.name,
            [&](std::size_t t) -> std::string {
                auto const* estimate = find_arm(analysis.tasks[t], arm.name);
                if (estimate == nullptr) return "";
                auto const run = std::ranges::find(result.tasks[t].runs, arm.name, &Run::arm);
                auto const& interval = estimate->metrics.front().interval;
                return fixed_number(interval.value) + " " + interval_text(interval) +
                       ", n=" + std::to_string(run->train_size);
            },
            tasks);
    for (auto const& row : published_rows())
        text += line(
            "_TAPE: " + row.label + "_",
            [&](std::size_t t) {
                auto const value = row.of(result.tasks[t].task.name);
                return value ? "_" + fixed_number(*value, 2) + "_" : std::string{};
            },
            tasks);
    return text;
}

} // namespace tape
