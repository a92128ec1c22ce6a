/* Loads the plugin from where it was installed and prints the name that its newest table has. */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
	void *library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
	const char *const *table = library != NULL ? dlsym(library, "ncclNetPlugin_v12") : NULL;

	if (table == NULL) {
		(void)fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return puts(table[0]) < 0;
}
