#include "learn/pretrain.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/manifest.hpp"
#include "data/temporary.hpp"
#include "learn/adamw.hpp"
#include "learn/device.hpp"
#include "learn/masked_language.hpp"
#include "learn/model_card.hpp"
#include "learn/transformer.hpp"

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <numbers>
#include <sstream>

namespace tape {
namespace {

enum Purpose : std::uint64_t { masking = 16, validation_masking = 17, validation_windows = 18 };
constexpr std::int64_t log_every = 20;
constexpr std::size_t validation_sequences = 512;
/// A guess that ignores its input costs ln 33; ten times that is no longer learning.
double const diverged_loss = 10 * std::log(static_cast<double>(EsmTokenizer::size));

TransformerConfig chosen_config(PretrainOptions const& options) {
    TransformerConfig config = transformer_preset(options.size);
    if (options.hidden) config.hidden = options.hidden;
    if (options.layers) config.layers = options.layers;
    if (options.heads) config.heads = options.heads;
    if (options.feed_forward) config.feed_forward = options.feed_forward;
    check(config);
    return config;
}

/// Everything that decides the weights, except how long to train.
nlohmann::json settings_of(PretrainOptions const& options, TransformerConfig const& config, Corpus const& corpus,
                           at::ScalarType precision) {
    return {{"hidden", config.hidden},
            {"layers", config.layers},
            {"heads", config.heads},
            {"feed_forward", config.feed_forward_size()},
            {"objective", "mlm"},
            {"window", options.window},
            {"tokens", options.tokens},
            {"learning_rate", options.learning_rate},
            {"final_learning_rate", options.final_learning_rate},
            {"weight_decay", options.weight_decay},
            {"clip", options.clip},
            {"seed", options.seed},
            {"precision", precision_name(precision)},
            {"held_out_every", options.corpus_options.held_out_every},
            {"corpus", corpus.summary().hash}};
}

/// Linear warm-up, then half a cosine down to the final share.
double learning_rate_at(PretrainOptions const& options, std::int64_t step) {
    std::int64_t const warmup = options.warmup ? options.warmup : std::max<std::int64_t>(1, options.steps / 50);
    if (step <= warmup) return options.learning_rate * static_cast<double>(step) / static_cast<double>(warmup);
    double const done =
        static_cast<double>(step - warmup) / static_cast<double>(std::max<std::int64_t>(1, options.steps - warmup));
    double const cosine = 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, done)));
    return options.learning_rate * (options.final_learning_rate + (1 - options.final_learning_rate) * cosine);
}

/// Means over the steps since the last line of the log.
struct Tally {
    double loss = 0, norm = 0;
    std::int64_t correct = 0, predicted = 0, steps = 0;
};

class Run {
  public:
    explicit Run(PretrainOptions const& options);
    PretrainResult train();

  private:
    struct Validation {
        double loss = 0, accuracy = 0;
        std::int64_t predicted = 0;
    };
    void resume();
    BatchSampler::Position load_checkpoint(std::filesystem::path const& path);
    void check_settings(nlohmann::json const& saved) const;
    void one_step();
    [[nodiscard]] Validation validate() const;
    void save();
    void write_card(Validation const& validation) const;
    void keep_log_until(std::int64_t step) const;
    void log(Validation const* validation);
    void report(double loss, double rate) const;
    [[nodiscard]] std::filesystem::path file(char const* name) const { return options_.output / name; }

    PretrainOptions options_;
    OutputFolder folder_;
    at::Device device_;
    at::ScalarType precision_;
    TransformerConfig config_;
    Corpus corpus_;
    nlohmann::json settings_;
    Transformer model_;
    AdamW optimizer_;
    std::optional<BatchSampler> sampler_;
    std::int64_t step_ = 0;
    std::uint64_t residues_ = 0;
    double seconds_before_ = 0; ///< of earlier sessions
    std::string started_ = utc_now();
    std::vector<std::string> history_; ///< changes of --steps in the course of the run
    Tally tally_;
    std::uint64_t residues_at_log_ = 0;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), last_log_ = begin_;
};

std::vector<Transformer::Parameter> trainable(Transformer& model, at::Device device, at::ScalarType precision) {
    model.to(device);
    model.set_compute_type(precision);
    model.require_gradients();
    return model.parameters();
}

