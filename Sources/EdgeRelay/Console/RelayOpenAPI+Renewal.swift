// Renewal of a drone's certificate in the relay's OpenAPI document.

extension RelayOpenAPI {
    static let renewalPath = ##"""
            "/v1/renew": {
              "post": {
                "tags": ["drones"],
                "summary": "The next certificate of the drone that asks",
                "description": "Over TLS, with a valid certificate of the same drone; signed by the relay itself, so \##
        that central need not be in reach. Over plain HTTP everyone is refused.",
                "requestBody": {
                  "required": true,
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RenewalRequest"}}}
                },
                "responses": {
                  "200": {
                    "description": "The certificate, its chain and whom to trust",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Renewal"}}}
                  },
                  "default": {"$ref": "#/components/responses/Problem"}
                }
              }
            }
        """##

    static let renewalSchemas = ##"""
              "RenewalRequest": {
                "type": "object",
                "required": ["csr"],
                "properties": {
                  "csr": {
                    "type": "string",
                    "description": "A request in PEM (PKCS #10), for a new key, with the drone's URI"
                  },
                  "token": {"type": ["string", "null"], "description": "Not needed here"},
                  "issuing_csr": {"type": ["string", "null"], "description": "For relays, at central"}
                }
              },
              "Renewal": {
                "type": "object",
                "required": ["identity", "certificate", "authorities", "expires_at"],
                "properties": {
                  "identity": {"type": "string", "examples": ["columba://drone/pw-000123"]},
                  "certificate": {"type": "string", "description": "PEM: the drone's, then the relay's intermediate"},
                  "authorities": {"type": "string", "description": "PEM: whom to trust"},
                  "expires_at": {"type": "string", "format": "date-time"}
                }
              }
        """##
}
