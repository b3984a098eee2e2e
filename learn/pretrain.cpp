#include "learn/pretrain.hpp"

#include "data/error.hpp"
#include "data/full_disk.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/manifest.hpp"
#include "data/parallel.hpp"
#include "data/rank_mesh.hpp"
#include "data/temporary.hpp"
#include "learn/adamw.hpp"
#include "learn/batch_sampler.hpp"
#include "learn/checkpoint.hpp"
#include "learn/curve_page.hpp"
#include "learn/device.hpp"
#include "learn/model_card.hpp"
#include "learn/objective.hpp"
#include "learn/profile_prediction.hpp"
#include "learn/spike_guard.hpp"
#include "learn/trainee.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <limits>
#include <numbers>
#include <sstream>
#include <thread>
#include <utility>

namespace tape {
namespace {

enum Purpose : std::uint64_t { questions = 16, validation_questions = 17, validation_windows = 18 };
/// Raise when the same seed would deal other batches or questions.
constexpr int data_order_version = 2;
constexpr std::size_t validation_sequences = 512;
constexpr char const *checkpoint_name = "checkpoint.safetensors", *previous_name = "checkpoint.previous.safetensors";
constexpr std::chrono::seconds page_every{10}, full_disk_pause{15};
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

std::unique_ptr<Trainee> chosen_trainee(PretrainOptions const& options, at::Device device, at::ScalarType precision) {
    return make_trainee({.model = options.model,
                         .size = options.size,
                         .objective = options.objective,
                         .hidden = options.hidden,
                         .layers = options.layers,
                         .heads = options.heads,
                         .feed_forward = options.feed_forward,
                         .seed = options.seed,
                         .start_from = options.start_from},
                        device, precision);
}

/// Operations a second of this machine's matrix products, the best of a few: what MFU is a share of.
double fastest_product(at::Device device, at::ScalarType precision) {
    at::NoGradGuard const no_gradients;
    std::int64_t const size = device.is_cpu() ? 1024 : 8192;
    at::Tensor const square = at::ones({size, size}, at::TensorOptions{precision}.device(device));
    double best = 0;
    for (int i = 0; i < 4; ++i) {
        auto const begin = std::chrono::steady_clock::now();
        (void)at::matmul(square, square).select(0, 0).select(0, 0).item<double>(); // waits for it
        double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        best = std::max(best, 2 * std::pow(static_cast<double>(size), 3) / seconds);
    }
    return best;
}

/// Of all values of a checkpoint, by name.
std::string hash_of_values(std::map<std::string, TensorView> const& tensors) {
    std::string hashes;
    for (auto const& [name, view] : tensors)
        hashes += name + content_hash({reinterpret_cast<char const*>(view.bytes.data()), view.bytes.size()});
    return content_hash(hashes);
}

/// @throws data_error if a checkpoint holds other values than were written
void verify(SafetensorsFile const& saved) {
    auto const hash = saved.metadata().find("hash"); // versions before had none
    if (hash != saved.metadata().end() && hash->second != hash_of_values(saved.tensors()))
        throw data_error{saved.path().string() + ": damaged: its values are not those that were written"};
}

/// Everything that decides the weights, except how long to train.
nlohmann::json settings_of(PretrainOptions const& options, Trainee const& network, Task const& task,
                           at::ScalarType precision) {
    nlohmann::json settings{{"objective", options.objective},
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
    settings.update(network.shape());
    return settings;
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
    double operations = 0;
};

/// The best of the validations, for early stopping.
struct Best {
    double loss = std::numeric_limits<double>::infinity();
    std::int64_t step = 0, since = 0; ///< checkpoints since then
    double perplexity = 0, accuracy = 0;
};

class Run {
  public:
    explicit Run(PretrainOptions const& options);
    PretrainResult train();

  private:
    void resume();
    BatchSampler::Position load_newest_checkpoint();
    BatchSampler::Position load_checkpoint(std::filesystem::path const& path);
    void check_settings(nlohmann::json const& saved) const;
    void one_step();
    [[nodiscard]] Score learn_from(std::span<Exercise const> batch);
    [[nodiscard]] double shared_gradient_norm();
    [[nodiscard]] error diverged(std::string const& what) const;
    [[nodiscard]] Score validate();
    [[nodiscard]] Score total(Score const& own);
    void save();
    void write_checkpoint(double seconds) const;
    void write_manifest(double seconds) const;
    void when_there_is_room(std::function<void()> const& write) const;
    void write_weights() const;
    [[nodiscard]] bool has_weights_of(std::int64_t step) const;
    void write_page() const;
    void try_to_write_page() const;
    [[nodiscard]] bool stopped_early() const { return options_.patience > 0 && best_.since >= options_.patience; }
    [[nodiscard]] bool is_best() const { return options_.patience == 0 || best_.step == step_; }
    void write_card(Score const& validation) const;
    void keep_log_until(std::int64_t step) const;
    void log(Score const* validation);
    [[nodiscard]] bool writes() const { return mesh_.rank() == 0; }
    void report(double loss, double rate, double utilisation) const;
    [[nodiscard]] std::filesystem::path file(char const* name) const { return options_.output / name; }

    PretrainOptions options_;
    OutputFolder folder_;
    at::Device device_;
    at::ScalarType precision_;
    std::unique_ptr<Trainee> network_;
    Task task_;
    nlohmann::json settings_;
    AdamW optimizer_;
    SpikeGuard guard_{{}};
    RankMesh mesh_;
    std::optional<BatchSampler> sampler_;
    std::int64_t step_ = 0, saved_step_ = 0;
    std::uint64_t residues_ = 0;
    double seconds_before_ = 0; ///< of earlier sessions
    std::string started_ = utc_now();
    std::vector<std::string> history_; ///< changes of --steps in the course of the run
    std::string before_;               ///< of the weights that training began from, as their card has it
    Tally tally_;
    Best best_;
    double fastest_ = 0; ///< operations a second
    mutable std::chrono::steady_clock::time_point last_page_{};
    std::uint64_t residues_at_log_ = 0;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now(), last_log_ = begin_;
};

Run::Run(PretrainOptions const& options)
    : options_{options}, folder_{options.output}, device_{resolve_device(options.device)},
      precision_{resolve_precision(options.precision, device_)}, network_{chosen_trainee(options, device_, precision_)},
      task_{read_task(options)}, settings_(settings_of(options, *network_, task_, precision_)),
      optimizer_{network_->parameters(), {.weight_decay = options.weight_decay}} {
    if (auto const card = options_.start_from / "README.md";
        !options_.start_from.empty() && std::filesystem::exists(card))
        before_ = training_of(read_text(card));
    if (options_.patience > 0 && task_.corpus.held_out_size() == 0)
        throw usage_error{
            "--patience needs sequences to validate on, and none is held out of this corpus; lower --held-out"};
    Rank const place = launched_rank();
    options_.quiet |= place.rank != 0;
    // Before the ranks meet, so that none of them reads it.
    if (options_.force && place.rank == 0)
        for (auto const* name : {checkpoint_name, previous_name}) std::filesystem::remove(file(name));
    mesh_ = RankMesh{place, file(".ranks"), {}};
    resume();
    fastest_ = fastest_product(device_, precision_);
}

void Run::check_settings(nlohmann::json const& saved) const {
    for (auto const& [name, value] : settings_.items())
        if (!saved.contains(name) || saved.at(name) != value)
            throw usage_error{options_.output.string() + " holds a run with other settings: '" + name + "' was " +
                              (saved.contains(name) ? saved.at(name).dump() : "not known") + ", now " + value.dump() +
                              "; give another folder, or --force to start it anew"};
}

/// The newest checkpoint, or the one before it if that cannot be read.
BatchSampler::Position Run::load_newest_checkpoint() {
    auto const newest = file(checkpoint_name), previous = file(previous_name);
    if (!std::filesystem::exists(newest) && !std::filesystem::exists(previous)) return {};
    auto const throw_unusable = [](std::filesystem::path const& path) {
        std::throw_with_nested(data_error{"cannot go on from " + path.string() + "; --force starts the run anew"});
    };
    auto const load = [&](std::filesystem::path const& path) {
        try {
            return load_checkpoint(path);
        } catch (data_error const&) {
            throw_unusable(path);
        } catch (nlohmann::json::exception const&) {
            throw_unusable(path);
        }
        return BatchSampler::Position{};
    };
    if (!std::filesystem::exists(previous)) return load(newest);
    try {
        return load(newest);
    } catch (data_error const&) {
        auto const position = load(previous);
        if (writes())
            std::cerr << "tape-pretrain: " << newest.string() << " is missing or damaged; going on from "
                      << previous.string() << ", step " << step_ << '\n';
        return position;
    }
}

void Run::resume() {
    BatchSampler::Position const position = load_newest_checkpoint();
    sampler_.emplace(task_.corpus, BatchSampler::Options{options_.seed, options_.window, options_.tokens}, position);
    residues_at_log_ = residues_, saved_step_ = step_;
    std::array<double, 1> steps{static_cast<double>(step_)};
    mesh_.sum(std::span{steps}); // nobody writes before all have read
    if (steps[0] != static_cast<double>(step_ * mesh_.size()))
        throw error{"the ranks have read different checkpoints of " + options_.output.string() +
                    "; they need one folder that all of them see"};
    if (writes()) keep_log_until(step_);
}

BatchSampler::Position Run::load_checkpoint(std::filesystem::path const& path) {
    SafetensorsFile const saved{path};
    verify(saved);
    auto const found = saved.metadata().find("state");
    auto const state = nlohmann::json::parse(found == saved.metadata().end() ? "" : found->second, nullptr, false);
    if (!state.is_object() || !state.contains("settings"))
        throw data_error{path.string() + ": not a checkpoint of tape-pretrain"};
    check_settings(state.at("settings"));
    NamedTensors tensors;
    for (auto const& [name, view] : saved.tensors()) tensors.emplace(name, tensor_over(view));
    WeightReader reader{std::move(tensors), path.string()};
    optimizer_.load(reader);
    if (state.contains("best"))
        best_ = {state.at("best").at("loss"), state.at("best").at("step"), state.at("best").at("since"),
                 state.at("best").at("perplexity"), state.at("best").at("accuracy")};
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
    "skipped\tmfu\n";
constexpr std::ptrdiff_t columns_before_mfu = 13;

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
        while (std::getline(in, line)) {
            auto const tabs = std::ranges::count(line, '\t');
            if (tabs + 1 < columns_before_mfu || std::atoll(line.c_str()) > step)
                continue; // the first: cut off on a full disk
            kept += line + (tabs + 1 == columns_before_mfu ? "\t\n" : "\n");
        }
    }
    write_text(file("log.tsv"), kept);
}

error Run::diverged(std::string const& what) const {
    bool const saved = std::filesystem::exists(file(checkpoint_name));
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

/// Gradients of the whole batch, of which this rank computes its part.
Score Run::learn_from(std::span<Exercise const> batch) {
    std::int64_t letters = 0, columns = 0;
    for (auto const& example : batch)
        letters += std::ssize(example.letters), columns += std::ssize(example.column_places);
    if (letters + columns == 0)
        throw data_error{"step " + std::to_string(step_ + 1) +
                         ": a batch without any of the 20 amino acids: nothing can be learnt from this corpus"};
    auto const own = part_of(batch, static_cast<std::size_t>(mesh_.rank()), static_cast<std::size_t>(mesh_.size()));
    auto const parts = static_cast<std::size_t>(options_.accumulate);
    Score score;
    network_->refresh();
    for (std::size_t part = 0; part < parts; ++part)
        score += network_->answer(part_of(own, part, parts), letters, columns);
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
    tally_.operations += network_->operations(batch) / mesh_.size();
    tally_.loss += score.loss(), tally_.norm += norm, tally_.answers += main_answers(score), ++tally_.steps;
}

Score Run::validate() {
    at::NoGradGuard const no_gradients;
    network_->refresh();
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
        score += network_->answer(own.subspan(begin, end - begin), 1, 1);
    }
    return total(score);
}

void Run::write_checkpoint(double seconds) const {
    auto const position = sampler_->position();
    auto const& recent = guard_.state();
    nlohmann::json state{
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
    if (options_.patience > 0)
        state["best"] = {{"loss", best_.loss},
                         {"step", best_.step},
                         {"since", best_.since},
                         {"perplexity", best_.perplexity},
                         {"accuracy", best_.accuracy}};
    NamedTensors tensors = optimizer_.state();
    std::map<std::string, TensorView> views;
    for (auto& [name, tensor] : tensors) {
        tensor = tensor.detach().to(at::kCPU).contiguous();
        views.emplace(name, view_of(tensor));
    }
    TemporaryPath before{
        file(previous_name)}; // the one there is gets a second name, so that there is a good one at every moment
    bool const has_before = std::filesystem::exists(file(checkpoint_name));
    if (has_before) {
        std::error_code problem;
        std::filesystem::create_hard_link(file(checkpoint_name), before.path(), problem);
        if (problem) std::filesystem::copy_file(file(checkpoint_name), before.path());
    }
    write_safetensors(file(checkpoint_name), views, {{"state", state.dump()}, {"hash", hash_of_values(views)}});
    if (has_before) before.rename();
    verify(SafetensorsFile{file(checkpoint_name)});
}

void Run::write_weights() const { network_->save(options_.output, {{"step", std::to_string(step_)}}); }

bool Run::has_weights_of(std::int64_t step) const {
    try {
        auto const metadata = SafetensorsFile{file("model.safetensors")}.metadata();
        auto const found = metadata.find("step");
        return found != metadata.end() && found->second == std::to_string(step);
    } catch (error const&) {
        return false;
    }
}

void Run::write_page() const {
    last_page_ = std::chrono::steady_clock::now();
    write_text(file("curve.html"),
               curve_page(read_text(file("log.tsv")),
                          options_.output.filename().string() + ": " + network_->kind() + ", " + options_.objective,
                          step_ >= options_.steps || stopped_early()));
}

/// A run is worth more than the time until somebody makes room.
void Run::when_there_is_room(std::function<void()> const& write) const {
    bool told = false;
    retry_while_full(write, [&](full_disk_error const&) {
        if (!std::exchange(told, true)) {
            std::cerr << "\ntape-pretrain: " << options_.output.string() << ": no space left to save step " << step_
                      << "; paused until there is room, which is tried every " << full_disk_pause.count() << " s";
            if (saved_step_ > 0) std::cerr << " (stopping now keeps step " << saved_step_ << ')';
            std::cerr << std::endl;
        }
        std::this_thread::sleep_for(full_disk_pause);
    });
}

void Run::try_to_write_page() const {
    try {
        write_page();
    } catch (full_disk_error const&) { // the next checkpoint waits for room
    }
}

void Run::save() {
    auto const validation = validate();
    if (has_diverged(validation))
        throw diverged("the loss on held-out sequences is " + std::to_string(validation.loss()));
    if (validation.loss() < best_.loss)
        best_ = {validation.loss(), step_, 0, std::exp(main_answers(validation).mean_loss()),
                 main_answers(validation).accuracy()};
    else
        ++best_.since;
    if (!writes()) {
        tally_ = {};
        return;
    }
    double const seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count() + seconds_before_;
    try {
        when_there_is_room([&] {
            write_checkpoint(seconds);
            if (is_best()) write_weights();
        });
    } catch (error const&) {
        if (saved_step_ == 0) throw;
        std::throw_with_nested(error{"step " + std::to_string(step_) + " could not be saved; " +
                                     options_.output.string() + " holds a good checkpoint of step " +
                                     std::to_string(saved_step_) + ": make room and start the same line again"});
    }
    saved_step_ = step_;
    log(&validation);
    when_there_is_room([&] {
        write_page();
        if (is_best()) write_card(validation);
        write_manifest(seconds);
    });
}

void Run::write_manifest(double seconds) const {
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
    ModelCard card{.kind = network_->kind(),
                   .description = network_->description(),
                   .parameters = parameter_count(*network_),
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
                   .before = before_,
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
    double const utilisation = seconds > 0 ? tally_.operations / seconds / fastest_ : 0;
    line << tally_.skipped << '\t' << std::setprecision(3) << utilisation;
    bool const is_new = !std::filesystem::exists(file("log.tsv"));
    std::ofstream out{file("log.tsv"), std::ios::app};
    out << (is_new ? log_header : "") << line.str() << '\n';
    if (!out.flush()) throw error{file("log.tsv").string() + ": cannot be written (is the disk full?)"};
    report(tally_.loss / steps, speed, utilisation);
    tally_ = {}, last_log_ = now, residues_at_log_ = residues_;
}

void Run::report(double loss, double speed, double utilisation) const {
    if (options_.quiet) return;
    double const per_step = static_cast<double>(residues_) / static_cast<double>(std::max<std::int64_t>(1, step_));
    auto const left =
        static_cast<std::int64_t>(speed > 0 ? static_cast<double>(options_.steps - step_) * per_step / speed : 0);
    char text[160];
    std::snprintf(text, sizeof text, "step %lld/%lld  loss %.4f  %.0f residues/s  MFU %.0f%%  %lld min left",
                  static_cast<long long>(step_), static_cast<long long>(options_.steps), loss, speed, 100 * utilisation,
                  static_cast<long long>((left + 59) / 60));
    bool const terminal = isatty(STDERR_FILENO) != 0;
    std::cerr << (terminal ? "\r\033[K" : "") << text << (terminal ? "" : "\n") << std::flush;
}

PretrainResult Run::train() {
    bool const was_complete = step_ >= options_.steps || stopped_early();
    last_log_ = std::chrono::steady_clock::now();
    // A kill between the checkpoint and the weights leaves the weights a checkpoint behind.
    if (step_ > 0 && is_best() && writes() && !has_weights_of(step_)) write_weights();
    while (step_ < options_.steps && !stopped_early()) {
        one_step();
        if (step_ % options_.checkpoint_every == 0 || step_ == options_.steps)
            save();
        else if (writes() && step_ % options_.log_every == 0) {
            log(nullptr);
            if (std::chrono::steady_clock::now() - last_page_ > page_every) try_to_write_page();
        }
    }
    if (!options_.quiet && isatty(STDERR_FILENO)) std::cerr << '\n';
    PretrainResult result{.step = step_,
                          .residues = residues_,
                          .was_complete = was_complete,
                          .stopped_early = stopped_early(),
                          .weights_step = options_.patience > 0 ? best_.step : step_};
    if (options_.patience > 0) {
        result.valid_perplexity = best_.perplexity, result.valid_accuracy = best_.accuracy;
    } else if (auto const validation = validate(); main_answers(validation).places > 0) {
        auto const& main = main_answers(validation);
        result.valid_perplexity = std::exp(main.mean_loss()), result.valid_accuracy = main.accuracy();
    }
    return result;
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
    if (options.patience < 0) throw usage_error{"--patience must not be negative"};
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
    auto const network = chosen_trainee(options, at::kCPU, at::kFloat);
    auto const task = read_task(options);
    auto const& corpus = task.corpus.summary();
    std::ostringstream out;
    auto const shape = network->shape();
    out << "network: " << parameter_count(*network) << " parameters, " << shape.at("layers") << " layers, hidden "
        << shape.at("hidden");
    if (shape.contains("heads")) out << ", " << shape.at("heads") << " heads";
    out << "\ncorpus: " << corpus.training << " sequences, " << corpus.training_residues << " residues; "
        << corpus.excluded << " excluded, " << corpus.held_out
        << " held out\nobjective: " << task.objective->description() << "\ntraining: " << options.steps
        << " steps, at most " << options.steps * options.tokens << " tokens\noutput: " << options.output.string()
        << '\n';
    return out.str();
}

void export_half(std::filesystem::path const& run, std::filesystem::path const& target) {
    OutputFolder const folder{target};
    SafetensorsFile const saved{run / "model.safetensors"};
    NamedTensors halves;
    for (auto const& [name, view] : saved.tensors()) halves[name] = tensor_over(view).to(at::kHalf);
    save_tensors(target / "model.safetensors", halves, {{"format", "pt"}});
    auto config = read_config(run);
    config["torch_dtype"] = "float16";
    write_text(target / "config.json", config.dump(2) + "\n");
    write_text(target / "README.md", read_text(run / "README.md"));
}

} // namespace tape
