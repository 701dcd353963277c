// Central's interface as OpenAPI 3.1 (contract §4 and §6), served at /openapi.json. Written by hand: it is the promise,
// not a mirror of the code.

enum CentralOpenAPI {
    static let document = #"""
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Columba central",
            "version": "0.1.0",
            "summary": "Takes relays' batches, archives every report once, answers SQL.",
            "license": {"name":"Apache-2.0","identifier":"Apache-2.0"}
          },
          "servers": [{"url":"/"}],
          "paths": {
            "/v1/relays/{relay_id}/epochs/{epoch}/batches/{first}-{last}": {
              "put": {
                "summary": "Send a batch; the same batch again is harmless",
                "parameters": [
                  {
                    "name": "relay_id",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"}
                  },
                  {
                    "name": "epoch",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[0-9a-f]{32}$"}
                  },
                  {
                    "name": "first",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[1-9][0-9]*$"}
                  },
                  {
                    "name": "last",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[1-9][0-9]*$"}
                  },
                  {"name":"Content-Digest","in":"header","required":true,"schema":{"type":"string"}}
                ],
                "requestBody": {"required":true,"content":{"application/x-ndjson":{}}},
                "responses": {
                  "200": {
                    "description": "What is durable (received) and what is in a committed archive version (archived)",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Acknowledgement"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/relays/{relay_id}/epochs/{epoch}/acks": {
              "get": {
                "summary": "What central has of an epoch",
                "parameters": [
                  {
                    "name": "relay_id",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"}
                  },
                  {
                    "name": "epoch",
                    "in": "path",
                    "required": true,
                    "schema": {"type":"string","pattern":"^[0-9a-f]{32}$"}
                  }
                ],
                "responses": {
                  "200": {
                    "description": "What is durable (received) and what is in a committed archive version (archived)",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Acknowledgement"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            \#(fleetPaths)
            "/v1/sql": {
              "post": {
                "summary": "Read-only SQL over reports, alerts, duplicates and relays",
                "requestBody": {
                  "required": true,
                  "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Statement"}}}
                },
                "responses": {
                  "200": {
                    "description": "The rows",
                    "content": {"application/json":{},"text/csv":{},"application/vnd.apache.parquet":{}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            \#(analystPaths),
            \#(explorerPaths),
            \#(JobOpenAPI.paths)
            "/v1/relays": {
              "get": {
                "summary": "The fleet: received, archived, waiting, complete through",
                "parameters": [{"name":"format","in":"query","schema":{"enum":["json","csv"],"default":"json"}}],
                "responses": {
                  "200": {
                    "description": "The fleet: received, archived, waiting, complete through",
                    "content": {"application/json":{},"text/csv":{}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/cluster": {
              "get": {
                "summary": "Nodes, who has which partition, how far each is archived; one node where central is alone",
                "parameters": [],
                "responses": {
                  "200": {"description":"As this node sees it","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/status": {
              "get": {
                "summary": "Archive, stream, intake",
                "parameters": [],
                "responses": {
                  "200": {"description":"Archive, stream, intake","content":{"application/json":{}}},
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
                "summary": "The archive is being written",
                "parameters": [],
                "responses": {
                  "200": {"description":"The archive is being written","content":{"text/plain":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            }
          },
          "components": {
            \#(fleetComponents)
            "schemas": {
              \#(JobOpenAPI.schemas)
              \#(fleetSchemas)
              "Statement": {
                "type": "object",
                "required": ["sql"],
                "properties": {
                  "sql": {"type":"string","minLength":1,"maxLength":100000,"description":"One read-only statement"},
                  "format": {"enum":["json","csv","parquet"],"default":"json"},
                  "limit": {"type":"integer","minimum":1}
                }
              },
              "Acknowledgement": {
                "type": "object",
                "required": ["received","archived"],
                "properties": {
                  "received": {
                    "type": "array",
                    "items": {"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2}
                  },
                  "archived": {
                    "type": "array",
                    "items": {"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2}
                  },
                  "rejected": {
                    "type": "array",
                    "items": {"type":"object","properties":{"n":{"type":"integer"},"code":{"type":"string"}}}
                  },
                  "credit": {
                    "type": "object",
                    "properties": {"max_bytes":{"type":"integer"},"max_in_flight":{"type":"integer"}}
                  },
                  "rules_version": {"type":"integer"},
                  "wanted": {
                    "description": "Numbers that central misses: sent again unless archived, under way or lost",
                    "type": "array",
                    "items": {"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2}
                  },
                  "digest": {"type":"string"}
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
