#include "data/blast_volume.hpp"

#include "tests/fuzz/fuzz_input.hpp"

using namespace tape;

/// The input is .pin, .psq and .phr, one after another, behind the lengths of the first two (16 bits each, little
/// endian).
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const index{".pin"}, residues{".psq"}, headers{".phr"};
    if (size < 4) return -1;
    std::size_t const first = data[0] + 256U * data[1], second = data[2] + 256U * data[3];
    auto const bytes = fuzz::text(data, size).substr(4);
    if (first + second > bytes.size()) return -1;
    index.write(bytes.substr(0, first)), residues.write(bytes.substr(first, second));
    headers.write(bytes.substr(first + second));
    fuzz::accept_or_refuse([&] { for_each_blast_sequence(index.path(), [](Protein&&) {}); });
    return 0;
}
