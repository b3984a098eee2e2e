#include "compare/report_parts.hpp"

namespace tape {

namespace {

std::string definition(std::string const& term, std::string const& text) {
    return "<dt>" + term + "</dt><dd>" + text + "</dd>";
}

bool has_kind(Result const& result, TaskKind kind) {
    for (auto const& task : result.tasks)
        if (task.task.kind == kind) return true;
    return false;
}

std::string task_definitions(Result const& result) {
    std::string html;
    if (has_kind(result, TaskKind::residue_class))
        html += definition("Labels of residues: secondary structure, your own",
                           "Q3 and Q8: share of residues whose class is right, over resolved residues. TAPE itself "
                           "ignored the mask of resolved residues; the details print both.");
    if (has_kind(result, TaskKind::residue_pair))
        html += definition(
            "Contacts",
            "C-alpha distance below 8 \xC3\x85 as in TAPE (C-beta if the command below says --contact-atom cb), "
            "|i\xE2\x88\x92j| \xE2\x89\xA5 6. Precision of the L, L/2 and L/5 most "
            "probable pairs of a protein of L residues, over the upper triangle, for |i\xE2\x88\x92j| in [6, 12) "
            "short, "
            "[12, 24) medium, \xE2\x89\xA5 24 long and \xE2\x89\xA5 12 medium and long together, then averaged over "
            "proteins. Headline: medium and long, L/5. Pairs with an unresolved end do not count.");
    if (has_kind(result, TaskKind::protein_class))
        html +=
            definition("Classes of proteins: remote homology, your own",
                       "Top-1 and top-10 accuracy over the folds (1,195 in SCOP 1.75; a preset may take fewer and then "
                       "says so in the notes); test proteins come from superfamilies absent from training.");
    if (has_kind(result, TaskKind::protein_value))
        html += definition("Values of proteins: fluorescence, stability, your own",
                           "Spearman\xE2\x80\x99s rho with average ranks on ties. <b>The unit of resampling is the "
                           "variant.</b> Variants of one protein, or of a few designs, are not independent "
                           "draws of proteins: these intervals say how sure the result is for this protein "
                           "or these designs, not for proteins at large.");
    return html;
}

std::string arm_list(Result const& result) {
    std::string html;
    for (auto const& arm : result.arms) {
        std::string sources;
        for (std::size_t s = 0; s < arm.sources.size(); ++s)
            sources += (sources.empty() ? "" : "<br/>") +
                       escape(arm.descriptions[s].empty() ? arm.sources[s] : arm.descriptions[s]);
        html += definition(arm_label(result, arm.name), sources);
    }
    return html;
}

} // namespace

std::string methods_section(Result const& result, Analysis const& analysis) {
    auto const& options = analysis.options;
    std::string html = "<section id=\"methods\"><h2>Methods</h2><h3>Arms</h3><dl>" + arm_list(result) +
                       "</dl><h3>Definitions</h3><dl>";
    html += task_definitions(result);
    html += definition(
        "Neff", "Depth of an alignment: number of sequences, each weighted by one over the number of rows at least 80% "
                "identical to it.");
    html += definition(
        "Heads", "Features are frozen. Heads, optimiser, schedule, early stopping and seeds are the same "
                 "for every arm; only the "
                 "input width differs, and hyper-parameters are chosen on validation by the same search. "
                 "Published heads are TAPE\xE2\x80\x99s convolution for residues and exact linear models on averages "
                 "for proteins; strong heads (--head strong) are residual convolutions over residues, and for "
                 "variants of one protein a linear model of their positions. The table names each arm\xE2\x80\x99s.");
    html += definition(
        "Intervals",
        std::to_string(options.resamples) +
            " bootstrap resamples draw test examples and seeds together, with "
            "replacement; the bounds are percentiles (" +
            compact_number(100 * options.level) +
            "%). All arms share the draws, so that differences are paired by example and seed. With few seeds the "
            "part of training\xE2\x80\x99s chance is understated.");
    html += definition("Tests",
                       "Paired permutation: the two arms\xE2\x80\x99 answers to an example are swapped at random, " +
                           std::to_string(options.permutations) +
                           " times (all ways where there are fewer). For Spearman\xE2\x80\x99s rho the standardised "
                           "ranks are swapped. "
                           "Two-sided, seeds averaged; p-values corrected by Holm\xE2\x80\x99s method over all "
                           "comparisons of the page.");
    html += definition(
        "Union",
        "A union is compared with the better of its parts on this very test set, which is harder than naming the part "
        "beforehand: its gain is, if anything, understated.");
    html += definition(
        "Effect and power",
        "d: mean of the paired contributions over their standard deviation. Detectable: 2.8 standard errors of "
        "the difference, found with 80% power at the 5% level before correction.");
    html += definition(
        "For which proteins",
        "Groups of at least ten test proteins: up to five of like size by depth and by length; by number of mutations; "
        "by "
        "structural class where residues are labelled (helix at least 15% and strand at least 10% of them decide "
        "between "
        "all-alpha, all-beta, mixed and irregular; Nakashima et al., J Biochem 99:153, 1986) or the topology the data "
        "name; by identity with the closest training protein. A crossover is said to be seen where the interval of the "
        "paired difference lies above zero in one group and below it in another.");
    html += definition(
        "Leaks",
        "Identity of each test protein with its closest relative: equal places of proteins of the same length where "
        "they "
        "are at least half, else one round of our search at E &lt; 0.01, identity of aligned pairs, at least 80% of "
        "the "
        "test protein aligned. Variants that differ in at most 10% of their places share the search of the first.");
    html += definition("Calibration", "Expected calibration error (Guo et al., ICML 2017): |accuracy \xE2\x88\x92 mean "
                                      "probability| of the named class "
                                      "in ten bins of equal width, weighted by the number of answers, mean over seeds; "
                                      "intervals resample proteins and "
                                      "seeds. Few answers push it up by chance.");
    html += definition("Randomness", "Every random number follows from seed " + std::to_string(options.seed) +
                                         "; the page has the same bytes for any number of threads.");
    return html + "</dl></section>";
}

std::string provenance_section(Result const& result) {
    auto const& manifest = result.manifest;
    auto const row = [](std::string const& name, std::string const& value) {
        return "<tr><th scope=\"row\">" + escape(name) + "</th><td class=\"wrap\"><code>" + escape(value) +
               "</code></td></tr>";
    };
    std::string command;
    for (auto const& word : manifest.argv) command += (command.empty() ? "" : " ") + word;
    std::string html = "<section id=\"provenance\"><h2>Provenance</h2><pre>" + escape(command) +
                       "</pre><div class=\"scroll\"><table><tbody>" +
                       row("program", manifest.program + " " + manifest.version) + row("started", manifest.started) +
                       row("seconds", compact_number(manifest.seconds, 1)) +
                       row("seed", std::to_string(manifest.seed)) + row("preset", result.preset);
    for (auto const& [name, value] : manifest.details) html += row(name, value);
    for (auto const& [name, hash] : manifest.inputs) html += row("input " + name, hash);
    html += "</tbody></table></div>";
    if (!result.notes.empty()) {
        html += "<ul>";
        for (auto const& note : result.notes) html += "<li>" + escape(note) + "</li>";
        html += "</ul>";
    }
    return html + "</section>";
}

std::string citation_section() {
    return "<section id=\"cite\"><h2>How to cite</h2><p>The tasks, splits and question are those of TAPE; please cite "
           "it, and the sources of "
           "the data you used.</p><ul>"
           "<li>Rao R, Bhattacharya N, Thomas N, Duan Y, Chen X, Canny J, Abbeel P, Song YS. Evaluating Protein "
           "Transfer Learning with TAPE. "
           "Advances in Neural Information Processing Systems 32, 2019. arXiv:1906.08230.</li>"
           "<li>Fluorescence: Sarkisyan KS et al. Local fitness landscape of the green fluorescent protein. Nature "
           "533:397, 2016.</li>"
           "<li>Stability: Rocklin GJ et al. Global analysis of protein folding using massively parallel design, "
           "synthesis, and testing. "
           "Science 357:168, 2017.</li>"
           "<li>Secondary structure: Klausen MS et al. NetSurfP-2.0. Proteins 87:520, 2019; CB513: Cuff JA, Barton GJ. "
           "Proteins 34:508, 1999.</li>"
           "<li>Contacts: PSICOV-150, Jones DT et al. Bioinformatics 28:184, 2012; Protein Data Bank, Berman HM et al. "
           "Nucleic Acids Res 28:235, 2000.</li>"
           "<li>Remote homology: SCOP 1.75, Murzin AG et al. J Mol Biol 247:536, 1995; split after Hou J et al. "
           "DeepSF. Bioinformatics 34:1295, 2018.</li>"
           "</ul><p>tape-compare is free software under the MIT licence. Weights and databases keep the licences of "
           "their authors; the provenance "
           "above names those that were read.</p></section>";
}

} // namespace tape
