// The jobs' addresses in central's OpenAPI document.

enum JobOpenAPI {
    /// Members of `paths`, each with a comma after it.
    static let paths = #"""
        "/v1/jobs": {
              "get": {
                "summary": "The scheduled jobs, broken files among them",
                "parameters": [],
                "responses": {
                  "200": {
                    "description": "The jobs by name",
                    "content": {"application/json":{"schema":{
                      "type":"object","required":["jobs"],
                      "properties":{"jobs":{"type":"array","items":{"$ref":"#/components/schemas/Job"}}}}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/jobs/{name}": {
              "get": {
                "summary": "One job, with the text of its file",
                "parameters": [{"$ref":"#/components/parameters/JobName"}],
                "responses": {
                  "200": {
                    "description": "The job",
                    "content": {"application/json":{"schema":{"$ref":"#/components/schemas/Job"}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/jobs/{name}/runs": {
              "get": {
                "summary": "A job's runs, newest first",
                "parameters": [
                  {"$ref":"#/components/parameters/JobName"},
                  {"name":"limit","in":"query","schema":{"type":"integer","minimum":1,"maximum":1000}}
                ],
                "responses": {
                  "200": {
                    "description": "The runs",
                    "content": {"application/json":{"schema":{
                      "type":"object","required":["job","runs"],
                      "properties":{"job":{"type":"string"},
                        "runs":{"type":"array","items":{"$ref":"#/components/schemas/JobRun"}}}}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
            "/v1/jobs/{name}/run": {
              "post": {
                "summary": "Begin a run now",
                "parameters": [{"$ref":"#/components/parameters/JobName"}],
                "responses": {
                  "202": {
                    "description": "It has begun",
                    "content": {"application/json":{"schema":{
                      "type":"object","required":["job","scheduled_at","state"],
                      "properties":{"job":{"type":"string"},"scheduled_at":{"type":"string","format":"date-time"},
                        "state":{"const":"running"}}}}}
                  },
                  "default": {"$ref":"#/components/responses/Problem"}
                }
              }
            },
        """#

    static let parameters = #"""
        "JobName": {
                "name": "name",
                "in": "path",
                "required": true,
                "schema": {"type":"string","pattern":"^[a-z][a-z0-9_]{0,62}$"}
              }
        """#

    /// Members of `schemas`, each with a comma after it.
    static let schemas = #"""
        "Job": {
                "type": "object",
                "required": ["name","state"],
                "properties": {
                  "name": {"type":"string"},
                  "state": {"enum":["scheduled","running","retrying","broken"]},
                  "error": {"type":"string"},
                  "schedule": {"type":"string"},
                  "output": {"type":"object"},
                  "inputs": {"type":"array","items":{"type":"string"}},
                  "retries": {"type":"integer"},
                  "timeout_s": {"type":"number"},
                  "catch_up": {"enum":["last","all","none"]},
                  "next_run": {"type":["string","null"],"format":"date-time"},
                  "last_success": {"type":["string","null"],"format":"date-time"},
                  "last_run": {"anyOf":[{"type":"null"},{"$ref":"#/components/schemas/JobRun"}]},
                  "text": {"type":"string"}
                }
              },
              "JobRun": {
                "type": "object",
                "required": ["scheduled_at","started_at","outcome","attempt","manual"],
                "properties": {
                  "scheduled_at": {"type":"string","format":"date-time"},
                  "started_at": {"type":"string","format":"date-time"},
                  "finished_at": {"type":["string","null"],"format":"date-time"},
                  "outcome": {"enum":["running","succeeded","failed","missed","interrupted","already_done"]},
                  "attempt": {"type":"integer"},
                  "manual": {"type":"boolean"},
                  "duration_s": {"type":["number","null"]},
                  "rows": {"type":"integer"},
                  "bytes": {"type":"integer"},
                  "version": {"type":"integer"},
                  "file": {"type":"string"},
                  "code": {"type":"string"},
                  "detail": {"type":"string"},
                  "count": {"type":"integer"}
                }
              },
        """#
}
