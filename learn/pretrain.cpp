#include "learn/pretrain.hpp"

#include "data/error.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/manifest.hpp"
#include "data/parallel.hpp"
#include "data/rank_mesh.hpp"
#include "data/temporary.hpp"
#include "learn/adamw.hpp"
#include "learn/batch_sampler.hpp"
#include "learn/device.hpp"
#include "learn/model_card.hpp"
#include "learn/objective.hpp"
#include "learn/profile_prediction.hpp"
#include "learn/spike_guard.hpp"
#include "learn/training_pass.hpp"
#include "learn/transformer.hpp"

#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numbers>
#include <sstream>

namespace tape {
namespace {

enum Purpose : std::uint64_t { questions = 16, validation_questions = 17, validation_windows = 18 };
/// Raise when the same seed would deal other batches or questions.
constexpr int data_order_version = 2;
constexpr std::size_t validation_sequences = 512;
/// A guess that ignores its input costs ln 33; three times that is no longer learning.
double const diverged_loss = 3 * std::log(static_cast<double>(EsmTokenizer::size));

bool has_diverged(Score const& score) {
    auto const bad = [](Answers const& answers) { return !(answers.mean_loss() <= diverged_loss); };
    return bad(score.letters) || bad(score.columns);
}

/// Residues, or columns where only those are asked for.
Answers const& main_answers(Score const& score) { return score.letters.places > 0 ? score.letters : score.columns; }

struct Task {
    std::shared_ptr<ProfileTargets const> targets;
    std::unique_ptr<Objective> objective;
    Corpus corpus;
};

Task read_task(PretrainOptions const& options) {
    Task task;
    if (!options.profiles.empty()) task.targets = std::make_shared<ProfileTargets>(options.profiles);
    task.objective = make_objective(options.objective, task.targets);
    auto corpus_options = options.corpus_options;
    if (task.targets) corpus_options.wanted = [&](std::string_view protein) { return task.objective->knows(protein); };
    task.corpus = Corpus::read(options.corpus, corpus_options);
    return task;
}

TransformerConfig chosen_config(PretrainOptions const& options) {
    TransformerConfig config = transformer_preset(options.size);
    if (options.hidden) config.hidden = options.hidden;
    if (options.layers) config.layers = options.layers;
    if (options.heads) config.heads = options.heads;
    if (options.feed_forward) config.feed_forward = options.feed_forward;
    config.causal = options.objective == "next";
    check(config);
    return config;
}

/// Everything that decides the weights, except how long to train.
nlohmann::json settings_of(PretrainOptions const& options, TransformerConfig const& config, Task const& task,
                           at::ScalarType precision) {
    return {{"hidden", config.hidden},
            {"layers", config.layers},
            {"heads", config.heads},
            {"feed_forward", config.feed_forward_size()},
            {"objective", options.objective},
            {"profiles", task.targets ? task.targets->hash() : ""},
            {"data_order", data_order_version},
            {"window", options.window},
            {"tokens", options.tokens},
            {"learning_rate", options.learning_rate},
            {"final_learning_rate", options.final_learning_rate},
            {"weight_decay", options.weight_decay},
            {"clip", options.clip},
            {"seed", options.seed},
            {"precision", precision_name(precision)},
            {"held_out_every", options.corpus_options.held_out_every},
            {"corpus", task.corpus.summary().hash}};
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
    Answers answers;
    std::int64_t steps = 0, skipped = 0;
};

class Run {
  public:
    explicit Run(PretrainOptions const& options);
    PretrainResult train();

  private:
    void resume();
    BatchSampler::Position load_checkpoint(std::filesystem::path const& path);
    void check_settings(nlohmann::json const& saved) const;
    void one_step();
    [[nodiscard]] Score learn_from(std::span<Example const> batch);
    [[nodiscard]] Score answer_part(std::span<Example const> examples, std::int64_t letters, std::int64_t columns);
    [[nodiscard]] double shared_gradient_norm();
    [[nodiscard]] error diverged(std::string const& what) const;
    [[nodiscard]] Score validate();
    [[nodiscard]] Score total(Score const& own);
    void save();
    void write_checkpoint(double seconds) const;
    void write_card(Score const& validation) const;
    void keep_log_until(std::int64_t step) const;
    void log(Score const* validation);
    [[nodiscard]] bool writes() const { return mesh_.rank() == 0; }
    void report(double loss, double rate) const;
    [[nodiscard]] std::filesystem::path file(char const* name) const { return options_.output / name; }

