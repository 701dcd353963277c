// libnats, the NATS project's C client.
#include <nats/nats.h>
