package lifecycle

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
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
	api := location(s.base(t.PublicURL) + "/v1/")
	sent := make([]string, len(t.ImageURLs))
	for i, link := range t.ImageURLs {
		sent[i] = location(link)
	}
	return slices.DeleteFunc(slices.Clone(links), func(link string) bool {
		at := location(link)
		return strings.HasPrefix(at, api) || ourPath().MatchString(at) || slices.Contains(sent, at)
	})
}

// location returns a link's host and path: two links to the same place are equal in them.
func location(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	return strings.ToLower(u.Host) + u.Path
}

// ourPath matches callbacks, and our own pictures and uploads, whatever their host: the
// bucket's keys and the API's routes.
var ourPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`/v1/callbacks/|/v1/images/[0-9a-v]{26}/|/tasks/[0-9a-v]{26}/[0-9]+-[0-9a-f]{16}|/uploads/[0-9a-f]{32}/[0-9a-v]{26}`)
})
