#include "compare/report_parts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace tape {

namespace {

constexpr std::size_t line_length = 80, name_width = 22;

/// A line under the protein: a letter a residue.
struct Track {
    std::string name, letters;
};

std::string fitted(std::string const& name) {
    std::string text = name.size() > name_width - 2 ? name.substr(0, name_width - 3) + "~" : name;
    return text + std::string(name_width - text.size(), ' ');
}

std::string ruler(std::size_t from, std::size_t to) {
    std::string line(to - from, ' ');
    for (std::size_t i = from; i < to; ++i) {
        if ((i + 1) % 10 != 0) continue;
        std::string const number = std::to_string(i + 1);
        for (std::size_t k = 0; k < number.size() && i - from + 1 >= number.size(); ++k)
            line[i - from + 1 - number.size() + k] = number[k];
    }
    return line;
}

/// Tracks below each other, cut into blocks.
std::string blocks(std::vector<Track> const& tracks) {
    std::size_t const length = tracks.front().letters.size();
    std::string text;
    for (std::size_t from = 0; from < length; from += line_length) {
        std::size_t const to = std::min(from + line_length, length);
        text += (from > 0 ? "\n" : "") + fitted("") + ruler(from, to) + "\n";
        for (auto const& track : tracks) text += fitted(track.name) + track.letters.substr(from, to - from) + "\n";
    }
    return "<pre>" + escape(text) + "</pre>";
}

char letter_of(Task const& task, int label) {
    if (label < 0) return '-';
    auto const index = static_cast<std::size_t>(label);
    return index < task.class_names.size() && !task.class_names[index].empty() ? task.class_names[index][0] : '?';
}

/// 9 = one residue only, 0 = all twenty alike: 9 (1 - entropy / ln 20), rounded.
Track conservation(ShownAlignment const& alignment) {
    Track track{"conserved (0-9)", {}};
    for (float const entropy : alignment.entropy)
        track.letters +=
            std::isfinite(entropy)
                ? static_cast<char>('0' + std::lround(9 * std::clamp(1 - entropy / std::log(20.0), 0.0, 1.0)))
                : ' ';
    return track;
}

Run const* first_run(TaskResult const& task, std::string const& arm) {
    auto const found = std::find_if(task.runs.begin(), task.runs.end(), [&](Run const& r) { return r.arm == arm; });
    return found == task.runs.end() ? nullptr : &*found;
}

std::string score_text(TaskResult const& task, Metric const& metric, std::size_t index, Run const& run) {
    auto const scores = example_scores(metric, task.examples, run);
    return scores.second[index] > 0 ? fixed_number(scores.first[index] / scores.second[index]) : "n/a";
}

/// Truth and, for each arm, what it got wrong: a dot where it is right.
std::string residue_tracks(Result const& result, TaskResult const& task, std::size_t index,
                           ShownAlignment const* alignment) {
    auto const& example = task.examples[index];
    std::vector<Track> tracks{{"protein", example.residues}};
    Track truth{"measured", {}};
    for (std::size_t i = 0; i < example.residue_labels.size(); ++i)
        truth.letters +=
            !example.mask.empty() && !example.mask[i] ? ' ' : letter_of(task.task, example.residue_labels[i]);
    tracks.push_back(truth);
    for (auto const& arm : result.arms) {
        Run const* run = first_run(task, arm.name);
        if (run == nullptr) continue;
        Track wrong{arm.name, {}};
        for (std::size_t i = 0; i < example.residue_labels.size(); ++i) {
            int const said = run->predictions[index].residue_classes[i], label = example.residue_labels[i];
            bool const counts = label >= 0 && (example.mask.empty() || example.mask[i]);
            wrong.letters += !counts ? ' ' : said == label ? '.' : letter_of(task.task, said);
        }
        tracks.push_back(std::move(wrong));
    }
    if (alignment != nullptr) {
        tracks.push_back(conservation(*alignment));
        for (std::size_t r = 1; r < alignment->rows.size(); ++r)
            tracks.push_back({alignment->row_ids[r], alignment->rows[r]});
    }
    return blocks(tracks);
}

std::string alignment_tracks(TestExample const& example, ShownAlignment const* alignment) {
    std::vector<Track> tracks{{"protein", example.residues}};
    if (alignment != nullptr) {
        tracks.push_back(conservation(*alignment));
        for (std::size_t r = 1; r < alignment->rows.size(); ++r)
            tracks.push_back({alignment->row_ids[r], alignment->rows[r]});
    }
    return blocks(tracks);
}

/// The most confident false contacts of each arm among its L/5 of medium and long range.
std::string false_contacts(Result const& result, TaskResult const& task, std::size_t index) {
    auto const& example = task.examples[index];
    std::set<std::array<int, 2>> const truth{example.contacts.begin(), example.contacts.end()};
    std::string html = "<ul>";
    for (auto const& arm : result.arms) {
        Run const* run = first_run(task, arm.name);
        if (run == nullptr) continue;
        std::vector<PairPrediction> pairs;
        for (auto const& pair : run->predictions[index].pairs)
            if (pair.j - pair.i >= 12) pairs.push_back({pair.i, pair.j, stored_probability(pair.probability)});
        std::stable_sort(pairs.begin(), pairs.end(),
                         [](auto const& x, auto const& y) { return x.probability > y.probability; });
        pairs.resize(std::min(pairs.size(), std::max<std::size_t>(1, example.residues.size() / 5)));
        std::size_t wrong = 0;
        std::string named;
        for (auto const& [i, j, probability] : pairs) {
            if (truth.contains({i, j})) continue;
            if (wrong++ < 8)
                named += (named.empty() ? "" : ", ") + std::string{example.residues[static_cast<std::size_t>(i)]} +
                         std::to_string(i + 1) + "\xE2\x80\x93" + example.residues[static_cast<std::size_t>(j)] +
                         std::to_string(j + 1) + " (" + fixed_number(probability, 2) + ")";
        }
        html += "<li>" + arm_label(result, arm.name) + ": " + std::to_string(wrong) + " of the " +
                std::to_string(pairs.size()) + " most probable are no contacts" +
                (named.empty() ? "" : "; most confident: " + named) + "</li>";
    }
    return html + "</ul>";
}

std::string scores_line(Result const& result, TaskResult const& task, TaskAnalysis const& analysis, std::size_t index) {
    std::string html = "<p>" + escape(analysis.metrics.front().name) + ", first seed: ";
    bool first = true;
    for (auto const& arm : result.arms)
        if (Run const* run = first_run(task, arm.name); run != nullptr) {
            html += (first ? "" : ", ") + arm_label(result, arm.name) + " " +
                    score_text(task, analysis.metrics.front(), index, *run);
            first = false;
        }
    return html + ".</p>";
}

std::string depth_text(TaskResult const& task, std::size_t index) {
    for (auto const& [arm, row] : task.evidence)
        if (!row.depth.empty()) return ", depth " + compact_number(row.depth[index], 1);
    return {};
}

std::string protein(Result const& result, TaskResult const& task, TaskAnalysis const& analysis, std::size_t index,
                    ShownAlignment const* alignment) {
    auto const& example = task.examples[index];
    std::string html = "<details><summary>" + escape(example.id) + "<small>" + escape(task.task.title) + ", " +
                       std::to_string(example.residues.size()) + " residues" + depth_text(task, index) +
                       "</small></summary>" + scores_line(result, task, analysis, index);
    bool const residues = task.task.kind == TaskKind::residue_class;
    if (residues)
        html +=
            "<p>Under the protein its measured states (blank: unresolved), then for each arm a dot where it is right "
            "and what it said where it is wrong.</p>";
    if (alignment != nullptr)
        html += "<p>Alignment: " + escape(alignment->source) + ", " + std::to_string(alignment->depth) +
                " rows, of which some are shown; the digits are the conservation of its columns, 9 for a column of one "
                "residue.</p>";
    html += residues ? residue_tracks(result, task, index, alignment) : alignment_tracks(example, alignment);
    if (!residues)
        html += false_contacts(result, task, index) +
                "<p>The maps of this protein are among the <a href=\"#figure-contacts\">contact maps</a>.</p>";
    return html + "</details>";
}

} // namespace

