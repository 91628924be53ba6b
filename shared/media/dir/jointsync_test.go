package dir

import (
	"errors"
	"testing"
	"testing/synctest"
)

// slowSyncs are syncs that wait until the test ends them with an error, which may be nil.
type slowSyncs struct {
	jointSync
	begun int
	end   chan error
}

func newSlowSyncs() *slowSyncs {
	s := &slowSyncs{end: make(chan error)}
	s.jointSync = jointSync{last: map[string]*folderSync{}, do: func(string) error {
		s.begun++
		return <-s.end
	}}
	return s
}

// call calls sync n times at once, and returns what has returned so far.
func (s *slowSyncs) call(dir string, n int) chan error {
	results := make(chan error, n)
	for range n {
		go func() { results <- s.sync(dir, s.now()) }()
	}
	synctest.Wait()
	return results
}

// All who call while a sync runs share one more, which begins after it, and its error.
func TestJointSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowSyncs()
		ends := func(with error, results chan error, n int) {
			t.Helper()
			s.end <- with
			synctest.Wait()
			if len(results) != n {
				t.Errorf("%d calls have returned, want %d", len(results), n)
			}
			for range len(results) {
				if err := <-results; !errors.Is(err, with) {
					t.Errorf("got %v, want %v", err, with)
				}
			}
		}
		first := s.call("a", 1)
		second := s.call("a", 100)
		if s.begun != 1 || len(second) != 0 {
			t.Fatalf("%d syncs at once, %d calls have returned", s.begun, len(second))
		}
		ends(nil, first, 1)
		third := s.call("a", 100)
		broken := errors.New("broken")
		ends(broken, second, 100)
		if len(third) > 0 {
			t.Error("calls share a sync that began before them")
		}
		ends(nil, third, 100)
		if s.begun != 3 || len(s.last) != 0 {
			t.Errorf("%d syncs for three groups; %d folders are remembered", s.begun, len(s.last))
		}
	})
}

// A sync that runs already counts for changes from before it began.
func TestJointSyncThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowSyncs()
		changed := s.now()
		first, second := s.call("a", 1), make(chan error, 1)
		go func() { second <- s.sync("a", changed) }()
		synctest.Wait()
		s.end <- nil
		if err := errors.Join(<-first, <-second); err != nil || s.begun != 1 {
			t.Errorf("%d syncs, want 1: %v", s.begun, err)
		}
	})
}

// Folders do not wait for one another.
func TestJointSyncOfTwoFolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowSyncs()
		a, b := s.call("a", 1), s.call("b", 1)
		if s.begun != 2 {
			t.Errorf("%d syncs at once, want 2", s.begun)
		}
		s.end <- nil
		s.end <- nil
		if err := errors.Join(<-a, <-b); err != nil {
			t.Error(err)
		}
	})
}

// Whoever shares a sync that panics does not take it for done.
func TestJointSyncPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan bool)
		j := jointSync{last: map[string]*folderSync{}}
		j.do = func(string) error {
			if <-end {
				panic("broken")
			}
			return nil
		}
		first := make(chan error, 1)
		go func() { first <- j.sync("a", j.now()) }()
		synctest.Wait()
		go func() {
			defer func() { _ = recover() }()
			_ = j.sync("a", j.now())
		}()
		synctest.Wait()
		shared := make(chan error, 1)
		go func() { shared <- j.sync("a", j.now()) }()
		synctest.Wait()
		end <- false
		end <- true
		if err := errors.Join(<-first); err != nil {
			t.Error(err)
		}
		if err := <-shared; !errors.Is(err, errNotSynced) {
			t.Errorf("got %v, want %v", err, errNotSynced)
		}
	})
}
