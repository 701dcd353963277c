// Inside CHTTPClient: hangs the address filter into a libcurl handle.
#pragma once
#include "CHTTPClientAddresses.h"

#include <curl/curl.h>
#include <stdbool.h>

struct address_filter {
    int allowed;  // enum chc_addresses
    bool refused;
};

/// The filter must live until the exchange is over.
void chc_filter_addresses(CURL *easy, struct address_filter *filter);
