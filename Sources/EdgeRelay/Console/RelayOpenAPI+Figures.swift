// The schemas of what the relay answers about drones and about itself.

extension RelayOpenAPI {
    static let droneSchemas = ##"""
        "Place": {
          "type": "object",
          "required": ["lat", "lon"],
          "properties": {
            "lat": {"type": "number", "minimum": -90, "maximum": 90},
            "lon": {"type": "number", "minimum": -180, "maximum": 180}
          }
        },
        "Drones": {
          "type": "object",
          "required": ["drones"],
          "properties": {"drones": {
            "type": "array", "description": "The one heard last first",
            "items": {
              "type": "object",
              "required": ["drone_id", "boot", "seq", "last_heard", "silent_s", "observed_at", "location", "reports"],
              "properties": {
                "drone_id": {"type": "string"},
                "boot": {"type": "string"},
                "seq": {"type": "integer"},
                "last_heard": {"type": "string", "format": "date-time"},
                "silent_s": {"type": "number", "minimum": 0},
                "observed_at": {"type": "string", "format": "date-time"},
                "location": {"$ref": "#/components/schemas/Place"},
                "reports": {"type": "integer", "minimum": 0, "description": "Heard in this life of the relay"},
                "readings": {"type": "object", "additionalProperties": {"type": "number"}},
                "report": {"type": "object", "description": "As it came; absent where it is larger than 16 KiB"}
              }
            }
          }}
        }
        """##

    private static let time = #"{"type": "string", "format": "date-time"}"#
    private static let timeOrNull = #"{"type": ["string", "null"], "format": "date-time"}"#
    private static let count = #"{"type": "integer", "minimum": 0}"#

    private static func counts(_ names: String) -> String {
        names.split(separator: " ").map { #""\#($0)": \#(count)"# }.joined(separator: ", ")
    }

    private static func required(_ names: String) -> String {
        names.split(separator: " ").map { #""\#($0)""# }.joined(separator: ", ")
    }

    private static let counterNames =
        "received stored duplicates conflicts rejected throttled carried_over records archived waiting alerts_raised "
        + "alerts_open followers drones transactions failed_transactions"
    private static let statusNames =
        "relay_id epoch version started_at now summary buffer uplink counters rules_version configuration connections"
    private static let connectionNames =
        "open max closed_slow_header closed_slow_body closed_slow_reader closed_idle refused_of_address"

    static let statusSchemas = ##"""
        "Status": {
          "type": "object",
          "required": [\##(required(statusNames))],
          "properties": {
            "relay_id": {"type": "string"},
            "epoch": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "New at each start"},
            "version": {"type": "string"},
            "position": {"$ref": "#/components/schemas/Place"},
            "started_at": \##(time),
            "now": \##(time),
            "summary": {"type": "string", "description": "The figures as a sentence"},
            "rules_version": \##(count),
            "buffer": {
              "type": "object",
              "required": [\##(required("waiting bytes max_bytes oldest hours_left segments level"))],
              "properties": {
                \##(counts("waiting bytes max_bytes segments")),
                "oldest": \##(timeOrNull),
                "hours_left": {"type": ["number", "null"], "minimum": 0},
                "level": {"enum": ["normal", "warning", "releasing", "alerts_only", "full"]}
              }
            },
            "uplink": {
              "type": "object",
              "required": [\##(required("state central last_success last_error next_try_in_s"))],
              "properties": {
                "state": {"enum": ["up", "down", "unknown", "standalone"]},
                "central": {"type": ["string", "null"]},
                "last_success": \##(timeOrNull),
                "last_error": {"type": ["string", "null"]},
                "next_try_in_s": {"type": ["number", "null"], "minimum": 0},
                \##(counts("failures_in_a_row set_aside batches bytes_sent")),
                "restarts": {"type": "integer", "minimum": 0, "description": "Connections given up: nothing moved"},
                "since_progress_s": {"type": ["number", "null"], "description": "Since a new acknowledgement"},
                "bytes_per_s": {"type": ["number", "null"], "description": "The link, by what was acknowledged"},
                \##(counts("batch_limit_bytes line_bytes attempted_bytes")),
                "lanes": {
                  "type": "object",
                  "description": "alerts, live, backlog: what central lacks; absent where there is no central",
                  "additionalProperties": {
                    "type": "object",
                    "required": ["unsent", "lag_s"],
                    "properties": {\##(counts("unsent")), "lag_s": {"type": "number", "minimum": 0}}
                  }
                }
              }
            },
            "counters": {
              "type": "object",
              "description": "received = stored + duplicates + conflicts; records + carried_over = archived + waiting",
              "required": [\##(required(counterNames))],
              "properties": {\##(counts(counterNames))}
            },
            "mqtt": {
              "type": "object",
              "description": "Only where mqtt_listen is set",
              "properties": {
                \##(counts("connections admitted ended_by_relay published published_qos0")),
                \##(counts("acknowledged rejected held_back lost_qos0"))
              }
            },
            "configuration": {
              "type": "object",
              "required": ["loaded_at", "last_reload", "reload_error", "needs_restart"],
              "properties": {
                "loaded_at": \##(time),
                "last_reload": \##(timeOrNull),
                "reload_error": {"type": ["string", "null"], "description": "Why the last reload was refused"},
                "needs_restart": {"type": "array", "items": {"type": "string"}}
              }
            },
            "connections": {
              "type": "object",
              "required": [\##(required(connectionNames))],
              "properties": {\##(counts(connectionNames))}
            }
          }
        }
        """##
}
