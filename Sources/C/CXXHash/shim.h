// xxHash: checksums of records on disk.
#include <xxhash.h>
