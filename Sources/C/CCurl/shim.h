// libcurl: the HTTP client.
#include <curl/curl.h>
