/* libcudart.so.13 is a name and a version for the runtime that libcudart.so.12 holds: a program
 * that was linked with either finds the functions there, since they bind to any version. */
extern const int hostgpu_libcudart_13;
__attribute__((visibility("default"))) const int hostgpu_libcudart_13 = 13;
