package nanobanana

import (
	"slices"
	"strconv"
	"strings"
)

const (
	maxTaskID = 128
	taskIDs   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// noIDs are valid ids that name no task.
var noIDs = []string{"null", "undefined", "none", "nil", "nan", "false", "true", "-1"}

// taskID returns the valid provider id in an object, or "".
func (n *node) taskID() string {
	if id := n.get("taskid").scalar(); ValidTaskID(id) {
		return id
	}
	return ""
}

// ValidTaskID reports whether id may be an id that the provider gave a task.
func ValidTaskID(id string) bool {
	return len(id) <= maxTaskID && strings.Trim(id, taskIDs) == "" && !isNoID(id)
}

// isNoID reports whether a text in the place of an id names no task.
func isNoID(text string) bool {
	return strings.Trim(text, "0_-") == "" || slices.Contains(noIDs, strings.ToLower(text))
}

// namesTask reports whether n contains anything that may be a task id, valid or not.
func (n *node) namesTask() bool {
	return n.any(func(m member) bool {
		return isTaskIDName(m) && m.value.hasID() || m.key == "task" && m.value.get("id").hasID()
	})
}

func isTaskIDName(m member) bool { return strings.Contains(m.key, "taskid") }

// hasID reports whether any value in n may be an id.
func (n *node) hasID() bool {
	return !isNoID(n.scalar()) || n.any(func(m member) bool { return !isNoID(m.value.scalar()) })
}

// answer is the structure of everything that the provider sends: submit answers, records, callbacks
// and refusals.
type answer struct {
	root  *node // the envelope; nil if there is no object
	data  *node // its data, or the envelope itself if it has none
	about *node // the object in data that names the task, or data itself
}

// findAnswer finds the structure of an answer about the task asked, or about any task if asked is
// empty.
func findAnswer(root *node, asked string) answer {
	a := answer{root: root.object()}
	for a.data = a.root; ; { // an envelope may be in another
		inner := a.data.inEnvelope()
		if inner == nil || a.data != a.root && (a.data.get("code") == nil || a.data.taskID() != "") {
			break
		}
		a.data = inner
	}
	s := taskSearch{asked: asked, least: maxDepth * 4}
	s.visit(a.data, 0)
	if a.about = s.found; a.about == nil {
		a.about = a.data
	}
	return a
}

// inEnvelope returns the data of an envelope: an object or a list of objects; or nil.
func (n *node) inEnvelope() *node {
	for _, data := range n.all("data") {
		if object := data.object(); object != nil {
			return object
		}
		if list := data.decoded(); slices.ContainsFunc(list.members, func(m member) bool { return m.value.object() != nil }) {
			return list
		}
	}
	return nil
}

// enveloped reports whether the answer has data in an envelope.
func (a answer) enveloped() bool { return a.data != a.root }

// taskID returns the id of the task that the answer is about, or "".
func (a answer) taskID() string {
	if id := a.about.taskID(); id != "" {
		return id
	}
	return a.root.taskID()
}

// submittedID returns the task id in the answer to a submit, or "". If the id's own place names no
// task, an id further in belongs to another task.
func (a answer) submittedID() string {
	if a.data.get("taskid") != nil {
		return a.data.taskID()
	}
	return a.taskID()
}

// taskSearch finds the object that names the task asked, or else the least deep one that names a task.
type taskSearch struct {
	asked string
	found *node
	least int
}

func (s *taskSearch) visit(n *node, depth int) {
	if n = n.decoded(); n == nil {
		return
	}
	if id := n.taskID(); id != "" {
		rank := depth
		if id != s.asked {
			rank += maxDepth * 2
		}
		if rank < s.least {
			s.found, s.least = n, rank
		}
	}
	for _, m := range n.members {
		if !mayRepeatRequest(m.key) {
			s.visit(m.value, depth+1)
		}
	}
}

// places returns the objects that may describe the task, the likeliest first: the one with its id,
// the ones in that, and the one around it. The envelope is not among them if it has data.
func (a answer) places() []*node {
	id := a.about.taskID()
	places := []*node{a.about}
	for i := 0; i < len(places) && len(places) < maxPlaces; i++ { // level by level
		for _, m := range places[i].members {
			inner := m.value.object()
			if inner == nil || isNoResult(m.key) || slices.Contains(resultNames, m.key) {
				continue
			}
			if other := inner.taskID(); other == "" || other == id || isContainer(m.key) {
				places = append(places, inner)
			}
		}
	}
	if a.data != a.about {
		places = append(places, a.data)
	}
	return places
}

// maxPlaces is more than any answer written by people has.
const maxPlaces = 100

// flagStates are the meanings of successFlag.
var flagStates = map[string]State{"0": Running, "1": Succeeded, "2": Failed, "3": Failed, "false": Running, "true": Succeeded}

// stateWords are the meanings of the folded words in state, status and successFlag.
var stateWords = map[string]State{
	"success": Succeeded, "succeed": Succeeded, "succeeded": Succeeded, "successful": Succeeded, "completed": Succeeded, "complete": Succeeded,
	"done": Succeeded, "finished": Succeeded,
	"fail": Failed, "failed": Failed, "failure": Failed, "error": Failed, "cancelled": Failed, "canceled": Failed,
	"waiting": Running, "queuing": Running, "queueing": Running, "queued": Running, "pending": Running,
	"processing": Running, "inprogress": Running, "running": Running, "generating": Running,
	"created": Running, "submitted": Running, "accepted": Running, "scheduled": Running, "inqueue": Running,
	"starting": Running, "started": Running, "working": Running,
}

// state returns the state in the likeliest place, and whether it is explicit enough to pay for another
// generation: status alone is too common a name. Outside the task's own object, an unknown status may
// belong to something else.
func (a answer) state(places []*node) (state State, explicit bool) {
	for _, place := range places {
		state, explicit = place.state()
		aside := place != a.about && state == Unclear && place.get("successflag", "state") == nil
		if state != Unstated && !aside {
			return state, explicit
		}
	}
	return Unstated, false
}

// state returns the state in an object. Known values must agree. Beside an unknown value only a success
// counts: believing it loses nothing.
func (n *node) state() (state State, explicit bool) {
	state = Unstated
	unknown := false
	for _, key := range []string{"successflag", "state", "status"} {
		value := n.get(key)
		if value == nil {
			continue
		}
		stated, ok := value.parseState(key == "successflag")
		if stated == Running && fold(value.scalar()) == "false" && n.failureCode() != 0 {
			ok = false // no success and an error: it may have ended
		}
		switch {
		case !ok:
			unknown = true
			continue
		case state != Unstated && state != stated:
			return Unclear, false
		}
		state, explicit = stated, explicit || key != "status"
	}
	if unknown && state != Succeeded {
		return Unclear, false
	}
	return state, explicit
}

// parseState translates a flag or a word. Neither leaves this function.
func (n *node) parseState(flag bool) (state State, ok bool) {
	text := fold(n.scalar())
	if state, ok = stateWords[text]; ok || !flag {
		return state, ok
	}
	if number, isNumber := n.integer(); isNumber {
		text = strconv.Itoa(number)
	}
	state, ok = flagStates[text]
	return state, ok
}

// failureCode returns the failure code in an object, or 0.
func (n *node) failureCode() int {
	for _, name := range []string{"errorcode", "failcode"} {
		if code, ok := n.get(name).integer(); ok && code != 0 {
			return code
		}
	}
	return 0
}

// reasonNames are the folded names of what explains a failure. A code may be a word, too.
var reasonNames = []string{
	"errormessage", "failmsg", "errormsg", "failmessage", "failreason", "failurereason", "reason", "error", "detail",
	"message", "msg", "errorcode", "failcode", "finishreason", "blockreason",
}

// messages returns the texts in an object that explain a failure. "success" does not.
func (n *node) messages() (found []string) {
	for _, name := range reasonNames {
		value := n.get(name)
		text := value.scalar()
		if inner := value.object(); inner != nil {
			if messages := inner.messages(); len(messages) > 0 {
				found = append(found, messages...)
				continue
			}
			text = value.text
		}
		if strings.Trim(text, "0123456789.-") != "" && stateWords[fold(text)] != Succeeded {
			found = append(found, text)
		}
	}
	return found
}

// failure returns the code of the task's failure, or 0, and the messages, the envelope's last.
func (a answer) failure(places []*node) (code int, messages []string) {
	for _, place := range places {
		if code == 0 {
			code = place.failureCode()
		}
		messages = append(messages, place.messages()...)
	}
	if a.enveloped() {
		messages = append(messages, a.root.messages()...)
	}
	return code, messages
}

// params returns what the likeliest place repeats of the request.
func (a answer) params(places []*node) Params {
	for _, place := range places {
		for _, m := range place.members {
			if strings.Contains(m.key, "param") {
				if p := m.value.object().params(); p.Present {
					return p
				}
			}
		}
	}
	return a.about.params() // its members may be in the record itself
}

// params reads an object as a request. Unreadable members count as absent: they neither confirm nor
// contradict.
func (n *node) params() (p Params) {
	for _, object := range []*node{n, n.get("input").object()} { // sibling APIs nest the prompt
		if callback := object.get("callbackurl"); p.CallbackURL == "" && callback != nil && callback.kind == isText {
			p.CallbackURL = callback.scalar()
		}
		if prompt := object.get("prompt"); p.Prompt == "" && prompt != nil && prompt.kind == isText {
			p.Prompt = prompt.text // verbatim: the caller compares it with what it sent
		}
	}
	p.Present = p.CallbackURL != "" || p.Prompt != ""
	return p
}

// links returns the links to the task's pictures: those under known names, and guesses. It looks in
// the object with the task's id first, and further out only if that has none.
func (a answer) links(origin string) (known, guessed links, inline bool) {
	c := collector{origin: origin, taskID: a.about.taskID(), requestLinks: map[string]bool{}}
	c.noteRequestLinks(a.root)
	around := []*node{a.about, a.data, a.root}
	if c.taskID != "" {
		c.collectOfTask(a.data)
	}
	for _, n := range around {
		if len(c.list)+c.dropped > 0 {
			break
		}
		c.collect(n)
	}
	for _, n := range around {
		if c.collectGuesses(n, "", unhinted); len(c.guesses) > 0 {
			break
		}
	}
	return c.links, c.rankedGuesses(), c.inline
}
