// The relay's interface as OpenAPI 3.1 (contract §2), served at /openapi.json. Written by hand: it is the promise, not
// a mirror of the code. A test calls every operation with generated requests and holds the answers against it.
// Paths and schemas are in the files beside this one.

enum RelayOpenAPI {
    static let document = """
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Columba relay",
            "version": "\(EdgeRelayService.version)",
            "summary": "Takes reports of drones, raises alerts, forwards everything to central.",
            "description": "Resending is always safe: the same bytes again are a duplicate. 429 and 503 carry \
        Retry-After. Every error is a problem (RFC 9457) with a stable code, and never repeats a name or a word.",
            "license": {"name":"Apache-2.0","identifier":"Apache-2.0"}
          },
          "servers": [{"url":"/"}],
          "tags": [
            {"name":"drones","description":"For those who send reports"},
            {"name":"operators","description":"For those who watch; on console_listen where it is configured"},
            {"name":"operations","description":"For those who keep it alive"}
          ],
          "paths": {
        \(reportsPath),
        \(renewalPath),
        \(alertPaths),
        \(operatorPaths),
        \(pagePaths),
        \(operationsPaths)
          },
          "components": {
            "schemas": {
        \(reportSchemas),
        \(renewalSchemas),
        \(alertSchemas),
        \(droneSchemas),
        \(statusSchemas),
        \(pageSchemas),
        \(problemSchemas)
            },
            "responses": {
              "Problem": {
                "description": "What is wrong and what would be right (RFC 9457)",
                "headers": {
                  "Retry-After": {
                    "description": "Seconds; with 429 and 503",
                    "required": false,
                    "schema": {"type":"integer","minimum":0}
                  }
                },
                "content": {"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"}}}
              }
            }
          }
        }
        """

    /// A request without parameters or body that gives JSON.
    static func get(_ path: String, _ tag: String, _ summary: String, schema: String, parameters: String = "") -> String
    {
        get(
            path, tag, summary, type: "application/json", schema: ##"{"$ref":"#/components/schemas/\##(schema)"}"##,
            parameters: parameters)
    }

    static func get(
        _ path: String, _ tag: String, _ summary: String, type: String, schema: String, parameters: String = "",
        more: String = ""
    ) -> String {
        ##"""
            "\##(path)": {
              "get": {
                "tags": ["\##(tag)"],
                "summary": "\##(summary)",
                "parameters": [\##(parameters)],
                "responses": {
                  "200": {"description": "\##(summary)", "content": {"\##(type)": {"schema": \##(schema)}}},\##(more)
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """##
    }
}
