// The fleet's part of central's interface description: reports, rules, completeness, incidents, quarantine.

extension CentralOpenAPI {
    /// Members of `paths`.
    static let fleetPaths = #"""
        "/v1/completeness": {
              "get": {
                "summary": "How far the archive is complete, relay by relay",
                "parameters": [
                  {"name":"from","in":"query","schema":{"$ref":"#/components/schemas/Time"}},
                  {"name":"to","in":"query","schema":{"$ref":"#/components/schemas/Time"}},
                  {"name":"format","in":"query","schema":{"enum":["json","csv"],"default":"json"}}
                ],
                "responses": {
                  "200": {
                    "description": "Complete through, gaps, waiting, lost, last contact",
                    "headers": {"X-Complete-Through":{"schema":{"type":"string"}}},
                    "content": {
                      "application/json": {"schema":{"$ref":"#/components/schemas/Completeness"}}, "text/csv": {}
                    }
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/incidents": {
              "get": {
                "summary": "What an operator must know of, open ones first",
                "responses": {
                  "200": {"description":"The incidents","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/incidents/{id}/close": {
              "post": {
                "summary": "A person has dealt with it",
                "parameters": [{"$ref":"#/components/parameters/Id"}],
                "requestBody": {"$ref":"#/components/requestBodies/Decision"},
                "responses": {
                  "200": {"description":"The closed incident","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/quarantine": {
              "get": {
                "summary": "Records set aside, newest first, without their content; in a cluster those of all nodes",
                "parameters": [
                  {
                    "name": "state",
                    "in": "query",
                    "schema": {"enum":["all","waiting","retrying","archived","dropped"]}
                  },
                  {"name":"relay_id","in":"query","schema":{"type":"string"}},
                  {"name":"after","in":"query","description":"next of the page before","schema":{"type":"string"}},
                  {"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"maximum":1000}}
                ],
                "responses": {
                  "200": {"description":"A page of records","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/quarantine/{id}": {
              "get": {
                "summary": "One record; with raw=true its bytes too, which is logged: names may be in them",
                "parameters": [
                  {"$ref":"#/components/parameters/Id"},
                  {"name":"raw","in":"query","schema":{"type":"boolean"}}
                ],
                "responses": {
                  "200": {"description":"The record","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/quarantine/{id}/retry": {
              "post": {
                "summary": "Examine it again; a valid record is archived under its number (409: already decided)",
                "parameters": [{"$ref":"#/components/parameters/Id"}],
                "requestBody": {"$ref":"#/components/requestBodies/Decision"},
                "responses": {
                  "202": {"description":"It is on its way into the archive","content":{"application/json":{}}},
                  "409": {"$ref":"#/components/responses/Problem"},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/quarantine/{id}/drop": {
              "post": {
                "summary": "Remove its bytes; the decision is kept (409: already decided)",
                "parameters": [{"$ref":"#/components/parameters/Id"}],
                "requestBody": {"$ref":"#/components/requestBodies/Decision"},
                "responses": {
                  "200": {"description":"It is dropped","content":{"application/json":{}}},
                  "409": {"$ref":"#/components/responses/Problem"},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/rules": {
              "get": {
                "summary": "The rule set that every relay should have, and which relay has it",
                "responses": {
                  "200": {"description":"Text, version, state per relay","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              },
              "put": {
                "summary": "Put a rule set (JSON5, as a relay's own file); its version is higher than the last one's",
                "requestBody": {
                  "required": true,
                  "content": {
                    "text/plain": {"schema":{"type":"string"}},
                    "application/vnd.columba.rules+json": {
                      "schema": {
                        "type": "object",
                        "required": ["rules"],
                        "properties": {
                          "rules": {"type":"string","description":"The rule file, JSON5"},
                          "settings": {
                            "type": "object",
                            "properties": {"limits":{"type":"object","additionalProperties":{"type":"number"}}}
                          }
                        }
                      }
                    }
                  }
                },
                "responses": {
                  "200": {"description":"As GET","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/relays/{relay_id}/retire": {
              "post": {
                "summary": "This relay is gone for good and holds nothing back; it counts again when it is heard",
                "parameters": [{"$ref":"#/components/parameters/RelayId"}],
                "requestBody": {"$ref":"#/components/requestBodies/Decision"},
                "responses": {
                  "200": {"description":"It is retired","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/relays/{relay_id}/report": {
              "put": {
                "summary": "A relay's report on itself",
                "parameters": [{"$ref":"#/components/parameters/RelayId"}],
                "requestBody": {
                  "required": true,
                  "content": {"application/json":{"schema":{"$ref":"#/components/schemas/RelayReport"}}}
                },
                "responses": {
                  "200": {"description":"Which rules it should have","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/relays/{relay_id}/rules": {
              "get": {
                "summary": "The rule set for this relay",
                "parameters": [{"$ref":"#/components/parameters/RelayId"}],
                "responses": {
                  "200": {"description":"Version, text, settings","content":{"application/json":{}}},
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
        """#

    /// Members of `components`.
    static let fleetComponents = #"""
        "parameters": {
              \#(JobOpenAPI.parameters),
              "Id": {
                "name": "id",
                "in": "path",
                "required": true,
                "schema": {"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"}
              },
              "RelayId": {
                "name": "relay_id",
                "in": "path",
                "required": true,
                "schema": {"type":"string","pattern":"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"}
              }
            },
            "requestBodies": {
              "Decision": {
                "required": true,
                "content": {
                  "application/json": {
                    "schema": {
                      "type": "object",
                      "required": ["by"],
                      "properties": {
                        "by": {"type":"string","minLength":1,"maxLength":128,"description":"Who decides"},
                        "note": {"type":"string","maxLength":2000,"description":"Why"}
                      }
                    }
                  }
                }
              }
            },
        """#

    /// Members of `schemas`.
    static let fleetSchemas = #"""
        "Time": {
                "type": "string",
                "format": "date-time",
                "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
              },
              "Completeness": {
                "type": "object",
                "required": ["complete_through","held_back_by","lost","relays"],
                "properties": {
                  "complete_through": {"type":["string","null"]},
                  "complete": {"type":"boolean","description":"Where to is given: is all of it there?"},
                  "held_back_by": {"type":"array","items":{"type":"string"}},
                  "lost": {"type":"integer"},
                  "relays": {"type":"array","items":{"type":"object"}}
                }
              },
              "RelayReport": {
                "type": "object",
                "required": ["relay_id","epoch","sent_at","counters","epochs"],
                "properties": {
                  "relay_id": {"type":"string"},
                  "epoch": {"type":"string","pattern":"^[0-9a-f]{32}$"},
                  "sent_at": {"$ref":"#/components/schemas/Time"},
                  "counters": {"type":"object","additionalProperties":{"type":"integer"}},
                  "epochs": {"type":"array","maxItems":2048,"items":{"type":"object"}}
                }
              },
        """#
}
