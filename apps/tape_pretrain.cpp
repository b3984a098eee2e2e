#include "apps/cli.hpp"
#include "data/error.hpp"
#include "data/shared_queue.hpp"
#include "learn/pretrain.hpp"
#include "learn/test_relatives.hpp"

#include <cstdio>
#include <iostream>

namespace {

using tape::cli::Arguments;
using tape::cli::Kind;
using tape::cli::Option;

std::vector<Option> training_options() {
    return {
        {.name = "steps",
         .kind = Kind::integer,
         .default_value = "10000",
         .help = "optimiser steps",
         .group = "Training",
         .minimum = 1},
        {.name = "tokens",
         .kind = Kind::integer,
         .default_value = "8192",
         .help = "tokens of a step",
         .group = "Training",
         .minimum = 16},
        {.name = "window",
         .kind = Kind::integer,
         .default_value = "256",
         .help = "longer sequences are cropped to this many residues",
         .group = "Training",
         .minimum = 8,
         .maximum = 100000},
        {.name = "learning-rate",
         .kind = Kind::real,
         .default_value = "0.001",
         .help = "peak of the schedule",
         .group = "Training",
         .minimum = 0},
        {.name = "warmup",
         .kind = Kind::integer,
         .default_value = "0",
         .help = "steps of linear warm-up; 0 = 2% of --steps",
         .group = "Training",
         .minimum = 0},
        {.name = "weight-decay",
         .kind = Kind::real,
         .default_value = "0.01",
         .help = "AdamW's decay of matrices",
         .group = "Training",
         .minimum = 0},
        {.name = "clip",
         .kind = Kind::real,
         .default_value = "1",
         .help = "largest norm of the gradient",
         .group = "Training",
         .minimum = 0},
        {.name = "precision",
         .default_value = "auto",
         .help = "matrix products in fp32 or bf16; auto = bf16 where the machine has it",
         .group = "Training",
         .choices = {"auto", "fp32", "bf16"}},
        {.name = "accumulate",
         .kind = Kind::integer,
         .default_value = "1",
         .help = "parts of a step computed one after another, for less memory",
         .group = "Training",
         .placeholder = "PARTS",
         .minimum = 1},
        {.name = "log-every",
         .kind = Kind::integer,
         .default_value = "20",
         .help = "steps between lines of DIR/log.tsv",
         .group = "Training",
         .placeholder = "STEPS",
         .minimum = 1},
        {.name = "checkpoint-every",
         .kind = Kind::integer,
         .default_value = "500",
         .help = "steps between checkpoints",
         .group = "Training",
         .placeholder = "STEPS",
         .minimum = 1},
        {.name = "patience",
         .kind = Kind::integer,
         .default_value = "0",
         .help = "end after this many checkpoints without a better loss on held-out sequences, with the best weights; "
                 "0 = never",
         .group = "Training",
         .placeholder = "CHECKPOINTS",
         .minimum = 0},
    };
}

tape::cli::Program program() {
    std::vector<Option> options{
        {.name = "corpus",
         .kind = Kind::list,
         .default_value = "",
         .help = "sequences to learn from: FASTA (gz, xz, zst) or .tdb",
         .group = "Input",
         .placeholder = "FILES",
         .required = true},
        {.name = "exclude",
         .kind = Kind::list,
         .default_value = "",
         .help = "keep out sequences equal to, or containing, one of these (FASTA, .tdb, CSV)",
         .group = "Input",
         .placeholder = "FILES"},
        {.name = "exclude-tests",
         .kind = Kind::flag,
         .default_value = "",
         .help = "the same with the test proteins of every bundled task",
         .group = "Input"},
        {.name = "exclude-relatives",
         .kind = Kind::flag,
         .default_value = "",
         .help = "also what the search aligns with one of them at 30% identity over 80% of the shorter: hours, once",
         .group = "Input"},
        {.name = "held-out",
         .kind = Kind::integer,
         .default_value = "200",
         .help = "validate on one sequence (or cluster) in this many",
         .group = "Input",
         .minimum = 2},
        {.name = "clusters",
         .default_value = "",
         .help = "table of tape-db cluster: validate on whole clusters, read one member of each an epoch",
         .group = "Input",
         .placeholder = "TSV"},
        {.name = "profiles",
         .default_value = "",
         .help = "folder that tape-msa wrote, for --objective profile and mlm+profile: *.features.npz, and "
                 "*.a3m for the homologs",
         .group = "Input",
         .placeholder = "DIR"},
        {.name = "output",
         .default_value = "",
         .help = "run folder",
         .group = "Output",
         .placeholder = "DIR",
         .short_name = 'o',
         .required = true},
        {.name = "export",
         .default_value = "",
         .help = "also write the weights in half precision, to ship them",
         .group = "Output",
         .placeholder = "DIR"},
        {.name = "model",
         .default_value = "transformer",
         .help = "kind of network",
         .group = "Network",
         .choices = {"transformer", "lstm"}},
        {.name = "size",
         .default_value = "8M",
         .help = "1M, 2M, 3M, or ESM-2's shapes 8M, 35M, 150M, 650M; of an LSTM 1M, 2M, 8M, or TAPE's 43M",
         .group = "Network"},
        {.name = "start-from",
         .default_value = "",
         .help = "go on training the Transformer of this folder (a run, --export's weights), whose shape counts "
                 "instead of --size",
         .group = "Network",
         .placeholder = "DIR"},
        {.name = "objective",
         .default_value = "",
         .help = "what is learnt: masked residues, the next residue, the frequencies of an alignment's columns; of an "
                 "LSTM the next residue both ways (default: mlm, of an LSTM both-ways)",
         .group = "Network",
         .choices = {"mlm", "next", "profile", "mlm+profile", "both-ways"}},
        {.name = "hidden",
         .kind = Kind::integer,
         .default_value = "",
         .help = "hidden size (default: as --size)",
         .group = "Network",
         .minimum = 2},
        {.name = "layers",
         .kind = Kind::integer,
         .default_value = "",
         .help = "layers (default: as --size)",
         .group = "Network",
         .minimum = 1},
        {.name = "heads",
         .kind = Kind::integer,
         .default_value = "",
         .help = "attention heads (default: as --size)",
         .group = "Network",
         .minimum = 1},
        {.name = "feed-forward",
         .kind = Kind::integer,
         .default_value = "",
         .help = "feed-forward size (default: 4 x hidden)",
         .group = "Network",
         .minimum = 1},
    };
    for (auto&& more : {training_options(), std::vector{tape::cli::device_option()}, tape::cli::common_options()})
        options.insert(options.end(), more.begin(), more.end());
    return {
        .name = "tape-pretrain",
        .purpose = "trains a protein language model on a corpus of sequences",
        .usage = "tape-pretrain --corpus FILE -o DIR [options]",
        .options = std::move(options),
        .examples =
            {"tape-pretrain --corpus swissprot.fasta.xz --model transformer --size 8M --objective mlm -o run/",
             "tape-pretrain --corpus mine.fasta --size 2M --steps 4000 --exclude-tests --seed 5 -o run/ "
             "--export weights/",
             "tape-pretrain --corpus mine.fasta --objective mlm+profile --profiles alignments/ -o run/",
             "tape-pretrain --corpus mine.fasta --model lstm --size 2M --patience 5 -o run/",
             "tape-pretrain --corpus my_family.fasta --start-from run/ --steps 500 --learning-rate 2e-4 -o evotuned/",
             "mpirun -np 8 tape-pretrain --corpus swissprot.tdb --size 35M -o run/ --threads 4"},
        .notes =
            "The same line again goes on from the last checkpoint, also after kill -9, and ends with the same bytes as "
            "an\n"
            "unbroken run. Only --steps, --patience, --accumulate and the number of ranks may change in between. "
            "DIR/README.md is\n"
            "the model card, DIR/curve.html a page of the curve; DIR/config.json and DIR/model.safetensors are also "
            "read by Hugging\n"
            "Face's EsmForMaskedLM, those of an LSTM by TAPE's PyTorch port. A checkpoint that turns out damaged is "
            "replaced by the\n"
            "one before it.\n"
            "Ranks of mpirun, srun or torchrun share every step's batch and add up their gradients over TCP; DIR must "
            "be a\n"
            "folder that all of them see.\n"};
}

std::vector<std::filesystem::path> paths(std::vector<std::string> const& names) { return {names.begin(), names.end()}; }

int whole(Arguments const& arguments, std::string const& name) {
    return arguments.has(name) ? static_cast<int>(arguments.integer(name)) : 0;
}

tape::PretrainOptions read_options(Arguments const& arguments) {
    tape::PretrainOptions options;
    options.corpus = paths(arguments.list("corpus"));
    if (arguments.has("exclude")) options.corpus_options.exclude = paths(arguments.list("exclude"));
    bool const relatives = arguments.flag("exclude-relatives");
    options.corpus_options.exclude_tests = relatives || arguments.flag("exclude-tests");
    options.corpus_options.held_out_every = static_cast<int>(arguments.integer("held-out"));
    options.output = arguments.text("output");
    if (arguments.has("clusters")) options.corpus_options.clusters = arguments.text("clusters");
    if (arguments.has("profiles")) options.profiles = arguments.text("profiles");
    options.model = arguments.text("model"), options.size = arguments.text("size");
    options.objective = arguments.has("objective") ? arguments.text("objective")
                        : options.model == "lstm"  ? "both-ways"
                                                   : "mlm";
    if (arguments.has("start-from")) options.start_from = arguments.text("start-from");
    options.hidden = whole(arguments, "hidden"), options.layers = whole(arguments, "layers");
    options.heads = whole(arguments, "heads"), options.feed_forward = whole(arguments, "feed-forward");
    options.steps = arguments.integer("steps"), options.checkpoint_every = arguments.integer("checkpoint-every");
    options.patience = arguments.integer("patience");
    options.log_every = arguments.integer("log-every"), options.accumulate = arguments.integer("accumulate");
    options.warmup = arguments.integer("warmup");
    options.window = arguments.integer("window"), options.tokens = arguments.integer("tokens");
    options.learning_rate = arguments.real("learning-rate");
    options.weight_decay = arguments.real("weight-decay"), options.clip = arguments.real("clip");
    options.precision = arguments.text("precision"), options.device = arguments.text("device");
    options.seed = static_cast<std::uint64_t>(arguments.integer("seed"));
    options.threads = static_cast<int>(arguments.integer("threads"));
    options.quiet = arguments.flag("quiet"), options.force = arguments.flag("force");
    options.argv = arguments.argv();
    return options;
}

void run(Arguments const& arguments) {
    auto options = read_options(arguments);
    if (arguments.flag("exclude-relatives") && !arguments.flag("dry-run"))
        options.corpus_options.exclude.push_back(
            tape::find_test_relatives(options.corpus, options.output, options.threads, options.quiet));
    if (arguments.flag("dry-run")) {
        std::cout << tape::describe_plan(options);
        return;
    }
    auto const result = tape::pretrain(options);
    if (arguments.has("export") && tape::launched_rank().rank == 0)
        tape::export_half(options.output, arguments.text("export"));
    if (options.quiet || tape::launched_rank().rank != 0) return;
    std::printf("%s%lld steps, %.1f M residues", result.was_complete ? "already complete: " : "",
                static_cast<long long>(result.step), static_cast<double>(result.residues) / 1e6);
    if (result.valid_perplexity > 0)
        std::printf("; held-out perplexity %.3f, accuracy %.4f", result.valid_perplexity, result.valid_accuracy);
    if (result.stopped_early)
        std::printf("\nstopped early: no better on held-out sequences; the weights are those of step %lld",
                    static_cast<long long>(result.weights_step));
    std::printf("\n%s\n", (options.output / "model.safetensors").c_str());
}

} // namespace

int main(int argc, char** argv) { return tape::cli::run(program(), argc, argv, run); }
