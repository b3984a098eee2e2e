#include "compare/result.hpp"

#include "compare/result_json.hpp"
#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

namespace tape {

using nlohmann::json;

namespace {

constexpr char format_name[] = "tape-compare result";
constexpr std::string_view class_letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

std::string at(std::string const& array, std::size_t index) { return array + "[" + std::to_string(index) + "]"; }

/// The double that prints as the float does, so that .3f is written as 0.3 and not as 0.30000001192092896. Reading it
/// back and rounding to float gives the same float.
double shortest(float value) {
    char text[32];
    auto const end = std::to_chars(text, text + sizeof text - 1, value).ptr;
    *end = '\0';
    return std::strtod(text, nullptr);
}

json encode(double value) { return std::isnan(value) ? json(nullptr) : json(value); }

json encode(std::vector<double> const& values) {
    json array = json::array();
    for (double const value : values) array.push_back(encode(value));
    return array;
}

json encode(std::vector<float> const& values) {
    json array = json::array();
    for (float const value : values) array.push_back(std::isnan(value) ? json(nullptr) : json(shortest(value)));
    return array;
}

std::vector<float> to_floats(std::vector<double> const& values) { return {values.begin(), values.end()}; }

/// One character a residue: '-' unlabelled, then digits and letters; a plain array beyond 62 classes.
json encode_classes(std::vector<std::int16_t> const& classes) {
    std::string text;
    for (std::int16_t const value : classes) {
        if (value < -1 || value >= static_cast<int>(class_letters.size())) return json(classes);
        text += value < 0 ? '-' : class_letters[static_cast<std::size_t>(value)];
    }
    return text;
}

std::vector<std::int16_t> decode_classes(JsonPlace const& place) {
    std::vector<std::int16_t> classes;
    if (place.value().is_array()) {
        for (int const value : place.integers(-1, SHRT_MAX)) classes.push_back(static_cast<std::int16_t>(value));
        return classes;
    }
    if (!place.value().is_string()) place.complain("a string of classes");
    for (char const letter : place.value().get_ref<std::string const&>()) {
        auto const found = class_letters.find(letter);
        if (letter != '-' && found == std::string_view::npos) place.complain("a string of digits, letters and '-'");
        classes.push_back(letter == '-' ? std::int16_t{-1} : static_cast<std::int16_t>(found));
    }
    return classes;
}

json encode_mask(std::vector<std::uint8_t> const& mask) {
    std::string text;
    for (auto const flag : mask) text += flag ? '1' : '0';
    return text;
}

std::vector<std::uint8_t> decode_mask(JsonPlace const& place) {
    std::string const text = place.text();
    if (text.find_first_not_of("01") != std::string::npos) place.complain("a string of 0 and 1");
    std::vector<std::uint8_t> mask;
    for (char const flag : text) mask.push_back(flag == '1');
    return mask;
}

/// Variants of one protein are stored as their differences from the first: "~64L,163A" puts L at position 64 (from 0).
std::string encode_residues(std::string const& residues, std::string const& reference) {
    if (residues.size() != reference.size()) return residues;
    std::string text = "~";
    for (std::size_t i = 0; i < residues.size() && text.size() < residues.size(); ++i)
        if (residues[i] != reference[i]) text += (text.size() > 1 ? "," : "") + std::to_string(i) + residues[i];
    return text.size() < residues.size() ? text : residues;
}

std::string decode_residues(std::string const& text, std::string const& reference, JsonPlace const& place,
                            std::size_t index) {
    if (text.empty() || text[0] != '~') return text;
    std::string residues = reference;
    char const* position = text.data() + 1;
    char const* const end = text.data() + text.size();
    while (position < end) {
        std::size_t where = residues.size();
        auto const parsed = std::from_chars(position, end, where);
        if (parsed.ec != std::errc{} || parsed.ptr == end || where >= residues.size())
            throw data_error{at(place.path(), index) + ": '" + text + "' does not fit the reference of " +
                             std::to_string(reference.size()) + " residues"};
        residues[where] = *parsed.ptr;
        position = parsed.ptr + 1;
        if (position < end && *position == ',') ++position;
    }
    return residues;
}

char const* const kind_names[] = {"residue_class", "residue_pair", "protein_class", "protein_value"};

json encode(Task const& task) {
    return {{"name", task.name},
            {"title", task.title},
            {"kind", kind_names[static_cast<int>(task.kind)]},
            {"class_names", task.class_names},
            {"class_count", task.class_count},
            {"train", task.train},
            {"valid", task.valid},
            {"test", task.test},
            {"metric", task.metric}};
}

Task decode_task(JsonPlace const& place) {
    Task task;
    task.name = place.key("name").text();
    task.title = place.key("title").text();
    std::string const kind = place.key("kind").text();
    auto const found = std::find(std::begin(kind_names), std::end(kind_names), kind);
    if (found == std::end(kind_names))
        place.key("kind").complain("residue_class, residue_pair, protein_class or protein_value");
    task.kind = static_cast<TaskKind>(found - std::begin(kind_names));
    task.class_names = place.key("class_names").texts();
    task.class_count = static_cast<int>(place.key("class_count").integer(0, INT_MAX));
    task.train = place.key("train").text();
    task.valid = place.key("valid").text();
    task.test = place.key("test").text();
    task.metric = place.key("metric").text();
    return task;
}

json encode_attributes(std::vector<TestExample> const& examples) {
    json columns = json::object();
    for (std::size_t i = 0; i < examples.size(); ++i)
        for (auto const& [name, value] : examples[i].attributes) {
            json& column = columns[name];
            if (column.is_null()) column = json(std::vector<json>(examples.size()));
            column[i] = value;
        }
    return columns;
}

json encode(std::vector<TestExample> const& examples, TaskKind kind) {
    json ids = json::array(), residues = json::array(), truth = json::array(), masks = json::array();
    std::string const reference = examples.empty() ? "" : examples.front().residues;
    for (auto const& example : examples) {
        ids.push_back(example.id);
        residues.push_back(&example == &examples.front() ? reference : encode_residues(example.residues, reference));
        masks.push_back(encode_mask(example.mask));
        if (kind == TaskKind::residue_class) truth.push_back(encode_classes(example.residue_labels));
        if (kind == TaskKind::protein_class) truth.push_back(example.class_label);
        if (kind == TaskKind::protein_value) truth.push_back(encode(example.value));
        if (kind == TaskKind::residue_pair) {
            json flat = json::array();
            for (auto const& [i, j] : example.contacts) flat.push_back(i), flat.push_back(j);
            truth.push_back(std::move(flat));
        }
    }
    json object{{"ids", std::move(ids)},
                {"residues", std::move(residues)},
                {"truth", std::move(truth)},
                {"attributes", encode_attributes(examples)}};
    if (kind == TaskKind::residue_class || kind == TaskKind::residue_pair) object["masks"] = std::move(masks);
    return object;
}

void require_length(JsonPlace const& place, std::size_t found, std::size_t wanted, std::string const& partner) {
    if (found != wanted)
        throw data_error{place.path() + ": " + std::to_string(found) + " entries for " + std::to_string(wanted) + " " +
                         partner};
}

void decode_truth(JsonPlace const& place, TaskKind kind, std::vector<TestExample>& examples) {
    require_length(place, place.items().size(), examples.size(), "ids");
    if (kind == TaskKind::protein_value) {
        auto const values = place.numbers();
        for (std::size_t i = 0; i < examples.size(); ++i) examples[i].value = values[i];
    } else if (kind == TaskKind::protein_class) {
        auto const labels = place.integers(-1, INT_MAX);
        for (std::size_t i = 0; i < examples.size(); ++i) examples[i].class_label = labels[i];
    } else if (kind == TaskKind::residue_class) {
        auto const items = place.items();
        for (std::size_t i = 0; i < examples.size(); ++i) examples[i].residue_labels = decode_classes(items[i]);
    } else {
        auto const items = place.items();
        for (std::size_t i = 0; i < examples.size(); ++i) {
            auto const flat = items[i].integers(0, INT_MAX);
            if (flat.size() % 2) items[i].complain("an even number of positions");
            for (std::size_t k = 0; k < flat.size(); k += 2) examples[i].contacts.push_back({flat[k], flat[k + 1]});
        }
    }
}

std::vector<TestExample> decode_examples(JsonPlace const& place, TaskKind kind) {
    auto const ids = place.key("ids").texts();
    auto const residues_place = place.key("residues");
    auto const residues = residues_place.texts();
    require_length(residues_place, residues.size(), ids.size(), "ids");
    std::vector<TestExample> examples(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        examples[i].id = ids[i];
        examples[i].residues =
            decode_residues(residues[i], i ? examples[0].residues : std::string{}, residues_place, i);
    }
    decode_truth(place.key("truth"), kind, examples);
    if (kind == TaskKind::residue_class || kind == TaskKind::residue_pair) {
        auto const masks = place.key("masks").items();
        require_length(place.key("masks"), masks.size(), ids.size(), "ids");
        for (std::size_t i = 0; i < ids.size(); ++i) examples[i].mask = decode_mask(masks[i]);
    }
    for (auto const& [name, column] : place.key("attributes").members()) {
        auto const cells = column.items();
        require_length(column, cells.size(), ids.size(), "ids");
        for (std::size_t i = 0; i < ids.size(); ++i)
            if (!cells[i].value().is_null()) examples[i].attributes[name] = cells[i].text();
    }
    return examples;
}

constexpr int confidence_steps = 62 * 62 - 1;

/// Two letters a residue: the probability in 3843rds, base 62.
json encode_confidence(Prediction const& prediction, TaskKind kind) {
    if (kind == TaskKind::protein_class)
        return prediction.confidence.empty() ? json() : json(shortest(prediction.confidence[0]));
    std::string text;
    for (float const probability : prediction.confidence) {
        auto const step = static_cast<std::size_t>(std::lround(probability * confidence_steps));
        text += class_letters[step / 62];
        text += class_letters[step % 62];
    }
    return text;
}

void decode_confidence(JsonPlace const& place, TaskKind kind, Prediction& prediction) {
    if (kind == TaskKind::protein_class) {
        if (!place.value().is_null()) prediction.confidence = {static_cast<float>(place.number())};
        return;
    }
    std::string const text = place.text();
    if (text.size() % 2 != 0 || text.find_first_not_of(class_letters) != std::string::npos)
        place.complain("two letters or digits a residue");
    for (std::size_t i = 0; i < text.size(); i += 2) {
        auto const step = 62 * class_letters.find(text[i]) + class_letters.find(text[i + 1]);
        prediction.confidence.push_back(static_cast<float>(step) / confidence_steps);
    }
}

json encode(Prediction const& prediction, TaskKind kind) {
    switch (kind) {
    case TaskKind::residue_class:
        return encode_classes(prediction.residue_classes);
    case TaskKind::protein_class:
        return prediction.top_classes;
    case TaskKind::protein_value:
        return encode(prediction.value);
    case TaskKind::residue_pair:
        break;
    }
    json flat = json::array();
    for (auto const& pair : prediction.pairs) {
        flat.push_back(pair.i);
        flat.push_back(pair.j);
        flat.push_back(shortest(stored_probability(pair.probability)));
    }
    return flat;
}

/// A number of a flat array, which complains with its own path.
template <typename Check>
json const& flat_number(JsonPlace const& place, std::size_t index, Check check, char const* expected) {
    json const& value = place.value()[index];
    if (!check(value)) JsonPlace{value, at(place.path(), index)}.complain(expected);
    return value;
}

std::vector<PairPrediction> decode_pairs(JsonPlace const& place) {
    if (!place.value().is_array() || place.value().size() % 3) place.complain("a flat array of i, j, probability");
    auto const position = [](json const& v) {
        return v.is_number_integer() && v.get<std::int64_t>() >= 0 && v.get<std::int64_t>() < INT_MAX;
    };
    auto const number = [](json const& v) { return v.is_number(); };
    std::vector<PairPrediction> pairs(place.value().size() / 3);
    for (std::size_t k = 0; k < pairs.size(); ++k) {
        pairs[k].i = flat_number(place, 3 * k, position, "a position from 0").get<int>();
        pairs[k].j = flat_number(place, 3 * k + 1, position, "a position from 0").get<int>();
        pairs[k].probability = static_cast<float>(flat_number(place, 3 * k + 2, number, "a probability").get<double>());
    }
    return pairs;
}

std::vector<Prediction> decode_predictions(JsonPlace const& place, TaskKind kind) {
    std::vector<Prediction> predictions;
    if (kind == TaskKind::protein_value) {
        auto const values = place.numbers();
        predictions.resize(values.size());
        for (std::size_t i = 0; i < values.size(); ++i) predictions[i].value = values[i];
        return predictions;
    }
    for (auto const& item : place.items()) {
        Prediction& prediction = predictions.emplace_back();
        if (kind == TaskKind::residue_class) prediction.residue_classes = decode_classes(item);
        if (kind == TaskKind::protein_class) prediction.top_classes = item.integers(0, INT_MAX);
        if (kind == TaskKind::residue_pair) prediction.pairs = decode_pairs(item);
    }
    return predictions;
}

json encode(Run const& run, TaskKind kind) {
    json predictions = json::array();
    for (auto const& prediction : run.predictions) predictions.push_back(encode(prediction, kind));
    json confidences = json::array();
    bool const named = kind == TaskKind::residue_class || kind == TaskKind::protein_class;
    if (named && std::ranges::any_of(run.predictions, [](Prediction const& p) { return !p.confidence.empty(); }))
        for (auto const& prediction : run.predictions) confidences.push_back(encode_confidence(prediction, kind));
    return {{"arm", run.arm},
            {"confidence", std::move(confidences)},
            {"seed", run.seed},
            {"head", run.head},
            {"hyperparameters", run.hyperparameters},
            {"valid_score", encode(run.valid_score)},
            {"train_size", run.train_size},
            {"valid_size", run.valid_size},
            {"feature_seconds", encode(run.feature_seconds)},
            {"head_seconds", encode(run.head_seconds)},
            {"predictions", std::move(predictions)}};
}

Run decode_run(JsonPlace const& place, TaskKind kind) {
    Run run;
    run.arm = place.key("arm").text();
    run.seed = place.key("seed").natural();
    run.head = place.key("head").text();
    run.hyperparameters = place.key("hyperparameters").text();
    run.valid_score = place.key("valid_score").number();
    run.train_size = place.key("train_size").natural();
    run.valid_size = place.key("valid_size").natural();
    run.feature_seconds = place.key("feature_seconds").number();
    run.head_seconds = place.key("head_seconds").number();
    run.predictions = decode_predictions(place.key("predictions"), kind);
    if (!place.has("confidence") || place.key("confidence").items().empty()) return run;
    auto const confidences = place.key("confidence").items();
    require_length(place.key("confidence"), confidences.size(), run.predictions.size(), "predictions");
    for (std::size_t i = 0; i < confidences.size(); ++i) decode_confidence(confidences[i], kind, run.predictions[i]);
    return run;
}

json encode(Relatives const& relatives) {
    return {{"set", relatives.set},
            {"name", relatives.name},
            {"coverage", relatives.coverage},
            {"identity", encode(relatives.identity)}};
}

json encode(TaskResult const& task) {
    json runs = json::array(), evidence = json::object(), relatives = json::array();
    for (auto const& row : task.relatives) relatives.push_back(encode(row));
    for (auto const& run : task.runs) runs.push_back(encode(run, task.task.kind));
    for (auto const& [arm, row] : task.evidence)
        evidence[arm] = {{"depth", encode(row.depth)}, {"provenance", row.provenance}};
    return {{"task", encode(task.task)},
            {"train_available", task.train_available},
            {"runs", std::move(runs)},
            {"examples", encode(task.examples, task.task.kind)},
            {"notes", task.notes},
            {"evidence", std::move(evidence)},
            {"relatives", std::move(relatives)}};
}

TaskResult decode_task_result(JsonPlace const& place) {
    TaskResult result;
    result.task = decode_task(place.key("task"));
    result.train_available = place.key("train_available").natural();
    result.examples = decode_examples(place.key("examples"), result.task.kind);
    for (auto const& run : place.key("runs").items()) result.runs.push_back(decode_run(run, result.task.kind));
    for (auto const& [arm, row] : place.key("evidence").members()) {
        EvidenceRow& evidence = result.evidence[arm];
        evidence.depth = to_floats(row.key("depth").numbers());
        for (auto const& [text, count] : row.key("provenance").members())
            evidence.provenance[text] = static_cast<int>(count.integer(0, INT_MAX));
    }
    if (place.has("relatives"))
        for (auto const& row : place.key("relatives").items())
            result.relatives.push_back({row.key("set").text(), row.key("name").text(), row.key("coverage").number(),
                                        to_floats(row.key("identity").numbers())});
    result.notes = place.key("notes").texts();
    return result;
}

json encode(ContactMap const& map) {
    std::vector<float> upper;
    auto const length = static_cast<std::size_t>(map.length);
    for (std::size_t i = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j)
            upper.push_back(stored_probability(map.probability[i * length + j]));
    return {{"id", map.id}, {"arm", map.arm}, {"length", map.length}, {"upper", encode(upper)}};
}

ContactMap decode_contact_map(JsonPlace const& place) {
    ContactMap map;
    map.id = place.key("id").text();
    map.arm = place.key("arm").text();
    map.length = static_cast<int>(place.key("length").integer(0, 20000));
    auto const length = static_cast<std::size_t>(map.length);
    auto const upper = place.key("upper").numbers();
    require_length(place.key("upper"), upper.size(), length < 2 ? 0 : length * (length - 1) / 2,
                   "pairs i < j of " + std::to_string(length) + " residues");
    map.probability.assign(length * length, 0.0F);
    for (std::size_t i = 0, k = 0; i < length; ++i)
        for (std::size_t j = i + 1; j < length; ++j, ++k)
            map.probability[i * length + j] = map.probability[j * length + i] = static_cast<float>(upper[k]);
    return map;
}

json encode(ShownAlignment const& shown) {
    return {{"task", shown.task},       {"id", shown.id},     {"source", shown.source},          {"depth", shown.depth},
            {"row_ids", shown.row_ids}, {"rows", shown.rows}, {"entropy", encode(shown.entropy)}};
}

ShownAlignment decode_alignment(JsonPlace const& place) {
    return {place.key("task").text(),
            place.key("id").text(),
            place.key("source").text(),
            place.key("depth").natural(),
            place.key("row_ids").texts(),
            place.key("rows").texts(),
            to_floats(place.key("entropy").numbers())};
}

json encode(EmbeddingSample const& sample) {
    std::vector<float> flat;
    for (auto const& point : sample.points) flat.insert(flat.end(), point.begin(), point.end());
    return {{"source", sample.source},
            {"ids", sample.ids},
            {"values", encode(sample.values)},
            {"mutations", sample.mutations},
            {"points", encode(flat)},
            {"perplexity", encode(sample.perplexity)},
            {"kl_divergence", encode(sample.kl_divergence)}};
}

EmbeddingSample decode_embedding(JsonPlace const& place) {
    EmbeddingSample sample;
    sample.source = place.key("source").text();
    sample.ids = place.key("ids").texts();
    sample.values = place.key("values").numbers();
    sample.mutations = place.key("mutations").integers(0, INT_MAX);
    auto const flat = place.key("points").numbers();
    require_length(place.key("points"), flat.size(), 2 * sample.ids.size(), "coordinates, two an id");
    for (std::size_t i = 0; i < sample.ids.size(); ++i)
        sample.points.push_back({static_cast<float>(flat[2 * i]), static_cast<float>(flat[2 * i + 1])});
    sample.perplexity = place.key("perplexity").number();
    sample.kl_divergence = place.key("kl_divergence").number();
    return sample;
}

json encode(MutationCount const& count) {
    return {{"mutations", count.mutations},
            {"variants", count.variants},
            {"quantiles", encode(std::vector<double>{count.low, count.lower_quartile, count.median,
                                                     count.upper_quartile, count.high})}};
}

MutationCount decode_mutation_count(JsonPlace const& place) {
    auto const quantiles = place.key("quantiles").numbers();
    require_length(place.key("quantiles"), quantiles.size(), 5, "quantiles");
    return {static_cast<int>(place.key("mutations").integer(0, INT_MAX)),
            place.key("variants").natural(),
            quantiles[0],
            quantiles[1],
            quantiles[2],
            quantiles[3],
            quantiles[4]};
}

json encode(PositionStatistics const& positions) {
    json by_mutations = json::array();
    for (auto const& count : positions.by_mutations) by_mutations.push_back(encode(count));
    return {{"by_mutations", std::move(by_mutations)},
            {"alignment", positions.alignment},
            {"wild_type", positions.wild_type},
            {"entropy", encode(positions.entropy)},
            {"mean_value", encode(positions.mean_value)},
            {"mean_single", encode(positions.mean_single)},
            {"spearman_all", encode(positions.spearman_all)},
            {"spearman_single", encode(positions.spearman_single)},
            {"row_ids", positions.row_ids},
            {"rows", positions.rows}};
}

PositionStatistics decode_positions(JsonPlace const& place) {
    PositionStatistics positions;
    positions.alignment = place.key("alignment").text();
    positions.wild_type = place.key("wild_type").text();
    positions.entropy = place.key("entropy").numbers();
    positions.mean_value = place.key("mean_value").numbers();
    positions.mean_single = place.key("mean_single").numbers();
    positions.spearman_all = place.key("spearman_all").number();
    positions.spearman_single = place.key("spearman_single").number();
    if (place.has("by_mutations"))
        for (auto const& count : place.key("by_mutations").items())
            positions.by_mutations.push_back(decode_mutation_count(count));
    positions.row_ids = place.key("row_ids").texts();
    positions.rows = place.key("rows").texts();
    return positions;
}

Manifest decode_manifest(JsonPlace const& place) {
    Manifest manifest;
    manifest.program = place.key("program").text();
    manifest.argv = place.key("argv").texts();
    manifest.version = place.key("version").text();
    manifest.seed = place.key("seed").natural();
    for (auto const& [name, hash] : place.key("inputs").members()) manifest.inputs[name] = hash.text();
    for (auto const& [name, text] : place.key("details").members()) manifest.details[name] = text.text();
    manifest.started = place.key("started").text();
    manifest.seconds = place.key("seconds").number();
    return manifest;
}

[[noreturn]] void reject(std::string const& where, std::string const& what) { throw data_error{where + ": " + what}; }

void same_length(std::string const& where, std::size_t found, std::size_t wanted, std::string const& partner) {
    if (found != wanted)
        reject(where, std::to_string(found) + " entries for " + std::to_string(wanted) + " " + partner);
}

void check_example(TestExample const& example, Task const& task, std::string const& where) {
    std::size_t const length = example.residues.size();
    std::string const partner = "residues (record '" + example.id + "')";
    if (!example.mask.empty()) same_length(where + ".mask", example.mask.size(), length, partner);
    if (task.kind == TaskKind::residue_class) {
        same_length(where + ".truth", example.residue_labels.size(), length, partner);
        for (auto const label : example.residue_labels)
            if (label < -1 || label >= task.class_count)
                reject(where + ".truth", "class " + std::to_string(label) + " of " + std::to_string(task.class_count));
    }
    if (task.kind == TaskKind::protein_class && (example.class_label < 0 || example.class_label >= task.class_count))
        reject(where + ".truth",
               "class " + std::to_string(example.class_label) + " of " + std::to_string(task.class_count));
    if (task.kind == TaskKind::protein_value && !std::isfinite(example.value))
        reject(where + ".truth", "not a finite number (record '" + example.id + "')");
    for (auto const& [i, j] : example.contacts)
        if (i < 0 || i >= j || static_cast<std::size_t>(j) >= length)
            reject(where + ".truth", "pair " + std::to_string(i) + ", " + std::to_string(j) + " outside " +
                                         std::to_string(length) + " " + partner);
}

void check_pairs(std::vector<PairPrediction> const& pairs, std::size_t length, std::string const& where) {
    std::vector<std::array<int, 2>> order;
    for (auto const& [i, j, probability] : pairs) {
        if (i < 0 || i >= j || static_cast<std::size_t>(j) >= length)
            reject(where, "pair " + std::to_string(i) + ", " + std::to_string(j) + " outside " +
                              std::to_string(length) + " residues");
        if (!(probability >= 0 && probability <= 1)) reject(where, "probability " + std::to_string(probability));
        order.push_back({i, j});
    }
    std::sort(order.begin(), order.end());
    if (auto const twice = std::adjacent_find(order.begin(), order.end()); twice != order.end())
        reject(where, "pair " + std::to_string((*twice)[0]) + ", " + std::to_string((*twice)[1]) + " occurs twice");
}

void check_prediction(Prediction const& prediction, TestExample const& example, Task const& task,
                      std::string const& where) {
    for (float const probability : prediction.confidence)
        if (!(probability >= 0 && probability <= 1)) reject(where, "confidence " + std::to_string(probability));
    if (task.kind == TaskKind::residue_class) {
        same_length(where, prediction.residue_classes.size(), example.residues.size(),
                    "residues (record '" + example.id + "')");
        if (!prediction.confidence.empty())
            same_length(where + ", confidence", prediction.confidence.size(), example.residues.size(),
                        "residues (record '" + example.id + "')");
        for (auto const value : prediction.residue_classes)
            if (value < 0 || value >= task.class_count)
                reject(where, "class " + std::to_string(value) + " of " + std::to_string(task.class_count));
    }
    if (task.kind == TaskKind::residue_pair) check_pairs(prediction.pairs, example.residues.size(), where);
    if (task.kind == TaskKind::protein_class) {
        if (prediction.top_classes.empty()) reject(where, "no class predicted");
        for (int const value : prediction.top_classes)
            if (value < 0 || value >= task.class_count)
                reject(where, "class " + std::to_string(value) + " of " + std::to_string(task.class_count));
    }
    if (task.kind == TaskKind::protein_value && !std::isfinite(prediction.value)) reject(where, "not a finite number");
}

void check_task(TaskResult const& result, std::set<std::string> const& arms, std::string const& where) {
    for (std::size_t i = 0; i < result.examples.size(); ++i)
        check_example(result.examples[i], result.task, at(where + ".examples", i));
    std::set<std::pair<std::string, std::uint64_t>> seen;
    for (std::size_t r = 0; r < result.runs.size(); ++r) {
        Run const& run = result.runs[r];
        std::string const place = at(where + ".runs", r);
        if (!arms.contains(run.arm)) reject(place + ".arm", "'" + run.arm + "' is not among the arms");
        if (!seen.emplace(run.arm, run.seed).second)
            reject(place, "arm '" + run.arm + "' with seed " + std::to_string(run.seed) + " occurs twice");
        same_length(place + ".predictions", run.predictions.size(), result.examples.size(), "examples");
        for (std::size_t i = 0; i < run.predictions.size(); ++i)
            check_prediction(run.predictions[i], result.examples[i], result.task, at(place + ".predictions", i));
    }
    for (std::size_t k = 0; k < result.relatives.size(); ++k) {
        auto const& row = result.relatives[k];
        same_length(at(where + ".relatives", k) + ".identity", row.identity.size(), result.examples.size(), "examples");
        for (float const identity : row.identity)
            if (!(identity >= 0 && identity <= 1))
                reject(at(where + ".relatives", k) + ".identity", "identity " + std::to_string(identity));
    }
    for (auto const& [arm, row] : result.evidence) {
        if (!arms.contains(arm)) reject(where + ".evidence", "'" + arm + "' is not among the arms");
        if (!row.depth.empty())
            same_length(where + ".evidence." + arm + ".depth", row.depth.size(), result.examples.size(), "examples");
    }
}

void check_positions(PositionStatistics const& positions, std::string const& where) {
    std::size_t const length = positions.wild_type.size();
    same_length(where + ".entropy", positions.entropy.size(), length, "residues of wild_type");
    same_length(where + ".mean_value", positions.mean_value.size(), length, "residues of wild_type");
    same_length(where + ".mean_single", positions.mean_single.size(), length, "residues of wild_type");
    same_length(where + ".row_ids", positions.row_ids.size(), positions.rows.size(), "rows");
    for (std::size_t i = 0; i < positions.rows.size(); ++i)
        same_length(at(where + ".rows", i), positions.rows[i].size(), length, "residues of wild_type");
}

} // namespace

float stored_probability(float probability) {
    if (!(probability > 0)) return probability;
    double const exact = probability;
    double const scale = std::pow(10.0, 3 - std::floor(std::log10(exact)));
    return static_cast<float>(std::round(exact * scale) / scale);
}

float stored_confidence(float probability) {
    return static_cast<float>(std::lround(std::clamp(probability, 0.0F, 1.0F) * confidence_steps)) / confidence_steps;
}

void check_result(Result const& result) {
    std::set<std::string> arms;
    for (std::size_t i = 0; i < result.arms.size(); ++i) {
        if (!arms.insert(result.arms[i].name).second)
            reject(at("arms", i), "'" + result.arms[i].name + "' occurs twice");
        same_length(at("arms", i) + ".descriptions", result.arms[i].descriptions.size(), result.arms[i].sources.size(),
                    "sources");
    }
    for (std::size_t i = 0; i < result.tasks.size(); ++i) check_task(result.tasks[i], arms, at("tasks", i));
    for (std::size_t i = 0; i < result.contact_maps.size(); ++i) {
        auto const& map = result.contact_maps[i];
        auto const length = static_cast<std::size_t>(map.length);
        same_length(at("contact_maps", i) + ".probability", map.probability.size(), length * length, "pairs");
        if (!arms.contains(map.arm)) reject(at("contact_maps", i) + ".arm", "'" + map.arm + "' is not among the arms");
    }
    for (std::size_t i = 0; i < result.alignments.size(); ++i) {
        auto const& shown = result.alignments[i];
        same_length(at("alignments", i) + ".row_ids", shown.row_ids.size(), shown.rows.size(), "rows");
        for (auto const& row : shown.rows)
            same_length(at("alignments", i) + ".rows", row.size(), shown.entropy.size(), "columns");
    }
    for (std::size_t i = 0; i < result.embeddings.size(); ++i) {
        auto const& sample = result.embeddings[i];
        same_length(at("embeddings", i) + ".values", sample.values.size(), sample.ids.size(), "ids");
        same_length(at("embeddings", i) + ".mutations", sample.mutations.size(), sample.ids.size(), "ids");
        same_length(at("embeddings", i) + ".points", sample.points.size(), sample.ids.size(), "ids");
    }
    for (std::size_t i = 0; i < result.positions.size(); ++i) check_positions(result.positions[i], at("positions", i));
}

json to_json(Result const& result) {
    check_result(result);
    json object{{"format", format_name},   {"format_version", Result::format_version},
                {"preset", result.preset}, {"manifest", to_json(result.manifest)},
                {"seeds", result.seeds},   {"notes", result.notes}};
    for (auto const* name : {"arms", "tasks", "contact_maps", "alignments", "embeddings", "positions"})
        object[name] = json::array();
    for (auto const& arm : result.arms)
        object["arms"].push_back(
            {{"name", arm.name}, {"sources", arm.sources}, {"descriptions", arm.descriptions}, {"run", arm.run}});
    for (auto const& task : result.tasks) object["tasks"].push_back(encode(task));
    for (auto const& map : result.contact_maps) object["contact_maps"].push_back(encode(map));
    for (auto const& shown : result.alignments) object["alignments"].push_back(encode(shown));
    for (auto const& sample : result.embeddings) object["embeddings"].push_back(encode(sample));
    for (auto const& positions : result.positions) object["positions"].push_back(encode(positions));
    return object;
}

Result result_from_json(json const& object) {
    JsonPlace const top{object, ""};
    if (top.key("format").text() != format_name)
        top.key("format").complain(std::string{"\""} + format_name + "\", as tape-compare writes it");
    if (auto const version = top.key("format_version").integer(0, INT_MAX); version != Result::format_version)
        throw data_error{"format_version: expected " + std::to_string(Result::format_version) + ", found " +
                         std::to_string(version) + "; run tape-compare of this release again"};
    Result result;
    result.manifest = decode_manifest(top.key("manifest"));
    result.preset = top.key("preset").text();
    for (auto const& place : top.key("arms").items())
        result.arms.push_back({place.key("name").text(), place.key("sources").texts(),
                               place.key("descriptions").texts(), place.key("run").text()});
    for (auto const& place : top.key("seeds").items()) result.seeds.push_back(place.natural());
    for (auto const& place : top.key("tasks").items()) result.tasks.push_back(decode_task_result(place));
    for (auto const& place : top.key("contact_maps").items()) result.contact_maps.push_back(decode_contact_map(place));
    if (top.has("alignments"))
        for (auto const& place : top.key("alignments").items()) result.alignments.push_back(decode_alignment(place));
    for (auto const& place : top.key("embeddings").items()) result.embeddings.push_back(decode_embedding(place));
    for (auto const& place : top.key("positions").items()) result.positions.push_back(decode_positions(place));
    result.notes = top.key("notes").texts();
    check_result(result);
    return result;
}

namespace {

std::filesystem::path manifest_of(std::filesystem::path const& file) { return file.string() + ".manifest.json"; }

/// The result without what depends on the moment or the machine.
Result reproducible(Result result) {
    result.manifest.argv.clear();
    result.manifest.started.clear();
    result.manifest.seconds = 0;
    for (auto& task : result.tasks)
        for (auto& run : task.runs) run.feature_seconds = run.head_seconds = std::numeric_limits<double>::quiet_NaN();
    return result;
}

/// Puts back what stands beside `file`, if it was written with `text`; a result alone has no times.
void read_manifest(std::filesystem::path const& file, std::string const& text, Result& result) {
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(manifest_of(file), ignored)) return;
    json const object = json::parse(read_text(manifest_of(file)), nullptr, false);
    if (!object.is_object() || object.value("result", "") != content_hash(text)) return;
    JsonPlace const top{object, ""};
    result.manifest = decode_manifest(top);
    auto const tasks = top.key("run_seconds").items();
    for (std::size_t t = 0; t < std::min(tasks.size(), result.tasks.size()); ++t) {
        auto const seconds = tasks[t].numbers();
        auto& runs = result.tasks[t].runs;
        for (std::size_t r = 0; r < std::min(seconds.size() / 2, runs.size()); ++r)
            runs[r].feature_seconds = seconds[2 * r], runs[r].head_seconds = seconds[2 * r + 1];
    }
}

} // namespace

