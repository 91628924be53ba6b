package lifecycle

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// input is one image to edit: a link from the order, or a key in the bucket.
type input struct {
	link   string
	key    string
	task   string          // the id of the task whose picture the key holds
	made   task.SourceType // how that picture was made; empty for one from outside
	upload string          // the id of the upload that the key holds, if it exists

	// contentType is an upload's type by its bytes, if it was announced as another.
	contentType string
}

type inputs []input

// inputTTL is how long the provider can fetch an input image.
const inputTTL = time.Hour

// inputs resolves the entries of imageUrls of owner's task that was submitted to
// publicURL. It returns a fault, by index, for each entry that cannot be used.
func (s *Poster) inputs(ctx context.Context, owner, publicURL string, entries []string) (inputs, []*fault, error) {
	sources, ins, faults := make([]task.Source, len(entries)), make(inputs, len(entries)), make([]*fault, len(entries))
	for i, entry := range entries {
		sources[i], faults[i] = parseEntry(entry, s.base(publicURL))
	}
	parents, err := s.parents(ctx, owner, sources)
	if err != nil {
		return nil, nil, err
	}
	for i, src := range sources {
		if faults[i] == nil {
			ins[i], faults[i] = resolve(src, owner, parents)
		}
	}
	return ins, faults, nil
}

// fault is why an entry of imageUrls cannot be used.
type fault struct{ code, message string }

// invalidEntries returns a *task.Error with a field for each fault, by the index of its
// entry, or nil if all are nil.
func invalidEntries(faults []*fault) error {
	var fields []task.Field
	for i, f := range faults {
		if f != nil {
			fields = append(fields, task.Field{Pointer: "/imageUrls/" + strconv.Itoa(i), Code: f.code, Message: f.message})
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return task.Invalid(fields...)
}

// parseEntry parses an entry of imageUrls. A link to one of our pictures becomes that
// picture.
func parseEntry(entry, base string) (task.Source, *fault) {
	if src, ok := parseImageLink(entry, base); ok {
		return src, nil
	}
	src, ok := task.ParseSource(entry)
	switch {
	case !ok && strings.HasPrefix(entry, "upload:"):
		return src, &fault{"invalid", "Write upload:ID, with the id that POST /v1/uploads returned."}
	case !ok:
		return src, &fault{"invalid", "Write task:ID/N for picture N of your task ID; N starts at 1."}
	case src.Link != "":
		if err := media.CheckURL(src.Link); err != nil {
			text := err.Error()
			return src, &fault{"unusable_link", strings.ToUpper(text[:1]) + text[1:] + "."}
		}
	}
	return src, nil
}

// parseImageLink parses base/v1/images/{id}/{token}/{file} as a picture of a task. Whether
// the task is the caller's is checked later.
func parseImageLink(entry, base string) (task.Source, bool) {
	path, ours := strings.CutPrefix(entry, base+"/v1/images/")
	u, err := url.Parse(path)
	if err != nil || !ours {
		return task.Source{}, false
	}
	part := strings.Split(u.Path, "/")
	if len(part) != 3 || !task.ValidID(part[0]) {
		return task.Source{}, false
	}
	_, known := media.KeyOfFile(part[0], part[2])
	return task.Source{TaskID: part[0], File: part[2]}, known
}

// parents reads the tasks that sources name, and returns those of the owner by id.
func (s *Poster) parents(ctx context.Context, owner string, sources []task.Source) (map[string]*task.Task, error) {
	parents := map[string]*task.Task{}
	var ids []string
	for _, src := range sources {
		if _, seen := parents[src.TaskID]; src.TaskID != "" && !seen {
			parents[src.TaskID] = nil
			ids = append(ids, src.TaskID)
		}
	}
	if len(ids) == 0 {
		return parents, nil
	}
	found, err := s.Store.Tasks(ctx, ids)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, t := range found {
		if t.Owner == owner && !t.Deleted() {
			parents[t.ID] = t
		}
	}
	return parents, nil
}

// resolve returns the input that a source stands for.
func resolve(src task.Source, owner string, parents map[string]*task.Task) (input, *fault) {
	switch {
	case src.Link != "":
		return input{link: src.Link}, nil
	case src.UploadID != "":
		key, ok := media.UploadKey(owner, src.UploadID)
		if !ok {
			return input{}, noUpload
		}
		return input{key: key, upload: src.UploadID}, nil
	}
	parent := parents[src.TaskID]
	switch {
	case parent == nil:
		return input{}, &fault{"not_found", "You have no such task."}
	case parent.Status != task.Succeeded:
		return input{}, &fault{"not_ready", "This task has not succeeded, so it has no pictures to edit."}
	}
	for _, kept := range parent.Inputs {
		if src.File != "" && (src.File == kept.File || src.File == kept.Thumbnail) {
			return input{key: media.Prefix(src.TaskID) + kept.File}, nil // not the task's own picture: no parent
		}
	}
	i := slices.IndexFunc(parent.Images, func(image task.Image) bool {
		if src.File != "" { // the number in a file name is that of the provider's link, not of the picture
			return image.File == src.File || image.Thumbnail == src.File
		}
		return image.N == src.N
	})
	if i < 0 {
		return input{}, &fault{"not_found", "This task has no such picture."}
	}
	return input{key: media.Prefix(src.TaskID) + parent.Images[i].File, task: src.TaskID, made: parent.Origin()}, nil
}

// parent returns the id of the task whose picture is the first of our own among the inputs.
func (ins inputs) parent() string {
	for _, in := range ins {
		if in.task != "" {
			return in.task
		}
	}
	return ""
}

// types returns by entry what the inputs' bytes are that were announced as something
// else, for a task's InputTypes.
func (ins inputs) types(entries []string) (types map[string]string) {
	for i, in := range ins {
		if in.contentType != "" {
			if types == nil {
				types = map[string]string{}
			}
			types[entries[i]] = in.contentType
		}
	}
	return types
}

// sourceType returns the term for pictures that are made from the inputs, or from words
// alone.
func (ins inputs) sourceType() task.SourceType {
	if slices.ContainsFunc(ins, func(in input) bool { return in.made != task.Trained }) {
		return task.Composite
	}
	return task.Trained
}

// urls returns the links to send to the provider: made now, never stored.
func (s *Poster) urls(ctx context.Context, ins inputs) ([]string, error) {
	urls := make([]string, 0, len(ins))
	for _, in := range ins {
		link := in.link
		if in.key != "" {
			var err error
			if link, err = s.Links.Link(ctx, in.key, inputTTL, media.LinkOptions{ContentType: in.contentType}); err != nil {
				return nil, err
			}
		}
		urls = append(urls, link)
	}
	return urls, nil
}
