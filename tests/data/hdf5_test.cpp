#include "data/array_writer.hpp"
#include "data/hdf5.hpp"

#include "tests/data/scratch.hpp"
#include <hdf5.h>

#include <thread>
#include <vector>

namespace tape {
namespace {

class Hdf5 : public test::Scratch {
  protected:
    std::filesystem::path target() const { return directory / "arrays.h5"; }

    /// A dataset through the library itself, as doubles with its shape in front.
    static std::vector<double> values(std::filesystem::path const& file, std::string const& name) {
        hid_t const opened = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
        hid_t const dataset = H5Dopen2(opened, name.c_str(), H5P_DEFAULT), space = H5Dget_space(dataset);
        std::vector<hsize_t> shape(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
        H5Sget_simple_extent_dims(space, shape.data(), nullptr);
        std::vector<double> result(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
        EXPECT_GE(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, result.data()), 0) << name;
        result.insert(result.begin(), shape.begin(), shape.end());
        H5Sclose(space), H5Dclose(dataset), H5Fclose(opened);
        return result;
    }
};

template <typename T> Array array(std::vector<T> const& values, std::vector<std::size_t> shape) {
    return Array::from(std::span<T const>{values}, std::move(shape));
}

TEST_F(Hdf5, GivesBackEveryTypeAndShape) {
    auto const writer = array_writer(target());
    writer->add("f", array<float>({1, 2.5F, -3, 4, 5, 6}, {2, 3}));
    writer->add("d", array<double>({1e300}, {1}));
    writer->add("i", array<std::int32_t>({-7, 8}, {2}));
    writer->add("l", array<std::int64_t>({1LL << 50}, {}));
    writer->add("b", array<std::uint8_t>({0, 255}, {1, 2}));
    writer->add("none", array<float>({}, {0, 4}));
    writer->add("sp|P42212|GFP/chain A", array<float>({9}, {1}));
    EXPECT_FALSE(std::filesystem::exists(target())); // not before it is whole
    writer->close();
    EXPECT_EQ(values(target(), "f"), (std::vector<double>{2, 3, 1, 2.5, -3, 4, 5, 6}));
    EXPECT_EQ(values(target(), "d"), (std::vector<double>{1, 1e300}));
    EXPECT_EQ(values(target(), "i"), (std::vector<double>{2, -7, 8}));
    EXPECT_EQ(values(target(), "l"), (std::vector<double>{static_cast<double>(1LL << 50)}));
    EXPECT_EQ(values(target(), "b"), (std::vector<double>{1, 2, 0, 255}));
    EXPECT_EQ(values(target(), "none"), (std::vector<double>{0, 4}));
    EXPECT_EQ(values(target(), "sp|P42212|GFP/chain A"), (std::vector<double>{1, 9}));
}

TEST_F(Hdf5, SameArraysSameBytesFromSeveralThreads) {
    {
        std::vector<std::jthread> team;
        for (int k = 0; k < 4; ++k)
            team.emplace_back([this, k] {
                Hdf5Writer writer{directory / (std::to_string(k) + ".h5")};
                for (int n = 0; n < 20; ++n) writer.add("p" + std::to_string(n), array<float>({1, 2, 3}, {3}));
                writer.close();
            });
    }
    auto const first = test::bytes_of(directory / "0.h5");
    EXPECT_GT(first.size(), 20U * 12);
    for (int k = 1; k < 4; ++k) EXPECT_EQ(test::bytes_of(directory / (std::to_string(k) + ".h5")), first) << k;
}

TEST_F(Hdf5, RefusesNamesAndLeavesNothing) {
    auto const one = array<float>({1}, {1});
    {
        Hdf5Writer writer{target()};
        writer.add("a", one);
        for (char const* name : {"a", "", "/a", "b/", "b//c", "a/b"})
            EXPECT_THROW(writer.add(name, one), error) << name;
    }
    EXPECT_EQ(files_left(), 0U);
    EXPECT_THROW(Hdf5Writer{directory / "none" / "x.h5"}, error);
}

TEST_F(Hdf5, TheNameChoosesTheFormat) {
    auto const writer = array_writer(directory / "x.npz");
    writer->add("a", array<float>({1}, {1}));
    writer->close();
    EXPECT_EQ(read_npz(directory / "x.npz").at("a").as<float>()[0], 1);
}

} // namespace
} // namespace tape