    PretrainOptions options_;
    OutputFolder folder_;
    at::Device device_;
    at::ScalarType precision_;
    TransformerConfig config_;
    Task task_;
    nlohmann::json settings_;
    Transformer model_;
    AdamW optimizer_;
    TrainingPass pass_{model_};
    SpikeGuard guard_{{}};
    RankMesh mesh_;
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
      precision_{resolve_precision(options.precision, device_)}, config_{chosen_config(options)}, task_{read_task(
                                                                                                      options)},
      settings_(settings_of(options, config_, task_, precision_)), model_{config_, options.seed},
      optimizer_{trainable(model_, device_, precision_), {.weight_decay = options.weight_decay}} {
    Rank const place = launched_rank();
    options_.quiet |= place.rank != 0;
    // Before the ranks meet, so that none of them reads it.
    if (options_.force && place.rank == 0) std::filesystem::remove(file("checkpoint.safetensors"));
    mesh_ = RankMesh{place, file(".ranks"), {}};
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
    sampler_.emplace(task_.corpus, BatchSampler::Options{options_.seed, options_.window, options_.tokens}, position);
    residues_at_log_ = residues_;
    std::array<double, 1> steps{static_cast<double>(step_)};
    mesh_.sum(std::span{steps}); // nobody writes before all have read
    if (steps[0] != static_cast<double>(step_ * mesh_.size()))
        throw error{"the ranks have read different checkpoints of " + options_.output.string() +
                    "; they need one folder that all of them see"};
    if (writes()) keep_log_until(step_);
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
    auto const& recent = state.at("recent");
    guard_ = SpikeGuard{{recent.at("loss"), recent.at("norm"), recent.at("accepted"), recent.at("refused")}};
    if (int const ranks = state.at("ranks"); ranks != mesh_.size())
        history_.push_back("ranks changed from " + std::to_string(ranks) + " to " + std::to_string(mesh_.size()) +
                           " at step " + std::to_string(step_));
    if (std::int64_t const planned = state.at("steps"); planned != options_.steps)
        history_.push_back("steps changed from " + std::to_string(planned) + " to " + std::to_string(options_.steps) +
                           " at step " + std::to_string(step_));
    return {state.at("first"), state.at("pool"), state.at("batch")};
}

constexpr char const* log_header =
    "step\tresidues\tlearning_rate\tloss\taccuracy\tgradient_norm\tresidues_per_second\t"
    "valid_loss\tvalid_perplexity\tvalid_accuracy\tvalid_profile_loss\tvalid_profile_accuracy\t"
    "skipped\n";

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

error Run::diverged(std::string const& what) const {
    bool const saved = std::filesystem::exists(file("checkpoint.safetensors"));
    return error{
        "step " + std::to_string(step_) + ": " + what + " at learning rate " +
        std::to_string(learning_rate_at(options_, step_)) + "; " +
        (saved ? "the last good checkpoint is kept in " + options_.output.string() : "no checkpoint was written") +
        ": start again with a lower --learning-rate or a longer --warmup"};
}

/// The sums over all ranks.
Score Run::total(Score const& own) {
    std::array<double, 6> values{own.letters.loss, own.letters.right, own.letters.places,
                                 own.columns.loss, own.columns.right, own.columns.places};
    mesh_.sum(std::span{values});
    return {{values[0], values[1], values[2]}, {values[3], values[4], values[5]}};
}

/// On the CPU by a pass of our own, elsewhere by autograd.
Score Run::answer_part(std::span<Example const> examples, std::int64_t letters, std::int64_t columns) {
    return device_.is_cpu() ? answer(model_, pass_, examples, letters, columns) : answer(model_, examples, letters, columns, device_);
}

/// Gradients of the whole batch, of which this rank computes its part.
Score Run::learn_from(std::span<Example const> batch) {
    std::int64_t letters = 0, columns = 0;
    for (auto const& example : batch)
        letters += std::ssize(example.letters), columns += std::ssize(example.column_places);
    if (letters + columns == 0)
        throw data_error{"step " + std::to_string(step_ + 1) +
                         ": a batch without any of the 20 amino acids: nothing can be learnt from this corpus"};
    auto const own = part_of(batch, static_cast<std::size_t>(mesh_.rank()), static_cast<std::size_t>(mesh_.size()));
    auto const parts = static_cast<std::size_t>(options_.accumulate);
    Score score;
    pass_.refresh();
    for (std::size_t part = 0; part < parts; ++part) score += answer_part(part_of(own, part, parts), letters, columns);
    if (mesh_.size() == 1) return score;
    at::Tensor const gradients = optimizer_.gradients();
    mesh_.sum(std::span{gradients.mutable_data_ptr<float>(), static_cast<std::size_t>(gradients.numel())});
    optimizer_.set_gradients(gradients);
    return total(score);
}

/// Rank 0's, so that ranks with other numbers of threads do not drift apart by rounding.
double Run::shared_gradient_norm() {
    std::array<double, 1> norm{writes() ? optimizer_.gradient_norm() : 0};
    mesh_.sum(std::span{norm});
    return norm[0];
}

void Run::one_step() {
    auto const windows = sampler_->next();
    for (auto const& window : windows)
        residues_ += static_cast<std::uint64_t>(
            std::ranges::count_if(window.tokens, [](auto token) { return token > EsmTokenizer::unknown; }));
    auto const batch =
        pose(*task_.objective, windows, Random{options_.seed, questions, static_cast<std::uint64_t>(step_)});
    auto const score = learn_from(batch);
    ++step_;
    if (has_diverged(score)) throw diverged("the loss is " + std::to_string(score.loss()));
    double const norm = shared_gradient_norm();
    if (!std::isfinite(norm)) throw diverged("the gradient is " + std::to_string(norm));
    if (guard_.accepts(score.loss(), norm)) {
        if (norm > options_.clip) optimizer_.scale_gradients(options_.clip / norm);
        optimizer_.step(learning_rate_at(options_, step_), step_);
    } else {
        ++tally_.skipped;
        if (guard_.state().refused >= SpikeGuard::most_refused)
            throw diverged(std::to_string(guard_.state().refused) +
                           " steps in a row had a loss or a gradient far above " + "those before (loss " +
                           std::to_string(score.loss()) + ", gradient " + std::to_string(norm) + ")");
    }
    optimizer_.clear_gradients();
    tally_.loss += score.loss(), tally_.norm += norm, tally_.answers += main_answers(score), ++tally_.steps;
}

Score Run::validate() {
    at::NoGradGuard const no_gradients;
    model_.forget_lowered(), pass_.refresh();
    std::size_t const count = std::min(validation_sequences, task_.corpus.held_out_size());
    std::vector<Window> windows;
    Random random{options_.seed, validation_windows, 0};
    for (std::size_t i = 0; i < count; ++i)
        windows.push_back(random_window(task_.corpus.held_out(i), options_.window, random));
    std::ranges::stable_sort(windows, {}, [](auto const& window) { return window.tokens.size(); });
    auto const examples = pose(*task_.objective, windows, Random{options_.seed, validation_questions, 0});
    auto const own = part_of(examples, static_cast<std::size_t>(mesh_.rank()), static_cast<std::size_t>(mesh_.size()));
    Score score;
    for (std::size_t begin = 0, end = 0; begin < own.size(); begin = end) {
        // Lengths rise, so the newest decides the padded width.
        while (end < own.size() && (end == begin || static_cast<std::int64_t>(
                                                        (end + 1 - begin) * own[end].tokens.size()) <= options_.tokens))
            ++end;
        score += answer_part(own.subspan(begin, end - begin), 1, 1);
    }
    model_.forget_lowered();
    return total(score);
}

void Run::write_checkpoint(double seconds) const {
    auto const position = sampler_->position();
    auto const& recent = guard_.state();
    nlohmann::json const state{
        {"settings", settings_},
        {"step", step_},
        {"steps", options_.steps},
        {"residues", residues_},
        {"first", position.first},
        {"pool", position.pool},
        {"batch", position.batch},
        {"recent",
         {{"loss", recent.loss}, {"norm", recent.norm}, {"accepted", recent.accepted}, {"refused", recent.refused}}},
        {"ranks", mesh_.size()},
        {"seconds", seconds},
        {"started", started_},
        {"history", history_}};
    save_tensors(file("checkpoint.safetensors"), optimizer_.state(), {{"state", state.dump()}});
}

void Run::save() {
    auto const validation = validate();
    if (has_diverged(validation))
        throw diverged("the loss on held-out sequences is " + std::to_string(validation.loss()));
    if (!writes()) {
        tally_ = {};
        return;
    }
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() + seconds_before_;
    write_checkpoint(seconds);
    save_transformer(options_.output, model_, at::kFloat, {{"step", std::to_string(step_)}});
    log(&validation);
    write_card(validation);
    Manifest manifest{.program = "tape-pretrain",
                      .argv = options_.argv,
                      .version = TAPE_VERSION,
                      .seed = options_.seed,
                      .inputs = task_.corpus.summary().inputs,
                      .details = {},
                      .started = started_,
                      .seconds = seconds};
    manifest.details = {{"settings", settings_.dump()},
                        {"step", std::to_string(step_)},
                        {"residues", std::to_string(residues_)},
                        {"ranks", std::to_string(mesh_.size())},
                        {"weights", content_hash_of_file(file("model.safetensors"))}};
    write_text(file("manifest.json"), to_json(manifest).dump(2) + "\n");
}

void Run::write_card(Score const& validation) const {
    ModelCard card{.config = config_,
                   .objective = task_.objective->description(),
                   .corpus = task_.corpus.summary(),
                   .settings = settings_,
                   .step = step_,
                   .planned_steps = options_.steps,
                   .residues = residues_,
                   .epochs = sampler_->epochs(),
                   .ranks = mesh_.size(),
                   .valid_letters = validation.letters,
                   .valid_columns = validation.columns,
                   .history = history_,
                   .started = started_,
                   .version = TAPE_VERSION};
    write_text(file("README.md"), to_markdown(card));
}

void Run::log(Score const* validation) {
    auto const now = std::chrono::steady_clock::now();
    double const seconds = std::chrono::duration<double>(now - last_log_).count();
    double const speed = seconds > 0 ? static_cast<double>(residues_ - residues_at_log_) / seconds : 0;
    double const steps = static_cast<double>(std::max<std::int64_t>(1, tally_.steps));
    std::ostringstream line;
    line << step_ << '\t' << residues_ << '\t' << learning_rate_at(options_, step_) << '\t' << tally_.loss / steps
         << '\t' << tally_.answers.accuracy() << '\t' << tally_.norm / steps << '\t' << static_cast<std::int64_t>(speed)
         << '\t';
    if (validation && main_answers(*validation).places > 0) {
        auto const& main = main_answers(*validation);
        line << validation->loss() << '\t' << std::exp(main.mean_loss()) << '\t' << main.accuracy() << '\t';
    } else {
        line << "\t\t\t";
    }
    if (validation && validation->columns.places > 0)
        line << validation->columns.mean_loss() << '\t' << validation->columns.accuracy() << '\t';
    else
        line << "\t\t";
    line << tally_.skipped;
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
        else if (writes() && step_ % options_.log_every == 0)
            log(nullptr);
    }
    // A kill between the checkpoint and the weights leaves the weights a checkpoint behind.
    if (was_complete && writes())
        save_transformer(options_.output, model_, at::kFloat, {{"step", std::to_string(step_)}});
    if (!options_.quiet && isatty(STDERR_FILENO)) std::cerr << '\n';
    auto const validation = validate();
    auto const& main = main_answers(validation);
    return {step_, residues_, main.places > 0 ? std::exp(main.mean_loss()) : 0, main.accuracy(), was_complete};
}

} // namespace

namespace {

/// Ranks on one machine share its processors: torchrun does not bind them to any.
int threads_of_rank(int requested) {
    if (requested != 0 || launched_rank().size == 1) return requested;
    int here = launched_rank().size;
    for (auto const* variable : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "LOCAL_WORLD_SIZE"})
        if (char const* const value = std::getenv(variable)) here = std::max(1, std::atoi(value));
    return std::max(1, resolve_threads(0) / here);
}

} // namespace

