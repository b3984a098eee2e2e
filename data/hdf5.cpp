#include "data/hdf5.hpp"

#include "data/error.hpp"
#include "data/temporary.hpp"
#include "data/text.hpp"

#include <dlfcn.h>
#include <hdf5.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace tape {
namespace {

/// What is used of HDF5's C interface, loaded with the first writer: Debian's libhdf5 draws in over thirty libraries,
/// which would cost every start of a program several milliseconds. It is built without thread safety, hence the mutex.
class Library {
    void* handle_ = load(); // before the functions that are found in it

  public:
    static Library& get() {
        static Library library;
        return library;
    }
    std::mutex mutex;

#define TAPE_HDF5_FUNCTION(name) decltype(&::name) name = find<decltype(&::name)>(#name)
    TAPE_HDF5_FUNCTION(H5dont_atexit);
    TAPE_HDF5_FUNCTION(H5open);
    TAPE_HDF5_FUNCTION(H5Eset_auto2);
    TAPE_HDF5_FUNCTION(H5Fcreate);
    TAPE_HDF5_FUNCTION(H5Fclose);
    TAPE_HDF5_FUNCTION(H5Pcreate);
    TAPE_HDF5_FUNCTION(H5Pclose);
    TAPE_HDF5_FUNCTION(H5Pset_create_intermediate_group);
    TAPE_HDF5_FUNCTION(H5Pset_char_encoding);
    TAPE_HDF5_FUNCTION(H5Pset_obj_track_times);
    TAPE_HDF5_FUNCTION(H5Screate);
    TAPE_HDF5_FUNCTION(H5Screate_simple);
    TAPE_HDF5_FUNCTION(H5Sclose);
    TAPE_HDF5_FUNCTION(H5Dcreate2);
    TAPE_HDF5_FUNCTION(H5Dwrite);
    TAPE_HDF5_FUNCTION(H5Dclose);
#undef TAPE_HDF5_FUNCTION

    /// One of the library's identifiers, such as H5T_IEEE_F32LE, whose macros hide a variable.
    hid_t id(char const* variable) const { return *find<hid_t*>(variable); }

  private:
    Library() {
        H5dont_atexit(); // a file that could not be written must not be flushed again at the end
        H5open();
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); // errors are thrown, not printed
    }
    static void* load() {
        if (void* const handle = ::dlopen(TAPE_HDF5_LIBRARY, RTLD_NOW | RTLD_LOCAL)) return handle;
        throw error{std::string{"HDF5 cannot be written: "} + ::dlerror() + "; install it or name a .npz file"};
    }
    template <typename Pointer> Pointer find(char const* name) const {
        if (void* const symbol = ::dlsym(handle_, name)) return reinterpret_cast<Pointer>(symbol);
        throw error{std::string{TAPE_HDF5_LIBRARY " has no "} + name};
    }
};

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

char const* file_type(Array::Type type) {
    switch (type) {
    case Array::Type::float32:
        return "H5T_IEEE_F32LE_g";
    case Array::Type::float64:
        return "H5T_IEEE_F64LE_g";
    case Array::Type::int32:
        return "H5T_STD_I32LE_g";
    case Array::Type::int64:
        return "H5T_STD_I64LE_g";
    case Array::Type::uint8:
        return "H5T_STD_U8LE_g";
    }
    throw error{"unknown array type"};
}

constexpr unsigned truncate_file = 2; ///< H5F_ACC_TRUNC, whose macro calls into the library

bool has_empty_part(std::string const& name) {
    return name.empty() || name.front() == '/' || name.back() == '/' || name.find("//") != std::string::npos;
}

} // namespace

struct Hdf5Writer::State {
    Library& hdf5 = Library::get();
    std::filesystem::path target;
    TemporaryPath temporary;
    Handle file, links, dataset;

    explicit State(std::filesystem::path const& to)
        : target{to}, temporary{to}, file{hdf5.H5Fcreate(temporary.path().c_str(), truncate_file, 0, 0),
                                          hdf5.H5Fclose}, // 0: H5P_DEFAULT
          links{hdf5.H5Pcreate(hdf5.id("H5P_CLS_LINK_CREATE_ID_g")), hdf5.H5Pclose},
          dataset{hdf5.H5Pcreate(hdf5.id("H5P_CLS_DATASET_CREATE_ID_g")), hdf5.H5Pclose} {
        if (file < 0) throw failure();
        hdf5.H5Pset_create_intermediate_group(links, 1);
        hdf5.H5Pset_char_encoding(links, H5T_CSET_UTF8);
        hdf5.H5Pset_obj_track_times(dataset, false);
    }
    [[nodiscard]] error failure() const {
        return error{target.string() + ": cannot write: " + (errno != 0 ? std::strerror(errno) : "HDF5 error")};
    }
};

Hdf5Writer::Hdf5Writer(std::filesystem::path const& file) {
    std::lock_guard const lock{Library::get().mutex};
    state_ = std::make_unique<State>(file);
}

Hdf5Writer::~Hdf5Writer() {
    std::lock_guard const lock{Library::get().mutex};
    state_.reset();
}

void Hdf5Writer::add(std::string const& name, Array const& array) {
    std::lock_guard const lock{Library::get().mutex};
    std::string const where = state_->target.string() + ": dataset " + shown(name) + ": ";
    if (has_empty_part(name)) throw error{where + "the name, or a part of it between '/', is empty"};
    std::vector<hsize_t> const shape{array.shape.begin(), array.shape.end()};
    auto const& hdf5 = state_->hdf5;
    Handle const space{shape.empty() ? hdf5.H5Screate(H5S_SCALAR)
                                     : hdf5.H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                       hdf5.H5Sclose};
    hid_t const type = hdf5.id(file_type(array.type));
    errno = 0;
    Handle dataset{hdf5.H5Dcreate2(state_->file, name.c_str(), type, space, state_->links, state_->dataset, 0),
                   hdf5.H5Dclose};
    if (dataset < 0) {
        if (errno == 0) throw error{where + "the name was used before, or stands for a group"};
        throw state_->failure();
    }
    if (hdf5.H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, 0, array.bytes.data()) < 0 || !dataset.close())
        throw state_->failure();
}

void Hdf5Writer::close() {
    std::lock_guard const lock{Library::get().mutex};
    errno = 0;
    if (!state_->file.close()) throw state_->failure();
    state_->temporary.sync_and_rename();
}

} // namespace tape
