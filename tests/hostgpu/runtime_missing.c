/* A function that is not there says so. */
#include "runtime.h"
#include "runtime_driver.h"

API void hostgpu_missing(const char *function)
{
	hostgpu_die("%s is not supported", function);
}

#define MISSING(name)                   \
	void name(void);                \
	API void name(void)             \
	{                               \
		hostgpu_missing(#name); \
	}
#include "runtime_missing.def"

/* What gives libcudart.so.12 the version that programs ask for; the functions themselves have none.
 */
extern const int hostgpu_libcudart_12;
API const int hostgpu_libcudart_12 = 12;
