#include "CHTTPClient.h"
