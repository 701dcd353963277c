// libmicrohttpd: the HTTP server.
#include <microhttpd.h>