Run::Run(PretrainOptions const& options)
    : options_{options}, folder_{options.output}, device_{resolve_device(options.device)},
      precision_{resolve_precision(options.precision, device_)}, config_{chosen_config(options)},
      corpus_{Corpus::read(options.corpus, options.corpus_options)},
      settings_(settings_of(options, config_, corpus_, precision_)), model_{config_, options.seed},
      optimizer_{trainable(model_, device_, precision_), {.weight_decay = options.weight_decay}} {
    if (options_.force) std::filesystem::remove(file("checkpoint.safetensors"));
    resume();
}

void Run::check_settings(nlohmann::json const& saved) const {
    for (auto const& [name, value] : settings_.items())
        if (!saved.contains(name) || saved.at(name) != value)
            throw usage_error{options_.output.string() + " holds a run with other settings: '" + name + "' was " +
                              (saved.contains(name) ? saved.at(name).dump() : "not known") + ", now " + value.dump() +
                              "; give another folder, or --force to start it anew"};
}

void Run::resume() {
    BatchSampler::Position position;
    if (auto const path = file("checkpoint.safetensors"); std::filesystem::exists(path)) {
        auto const throw_unusable = [&path] {
            std::throw_with_nested(data_error{"cannot go on from " + path.string() + "; --force starts the run anew"});
        };
        try {
            position = load_checkpoint(path);
        } catch (data_error const&) {
            throw_unusable();
        } catch (nlohmann::json::exception const&) {
            throw_unusable();
        }
    }
    sampler_.emplace(corpus_, BatchSampler::Options{options_.seed, options_.window, options_.tokens}, position);
    residues_at_log_ = residues_;
    keep_log_until(step_);
}

BatchSampler::Position Run::load_checkpoint(std::filesystem::path const& path) {
    SafetensorsFile const saved{path};
    auto const found = saved.metadata().find("state");
    auto const state = nlohmann::json::parse(found == saved.metadata().end() ? "" : found->second, nullptr, false);
    if (!state.is_object() || !state.contains("settings"))
        throw data_error{path.string() + ": not a checkpoint of tape-pretrain"};
    check_settings(state.at("settings"));
    NamedTensors tensors;
    for (auto const& [name, view] : saved.tensors()) tensors.emplace(name, tensor_over(view));
    WeightReader reader{std::move(tensors), path.string()};
    optimizer_.load(reader);
    step_ = state.at("step"), residues_ = state.at("residues"), seconds_before_ = state.at("seconds");
    started_ = state.at("started"), history_ = state.at("history");
    if (std::int64_t const planned = state.at("steps"); planned != options_.steps)
        history_.push_back("steps changed from " + std::to_string(planned) + " to " + std::to_string(options_.steps) +
                           " at step " + std::to_string(step_));
    return {state.at("first"), state.at("pool"), state.at("batch")};
}

constexpr char const* log_header = "step\tresidues\tlearning_rate\tloss\taccuracy\tgradient_norm\tresidues_per_second\t"
                                   "valid_loss\tvalid_perplexity\tvalid_accuracy\n";

/// Lines beyond the checkpoint belong to steps that will be made again.
void Run::keep_log_until(std::int64_t step) const {
    if (step == 0) {
        std::filesystem::remove(file("log.tsv"));
        return;
    }
    std::string kept = log_header;
    if (std::ifstream in{file("log.tsv")}; in) {
        std::string line;
        std::getline(in, line);
        while (std::getline(in, line))
            if (!line.empty() && std::atoll(line.c_str()) <= step) kept += line + '\n';
    }
    write_text(file("log.tsv"), kept);
}

