#include "apps/cli.hpp"
#include "apps/output.hpp"
#include "data/array_writer.hpp"
#include "data/error.hpp"
#include "data/fasta.hpp"
#include "data/hash.hpp"
#include "data/npy.hpp"
#include "data/progress.hpp"
#include "learn/encoder.hpp"
#include "learn/models.hpp"

#include <algorithm>
#include <iostream>
#include <span>

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
         .help = "name, folder or UniRep .npz",
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
         .help = ".npz or HDF5 (.h5), one array for each protein id",
         .group = "Output",
         .placeholder = "FILE",
         .short_name = 'o',
         .required = true},
        {.name = "pool",
         .default_value = "mean",
         .help = "mean: one vector for each protein; none: one row for each residue",
         .group = "Output",
         .choices = {"mean", "none"}},
        {.name = "logits",
         .kind = Kind::flag,
         .default_value = "",
         .help = "scores of every token at each residue instead of embeddings",
         .group = "Output"},
        {.name = "pairs",
         .kind = Kind::flag,
         .default_value = "",
         .help = "attention maps (L x L x maps) instead of embeddings",
         .group = "Output"},
    };
    options.push_back(tape::cli::device_option());
    for (auto const& common : tape::cli::common_options()) options.push_back(common);
    return {.name = "tape-embed",
            .purpose = "reads proteins with a language model and writes what it made of them",
            .usage = "tape-embed PROTEINS -o FILE [--model NAME] [options]",
            .options = std::move(options),
            .examples = {"tape-embed proteins.fasta --model transformer -o emb.npz --pool mean",
                         "tape-embed proteins.fasta --model run/ --logits -o logits.npz",
                         "tape-embed proteins.fasta --pool none -o residues.h5"},
            .notes = "Models: transformer (bundled); unirep, unirep-256, unirep-64 (`tape-data fetch unirep`); the "
                     "folder of a run of\n"
                     "tape-pretrain; a Hugging Face folder of an ESM-2 model; UniRep's .npz or folder of .npy.\n"
                     "The mean is over residues; UniRep's is over the start token too, as published. Rows of --logits "
                     "are residues;\n"
                     "a Transformer sees the residue itself, UniRep only those before it. Columns of --logits: ESM-2's "
                     "33 tokens in their\n"
                     "order (<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> "
                     "<mask>), or UniRep's\n"
                     "tokens 1 to 25 (M R H K D E S T N Q C U G P A V I F Y W L O X <start> <stop>).\n"};
}

tape::EmbedRequest request_of(Arguments const& arguments) {
    if (arguments.flag("logits") && arguments.flag("pairs"))
        throw tape::usage_error{"--logits and --pairs exclude each other"};
    if (arguments.flag("logits")) return {.logits = true};
    if (arguments.flag("pairs")) return {.pairs = true};
    return arguments.text("pool") == "mean" ? tape::EmbedRequest{.pooled = true} : tape::EmbedRequest{.rows = true};
}

tape::Array to_array(tape::FeatureMatrix const& matrix) {
    return tape::Array::from(std::span<float const>{matrix.data(), static_cast<std::size_t>(matrix.size())},
                             {static_cast<std::size_t>(matrix.rows()), static_cast<std::size_t>(matrix.cols())});
}

tape::Array to_array(tape::Embedding const& embedding, tape::EmbedRequest const& request, std::size_t length,
                     int pair_width) {
    if (request.logits) return to_array(embedding.logits);
    if (request.rows) return to_array(embedding.rows);
    if (request.pairs)
        return tape::Array::from(std::span<float const>{embedding.pairs},
                                 {length, length, static_cast<std::size_t>(pair_width)});
    return tape::Array::from(std::span<float const>{embedding.pooled}, {embedding.pooled.size()});
}

/// Enough proteins at a time for well-filled batches, few enough that their rows fit in memory.
std::size_t end_of_portion(std::vector<tape::Protein> const& proteins, std::size_t begin,
                           tape::EmbedRequest const& request) {
    constexpr std::size_t residues_of_rows = 200'000, residues_of_means = 20'000'000, residues_of_maps = 2'000;
    std::size_t const limit = request.pairs ? residues_of_maps : request.pooled ? residues_of_means : residues_of_rows;
    std::size_t end = begin, total = 0;
    while (end < proteins.size() && (end == begin || total + proteins[end].residues.size() <= limit))
        total += proteins[end++].residues.size();
    return end;
}

void embed(Arguments const& arguments) {
    auto const request = request_of(arguments);
    std::string const input = arguments.positional().at(0);
    tape::cli::OutputFile output{program(), arguments, arguments.text("output")};
    if (output.is_stdout()) throw tape::usage_error{"--output: a .npz cannot be written to stdout; name a file"};
    tape::check_array_format(output.path());
    auto const proteins = tape::read_fasta(input);
    if (input != "-") output.add_input(input, tape::content_hash_of_file(input));
    auto const encoder = tape::load_encoder(arguments.text("model"), arguments.flag("random"),
                                            {.device = arguments.text("device"),
                                             .precision = arguments.text("precision"),
                                             .threads = static_cast<int>(arguments.integer("threads")),
                                             .seed = static_cast<std::uint64_t>(arguments.integer("seed"))});
    if (request.pairs && encoder->pair_width() == 0)
        throw tape::usage_error{"model '" + arguments.text("model") +
                                "' has no attention maps; --pairs needs a Transformer"};
    bool const quiet = arguments.flag("quiet");
    if (auto const unused = encoder->unused_tensors(); !unused.empty() && !quiet)
        for (auto const& name : unused)
            std::cerr << "tape-embed: note: tensor '" << name << "' of the weights is not used\n";
    if (arguments.flag("dry-run")) {
        std::cout << encoder->description() << "; " << proteins.size() << " proteins; would write "
                  << arguments.text("output") << '\n';
        return;
    }
    auto const writer = tape::array_writer(output.path());
    tape::Progress progress{"embedding", proteins.size(), "proteins", quiet};
    for (std::size_t begin = 0, end = 0; begin < proteins.size(); begin = end) {
        end = end_of_portion(proteins, begin, request);
        auto const portion = std::span{proteins}.subspan(begin, end - begin);
        auto const embeddings = encoder->embed(portion, request);
        for (std::size_t i = 0; i < portion.size(); ++i)
            writer->add(portion[i].id,
                        to_array(embeddings[i], request, portion[i].residues.size(), encoder->pair_width()));
        progress.advance(portion.size());
    }
    writer->close();
    output.write_manifest({{"model", encoder->description()},
                           {"model hash", encoder->content_hash()},
                           {"proteins", std::to_string(proteins.size())}});
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, embed); }
