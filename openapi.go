// Package contract holds openapi.yaml for the function that serves it. It is at
// the module's root because go:embed reaches only files in its package's folder,
// and a copy elsewhere would be a second contract.
package contract

import _ "embed"

// YAML is the openapi.yaml that this release was built with.
//
//go:embed openapi.yaml
var YAML []byte