void Run::one_step() {
    auto rows = sampler_->next();
    for (auto const& row : rows)
        residues_ += static_cast<std::uint64_t>(
            std::ranges::count_if(row, [](auto token) { return token > EsmTokenizer::unknown; }));
    auto const batch =
        mask_residues(std::move(rows), {}, Random{options_.seed, masking, static_cast<std::uint64_t>(step_)}, device_);
    if (batch.targets.size(0) == 0)
        throw data_error{"a batch without any of the 20 amino acids: nothing can be learnt from this corpus"};
    auto const [loss, correct, predicted] = masked_loss(model_, batch);
    double const value = loss.item<double>();
    ++step_;
    double const rate = learning_rate_at(options_, step_);
    auto const diverged = [&](std::string const& what) {
        return error{"step " + std::to_string(step_) + ": " + what + " at learning rate " + std::to_string(rate) +
                     "; the last good checkpoint is kept in " + options_.output.string() +
                     ": start again with a lower --learning-rate or a longer --warmup"};
    };
    if (!std::isfinite(value) || value > diverged_loss) throw diverged("the loss is " + std::to_string(value));
    loss.backward();
    double const norm = optimizer_.clip_gradients(options_.clip);
    if (!std::isfinite(norm)) throw diverged("the gradient is " + std::to_string(norm));
    optimizer_.step(rate, step_);
    optimizer_.clear_gradients();
    tally_.loss += value, tally_.norm += norm, tally_.correct += correct, tally_.predicted += predicted, ++tally_.steps;
}

Run::Validation Run::validate() const {
    at::NoGradGuard const no_gradients;
    model_.forget_lowered();
    Validation result;
    double total = 0;
    std::size_t const count = std::min(validation_sequences, corpus_.held_out_size());
    TokenRows rows;
    Random windows{options_.seed, validation_windows, 0};
    for (std::size_t i = 0; i < count; ++i)
        rows.push_back(random_window(corpus_.held_out(i), options_.window, windows));
    std::ranges::stable_sort(rows, {}, [](auto const& row) { return row.size(); });
    std::int64_t correct = 0;
    for (std::size_t begin = 0, end = 0; begin < count; begin = end) {
        for (; end < count &&
               (end == begin || static_cast<std::int64_t>((end + 1 - begin) * rows[end].size()) <= options_.tokens);)
            ++end;
        auto const first = rows.begin() + static_cast<std::ptrdiff_t>(begin),
                   last = rows.begin() + static_cast<std::ptrdiff_t>(end);
        auto const batch = mask_residues({first, last}, {}, Random{options_.seed, validation_masking, begin}, device_);
        if (batch.targets.size(0) == 0) continue;
        auto const loss = masked_loss(model_, batch);
        total += loss.loss.item<double>() * static_cast<double>(loss.predicted);
        correct += loss.correct, result.predicted += loss.predicted;
    }
    model_.forget_lowered();
    if (result.predicted == 0) return result;
    result.loss = total / static_cast<double>(result.predicted);
    result.accuracy = static_cast<double>(correct) / static_cast<double>(result.predicted);
    return result;
}

void Run::save() {
    auto const position = sampler_->position();
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() + seconds_before_;
    nlohmann::json const state{{"settings", settings_},   {"step", step_},           {"steps", options_.steps},
                               {"residues", residues_},   {"first", position.first}, {"pool", position.pool},
                               {"batch", position.batch}, {"seconds", seconds},      {"started", started_},
                               {"history", history_}};
    save_tensors(file("checkpoint.safetensors"), optimizer_.state(), {{"state", state.dump()}});
    save_transformer(options_.output, model_, at::kFloat, {{"step", std::to_string(step_)}});
    auto const validation = validate();
    log(&validation);
    write_card(validation);
    Manifest manifest{.program = "tape-pretrain",
                      .argv = options_.argv,
                      .version = TAPE_VERSION,
                      .seed = options_.seed,
                      .inputs = corpus_.summary().inputs,
                      .details = {},
                      .started = started_,
                      .seconds = seconds};
    manifest.details = {{"settings", settings_.dump()},
                        {"step", std::to_string(step_)},
                        {"residues", std::to_string(residues_)},
                        {"weights", content_hash_of_file(file("model.safetensors"))}};
    write_text(file("manifest.json"), to_json(manifest).dump(2) + "\n");
}

void Run::write_card(Validation const& validation) const {
    ModelCard card{.config = config_,
                   .corpus = corpus_.summary(),
                   .settings = settings_,
                   .step = step_,
                   .planned_steps = options_.steps,
                   .residues = residues_,
                   .epochs = sampler_->epochs(),
                   .valid_loss = validation.loss,
                   .valid_accuracy = validation.accuracy,
                   .valid_predicted = validation.predicted,
                   .history = history_,
                   .started = started_,
                   .version = TAPE_VERSION};
    write_text(file("README.md"), to_markdown(card));
}

