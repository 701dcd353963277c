// The schemas of the relay's OpenAPI document: reports, alerts, problems. What the relay answers about itself is in
// RelayOpenAPI+Figures.swift. Objects may hold further members: clients must not refuse them.

extension RelayOpenAPI {
    static let reportSchemas = ##"""
        "Number": {"type": "number", "description": "Finite, as a 64-bit float"},
        "Report": {
          "type": "object",
          "required": ["drone_id", "location"],
          "description": "At most 256 KiB, 16 levels. Unknown members are kept. (drone_id, boot, seq) is its identity.",
          "properties": {
            "drone_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            "boot": {
              "type": "string", "pattern": "^[A-Za-z0-9._-]{1,32}$", "default": "0",
              "description": "Changes at each power-up"
            },
            "seq": {
              "type": "integer", "minimum": 1, "maximum": 9223372036854775807,
              "description": "Counts up from 1 within a boot; without it the relay numbers the report"
            },
            "observed_at": {"type": "string", "format": "date-time", "description": "Default: when it was received"},
            "location": {
              "type": "object",
              "required": ["lat", "lon"],
              "properties": {
                "lat": {"type": "number", "minimum": -90, "maximum": 90},
                "lon": {"type": "number", "minimum": -180, "maximum": 180},
                "alt_m": {"$ref": "#/components/schemas/Number"}
              }
            },
            "citizens": {
              "type": "array", "maxItems": 1000,
              "items": {
                "type": "object",
                "required": ["name", "peacescore"],
                "properties": {
                  "name": {"type": "string", "minLength": 1, "maxLength": 256},
                  "peacescore": {"$ref": "#/components/schemas/Number"},
                  "confidence": {"type": "number", "minimum": 0, "maximum": 1}
                }
              }
            },
            "words": {"type": "array", "maxItems": 10000, "items": {"type": "string", "maxLength": 256}},
            "readings": {
              "type": "object", "maxProperties": 256, "propertyNames": {"minLength": 1, "maxLength": 128},
              "additionalProperties": {"$ref": "#/components/schemas/Number"},
              "description": "Telemetry by MAVLink's names and SI units where one exists"
            },
            "media": {
              "type": "array", "maxItems": 64,
              "items": {
                "type": "object",
                "required": ["uri"],
                "properties": {
                  "uri": {"type": "string", "minLength": 1, "maxLength": 2048},
                  "sha256": {"type": "string", "maxLength": 128},
                  "bytes": {"type": "integer", "minimum": 0, "maximum": 9223372036854775807},
                  "type": {"type": "string", "maxLength": 128}
                }
              }
            }
          }
        },
        "Results": {
          "type": "object",
          "required": ["relay_id", "results"],
          "properties": {
            "relay_id": {"type": "string"},
            "results": {
              "type": "array", "minItems": 1, "description": "In the order of the lines",
              "items": {"oneOf": [
                {
                  "type": "object",
                  "required": ["drone_id", "boot", "seq", "status"],
                  "properties": {
                    "drone_id": {"type": "string"},
                    "boot": {"type": "string"},
                    "seq": {"type": "integer", "minimum": 1},
                    "status": {"enum": ["stored", "duplicate", "conflict"]}
                  }
                },
                {
                  "type": "object",
                  "required": ["line", "status", "error"],
                  "properties": {
                    "line": {"type": "integer", "minimum": 1, "description": "Empty lines not counted"},
                    "status": {"const": "rejected"},
                    "error": {"$ref": "#/components/schemas/Problem"}
                  }
                }
              ]}
            }
          }
        }
        """##

    private static let changeMembers = ##"""
        "by": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Who decides"},
        "note": {"type": ["string", "null"], "maxLength": 4000}
        """##

    static let alertSchemas = ##"""
        "AlertID": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "AlertState": {"enum": ["raised", "acknowledged", "shelved", "closed"]},
        "AlertOutcome": {"enum": ["confirmed", "false_alarm", "unknown"]},
        "Alert": {
          "type": "object",
          "required": [
            "alert_id", "rule", "rule_version", "severity", "state", "drone_id", "observed_at", "received_at",
            "raised_at", "relay_id"
          ],
          "description": "The same report raises the same alert_id again: receivers drop repeats.",
          "properties": {
            "alert_id": {"$ref": "#/components/schemas/AlertID"},
            "rule": {"type": "string"},
            "rule_version": {"type": "integer"},
            "severity": {"enum": ["info", "warning", "critical"]},
            "state": {"$ref": "#/components/schemas/AlertState"},
            "drone_id": {"type": "string"},
            "boot": {"type": "string"},
            "seq": {"type": "integer"},
            "location": {"$ref": "#/components/schemas/Place"},
            "citizen": {"type": "string"},
            "value": {"type": "number", "description": "What was measured"},
            "limit": {"type": "number", "description": "The rule's limit"},
            "observed_at": {"type": "string", "format": "date-time"},
            "received_at": {"type": "string", "format": "date-time"},
            "raised_at": {"type": "string", "format": "date-time"},
            "relay_id": {"type": "string"},
            "by": {"type": "string", "description": "Who changed its state last"},
            "note": {"type": "string"},
            "outcome": {"$ref": "#/components/schemas/AlertOutcome"},
            "changed_at": {"type": "string", "format": "date-time"},
            "shelved_until": {"type": "string", "format": "date-time"},
            "late": {"type": "boolean", "description": "Of a report replayed after an outage: it woke nobody"},
            "folded_into": {"$ref": "#/components/schemas/AlertID"},
            "count": {"type": "integer", "minimum": 2, "description": "How often the situation was raised"},
            "last_raised_at": {"type": "string", "format": "date-time"},
            "deliveries": {"type": "array", "items": {"$ref": "#/components/schemas/Delivery"}}
          }
        },
        "Delivery": {
          "type": "object",
          "required": ["target", "kind", "state", "tries"],
          "properties": {
            "target": {"type": "string"},
            "kind": {"enum": ["webhook", "mqtt", "cot"]},
            "state": {"enum": ["pending", "delivered", "given_up", "dropped", "held_back"]},
            "tries": {"type": "integer"},
            "delivered_at": {"type": "string", "format": "date-time"},
            "last_try_at": {"type": "string", "format": "date-time"},
            "last_error": {"type": "string"}
          }
        },
        "Alerts": {
          "type": "object",
          "required": ["alerts"],
          "properties": {"alerts": {"type": "array", "items": {"$ref": "#/components/schemas/Alert"}}}
        },
        "AlertChange": {
          "type": "object",
          "required": ["by"],
          "properties": {
            \##(changeMembers),
            "outcome": {"oneOf": [{"$ref": "#/components/schemas/AlertOutcome"}, {"type": "null"}]}
          },
          "example": {"by": "officer 7", "note": "on my way"}
        },
        "AlertShelving": {
          "type": "object",
          "required": ["by"],
          "description": "With for_s or until, not both, the alert comes back as raised by itself.",
          "properties": {
            \##(changeMembers),
            "outcome": {"oneOf": [{"$ref": "#/components/schemas/AlertOutcome"}, {"type": "null"}]},
            "for_s": {"type": "number", "minimum": 1, "maximum": 2592000}
          },
          "example": {"by": "officer 7", "note": "known", "for_s": 3600}
        },
        "AlertClosing": {
          "type": "object",
          "required": ["by", "outcome"],
          "properties": {
            \##(changeMembers),
            "outcome": {"$ref": "#/components/schemas/AlertOutcome"}
          },
          "example": {"by": "officer 7", "outcome": "false_alarm"}
        }
        """##

    static let problemSchemas = ##"""
        "Problem": {
          "type": "object",
          "required": ["type", "title", "status", "code", "detail"],
          "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {"type": "string", "pattern": "^[a-z0-9_]+$", "description": "Stable, for programs"},
            "detail": {"type": "string", "minLength": 1, "description": "For people: what would be right"},
            "field": {"type": "string", "description": "Where in the request, such as citizens[3].name"}
          },
          "example": {
            "type": "about:blank", "title": "Unprocessable Content", "status": 422, "code": "missing_field",
            "detail": "location is required.", "field": "location"
          }
        }
        """##
}
