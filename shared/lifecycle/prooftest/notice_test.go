package prooftest

import (
	"context"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// notice is a message to Preset.
type notice struct {
	kind             task.NoticeKind
	version          int
	target, previous string
	at               time.Time
}

func noticeOf(t *task.Task) notice {
	n := notice{kind: t.NoticeKind(), version: t.NoticeVersion(), target: targetOf(t.Target), at: t.NoticeAt()}
	switch n.kind {
	case task.NoticeDeleted:
		n.target = targetOf(t.NoticeTarget)
	case task.NoticeMoved:
		n.previous = targetOf(t.NoticeTarget)
	}
	return n
}

func targetOf(t *task.Target) string {
	if t == nil {
		return "none"
	}
	return t.String()
}

// preset is what Preset knows about a task, as docs/supabase.md says how to keep it: of
// two notices the one with the higher version holds.
type preset struct {
	holds  notice
	seen   map[int]notice // by version
	told   string         // the target of the last notice whose acceptance is in the row
	target string         // of the task when it was deleted
}

func (b *ledger) presetOf(id string) *preset {
	if b.preset[id] == nil {
		b.preset[id] = &preset{seen: map[int]notice{}}
	}
	return b.preset[id]
}

// consumerOf returns the kind of actor that a message goes to.
func consumerOf(m task.Message) string {
	if m == task.Notify {
		return "notify"
	}
	return "ingest"
}

// notify does what functions/notify does, which this package may not import.
func (sim *simulation) notify(ctx context.Context, a *actor, id string) error {
	s := a.process.submitter.Service
	t, err := s.Store.Task(ctx, id)
	if err != nil || t.Notice == "" || !t.Known() {
		return err
	}
	n := noticeOf(t)
	err = sim.call(ctx, a, "notice", id, false, func() error {
		if sim.conditions.receiverDown {
			return errLost
		}
		sim.receive(id, n)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = task.Update(ctx, s.Store, t, func(x *task.Task) error {
		x.Notified(s.Now(), sim.mutant.version(n, x))
		return nil
	})
	return err
}

// receive is Preset's receiver. A repeat is the same message.
func (sim *simulation) receive(id string, n notice) {
	p := sim.ledger.presetOf(id)
	if before, again := p.seen[n.version]; again && before != n {
		sim.violate("I10", "version %d of %s is told as %v, and was %v", n.version, short(id), n, before)
	}
	p.seen[n.version] = n
	sim.count("told: "+string(n.kind), true)
	sim.count("told late", n.version < p.holds.version)
	if n.version > p.holds.version || sim.mutant.receiverForgets {
		p.holds = n
	}
}

// checkNotice checks what a write does to the notice, and that notice and erase leave
// each other alone.
func (sim *simulation) checkNotice(by *actor, old, new *task.Task) {
	id := short(new.ID)
	switch {
	case by.kind == "notify" && new.Notice != "":
		sim.violate("P4", "%s: the put of notify keeps its own notice", id)
	case by.kind == "notify" && (new.Work != old.Work || new.Turn != old.Turn):
		sim.violate("P8", "%s: the put of notify changes %q", id, old.Work)
	case by.kind == "ingest" && old.Done() && (new.Notice != old.Notice || new.NoticeTurn != old.NoticeTurn):
		sim.violate("P8", "%s: the put of ingest changes the notice", id)
	case new.NoticeTurn.LastWake && !old.NoticeTurn.LastWake && time.Until(new.NoticeTurn.Deadline) < 5*time.Minute:
		sim.violate("I8", "the last wake of the notice of %s comes too late", id)
	}
	if deadline := old.NoticeTurn.Deadline; old.NoticeGivenUpAt.IsZero() && !new.NoticeGivenUpAt.IsZero() {
		sim.count("given up", true)
		if !old.NoticeTurn.LastWake || time.Until(deadline) > skew {
			sim.violate("I8", "the notice of %s is given up %v before its deadline", id, time.Until(deadline))
		}
	}
	if new.NoticeVersion() < old.NoticeVersion() {
		sim.violate("I10", "%s has version %d after %d", id, new.NoticeVersion(), old.NoticeVersion())
	}
	p := sim.ledger.presetOf(new.ID)
	if old.Notice != "" && new.Notice == "" && new.NoticeGivenUpAt.IsZero() {
		p.told = targetOf(old.Target)
	}
	if new.Deleted() && !old.Deleted() {
		p.target = targetOf(old.Target)
		sim.count("deleted before it was told", old.Notice != "")
	}
	moved := old.Done() && !new.Deleted() && targetOf(new.Target) != targetOf(old.Target)
	sim.count("moved", moved)
	sim.count("moved before it was told", moved && old.Notice != "")
	if ended := new.Done() && !old.Done(); sim.rules.Notify && (moved || ended || new.Deleted() && !old.Deleted()) {
		sim.checkHanded(by, new)
	}
	if moved && new.Notice != "" && new.NoticeKind() == task.NoticeMoved && targetOf(new.NoticeTarget) != p.told {
		sim.violate("I10", "%s will be told as moved from %s, and Preset knows %s", id, targetOf(new.NoticeTarget), p.told)
	}
}

// checkHanded checks a put after which Preset has to be told, and of a deleted task's
// pictures to be erased: both are asked for at once.
func (sim *simulation) checkHanded(by *actor, t *task.Task) {
	soon := t.NoticeTurn.DueAt.Sub(by.process.now())
	if !slices.Contains(t.Messages(), task.Notify) || soon > 10*time.Second {
		sim.violate("I10", "%s is %s, and its notice is due in %v", short(t.ID), state(t), soon)
	}
	if t.Deleted() && !slices.Contains(t.Messages(), task.Message(task.Erase)) {
		sim.violate("P8", "%s is deleted, and its erase waits", short(t.ID))
	}
}

// checkNotices checks I10: in the end Preset knows the task as it is.
func (sim *simulation) checkNotices(t *task.Task) {
	if !sim.rules.Notify {
		return
	}
	p, id := sim.ledger.presetOf(t.ID), short(t.ID)
	target := targetOf(t.Target)
	if t.Deleted() {
		target = p.target
	}
	switch got := p.holds; {
	case got.version == 0:
		sim.violate("I10", "%s is %s, and Preset was not notified", id, state(t))
	case got.version != t.NoticeVersion() || got.target != target || (got.kind == task.NoticeDeleted) != t.Deleted():
		sim.violate("I10", "%s is %s for %s, version %d, and Preset knows %+v", id, state(t), target, t.NoticeVersion(), got)
	case got.kind != task.NoticeMoved && got.kind != task.NoticeDeleted && got.kind != task.NoticeKind(t.Status):
		sim.violate("I10", "%s is %s, and was notified as %s", id, state(t), got.kind)
	}
}

// ended returns the tasks that have ended and are not deleted.
func (sim *simulation) ended() []string {
	return slices.DeleteFunc(slices.Clone(sim.ledger.ids), func(id string) bool {
		t := sim.ledger.row(id)
		return !t.Done() || t.Deleted()
	})
}

// afterEnd moves or deletes a task that has ended: before its notice was sent, while it is
// under way, or after it was accepted; and sometimes again.
func (sim *simulation) afterEnd(s step) {
	id, ok := pick(sim.ended(), s.A)
	if !ok {
		return
	}
	do := []action{retarget, remove}[s.B%2]
	switch s.B / 2 {
	case 0, 1: // the stream is slow
		sim.onTask(step{retarget, 0, s.A}, id)
		sim.runAll()
	case 2: // Preset is so slow that nobody waits for its answer
		sim.consume("notify", id)
		sim.later(31 * time.Second)
	case 3: // and answers in the end
		sim.consume("notify", id)
		sim.onTask(step{do, 0, s.A + 1}, id)
		sim.runAll()
		do = []action{remove, retarget}[s.B%2]
	default:
		sim.consume("notify", id)
		sim.runAll()
	}
	sim.onTask(step{do, 0, s.A + 2}, id)
	if s.A%2 == 0 {
		sim.runAll()
		sim.consume("notify", id)
		sim.runAll()
		for _, c := range sim.lateCalls() {
			if c.op == "notice" {
				sim.logStep("arrive: %s", c)
				sim.effect(c)
			}
		}
	}
}