void Run::log(Validation const* validation) {
    auto const now = std::chrono::steady_clock::now();
    double const seconds = std::chrono::duration<double>(now - last_log_).count();
    double const speed = seconds > 0 ? static_cast<double>(residues_ - residues_at_log_) / seconds : 0;
    double const steps = static_cast<double>(std::max<std::int64_t>(1, tally_.steps));
    std::ostringstream line;
    line << step_ << '\t' << residues_ << '\t' << learning_rate_at(options_, step_) << '\t' << tally_.loss / steps
         << '\t'
         << static_cast<double>(tally_.correct) / static_cast<double>(std::max<std::int64_t>(1, tally_.predicted))
         << '\t' << tally_.norm / steps << '\t' << static_cast<std::int64_t>(speed) << '\t';
    if (validation && validation->predicted)
        line << validation->loss << '\t' << std::exp(validation->loss) << '\t' << validation->accuracy;
    else
        line << "\t\t";
    bool const is_new = !std::filesystem::exists(file("log.tsv"));
    std::ofstream out{file("log.tsv"), std::ios::app};
    out << (is_new ? log_header : "") << line.str() << '\n';
    if (!out.flush()) throw error{file("log.tsv").string() + ": cannot be written (is the disk full?)"};
    report(tally_.loss / steps, speed);
    tally_ = {}, last_log_ = now, residues_at_log_ = residues_;
}

void Run::report(double loss, double speed) const {
    if (options_.quiet) return;
    double const per_step = static_cast<double>(residues_) / static_cast<double>(std::max<std::int64_t>(1, step_));
    auto const left =
        static_cast<std::int64_t>(speed > 0 ? static_cast<double>(options_.steps - step_) * per_step / speed : 0);
    char text[160];
    std::snprintf(text, sizeof text, "step %lld/%lld  loss %.4f  %.0f residues/s  %lld min left",
                  static_cast<long long>(step_), static_cast<long long>(options_.steps), loss, speed,
                  static_cast<long long>((left + 59) / 60));
    bool const terminal = isatty(STDERR_FILENO) != 0;
    std::cerr << (terminal ? "\r\033[K" : "") << text << (terminal ? "" : "\n") << std::flush;
}

PretrainResult Run::train() {
    bool const was_complete = step_ >= options_.steps;
    last_log_ = std::chrono::steady_clock::now();
    while (step_ < options_.steps) {
        one_step();
        if (step_ % options_.checkpoint_every == 0 || step_ == options_.steps)
            save();
        else if (step_ % log_every == 0)
            log(nullptr);
    }
    // A kill between the checkpoint and the weights leaves the weights a checkpoint behind.
    if (was_complete) save_transformer(options_.output, model_, at::kFloat, {{"step", std::to_string(step_)}});
    if (!options_.quiet && isatty(STDERR_FILENO)) std::cerr << '\n';
    auto const validation = validate();
    return {step_, residues_, validation.predicted ? std::exp(validation.loss) : 0, validation.accuracy, was_complete};
}

} // namespace

PretrainResult pretrain(PretrainOptions const& options) {
    if (options.steps < 1 || options.checkpoint_every < 1)
        throw usage_error{"--steps and --checkpoint-every must be at least 1"};
    use_threads(options.threads);
    Run run{options};
    return run.train();
}

std::string describe_plan(PretrainOptions const& options) {
    auto const config = chosen_config(options);
    auto const corpus = Corpus::read(options.corpus, options.corpus_options).summary();
    std::ostringstream out;
    out << "network: " << config.parameter_count() << " parameters, " << config.layers << " layers, hidden "
        << config.hidden << ", " << config.heads << " heads\ncorpus: " << corpus.training << " sequences, "
        << corpus.training_residues << " residues; " << corpus.excluded << " excluded, " << corpus.held_out
        << " held out\ntraining: " << options.steps << " steps, at most " << options.steps * options.tokens
        << " tokens\noutput: " << options.output.string() << '\n';
    return out.str();
}

void export_half(std::filesystem::path const& run, std::filesystem::path const& target) {
    auto const loaded = load_transformer(run);
    save_transformer(target, loaded.model, at::kHalf);
    write_text(target / "README.md", read_text(run / "README.md"));
}

} // namespace tape