std::string protein_details(Result const& result, Analysis const& analysis) {
    std::string html;
    for (std::size_t t = 0; t < result.tasks.size(); ++t) {
        auto const& task = result.tasks[t];
        if (task.task.kind != TaskKind::residue_class && task.task.kind != TaskKind::residue_pair) continue;
        std::set<std::string> shown;
        for (auto const& alignment : result.alignments)
            if (alignment.task == task.task.name) shown.insert(alignment.id);
        if (task.task.kind == TaskKind::residue_pair)
            for (auto const& map : result.contact_maps) shown.insert(map.id);
        std::size_t number = 0;
        for (std::size_t i = 0; i < task.examples.size(); ++i) {
            bool const wanted = shown.empty() ? number < 3 : shown.contains(task.examples[i].id);
            if (!wanted || task.examples[i].residues.empty() || task.runs.empty()) continue;
            ++number;
            auto const found =
                std::find_if(result.alignments.begin(), result.alignments.end(), [&](ShownAlignment const& alignment) {
                    return alignment.task == task.task.name && alignment.id == task.examples[i].id &&
                           alignment.entropy.size() == task.examples[i].residues.size();
                });
            html += protein(result, task, analysis.tasks[t], i, found == result.alignments.end() ? nullptr : &*found);
        }
    }
    return html;
}

} // namespace tape
