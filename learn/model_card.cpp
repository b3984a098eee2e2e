#include "learn/model_card.hpp"

#include "learn/test_relatives.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace tape {
namespace {

std::string grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (auto place = static_cast<std::ptrdiff_t>(text.size()) - 3; place > 0; place -= 3)
        text.insert(static_cast<std::size_t>(place), 1, ',');
    return text;
}

void describe_corpus(std::ostringstream& out, CorpusSummary const& corpus) {
    out << "## Corpus\n\n";
    for (auto const& [path, hash] : corpus.inputs)
        out << "- `" << std::filesystem::path{path}.filename().string() << "` (XXH3 " << hash << ")\n";
    out << "- " << grouped(corpus.records) << " records, " << grouped(corpus.residues) << " residues; "
        << grouped(corpus.distinct) << " distinct sequences\n- trained on " << grouped(corpus.training)
        << " sequences, " << grouped(corpus.training_residues) << " residues (XXH3 of their hashes " << corpus.hash
        << ")\n";
    if (corpus.unwanted) out << "- left out: " << grouped(corpus.unwanted) << " sequences without a profile\n";
    if (corpus.clusters)
        out << "- in " << grouped(corpus.clusters)
            << " clusters, one member of each an epoch\n- held out for validation: " << grouped(corpus.held_out)
            << " sequences, whole clusters chosen by hash\n";
    else
        out << "- held out for validation: " << grouped(corpus.held_out)
            << " sequences chosen by hash. Their relatives are in training, so the validation figures say how well the "
               "network knows families it has met, not new ones.\n";
    if (corpus.excluded_sets.empty()) {
        out << "- nothing was excluded: test proteins of the benchmark may be among the training sequences.\n";
        return;
    }
    out << "- excluded: " << grouped(corpus.excluded) << " sequences equal to, or containing, a protein of ";
    for (std::size_t i = 0; i < corpus.excluded_sets.size(); ++i) out << (i ? "; " : "") << corpus.excluded_sets[i];
    bool const relatives = std::ranges::any_of(
        corpus.excluded_sets, [](auto const& label) { return label.starts_with(test_relatives_name); });
    if (relatives)
        out << ". The first file named `" << test_relatives_name
            << "*` holds the relatives of test proteins of all tasks, also excluded: what "
            << "the search aligns (one round, E <= 1) at " << std::lround(100 * excluded_identity)
            << "% identity or more over " << std::lround(100 * excluded_coverage)
            << "% of the shorter sequence, where a test protein stands for those at 90% identity to it.\n";
    else
        out << ". Proteins that are merely similar to test proteins were not excluded.\n";
}

void describe_answers(std::ostringstream& out, char const* what, char const* accuracy, Answers const& answers) {
    if (answers.places <= 0) return;
    out << "- " << grouped(static_cast<std::uint64_t>(answers.places)) << " " << what << ": perplexity "
        << std::exp(answers.mean_loss()) << ", " << accuracy << " " << std::setprecision(4) << answers.accuracy()
        << std::setprecision(2) << '\n';
}

} // namespace

std::string training_of(std::string const& card) {
    std::string lines;
    for (std::string const title : {"\n## Training\n", "\n## Training before\n"}) {
        auto const begin = card.find(title);
        if (begin == std::string::npos) continue;
        auto const end = card.find("\n## ", begin + title.size());
        std::string const section = card.substr(begin + title.size(), end - begin - title.size());
        auto const first = section.find_first_not_of('\n'), last = section.find_last_not_of('\n');
        if (first != std::string::npos)
            lines += (lines.empty() ? "" : "\n\n") + section.substr(first, last + 1 - first);
    }
    return lines;
}

std::string to_markdown(ModelCard const& card) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(2);
    out << "# " << card.kind << ", " << static_cast<double>(card.parameters) / 1e6 << " M parameters\n\n"
        << card.description << " Written by `tape-pretrain` " << card.version
        << ".\n\n## Training\n\n- objective: " << card.objective << "\n- "
        << grouped(static_cast<std::uint64_t>(card.step)) << " steps of a planned "
        << grouped(static_cast<std::uint64_t>(card.planned_steps)) << "; " << grouped(card.residues)
        << " residues seen (" << card.epochs << " epochs of randomly cropped sequences)\n";
    if (card.step < card.planned_steps)
        out << "- **the learning rate had not finished its schedule when these weights were written**\n";
    out << "- AdamW (0.9, 0.98), weight decay " << card.settings.at("weight_decay")
        << " on matrices, peak learning rate " << card.settings.at("learning_rate")
        << " with warm-up and cosine, gradient norm clipped at " << card.settings.at("clip") << '\n'
        << "- batches of " << card.settings.at("tokens") << " tokens, windows of " << card.settings.at("window")
        << " residues, products in " << card.settings.at("precision").get<std::string>() << ", seed "
        << card.settings.at("seed") << "\n- " << card.ranks << (card.ranks == 1 ? " process" : " ranks") << ", started "
        << card.started << '\n';
    for (auto const& change : card.history) out << "- " << change << '\n';
    if (!card.before.empty()) out << "\n## Training before\n\n" << card.before << '\n';
    if (card.valid_letters.places + card.valid_columns.places > 0)
        out << "\n## Validation\n\nOf held-out sequences:\n\n";
    describe_answers(out, "residues that were asked for", "accuracy", card.valid_letters);
    describe_answers(out, "alignment columns", "the most frequent residue is found in", card.valid_columns);
    out << '\n';
    describe_corpus(out, card.corpus);
    out << "\n## Use\n\nFrozen features: `tape-embed proteins.fasta --model DIR -o embeddings.npz --pool mean`. "
           "This is a small network with little training compared with published protein language models; expect its "
           "features to "
           "carry composition and local context more than structure.\n";
    return out.str();
}

} // namespace tape
