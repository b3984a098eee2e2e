#include "align/msa.hpp"

#include "tests/fuzz/fuzz_input.hpp"

#include <sstream>

using namespace tape;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::istringstream in{std::string{fuzz::text(data, size)}};
    fuzz::accept_or_refuse([&] {
        Msa const msa = read_msa(in, "input");
        for (auto const format :
             {MsaFormat::a3m, MsaFormat::a2m, MsaFormat::stockholm, MsaFormat::aligned_fasta, MsaFormat::clustal}) {
            std::stringstream written;
            write_msa(written, msa, format);
            Msa const again = read_msa(written, "written");
            fuzz::require(again.depth() == msa.depth() && again.length() == msa.length(), "size of the alignment");
            for (std::size_t row = 0; row < msa.depth(); ++row)
                fuzz::require(again.rows[row].columns == msa.rows[row].columns, "columns of a row");
        }
    });
    return 0;
}
