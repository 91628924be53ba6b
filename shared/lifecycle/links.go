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

// links returns the links to a task's pictures in its record, or, where there
// are none, those that may lead to them.
func (s *Service) links(t *task.Task, r nanobanana.Record) (urls []string, guessed bool) {
	if urls = s.notOurs(t, r.URLs); len(urls) > 0 {
		return urls, false
	}
	urls = s.notOurs(t, r.Guesses)
	return urls[:min(len(urls), t.NumImages)], len(urls) > 0
}

// notOurs leaves out what cannot be a result: a picture that the task was
// ordered with, and whatever leads to our own API or bucket.
func (s *Service) notOurs(t *task.Task, links []string) []string {
	api := location(s.base(t.PublicURL) + "/v1/")
	sent := make([]string, len(t.ImageURLs))
	for i, link := range t.ImageURLs {
		sent[i] = location(link)
	}
	return slices.DeleteFunc(slices.Clone(links), func(link string) bool {
		at := location(link)
		return strings.HasPrefix(at, api) || ownPath().MatchString(at) || slices.Contains(sent, at)
	})
}

// location is where a link leads, its scheme and query aside.
func location(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	return strings.ToLower(u.Host) + u.Path
}

// ownPath matches where callbacks go, and our own pictures and uploads, by
// whatever host they are reached: keys of the bucket, and routes of the API.
var ownPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`/v1/callbacks/|/v1/images/[0-9a-v]{26}/|/tasks/[0-9a-v]{26}/[0-9]+-[0-9a-f]{16}|/uploads/[0-9a-f]{32}/[0-9a-v]{26}`)
})
