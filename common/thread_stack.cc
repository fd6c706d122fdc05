// Linked into every server that also links LibTorch. civetweb (under prometheus-cpp) asks for
// thread stacks of 100 KiB, but the thread-local storage of LibTorch's dependencies alone is
// larger than that, and pthread_create then refuses every thread. This definition takes the place
// of the C library's in the executable and raises small requests.
#include <dlfcn.h>
#include <pthread.h>

#include <cstddef>

extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes, size_t size) noexcept {
  using SetStackSize = int (*)(pthread_attr_t*, size_t);
  static const SetStackSize next =
      reinterpret_cast<SetStackSize>(::dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  constexpr size_t kLeastBytes = 512 * 1024;
  return next(attributes, size < kLeastBytes ? kLeastBytes : size);
}
