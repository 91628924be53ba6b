// Package contract is openapi.yaml, for the function that serves it. It stands
// at the module's root since go:embed reaches no file outside its package's
// folder, and a copy elsewhere would be a second contract.
package contract

import _ "embed"

// YAML is openapi.yaml as this release was built with it.
//
//go:embed openapi.yaml
var YAML []byte
