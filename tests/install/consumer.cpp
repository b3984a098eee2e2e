// One call into each library of the package; the exit code counts those that answer wrongly.
#include <cstdio>

bool uses_data();
bool uses_align();
bool uses_features();
bool uses_report();
bool uses_search();
bool uses_learn();
bool uses_compare();

int main() {
    int wrong = 0;
    auto const check = [&wrong](char const* name, bool (*answers)()) {
        bool const right = answers();
        std::printf("tape::%s %s\n", name, right ? "ok" : "WRONG");
        wrong += !right;
    };
    check("data", uses_data);
    check("align", uses_align);
    check("features", uses_features);
    check("report", uses_report);
#ifdef USES_search
    check("search", uses_search);
#endif
#ifdef USES_learn
    check("learn", uses_learn);
#endif
#ifdef USES_compare
    check("compare", uses_compare);
#endif
    return wrong;
}
