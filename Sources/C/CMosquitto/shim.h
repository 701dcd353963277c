// libmosquitto, the client library of Eclipse Mosquitto.
#include <mosquitto.h>
