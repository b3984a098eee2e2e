#include "data/hdf5.hpp"

#include "data/error.hpp"
#include "data/temporary.hpp"
#include "data/text.hpp"

#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace tape {
namespace {

std::mutex library; ///< Debian's HDF5 is built without thread safety

/// An HDF5 identifier and what closes it.
class Handle {
  public:
    Handle(hid_t id, herr_t (*close)(hid_t)) : id_{id}, close_{close} {}
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }
    Handle(Handle const&) = delete;
    Handle& operator=(Handle const&) = delete;
    operator hid_t() const { return id_; }
    /// Closes now. @return whether that worked
    bool close() { return close_(std::exchange(id_, -1)) >= 0; }

  private:
    hid_t id_;
    herr_t (*close_)(hid_t);
};

hid_t file_type(Array::Type type) {
    switch (type) {
    case Array::Type::float32:
        return H5T_IEEE_F32LE;
    case Array::Type::float64:
        return H5T_IEEE_F64LE;
    case Array::Type::int32:
        return H5T_STD_I32LE;
    case Array::Type::int64:
        return H5T_STD_I64LE;
    case Array::Type::uint8:
        return H5T_STD_U8LE;
    }
    throw error{"unknown array type"};
}

hid_t create(std::filesystem::path const& file) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); // errors are thrown, not printed
    return H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

bool has_empty_part(std::string const& name) {
    return name.empty() || name.front() == '/' || name.back() == '/' || name.find("//") != std::string::npos;
}

} // namespace

struct Hdf5Writer::State {
    std::filesystem::path target;
    TemporaryPath temporary;
    Handle file;
    Handle links{H5Pcreate(H5P_LINK_CREATE), H5Pclose}, dataset{H5Pcreate(H5P_DATASET_CREATE), H5Pclose};

    explicit State(std::filesystem::path const& to)
        : target{to}, temporary{to}, file{create(temporary.path()), H5Fclose} {
        if (file < 0) throw failure();
        H5Pset_create_intermediate_group(links, 1);
        H5Pset_char_encoding(links, H5T_CSET_UTF8);
        H5Pset_obj_track_times(dataset, false);
    }
    [[nodiscard]] error failure() const {
        return error{target.string() + ": cannot write: " + (errno != 0 ? std::strerror(errno) : "HDF5 error")};
    }
};

Hdf5Writer::Hdf5Writer(std::filesystem::path const& file) {
    std::lock_guard const lock{library};
    state_ = std::make_unique<State>(file);
}

Hdf5Writer::~Hdf5Writer() {
    std::lock_guard const lock{library};
    state_.reset();
}

void Hdf5Writer::add(std::string const& name, Array const& array) {
    std::lock_guard const lock{library};
    std::string const where = state_->target.string() + ": dataset " + shown(name) + ": ";
    if (has_empty_part(name)) throw error{where + "the name, or a part of it between '/', is empty"};
    std::vector<hsize_t> const shape{array.shape.begin(), array.shape.end()};
    Handle const space{shape.empty() ? H5Screate(H5S_SCALAR)
                                     : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                       H5Sclose};
    hid_t const type = file_type(array.type);
    errno = 0;
    Handle dataset{H5Dcreate2(state_->file, name.c_str(), type, space, state_->links, state_->dataset, H5P_DEFAULT),
                   H5Dclose};
    if (dataset < 0) {
        if (errno == 0) throw error{where + "the name was used before, or stands for a group"};
        throw state_->failure();
    }
    if (H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array.bytes.data()) < 0 || !dataset.close())
        throw state_->failure();
}

void Hdf5Writer::close() {
    std::lock_guard const lock{library};
    errno = 0;
    if (!state_->file.close()) throw state_->failure();
    int const descriptor = ::open(state_->temporary.path().c_str(), O_RDONLY | O_CLOEXEC);
    bool const kept = descriptor >= 0 && ::fsync(descriptor) == 0;
    if (descriptor >= 0) ::close(descriptor);
    if (!kept) throw state_->failure();
    state_->temporary.rename();
}

} // namespace tape