PretrainResult pretrain(PretrainOptions const& options) {
    if (options.steps < 1 || options.checkpoint_every < 1)
        throw usage_error{"--steps and --checkpoint-every must be at least 1"};
    if (options.log_every < 1 || options.accumulate < 1)
        throw usage_error{"--log-every and --accumulate must be at least 1"};
    use_threads(threads_of_rank(options.threads));
    Run run{options};
    try {
        return run.train();
    } catch (rank_lost const&) {
        std::throw_with_nested(error{"the other ranks cannot go on alone; the last checkpoint is kept in " +
                                     options.output.string() + ": start all ranks again with the same line"});
    }
}

std::string describe_plan(PretrainOptions const& options) {
    auto const config = chosen_config(options);
    auto const task = read_task(options);
    auto const& corpus = task.corpus.summary();
    std::ostringstream out;
    out << "network: " << config.parameter_count() << " parameters, " << config.layers << " layers, hidden "
        << config.hidden << ", " << config.heads << " heads\ncorpus: " << corpus.training << " sequences, "
        << corpus.training_residues << " residues; " << corpus.excluded << " excluded, " << corpus.held_out
        << " held out\nobjective: " << task.objective->description() << "\ntraining: " << options.steps
        << " steps, at most " << options.steps * options.tokens << " tokens\noutput: " << options.output.string()
        << '\n';
    return out.str();
}

void export_half(std::filesystem::path const& run, std::filesystem::path const& target) {
    auto const loaded = load_transformer(run);
    save_transformer(target, loaded.model, at::kHalf);
    write_text(target / "README.md", read_text(run / "README.md"));
}

} // namespace tape
