// Package page is the studio: the page that bin/local serves at /.
package page

import "embed"

// Files are the page's files; index.html is the page itself.
//
//go:embed *.html *.css *.js *.svg
var Files embed.FS
