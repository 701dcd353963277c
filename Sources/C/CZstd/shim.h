// zstd: batches and bodies.
#include <zstd.h>
