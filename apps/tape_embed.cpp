#include "apps/cli.hpp"
#include "apps/output.hpp"
#include "apps/shared_parts.hpp"
#include "compare/metrics.hpp"
#include "data/array_writer.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/io.hpp"
#include "data/npy.hpp"
#include "data/progress.hpp"
#include "data/shared_queue.hpp"
#include "learn/encoder.hpp"
#include "learn/models.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <utility>

namespace {

using tape::cli::Arguments;
using tape::cli::Kind;
using tape::cli::Option;

tape::cli::Program program() {
    std::vector<Option> options{
        {.name = "<proteins>",
         .default_value = "",
         .help = "FASTA file, also gz, xz or zst; - is stdin",
         .required = true},
        {.name = "model",
         .default_value = "transformer",
         .help = "name, folder, .pt or UniRep .npz",
         .group = "Model",
         .placeholder = "NAME"},
        {.name = "random",
         .kind = Kind::flag,
         .default_value = "",
         .help = "the same network with fresh weights drawn from --seed",
         .group = "Model"},
        {.name = "precision",
         .default_value = "auto",
         .help = "matrix products in fp32 or bf16; auto = what the model was checked with",
         .group = "Model",
         .choices = {"auto", "fp32", "bf16"}},
        {.name = "output",
         .default_value = "",
         .help = ".npz or HDF5 (.h5), one array for each protein id; of --perplexity and --variants a table "
                 "(- is stdout)",
         .group = "Output",
         .placeholder = "FILE",
         .short_name = 'o',
         .required = true},
        {.name = "pool",
         .default_value = "mean",
         .help = "mean: one vector for each protein; none: one row for each residue; pooler: what the model's own "
                 "pooling layer makes of it (BERT, TAPE's LSTM and ResNet)",
         .group = "Output",
         .choices = {"mean", "none", "pooler"}},
        {.name = "layer",
         .kind = Kind::integer,
         .default_value = "",
         .help = "embeddings behind layer K instead of the last one; 0 is the input to the first",
         .group = "Output",
         .placeholder = "K",
         .minimum = 0,
         .maximum = 10000},
        {.name = "logits",
         .kind = Kind::flag,
         .default_value = "",
         .help = "scores of every token at each residue (L x tokens)",
         .group = "Instead of embeddings, one of"},
        {.name = "attentions",
         .kind = Kind::flag,
         .default_value = "",
         .help = "attention among residues as computed (layers x heads x L x L)",
         .group = "Instead of embeddings, one of"},
        {.name = "pairs",
         .kind = Kind::flag,
         .default_value = "",
         .help = "attention as pair features: symmetrised, average product corrected (L x L x maps)",
         .group = "Instead of embeddings, one of"},
        {.name = "contacts",
         .kind = Kind::flag,
         .default_value = "",
         .help = "probabilities of contacts (L x L), of a model with a contact head (ESM-2)",
         .group = "Instead of embeddings, one of"},
        {.name = "perplexity",
         .kind = Kind::flag,
         .default_value = "",
         .help = "a table of perplexities: each amino acid masked in turn (Transformer, ResNet) or predicted from all "
                 "others (LSTM, Bepler), or exact (UniRep)",
         .group = "Instead of embeddings, one of"},
        {.name = "variants",
         .default_value = "",
         .help = "a table of scores of the variants in FILE (A104G:L12P, a line each) of the one protein given",
         .group = "Instead of embeddings, one of",
         .placeholder = "FILE"},
        {.name = "score",
         .default_value = "",
         .help = "how --variants are scored; by default masked-marginal, likelihood-ratio for UniRep, and "
                 "wild-type-marginal for TAPE's LSTM and Bepler & Berger's model",
         .group = "Variants",
         .choices = {"masked-marginal", "wild-type-marginal", "likelihood-ratio"}},
        {.name = "measured",
         .default_value = "",
         .help = "column of --variants with measured values (default: measured or DMS_score)",
         .group = "Variants",
         .placeholder = "COLUMN"},
        {.name = "first-position",
         .kind = Kind::integer,
         .default_value = "1",
         .help = "number of the protein's first residue in the mutations' names",
         .group = "Variants",
         .placeholder = "N",
         .minimum = 0,
         .maximum = 1e9},
    };
    options.push_back({.name = "memory",
                       .kind = Kind::integer,
                       .default_value = "2048",
                       .help = "MiB to work in beside the weights; a longer protein is read in overlapping windows",
                       .group = "Model",
                       .placeholder = "MIB",
                       .minimum = 64,
                       .maximum = 1e8});
    options.push_back(tape::cli::device_option());
    for (auto const& common : tape::cli::common_options()) options.push_back(common);
    return {
        .name = "tape-embed",
        .purpose = "reads proteins with a language model and writes what it made of them",
        .usage = "tape-embed PROTEINS -o FILE [--model NAME] [options]",
        .options = std::move(options),
        .examples = {"tape-embed proteins.fasta --model transformer -o emb.npz --pool mean",
                     "tape-embed proteins.fasta --model run/ --logits -o logits.npz",
                     "tape-embed proteins.fasta --pool none -o residues.h5",
                     "tape-embed proteins.fasta --model esm2_t12_35M/ --contacts -o contacts.npz",
                     "tape-embed proteins.fasta --perplexity -o -",
                     "tape-embed gfp.fasta --variants gfp.csv --model esm2_t12_35M/ -o scores.tsv"},
        .notes =
            "Models: transformer (bundled); unirep, unirep-256, unirep-64 (`tape-data fetch unirep`); the "
            "folder of a run of\n"
            "tape-pretrain; a Hugging Face folder of an ESM-2 or BERT model (ProtBert); TAPE's own BERT, LSTM and "
            "ResNet (the\n"
            "folders of its PyTorch port); fair-esm's ESM-2 .pt; the state dictionary of Bepler & Berger's model "
            "(.pt); "
            "UniRep's .npz\n"
            "or folder of .npy. PyTorch's .bin and .pt are read without running any of their code. lstm, resnet and "
            "bepler with\n"
            "--random are the published networks with fresh weights.\n"
            "\n"
            "The mean is over residues; UniRep's is over the start token too, as published. Rows of --logits "
            "are residues;\n"
            "a Transformer and the ResNet see the residue itself, the LSTM and Bepler & Berger's model all others, "
            "UniRep only\n"
            "those before it. Columns of --logits: ESM-2's "
            "33 tokens in their\n"
            "order (<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> "
            "<mask>), or UniRep's\n"
            "tokens 1 to 25 (M R H K D E S T N Q C U G P A V I F Y W L O X <start> <stop>), or a BERT's vocabulary,\n"
            "which TAPE's LSTM and ResNet share (IUPAC), or Bepler & Berger's 21 (<stop> A R N D C Q E G H I L K M F P "
            "S "
            "T W Y V).\n"
            "\n"
            "A protein longer than a model's positions (BERT), or than --memory holds, is read in overlapping windows, "
            "each residue\n"
            "from the window in which it stands farthest from an end; the program says which. Maps, --perplexity and "
            "--variants take whole\n"
            "proteins only.\n"
            "\n"
            "Started by mpirun, srun or torchrun, the ranks share the proteins and write what one process writes; a "
            "run "
            "that was cut off\n"
            "goes on where it stood when the same line is started again. FILE.parts/ holds what is done meanwhile.\n"
            "\n"
            "--perplexity is exp(-mean log p) among all tokens; column 'scored' says over how many: a "
            "Transformer's amino acids\n"
            "(other letters are context only), UniRep's residues and stop token. Perplexities of different "
            "kinds do not compare.\n"
            "\n"
            "--variants: one a line, mutations joined with ':' and a measured value behind a tab or comma if "
            "there is one; or a table\n"
            "whose header names the columns `mutant` and `DMS_score` (ProteinGym). Scores are nats, higher is "
            "more probable, 0 is the\n"
            "wild type: masked-marginal and wild-type-marginal are the sums of log p(new) - log p(old) of "
            "Meier et al. 2021 with all\n"
            "mutated positions masked, or none; likelihood-ratio is log P(variant) - log P(wild type).\n"};
}

/// The one thing that a run writes.
enum class Mode { embeddings, logits, attentions, pairs, contacts, perplexity, variants };

Mode mode_of(Arguments const& arguments) {
    static constexpr std::array<std::pair<char const*, Mode>, 6> modes{{{"logits", Mode::logits},
                                                                        {"attentions", Mode::attentions},
                                                                        {"pairs", Mode::pairs},
                                                                        {"contacts", Mode::contacts},
                                                                        {"perplexity", Mode::perplexity},
                                                                        {"variants", Mode::variants}}};
    std::string chosen;
    Mode mode = Mode::embeddings;
    for (auto const& [name, meaning] : modes) {
        if (!arguments.has(name)) continue;
        if (!chosen.empty())
            throw tape::usage_error{"--" + chosen + " and --" + name + " exclude each other: one output a run"};
        chosen = name, mode = meaning;
    }
    for (char const* const option : {"pool", "layer"})
        if (arguments.has(option) && mode != Mode::embeddings)
            throw tape::usage_error{std::string{"--"} + option + " is about embeddings; it says nothing of --" +
                                    chosen};
    for (char const* const option : {"score", "measured", "first-position"})
        if (arguments.has(option) && mode != Mode::variants)
            throw tape::usage_error{std::string{"--"} + option + " needs --variants FILE"};
    return mode;
}

tape::EmbedRequest request_of(Arguments const& arguments, Mode mode) {
    switch (mode) {
    case Mode::logits:
        return {.logits = true};
    case Mode::attentions:
        return {.attentions = true};
    case Mode::pairs:
        return {.pairs = true};
    case Mode::contacts:
        return {.contacts = true};
    case Mode::perplexity:
    case Mode::variants:
        return {};
    case Mode::embeddings:
        break;
    }
    std::string const pool = arguments.text("pool");
    int const layer = arguments.has("layer") ? static_cast<int>(arguments.integer("layer")) : -1;
    return {.rows = pool == "none", .pooled = pool == "mean", .pooler = pool == "pooler", .layer = layer};
}

tape::Array to_array(tape::FeatureMatrix const& matrix) {
    return tape::Array::from(std::span<float const>{matrix.data(), static_cast<std::size_t>(matrix.size())},
                             {static_cast<std::size_t>(matrix.rows()), static_cast<std::size_t>(matrix.cols())});
}

tape::Array to_array(tape::Embedding const& embedding, tape::EmbedRequest const& request, std::size_t length,
                     tape::Encoder const& encoder) {
    if (request.logits) return to_array(embedding.logits);
    if (request.rows) return to_array(embedding.rows);
    if (request.contacts) return to_array(embedding.contacts);
    auto const layers = static_cast<std::size_t>(encoder.layers()), heads = static_cast<std::size_t>(encoder.heads());
    if (request.pairs)
        return tape::Array::from(std::span<float const>{embedding.pairs}, {length, length, layers * heads});
    if (request.attentions)
        return tape::Array::from(std::span<float const>{embedding.attentions}, {layers, heads, length, length});
    return tape::Array::from(std::span<float const>{embedding.pooled}, {embedding.pooled.size()});
}

using Portion = std::span<tape::Protein const>;

/// Enough proteins at a time for well-filled batches and for ranks to share, few enough that their results fit in half
/// of the memory. The same for any number of ranks, so that batches, and with them the last bits, are.
std::vector<Portion> portions_of(std::vector<tape::Protein> const& proteins, tape::EmbedRequest const& request,
                                 int width, std::size_t memory) {
    constexpr std::size_t residues_of_maps = 2'000, fewest = 128 * 1024, most = 1024 * 1024;
    std::size_t total = 0;
    for (auto const& protein : proteins) total += protein.residues.size();
    bool const maps = request.pairs || request.attentions || request.contacts;
    std::size_t limit = maps ? residues_of_maps : std::clamp(total / 32, fewest, most);
    if (request.rows) limit = std::min(limit, memory / 2 / (sizeof(float) * static_cast<std::size_t>(width)));
    std::vector<Portion> portions;
    for (std::size_t begin = 0, end = 0; begin < proteins.size(); begin = end) {
        std::size_t residues = 0;
        while (end < proteins.size() && (end == begin || residues + proteins[end].residues.size() <= limit))
            residues += proteins[end++].residues.size();
        portions.push_back(Portion{proteins}.subspan(begin, end - begin));
    }
    return portions;
}

void add_arrays(tape::ArrayWriter& writer, tape::Encoder& encoder, Portion portion, tape::EmbedRequest const& request) {
    auto const embeddings = encoder.embed(portion, request);
    for (std::size_t i = 0; i < portion.size(); ++i)
        writer.add(portion[i].id, to_array(embeddings[i], request, portion[i].residues.size(), encoder));
}

void write_arrays(std::filesystem::path const& file, tape::Encoder& encoder, std::vector<Portion> const& portions,
                  std::size_t proteins, tape::EmbedRequest const& request, bool quiet) {
    auto const writer = tape::array_writer(file);
    tape::Progress progress{"embedding", proteins, "proteins", quiet};
    for (auto const portion : portions) {
        add_arrays(*writer, encoder, portion, request);
        progress.advance(portion.size());
    }
    writer->close();
}

void join_arrays(std::filesystem::path const& file, tape::cli::SharedParts const& parts,
                 std::vector<Portion> const& portions) {
    auto const writer = tape::array_writer(file);
    for (std::size_t part = 0; part < portions.size(); ++part) {
        auto const arrays = tape::read_npz(parts.file(part));
        for (auto const& protein : portions[part]) writer->add(protein.id, arrays.at(protein.id));
    }
    writer->close();
}

/// Of everything that decides the arrays.
std::string key_of(tape::Encoder const& encoder, std::vector<Portion> const& portions,
                   tape::EmbedRequest const& request, std::string const& format) {
    std::string text = "tape-embed 1 " + encoder.content_hash() + " " + format + " " + std::to_string(request.layer);
    for (bool const wanted :
         {request.rows, request.pooled, request.pairs, request.logits, request.attentions, request.contacts})
        text += wanted ? " 1" : " 0";
    for (auto const portion : portions) {
        text += "\n";
        for (auto const& protein : portion) text += ">" + protein.id + "\n" + protein.residues + "\n";
    }
    return tape::content_hash(text);
}

std::string fixed(char const* format, double value) {
    char text[40];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::string perplexity_table(tape::Encoder& encoder, std::vector<tape::Protein> const& proteins, bool quiet) {
    // A portion keeps UniRep's walks full; the masked models' cost is far above that of a call.
    constexpr std::size_t portion = 64;
    std::string table = "#id\tlength\tscored\tperplexity\n";
    tape::Progress progress{"reading", proteins.size(), "proteins", quiet};
    for (std::size_t begin = 0; begin < proteins.size(); begin += portion) {
        auto const part = std::span{proteins}.subspan(begin, std::min(portion, proteins.size() - begin));
        auto const likelihoods = encoder.likelihoods(part);
        for (std::size_t i = 0; i < part.size(); ++i)
            table += part[i].id + "\t" + std::to_string(part[i].residues.size()) + "\t" +
                     std::to_string(likelihoods[i].tokens) + "\t" +
                     (likelihoods[i].tokens == 0 ? "NA" : fixed("%.6g", likelihoods[i].perplexity())) + "\n";
        progress.advance(part.size());
    }
    return table;
}

tape::VariantScoring scoring_of(Arguments const& arguments, tape::Encoder const& encoder) {
    std::string const name = arguments.text("score");
    if (name == "masked-marginal") return tape::VariantScoring::masked_marginal;
    if (name == "wild-type-marginal") return tape::VariantScoring::wild_type_marginal;
    if (name == "likelihood-ratio") return tape::VariantScoring::likelihood_ratio;
    return encoder.default_scoring();
}

std::string variant_table(tape::Encoder& encoder, tape::Protein const& wild_type,
                          std::vector<tape::ListedVariant> const& variants, tape::VariantScoring scoring, bool quiet) {
    constexpr std::size_t portion = 2000; // variants of one place share a pass within a portion
    bool const measured = std::ranges::any_of(variants, [](auto const& v) { return v.measured.has_value(); });
    std::string table = measured ? "#variant\tscore\tmeasured\n" : "#variant\tscore\n";
    std::vector<double> predictions, truths;
    tape::Progress progress{"scoring", variants.size(), "variants", quiet};
    for (std::size_t begin = 0; begin < variants.size(); begin += portion) {
        auto const part = std::span{variants}.subspan(begin, std::min(portion, variants.size() - begin));
        auto const scores = encoder.score_variants(wild_type, part, scoring);
        for (std::size_t i = 0; i < part.size(); ++i) {
            table += part[i].name + "\t" + fixed("%.6f", scores[i]);
            if (measured) table += "\t" + (part[i].measured ? fixed("%.9g", *part[i].measured) : "");
            table += "\n";
            if (part[i].measured) predictions.push_back(scores[i]), truths.push_back(*part[i].measured);
        }
        progress.advance(part.size());
    }
    if (truths.size() > 2 && !quiet)
        std::cerr << "tape-embed: Spearman's rho with the " << truths.size()
                  << " measured values: " << fixed("%.3f", tape::spearman(predictions, truths)) << '\n';
    return table;
}

/// The list's variants of the one protein given.
std::vector<tape::ListedVariant> variants_of(std::vector<tape::Protein> const& proteins, std::string const& file,
                                             Arguments const& arguments) {
    if (proteins.size() != 1)
        throw tape::usage_error{file + ": --variants needs the wild type alone, and the file holds " +
                                std::to_string(proteins.size()) + " proteins"};
    auto const list = tape::read_variant_list(
        arguments.text("variants"), {.first_position = static_cast<std::size_t>(arguments.integer("first-position")),
                                     .measured_column = arguments.text("measured")});
    return tape::variants_of_proteins(list, proteins).front();
}

/// Says which proteins are read in windows. @return how many
std::size_t tell_of_windows(tape::Encoder const& encoder, std::vector<tape::Protein> const& proteins, bool quiet) {
    constexpr std::size_t told = 20;
    std::size_t count = 0;
    for (auto const& protein : proteins) {
        std::size_t const windows = encoder.windows(protein.residues.size());
        if (windows > 1 && ++count <= told && !quiet)
            std::cerr << "tape-embed: '" << protein.id << "' (" << protein.residues.size() << " residues) is read in "
                      << windows << " overlapping windows\n";
    }
    if (count > told && !quiet) std::cerr << "tape-embed: and so are " << count - told << " more\n";
    return count;
}

/// One run: what is read, by what, into what.
class Run {
  public:
    explicit Run(Arguments const& arguments)
        : arguments_{arguments}, mode_{mode_of(arguments)}, request_{request_of(arguments, mode_)},
          quiet_{arguments.flag("quiet")}, input_{arguments.positional().at(0)}, list_{arguments.text("variants")},
          memory_{static_cast<std::size_t>(arguments.integer("memory")) << 20U}, output_{program(), arguments,
                                                                                         arguments.text("output")} {
        if (input_ == "-" && list_ == "-")
            throw tape::usage_error{"proteins and --variants cannot both be read from stdin"};
        if (!table()) {
            if (output_.is_stdout())
                throw tape::usage_error{"--output: a .npz cannot be written to stdout; name a file"};
            tape::check_array_format(output_.path());
        }
        if (ranks_.size > 1) check_for_ranks();
    }

    void operator()() {
        proteins_ = tape::read_fasta(input_);
        if (input_ != "-") output_.add_input(input_, tape::content_hash_of_file(input_));
        if (mode_ == Mode::variants) {
            variants_ = variants_of(proteins_, input_, arguments_);
            if (list_ != "-") output_.add_input(list_, tape::content_hash_of_file(list_));
        }
        load();
        if (arguments_.flag("dry-run")) {
            if (ranks_.rank == 0)
                std::cout << encoder_->description() << "; " << proteins_.size() << " proteins; would write "
                          << arguments_.text("output") << '\n';
            return;
        }
        begin_ = std::chrono::steady_clock::now();
        if (mode_ == Mode::perplexity)
            tape::write_text(output_.path(), perplexity_table(*encoder_, proteins_, quiet_));
        else if (mode_ == Mode::variants)
            tape::write_text(output_.path(), variant_table(*encoder_, proteins_.front(), variants_,
                                                           scoring_of(arguments_, *encoder_), quiet_));
        else
            return write_embeddings();
        write_manifest({});
    }

  private:
    [[nodiscard]] bool table() const { return mode_ == Mode::perplexity || mode_ == Mode::variants; }

    void check_for_ranks() const {
        if (table())
            throw tape::usage_error{"--perplexity and --variants run in one process; start it without a launcher"};
        if (input_ == "-") throw tape::usage_error{"several ranks read one file of proteins; - is read once"};
        if (arguments_.flag("force"))
            throw tape::usage_error{"--force would make everything once a rank; remove " + output_.path().string() +
                                    " instead"};
    }

    void load() {
        encoder_ = tape::load_encoder(arguments_.text("model"), arguments_.flag("random"),
                                      {.device = arguments_.text("device"),
                                       .precision = arguments_.text("precision"),
                                       .threads = static_cast<int>(arguments_.integer("threads")),
                                       .seed = static_cast<std::uint64_t>(arguments_.integer("seed")),
                                       .memory = memory_});
        try {
            encoder_->require(request_);
            if (mode_ == Mode::variants) encoder_->require(scoring_of(arguments_, *encoder_));
        } catch (tape::usage_error const& problem) {
            throw tape::usage_error{"model '" + arguments_.text("model") + "': " + problem.what()};
        }
        if (quiet_ || ranks_.rank > 0) return;
        for (auto const& name : encoder_->unused_tensors())
            std::cerr << "tape-embed: note: tensor '" << name << "' of the weights is not used\n";
    }

    void write_embeddings() {
        auto const portions = portions_of(proteins_, request_, encoder_->width(), memory_);
        bool const maps = request_.pairs || request_.attentions || request_.contacts;
        std::size_t const windowed = maps ? 0 : tell_of_windows(*encoder_, proteins_, quiet_ || ranks_.rank > 0);
        std::map<std::string, std::string> details;
        if (windowed > 0) details["proteins read in windows"] = std::to_string(windowed);
        if (ranks_.size == 1) {
            write_arrays(output_.path(), *encoder_, portions, proteins_.size(), request_, quiet_);
            return write_manifest(std::move(details));
        }
        std::string const key = key_of(*encoder_, portions, request_, output_.path().extension().string());
        details["made of parts"] = key;
        tape::cli::SharedParts parts{output_.path(), key, portions.size(),
                                     [&] { return output_.tells("made of parts", key); }};
        parts.run(
            [&](std::size_t part, std::filesystem::path const& file) {
                tape::NpzWriter writer{file};
                add_arrays(writer, *encoder_, portions[part], request_);
                writer.close();
            },
            [&] {
                join_arrays(output_.path(), parts, portions);
                write_manifest(details);
            });
    }

    void write_manifest(std::map<std::string, std::string> details) {
        double const seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
        details.insert({{"seconds of embedding", fixed("%.3f", seconds)},
                        {"model", encoder_->description()},
                        {"model hash", encoder_->content_hash()},
                        {"proteins", std::to_string(proteins_.size())}});
        output_.write_manifest(std::move(details));
    }

    Arguments const& arguments_;
    Mode mode_;
    tape::EmbedRequest request_;
    bool quiet_;
    std::string input_, list_;
    std::size_t memory_;
    tape::cli::OutputFile output_;
    tape::Rank ranks_ = tape::launched_rank();
    std::vector<tape::Protein> proteins_;
    std::vector<tape::ListedVariant> variants_;
    std::unique_ptr<tape::Encoder> encoder_;
    std::chrono::steady_clock::time_point begin_;
};

void embed(Arguments const& arguments) { Run{arguments}(); }

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, embed); }
