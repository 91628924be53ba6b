package lifecycle

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// resultLinks returns the links to a task's pictures from its record. If there are
// none, it returns links that may lead to pictures, as guessed.
func (s *Service) resultLinks(t *task.Task, r nanobanana.Record) (urls []string, guessed bool) {
	if urls = s.withoutOurs(t, r.URLs); len(urls) > 0 {
		return urls, false
	}
	urls = s.withoutOurs(t, r.Guesses)
	return urls[:min(len(urls), t.NumImages)], len(urls) > 0
}

// withoutOurs removes links that cannot be results: the task's own input images, and
// links to our API or bucket.
func (s *Service) withoutOurs(t *task.Task, links []string) []string {
	api := outbound.Location(s.base(t.PublicURL) + "/v1/")
	sent := make([]string, len(t.ImageURLs))
	for i, link := range t.ImageURLs {
		sent[i] = outbound.Location(link)
	}
	return slices.DeleteFunc(slices.Clone(links), func(link string) bool {
		at := outbound.Location(link)
		return strings.HasPrefix(at, api) || ourPath().MatchString(at) || slices.Contains(sent, at)
	})
}

// ourPath matches callbacks, and our own pictures and uploads, whatever their host: the
// bucket's keys and the API's routes.
var ourPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`/v1/callbacks/|/v1/images/[0-9a-v]{26}/|/tasks/[0-9a-v]{26}/[0-9]+-[0-9a-f]{16}|/uploads/[0-9a-f]{32}/[0-9a-v]{26}`)
})
