// Package contract holds the one document of what Rankr must offer. The client and the fake server are both tested
// against it, and neither knows the other's types.
package contract

import _ "embed"

// OpenAPI is the contract as an OpenAPI 3.0 document in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
