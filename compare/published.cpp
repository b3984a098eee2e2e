#include "compare/published.hpp"

namespace tape {

std::optional<double> PublishedRow::of(std::string const& task) const {
    if (task == "secondary_structure") return q3;
    if (task == "contact") return contact;
    if (task == "remote_homology") return homology;
    if (task == "fluorescence") return fluorescence;
    if (task == "stability") return stability;
    return std::nullopt;
}

std::vector<PublishedRow> const& published_rows() {
    static std::vector<PublishedRow> const rows{
        {"onehot", "one-hot", "baseline", .69, .29, .09, .14, .19},
        {"msa", "alignment", "baseline", .80, .64, .09, {}, {}},
        {"transformer", "Transformer", "pretrained", .73, .36, .21, .68, .73},
        {"lstm", "LSTM", "pretrained", .75, .39, .26, .67, .69},
        {"resnet", "ResNet", "pretrained", .75, .29, .17, .21, .73},
        {"bepler", "Bepler et al.", "pretrained", .73, .40, .17, .33, .64},
        {"unirep", "UniRep (Alley et al.)", "pretrained", .73, .34, .23, .67, .73},
    };
    return rows;
}

} // namespace tape