Result read_result(std::filesystem::path const& file) {
    std::string const text = read_text(file);
    json object;
    try {
        object = json::parse(text);
    } catch (json::parse_error const& problem) {
        auto const offset = std::min(problem.byte > 0 ? problem.byte - 1 : 0, text.size());
        auto const line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n');
        throw data_error{file.string() + ":" + std::to_string(line) + ": not JSON, or cut short, at byte " +
                         std::to_string(offset) + " of " + std::to_string(text.size()) +
                         "; give a result.json as tape-compare wrote it"};
    }
    try {
        Result result = result_from_json(object);
        read_manifest(file, text, result);
        return result;
    } catch (data_error const& problem) {
        throw data_error{file.string() + ": " + problem.what()};
    }
}

void write_result(std::filesystem::path const& file, Result const& result) {
    std::string const text = to_json(reproducible(result)).dump() + "\n";
    json manifest = to_json(result.manifest);
    manifest["result"] = content_hash(text);
    manifest["run_seconds"] = json::array();
    for (auto const& task : result.tasks) {
        json& seconds = manifest["run_seconds"].emplace_back(json::array());
        for (auto const& run : task.runs)
            seconds.push_back(encode(run.feature_seconds)), seconds.push_back(encode(run.head_seconds));
    }
    write_text(file, text);
    write_text(manifest_of(file), manifest.dump(2) + "\n");
}

} // namespace tape
