#include "data/fasta.hpp"

#include "tests/fuzz/fuzz_input.hpp"

#include <sstream>

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static fuzz::ScratchFile const file, copy{".copy"};
    fuzz::accept_or_refuse([&] {
        auto const proteins = read_fasta(file.write(fuzz::text(data, size)));
        std::ostringstream out;
        write_fasta(out, proteins);
        auto const again = read_fasta(copy.write(out.str()));
        fuzz::require(again.size() == proteins.size(), "number of records");
        for (std::size_t n = 0; n < again.size(); ++n)
            fuzz::require(again[n].id == proteins[n].id && again[n].residues == proteins[n].residues, "a record");
    });
    return 0;
}
