// The relay's interface as OpenAPI 3.1 (contract §2), served at /openapi.json. Written by hand: it is the promise,
// not a mirror of the code.

enum RelayOpenAPI {
    static let document = #"""
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Columba relay",
            "version": "0.1.0",
            "summary": "Takes reports of drones, raises alerts, forwards everything to central.",
            "license": {"name":"Apache-2.0","identifier":"Apache-2.0"}
          },
          "servers": [{"url":"/"}],
          "paths": {
            "/v1/reports": {
              "post": {
                "summary": "Send reports. Resending the same bytes is always safe.",
                "requestBody": {
                  "required": true,
                  "content": {
                    "application/json": {"schema":{"$ref":"#/components/schemas/Report"}},
                    "application/x-ndjson": {}
                  }
                },
                "responses": {
                  "202": {
                    "description": "All are on the relay's disk",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Results"}}}
                  },
                  "207": {
                    "description": "Some lines were rejected",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Results"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/alerts": {
              "get": {
                "summary": "Alerts, newest first",
                "parameters": [
                  {
                    "name": "state",
                    "in": "query",
                    "schema": {"enum":["raised","acknowledged","shelved","closed"]}
                  },
                  {"name":"since","in":"query","schema":{"type":"string","format":"date-time"}},
                  {
                    "name": "limit",
                    "in": "query",
                    "schema": {"type":"integer","minimum":1,"maximum":10000,"default":100}
                  }
                ],
                "responses": {
                  "200": {"description":"Alerts, newest first","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/alerts/stream": {
              "get": {
                "summary": "Alerts as Server-Sent Events; resumes with Last-Event-ID",
                "parameters": [],
                "responses": {
                  "200": {
                    "description": "Alerts as Server-Sent Events; resumes with Last-Event-ID",
                    "content": {"text/event-stream":{}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/alerts/{alert_id}/ack": {
              "post": {
                "summary": "Acknowledge",
                "parameters": [
                  {
                    "name": "alert_id",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[0-9a-f]{32}$"}
                  }
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json":{"schema":{"$ref":"#/components/schemas/AlertChange"}}}
                },
                "responses": {
                  "200": {
                    "description": "The alert as it is now, on disk",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Alert"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/alerts/{alert_id}/shelve": {
              "post": {
                "summary": "Put aside for now",
                "parameters": [
                  {
                    "name": "alert_id",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[0-9a-f]{32}$"}
                  }
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json":{"schema":{"$ref":"#/components/schemas/AlertChange"}}}
                },
                "responses": {
                  "200": {
                    "description": "The alert as it is now, on disk",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Alert"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/alerts/{alert_id}/close": {
              "post": {
                "summary": "Close with an outcome",
                "parameters": [
                  {
                    "name": "alert_id",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[0-9a-f]{32}$"}
                  }
                ],
                "requestBody": {
                  "required": true,
                  "content": {"application/json":{"schema":{"$ref":"#/components/schemas/AlertChange"}}}
                },
                "responses": {
                  "200": {
                    "description": "The alert as it is now, on disk",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Alert"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/drones": {
              "get": {
                "summary": "Last report of each drone",
                "parameters": [],
                "responses": {
                  "200": {"description":"Last report of each drone","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/status": {
              "get": {
                "summary": "Buffer, uplink, counters",
                "parameters": [],
                "responses": {
                  "200": {"description":"Buffer, uplink, counters","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/metrics": {
              "get": {
                "summary": "Prometheus text",
                "parameters": [],
                "responses": {
                  "200": {"description":"Prometheus text","content":{"text/plain":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/livez": {
              "get": {
                "summary": "The process runs",
                "parameters": [],
                "responses": {
                  "200": {"description":"The process runs","content":{"text/plain":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/readyz": {
              "get": {
                "summary": "The buffer can be written",
                "parameters": [],
                "responses": {
                  "200": {"description":"The buffer can be written","content":{"text/plain":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            }
          },
          "components": {
            "schemas": {
              "Report": {
                "type": "object",
                "required": ["drone_id","location"],
                "properties": {
                  "drone_id": {"type":"string","pattern":"^[A-Za-z0-9._-]{1,64}$"},
                  "boot": {"type":"string","pattern":"^[A-Za-z0-9._-]{1,32}$","default":"0"},
                  "seq": {"type":"integer","minimum":1},
                  "observed_at": {"type":"string","format":"date-time"},
                  "location": {
                    "type": "object",
                    "required": ["lat","lon"],
                    "properties": {
                      "lat": {"type":"number","minimum":-90,"maximum":90},
                      "lon": {"type":"number","minimum":-180,"maximum":180},
                      "alt_m": {"type":"number"}
                    }
                  },
                  "citizens": {
                    "type": "array",
                    "maxItems": 1000,
                    "items": {
                      "type": "object",
                      "required": ["name","peacescore"],
                      "properties": {
                        "name": {"type":"string","minLength":1,"maxLength":256},
                        "peacescore": {"type":"number"},
                        "confidence": {"type":"number","minimum":0,"maximum":1}
                      }
                    }
                  },
                  "words": {"type":"array","maxItems":10000,"items":{"type":"string","maxLength":256}},
                  "readings": {"type":"object","maxProperties":256,"additionalProperties":{"type":"number"}},
                  "media": {
                    "type": "array",
                    "maxItems": 64,
                    "items": {
                      "type": "object",
                      "required": ["uri"],
                      "properties": {
                        "uri": {"type":"string"},
                        "sha256": {"type":"string"},
                        "bytes": {"type":"integer","minimum":0},
                        "type": {"type":"string"}
                      }
                    }
                  }
                }
              },
              "Results": {
                "type": "object",
                "required": ["relay_id","results"],
                "properties": {
                  "relay_id": {"type":"string"},
                  "results": {
                    "type": "array",
                    "items": {
                      "type": "object",
                      "required": ["status"],
                      "properties": {
                        "drone_id": {"type":"string"},
                        "boot": {"type":"string"},
                        "seq": {"type":"integer"},
                        "status": {"enum":["stored","duplicate","conflict","rejected"]},
                        "line": {"type":"integer"},
                        "error": {"$ref":"#/components/schemas/Problem"}
                      }
                    }
                  }
                }
              },
              "Alert": {"type":"object","required":["alert_id","rule","severity","state","drone_id"]},
              "AlertChange": {
                "type": "object",
                "required": ["by"],
                "properties": {
                  "by": {"type":"string","minLength":1,"maxLength":128},
                  "note": {"type":"string","maxLength":4000},
                  "outcome": {"enum":["confirmed","false_alarm","unknown"]}
                }
              },
              "Problem": {
                "type": "object",
                "required": ["status","code","detail"],
                "properties": {
                  "status": {"type":"integer"},
                  "code": {"type":"string"},
                  "detail": {"type":"string"},
                  "field": {"type":"string"}
                }
              }
            },
            "responses": {
              "Problem": {
                "description": "What is wrong and what would be right (RFC 9457)",
                "content": {"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"}}}
              }
            }
          }
        }
        """#
}
