// zlib: gzip bodies from drones.
#include <zlib.h>
