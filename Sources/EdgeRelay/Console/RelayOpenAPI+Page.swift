// The addresses and schemas of what the console shows (docs/relay/console.md), in the relay's OpenAPI document.

extension RelayOpenAPI {
    static let formatParameter = ##"""
        {"name": "format", "in": "query", "schema": {"enum": ["json", "csv"], "default": "json"}}
        """##

    /// A list as JSON, or as CSV with `format=csv`.
    static func getTable(_ path: String, _ summary: String, schema: String, parameters: String) -> String {
        ##"""
            "\##(path)": {
              "get": {
                "tags": ["operators"],
                "summary": "\##(summary)",
                "parameters": [\##(parameters)],
                "responses": {
                  "200": {"description": "\##(summary)", "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/\##(schema)"}},
                    "text/csv": {"schema": {"type": "string"}}
                  }},
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """##
    }

    private static let alertID = ##"""
        {"name": "alert_id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/AlertID"}}
        """##

    private static let trackParameters = ##"""
        {"name": "drone_id", "in": "query", "description": "Only this one", "schema": {"type": "string"}},
        \##(formatParameter)
        """##

    static let pagePaths = [
        get(
            "/v1/alerts/{alert_id}", "operators", "An alert with deliveries and all decisions", schema: "AlertInFull",
            parameters: alertID),
        get(
            "/v1/alerts/{alert_id}/report", "operators", "The report that raised it, as it came",
            type: "application/json", schema: #"{"type": "object"}"#, parameters: alertID),
        getTable(
            "/v1/drones/summary", "A line a drone", schema: "DroneSummaries", parameters: formatParameter),
        getTable(
            "/v1/drones/tracks", "Ten minutes of positions", schema: "Tracks", parameters: trackParameters),
        get(
            "/v1/console/stream", "operators", "What the console follows, as Server-Sent Events",
            type: "text/event-stream", schema: #"{"type": "string"}"#,
            parameters: ##"""
                {"name": "after", "in": "query", "description": "Alerts after this event first",
                 "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"}}
                """##),
    ].joined(separator: ",\n")

    static let pageSchemas = ##"""
        "AlertInFull": {
          "allOf": [{"$ref": "#/components/schemas/Alert"}],
          "type": "object",
          "required": ["changes", "deliveries"],
          "properties": {"changes": {
            "type": "array", "description": "Oldest first; the last 51",
            "items": {
              "type": "object",
              "required": ["state", "by", "at"],
              "properties": {
                "state": {"$ref": "#/components/schemas/AlertState"},
                "by": {"type": "string"},
                "note": {"type": "string"},
                "outcome": {"$ref": "#/components/schemas/AlertOutcome"},
                "at": {"type": "string", "format": "date-time"},
                "until": {"type": "string", "format": "date-time"}
              }
            }
          }}
        },
        "DroneSummaries": {
          "type": "object",
          "required": ["drones"],
          "properties": {"drones": {
            "type": "array",
            "items": {
              "type": "object",
              "required": ["drone_id", "boot", "seq", "last_heard", "observed_at", "lat", "lon", "located", "reports"],
              "properties": {
                "drone_id": {"type": "string"},
                "boot": {"type": "string"},
                "seq": {"type": "integer"},
                "last_heard": {"type": "string", "format": "date-time"},
                "observed_at": {"type": "string", "format": "date-time"},
                "lat": {"type": "number", "minimum": -90, "maximum": 90},
                "lon": {"type": "number", "minimum": -180, "maximum": 180},
                "alt_m": {"$ref": "#/components/schemas/Number"},
                "located": {"type": "boolean", "description": "False for the 0/0 of a receiver without a fix"},
                "reports": {"type": "integer", "minimum": 0},
                "battery_pct": {"$ref": "#/components/schemas/Number"},
                "ground_speed_mps": {"$ref": "#/components/schemas/Number"},
                "heading_deg": {"$ref": "#/components/schemas/Number"},
                "gps_fix_type": {"$ref": "#/components/schemas/Number"},
                "gps_satellites": {"$ref": "#/components/schemas/Number"}
              }
            }
          }}
        },
        "Tracks": {
          "type": "object",
          "required": ["minutes", "tracks"],
          "properties": {
            "minutes": {"type": "integer"},
            "tracks": {
              "type": "array",
              "items": {
                "type": "object",
                "required": ["drone_id", "points"],
                "properties": {
                  "drone_id": {"type": "string"},
                  "points": {
                    "type": "array", "description": "Unix milliseconds, lat, lon; oldest first",
                    "items": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
                  }
                }
              }
            }
          }
        }
        """##
}
