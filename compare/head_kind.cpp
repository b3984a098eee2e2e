#include "compare/head_kind.hpp"

#include "compare/presets.hpp"
#include "features/positional.hpp"

#include <string_view>

namespace tape {

HeadKind head_kind(TaskData const& data, HeadStyle style) {
    bool const strong = style == HeadStyle::strong;
    switch (data.task.kind) {
    case TaskKind::residue_class:
        return strong ? HeadKind::strong_residues : HeadKind::residues;
    case TaskKind::residue_pair:
        return HeadKind::pairs;
    case TaskKind::protein_class:
        return strong ? HeadKind::class_of_rows : HeadKind::class_of_averages;
    case TaskKind::protein_value:
        break;
    }
    if (!strong) return HeadKind::value_of_averages;
    std::vector<std::string_view> sequences;
    for (auto const* part : {&data.train, &data.valid, &data.test})
        for (auto const& example : *part) sequences.emplace_back(example.protein.residues);
    return reference_of_variants(sequences) ? HeadKind::value_of_positions : HeadKind::value_of_rows;
}

bool is_network(HeadKind head) {
    return head != HeadKind::class_of_averages && head != HeadKind::value_of_averages &&
           head != HeadKind::value_of_positions;
}

} // namespace tape
