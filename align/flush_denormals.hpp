#pragma once

#include <hwy/detect_compiler_arch.h>

#if HWY_ARCH_X86
#include <xmmintrin.h>
#endif

namespace tape {

/// Numbers too small for a normal float count as zero while one of these lives: they matter to no posterior and no
/// score, and x86 takes a hundred cycles for each. (Other machines have no such penalty.)
class FlushDenormals {
  public:
    FlushDenormals(FlushDenormals const&) = delete;
    FlushDenormals& operator=(FlushDenormals const&) = delete;
#if HWY_ARCH_X86
    FlushDenormals() : before_{_mm_getcsr()} { _mm_setcsr(before_ | flush_to_zero | denormals_are_zero); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    static constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
    unsigned before_;
#else
    FlushDenormals() = default;
    ~FlushDenormals() = default;
#endif
};

} // namespace tape
