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

// noIDs are the lawful texts that name no task.
var noIDs = []string{"null", "undefined", "none", "nil", "nan", "false", "true", "-1"}

// taskID returns the lawful provider id that stands in an object, or nothing.
func (n *node) taskID() string {
	id := n.get("taskid").scalar()
	if len(id) > maxTaskID || strings.Trim(id, taskIDs) != "" || isNoID(id) {
		return ""
	}
	return id
}

// isNoID reports whether a text where an id belongs names nothing.
func isNoID(text string) bool {
	return strings.Trim(text, "0_-") == "" || slices.Contains(noIDs, strings.ToLower(text))
}

// namesTask reports whether something that may be a task's id, lawful or not, stands anywhere in n.
func (n *node) namesTask() bool {
	return n.any(func(m member) bool {
		return isTaskIDName(m) && m.value.hasID() || m.key == "task" && m.value.get("id").hasID()
	})
}

func isTaskIDName(m member) bool { return strings.Contains(m.key, "taskid") }

// identifies reports whether any value in n is more than the want of an id.
func (n *node) hasID() bool {
	return !isNoID(n.scalar()) || n.any(func(m member) bool { return !isNoID(m.value.scalar()) })
}

// answer is an envelope with what it is about. It has one structure for all that the provider
// sends: submit answers, records, callbacks and refusals.
type answer struct {
	root  *node // the envelope; nil where there is no object
	data  *node // what is in it: its data, or where there is none the envelope itself
	about *node // the object in data that names the task, or data itself
}

// find reads the structure of an answer about the task asked for, or about any where asked is
// empty.
func findAnswer(root *node, asked string) answer {
	a := answer{root: root.object()}
	for a.data = a.root; ; { // an envelope may stand in another
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

// inEnvelope returns the data of an envelope: an object, or a list of them; nil where there is none.
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

// enveloped reports whether the answer has data apart from the envelope.
func (a answer) enveloped() bool { return a.data != a.root }

// taskID returns the id of the task that the answer is about, or nothing.
func (a answer) taskID() string {
	if id := a.about.taskID(); id != "" {
		return id
	}
	return a.root.taskID()
}

// submittedID returns the id that a submit was answered with, or nothing: where it belongs and
// names no task, an id further in is another task's.
func (a answer) submittedID() string {
	if a.data.get("taskid") != nil {
		return a.data.taskID()
	}
	return a.taskID()
}

// search finds the object that names the task asked for, else the first of those that name one
// least deep.
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

// places returns the objects in which something about the task may be stated, the likeliest
// first: where its id stands, what is in there, and what is around it. The envelope is none of
// them while there is data.
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

// maxPlaces is more than an answer has whose parts somebody named by hand.
const maxPlaces = 100

// flags are what successFlag means.
var flagStates = map[string]State{"0": Running, "1": Succeeded, "2": Failed, "3": Failed, "false": Running, "true": Succeeded}

// stateWords are what the words of state, status and successFlag mean, folded.
var stateWords = map[string]State{
	"success": Succeeded, "succeed": Succeeded, "succeeded": Succeeded, "successful": Succeeded, "completed": Succeeded, "complete": Succeeded,
	"done": Succeeded, "finished": Succeeded,
	"fail": Failed, "failed": Failed, "failure": Failed, "error": Failed, "cancelled": Failed, "canceled": Failed,
	"waiting": Running, "queuing": Running, "queueing": Running, "queued": Running, "pending": Running,
	"processing": Running, "inprogress": Running, "running": Running, "generating": Running,
	"created": Running, "submitted": Running, "accepted": Running, "scheduled": Running, "inqueue": Running,
	"starting": Running, "started": Running, "working": Running,
}

// state returns what the likeliest place says, and whether another generation may be paid for on
// that: status alone is too common a word, and one that is not known may be of anything but the
// task itself.
func (a answer) state(places []*node) (state State, firm bool) {
	for _, place := range places {
		state, firm = place.state()
		aside := place != a.about && state == Unclear && place.get("successflag", "state") == nil
		if state != Unstated && !aside {
			return state, firm
		}
	}
	return Unstated, false
}

// state is what an object states. Values that are known must agree. Where one is not known, the
// others count only if they state a success: nothing is lost by it.
func (n *node) state() (state State, firm bool) {
	state = Unstated
	unknown := false
	for _, key := range []string{"successflag", "state", "status"} {
		value := n.get(key)
		if value == nil {
			continue
		}
		said, ok := value.parseState(key == "successflag")
		if said == Running && fold(value.scalar()) == "false" && n.failureCode() != 0 {
			ok = false // no success and an error: it may have ended
		}
		switch {
		case !ok:
			unknown = true
			continue
		case state != Unstated && state != said:
			return Unclear, false
		}
		state, firm = said, firm || key != "status"
	}
	if unknown && state != Succeeded {
		return Unclear, false
	}
	return state, firm
}

// meaning translates a flag or a word, which go no further than this.
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

// failureCode is the code that an object gives for a failure, 0 where it gives none.
func (n *node) failureCode() int {
	for _, name := range []string{"errorcode", "failcode"} {
		if code, ok := n.get(name).integer(); ok && code != 0 {
			return code
		}
	}
	return 0
}

// reasons are the names under which a failure is explained, folded. A code may be a word, too.
var reasonNames = []string{
	"errormessage", "failmsg", "errormsg", "failmessage", "failreason", "failurereason", "reason", "error", "detail",
	"message", "msg", "errorcode", "failcode", "finishreason", "blockreason",
}

// said returns what an object says in words, one text after the other. "success" is no reason.
func (n *node) messages() (texts []string) {
	for _, name := range reasonNames {
		value := n.get(name)
		text := value.scalar()
		if inner := value.object(); inner != nil {
			if said := inner.messages(); len(said) > 0 {
				texts = append(texts, said...)
				continue
			}
			text = value.text
		}
		if strings.Trim(text, "0123456789.-") != "" && stateWords[fold(text)] != Succeeded {
			texts = append(texts, text)
		}
	}
	return texts
}

// failure returns why the task failed: the code, 0 where none is given, and the words, the
// envelope's last.
func (a answer) failure(places []*node) (code int, texts []string) {
	for _, place := range places {
		if code == 0 {
			code = place.failureCode()
		}
		texts = append(texts, place.messages()...)
	}
	if a.enveloped() {
		texts = append(texts, a.root.messages()...)
	}
	return code, texts
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
	return a.about.params() // spread out among what the record says itself
}

// params reads the request that an object is. What cannot be read is as if it were absent: it
// neither confirms nor contradicts.
func (n *node) params() (p Params) {
	for _, object := range []*node{n, n.get("input").object()} { // siblings nest the prompt
		if callback := object.get("callbackurl"); p.CallbackURL == "" && callback != nil && callback.kind == isText {
			p.CallbackURL = callback.scalar()
		}
		if prompt := object.get("prompt"); p.Prompt == "" && prompt != nil && prompt.kind == isText {
			p.Prompt = prompt.text // verbatim: it will be compared with what was sent
		}
	}
	p.Present = p.CallbackURL != "" || p.Prompt != ""
	return p
}

// links returns the links to the task's pictures: under known names, and guesses. It looks where
// the task's id stands, and further out only where nothing is there.
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
