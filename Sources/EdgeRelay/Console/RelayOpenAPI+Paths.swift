// The addresses of the relay's OpenAPI document.

extension RelayOpenAPI {
    static let reportsPath = ##"""
            "/v1/reports": {
              "post": {
                "tags": ["drones"],
                "summary": "Send reports",
                "description": "One report as application/json, or many as application/x-ndjson, one a line, \##
        at most 8 MiB. Content-Encoding may be zstd or gzip. 202 means: on the relay's disk.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {
                      "schema": {"$ref": "#/components/schemas/Report"},
                      "examples": {
                        "smallest": {"value": {"drone_id": "pw-000123", "location": {"lat": 48.8566, "lon": 2.3522}}},
                        "full": {"value": {
                          "drone_id": "pw-000123", "boot": "6f1c", "seq": 4711,
                          "observed_at": "2026-11-20T05:00:00.123Z",
                          "location": {"lat": 48.8566, "lon": 2.3522, "alt_m": 80.0},
                          "citizens": [{"name": "Ada Martin", "peacescore": 12.5, "confidence": 0.93}],
                          "words": ["market", "rain"],
                          "readings": {"battery_pct": 78, "ground_speed_mps": 4.1},
                          "media": [{"uri": "s3://media/ab12.jpg", "bytes": 52311, "type": "image/jpeg"}]
                        }}
                      }
                    },
                    "application/x-ndjson": {
                      "schema": {"type": "string", "description": "One Report a line; empty lines are skipped"}
                    }
                  }
                },
                "responses": {
                  "202": {
                    "description": "All are on the relay's disk",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Results"}}}
                  },
                  "207": {
                    "description": "Some lines were rejected; the others are on the relay's disk",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Results"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """##

    private static func change(_ action: String, _ summary: String, schema: String) -> String {
        ##"""
            "/v1/alerts/{alert_id}/\##(action)": {
              "post": {
                "tags": ["operators"],
                "summary": "\##(summary)",
                "parameters": [{
                  "name": "alert_id", "in": "path", "required": true,
                  "schema": {"$ref": "#/components/schemas/AlertID"}
                }],
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/\##(schema)"}}}
                },
                "responses": {
                  "200": {
                    "description": "The alert as it is now; the change is on disk",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Alert"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """##
    }

    private static let listParameters = ##"""
        {"name": "state", "in": "query", "schema": {"$ref": "#/components/schemas/AlertState"}},
        {"name": "since", "in": "query", "description": "Raised at or after",
         "schema": {"type": "string", "format": "date-time"}, "example": "2026-11-20T05:00:00Z"},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 100}},
        {"name": "folded", "in": "query", "description": "One entry a situation: without those folded into another",
         "schema": {"type": "boolean", "default": false}},
        \##(formatParameter)
        """##

    private static let lastEventID = ##"""
        {"name": "Last-Event-ID", "in": "header", "description": "Sends what came after it first",
         "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"}}
        """##

    static let alertPaths = [
        getTable("/v1/alerts", "Alerts, newest first", schema: "Alerts", parameters: listParameters),
        get(
            "/v1/alerts/stream", "operators", "Alerts as Server-Sent Events, as they are raised",
            type: "text/event-stream", schema: #"{"type": "string"}"#, parameters: lastEventID),
        change("ack", "Acknowledge: somebody is on it", schema: "AlertChange"),
        change("shelve", "Put aside for now", schema: "AlertShelving"),
        change("close", "Close with an outcome", schema: "AlertClosing"),
    ].joined(separator: ",\n")

    static let operatorPaths = [
        get("/v1/drones", "operators", "Last report of each drone", schema: "Drones"),
        getTable(
            "/v1/status", "Buffer, uplink, counters that add up", schema: "Status", parameters: formatParameter),
        get("/", "operators", "The station's page", type: "text/html", schema: #"{"type": "string"}"#),
    ].joined(separator: ",\n")

    static let operationsPaths = [
        get("/metrics", "operations", "Prometheus text 0.0.4", type: "text/plain", schema: #"{"type": "string"}"#),
        get("/livez", "operations", "The process runs", type: "text/plain", schema: #"{"type": "string"}"#),
        get(
            "/readyz", "operations", "The buffer can be written", type: "text/plain", schema: #"{"type": "string"}"#,
            more: ##"""

                          "503": {
                            "description": "The buffer cannot be written now",
                            "content": {"text/plain": {"schema": {"type": "string"}}}
                          },
                """##),
        get(
            "/openapi.json", "operations", "This document", type: "application/json", schema: #"{"type": "object"}"#),
    ].joined(separator: ",\n")
}
