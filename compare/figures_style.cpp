#include "compare/svg.hpp"

namespace tape {

// Hues follow Okabe & Ito's palette (distinguishable with every common colour-vision deficiency), darkened on light
// paper and lightened on dark so that thin lines keep a contrast of 3:1. The scale s0-s11 is viridis, its ends cut
// where they would vanish into the paper.
std::string const& figure_style() {
    static std::string const style =
        ":root{--paper:#fdfcf9;--panel:#f4f2ec;--ink:#1d2127;--muted:#5c626b;--rule:#d9d5ca;--accent:#0b6bb0;"
        "--a0:#74777c;--a1:#c04f0a;--a2:#0b6bb0;--a3:#00806a;--a4:#8a6d00;--a5:#5b4fb3;--a6:#007d92;--a7:#a3386f;--a8:#"
        "3d3f44;--a9:#7a5230;"
        "--s0:#440154;--s1:#482071;--s2:#443983;--s3:#3b518b;--s4:#31688e;--s5:#297b8e;--s6:#21908d;--s7:#20a486;--s8:#"
        "35b779;"
        "--s9:#5ec962;--s10:#98d83e;--s11:#cbd824;"
        "--hydrophobic:#f3c77c;--charged:#9cc7ea;--polar:#a5d9b4;--other:#e3e1db;--letter:#1d2127;"
        "--hit:#0b6bb0;--miss:#c04f0a;--truth:#a9a69d;--found:#1d2127;--good:11,107,176}"
        "@media(prefers-color-scheme:dark){:root{--paper:#15181d;--panel:#1d2127;--ink:#e7e5df;--muted:#a2a7af;--rule:#"
        "363c45;"
        "--accent:#6cb8f2;--a0:#a4a7ac;--a1:#ff8f55;--a2:#62b5f1;--a3:#3fcaa8;--a4:#dcbc3f;--a5:#aca3f7;--a6:#57cbdc;--"
        "a7:#ef85b7;"
        "--a8:#dadbde;--a9:#cda67f;"
        "--s0:#5a4a9c;--s1:#4f5fa4;--s2:#4473a6;--s3:#3a84a5;--s4:#3294a2;--s5:#2ca39b;--s6:#30b18f;--s7:#46bd7f;--s8:#"
        "66c86b;"
        "--s9:#90d054;--s10:#c1d83f;--s11:#f2e34c;"
        "--hydrophobic:#8a5a12;--charged:#1f5d8e;--polar:#25663c;--other:#30353d;--letter:#f2f0ea;"
        "--hit:#62b5f1;--miss:#ff8f55;--truth:#656b75;--found:#e7e5df;--good:98,181,241}}"
        "svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica "
        "Neue',Arial,sans-serif;fill:var(--ink)}"
        "svg .small{font-size:11px;fill:var(--muted)}svg .heading{font-weight:600}"
        "svg .mono{font:9.5px ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:var(--letter)}"
        "svg .row{font:9.5px ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:var(--muted)}"
        "svg .axis{stroke:var(--rule);stroke-width:1}svg .zero{stroke:var(--muted);stroke-width:1.2}"
        "svg .panel{fill:var(--panel)}svg .frame{fill:none;stroke:var(--rule)}"
        "svg .interval{stroke-width:2.4;stroke-linecap:round}svg .series{fill:none;stroke-width:1.6;opacity:.75}"
        "svg .run1{stroke-dasharray:5 3}svg .run2{stroke-dasharray:2 3}svg .run3{stroke-dasharray:8 3 2 3}"
        "svg .box{fill:var(--paper);stroke-width:1.4}"
        "svg .published{fill:var(--paper);stroke:var(--ink);stroke-width:1.3}"
        "svg .seed{stroke:none;opacity:.35}svg .open{fill:var(--paper);stroke-width:2}svg .faint{opacity:.45}"
        "svg .a0{stroke:var(--a0)}svg .a1{stroke:var(--a1)}svg .a2{stroke:var(--a2)}svg .a3{stroke:var(--a3)}svg "
        ".a4{stroke:var(--a4)}"
        "svg .a5{stroke:var(--a5)}svg .a6{stroke:var(--a6)}svg .a7{stroke:var(--a7)}svg .a8{stroke:var(--a8)}svg "
        ".a9{stroke:var(--a9)}"
        "svg .f0{fill:var(--a0)}svg .f1{fill:var(--a1)}svg .f2{fill:var(--a2)}svg .f3{fill:var(--a3)}svg "
        ".f4{fill:var(--a4)}"
        "svg .f5{fill:var(--a5)}svg .f6{fill:var(--a6)}svg .f7{fill:var(--a7)}svg .f8{fill:var(--a8)}svg "
        ".f9{fill:var(--a9)}"
        "svg .dots{fill:none;stroke-width:5;stroke-linecap:round;stroke-opacity:.85}"
        "svg .s0{stroke:var(--s0)}svg .s1{stroke:var(--s1)}svg .s2{stroke:var(--s2)}svg .s3{stroke:var(--s3)}svg "
        ".s4{stroke:var(--s4)}"
        "svg .s5{stroke:var(--s5)}svg .s6{stroke:var(--s6)}svg .s7{stroke:var(--s7)}svg .s8{stroke:var(--s8)}svg "
        ".s9{stroke:var(--s9)}"
        "svg .s10{stroke:var(--s10)}svg .s11{stroke:var(--s11)}"
        "svg .hydrophobic{fill:var(--hydrophobic)}svg .charged{fill:var(--charged)}svg .polar{fill:var(--polar)}svg "
        ".other{fill:var(--other)}"
        "svg .hit{fill:var(--hit)}svg .miss{fill:var(--miss)}svg .truth{fill:var(--truth)}svg .found{fill:var(--found)}"
        "svg .dim{opacity:.65}svg .c0{opacity:.42}svg .c1{opacity:.55}svg .c2{opacity:.7}svg .c3{opacity:.85}svg "
        ".c4{opacity:1}";
    return style;
}

} // namespace tape
