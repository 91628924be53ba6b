package taskbolt

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
)

// check reads a whole file of bbolt's format, version 2, and returns what is
// wrong with it. bbolt trusts the file it maps: a page that does not match its
// parent makes it panic, read past the end of the file, or overwrite good pages.
// bbolt's own check reads the same map and crashes in the same way.
func check(file io.ReaderAt, size int64, pageSize int) error {
	m, err := lastMeta(file, pageSize)
	if err != nil {
		return err
	}
	if m.pages > uint64(size)/uint64(pageSize) {
		return fmt.Errorf("it is cut off: %d bytes of at least %d", size, m.pages*uint64(pageSize))
	}
	c := checker{file: file, pageSize: pageSize, used: make([]bool, m.pages)}
	if err := c.tree(m.root, nil, 0, nil, nil); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return c.freelist(m.freelist)
}

// The constants of the format. Its integers are in the machine's own byte order.
const (
	magic      = 0xED0CDAED
	version    = 2
	noFreelist = 1<<64 - 1

	branchPage, leafPage, freelistPage = 0x01, 0x02, 0x10

	headerSize  = 16 // id 8, kind 2, count 2, overflow 4
	elementSize = 16 // a branch's: position 4, key's length 4, page 8; a leaf's: flags 4, position 4, key's length 4, value's length 4
	bucketSize  = 16 // root page 8, sequence 8
	bucketFlag  = 0x01
	metaSize    = 64
	maxDepth    = 64 // levels of pages; with two keys on each page, this is more than any disk holds
)

var order = binary.NativeEndian

// meta is the content of one of the first two pages. The one with the higher
// transaction is valid, unless a crash has damaged it.
type meta struct{ root, freelist, pages, transaction uint64 }

func lastMeta(file io.ReaderAt, pageSize int) (last meta, err error) {
	found := false
	for n := range 2 {
		b := make([]byte, metaSize)
		if _, err := file.ReadAt(b, int64(n*pageSize)+headerSize); err != nil {
			return meta{}, err
		}
		sum := fnv.New64a()
		sum.Write(b[:56])
		if order.Uint32(b) != magic || order.Uint32(b[4:]) != version || order.Uint32(b[8:]) != uint32(pageSize) || order.Uint64(b[56:]) != sum.Sum64() {
			continue
		}
		m := meta{root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), transaction: order.Uint64(b[48:])}
		if !found || m.transaction > last.transaction {
			found, last = true, m
		}
	}
	if !found {
		return meta{}, fmt.Errorf("neither of its first two pages is valid")
	}
	return last, nil
}

// checker walks all pages of a file.
type checker struct {
	file     io.ReaderAt
	pageSize int
	used     []bool          // pages that were reached
	levels   [maxDepth]level // the pages from the root to the current one
}

// level is the memory for one page. It is reused for the next page of its depth.
type level struct {
	page     []byte
	elements []element
}

// page reads a page and its overflow pages, and returns an error if they are in use elsewhere.
func (c *checker) page(id uint64, l *level) ([]byte, error) {
	if id < 2 || id >= uint64(len(c.used)) {
		return nil, fmt.Errorf("page %d is outside its %d pages", id, len(c.used))
	}
	l.page = slices.Grow(l.page[:0], c.pageSize)
	b := l.page[:c.pageSize]
	at := int64(id) * int64(c.pageSize)
	if _, err := c.file.ReadAt(b, at); err != nil {
		return nil, err
	}
	more := uint64(order.Uint32(b[12:]))
	if order.Uint64(b) != id || more >= uint64(len(c.used))-id {
		return nil, fmt.Errorf("page %d has a wrong header", id)
	}
	for n := id; n <= id+more; n++ {
		if c.used[n] {
			return nil, fmt.Errorf("page %d is used twice", n)
		}
		c.used[n] = true
	}
	if more > 0 {
		l.page = slices.Grow(b, int(more)*c.pageSize)
		b = l.page[:c.pageSize*int(more+1)]
		if _, err := c.file.ReadAt(b[c.pageSize:], at+int64(c.pageSize)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// tree checks page id and everything below it. Its keys must be at least from and
// less than to; nil is no limit. in is the bucket that the tree belongs to, nil
// for the file's list of buckets.
func (c *checker) tree(id uint64, in []byte, depth int, from, to []byte) error {
	if depth == maxDepth {
		return fmt.Errorf("page %d is %d levels deep", id, depth)
	}
	b, err := c.page(id, &c.levels[depth])
	if err != nil {
		return err
	}
	if err := c.elements(b, in, depth, from, to); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// element is one entry of a page.
type element struct {
	key, value []byte // a branch's value is nil
	bucket     bool
	page       uint64 // a branch's
}

// elements checks the entries of page b and what is below them.
func (c *checker) elements(b, in []byte, depth int, from, to []byte) error {
	if depth == maxDepth {
		return fmt.Errorf("its buckets are nested %d deep", depth)
	}
	all, err := parse(b, c.levels[depth].elements[:0])
	c.levels[depth].elements = all
	if err != nil {
		return err
	}
	for i, e := range all {
		low := i == 0 && from != nil && bytes.Compare(e.key, from) < 0 || i > 0 && bytes.Compare(e.key, all[i-1].key) <= 0
		if low || to != nil && bytes.Compare(e.key, to) >= 0 {
			return fmt.Errorf("its keys are out of order")
		}
	}
	for i, e := range all {
		switch {
		case e.page != 0:
			end := to
			if i+1 < len(all) {
				end = all[i+1].key
			}
			err = c.tree(e.page, in, depth+1, e.key, end)
		case e.bucket:
			err = c.bucket(e, depth)
		default:
			err = checkEntry(in, e.key, e.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parse appends the entries of page b to all.
func parse(b []byte, all []element) ([]element, error) {
	kind, count := order.Uint16(b[8:]), int(order.Uint16(b[10:]))
	if kind != branchPage && kind != leafPage || kind == branchPage && count == 0 || headerSize+count*elementSize > len(b) {
		return all, fmt.Errorf("it is neither a branch nor a leaf, or its count is wrong")
	}
	for i := range count {
		at := headerSize + i*elementSize
		h := b[at:]
		var e element
		position, keyLength, valueLength := order.Uint32(h), order.Uint32(h[4:]), uint32(0)
		if kind == branchPage {
			e.page = order.Uint64(h[8:])
		} else {
			e.bucket = order.Uint32(h)&bucketFlag != 0
			position, keyLength, valueLength = order.Uint32(h[4:]), order.Uint32(h[8:]), order.Uint32(h[12:])
		}
		start := uint64(at) + uint64(position)
		middle := start + uint64(keyLength)
		end := middle + uint64(valueLength)
		if position < elementSize || end > uint64(len(b)) || kind == branchPage && e.page == 0 {
			return all, fmt.Errorf("an entry reaches beyond it")
		}
		e.key, e.value = b[start:middle], b[middle:end]
		all = append(all, e)
	}
	return all, nil
}

// bucket checks the bucket of an entry. A small one is stored in the entry itself.
func (c *checker) bucket(e element, depth int) error {
	if len(e.value) < bucketSize {
		return fmt.Errorf("a bucket is cut off")
	}
	if root := order.Uint64(e.value); root != 0 {
		return c.tree(root, e.key, depth+1, nil, nil)
	}
	inline := e.value[bucketSize:]
	if len(inline) < headerSize || order.Uint16(inline[8:]) != leafPage {
		return fmt.Errorf("a bucket is cut off")
	}
	return c.elements(inline, e.key, depth+1, nil, nil)
}

// freelist checks the list of free pages, to which bbolt writes.
func (c *checker) freelist(id uint64) error {
	b, err := c.page(id, new(level))
	if err != nil {
		return err
	}
	count, at := uint64(order.Uint16(b[10:])), headerSize
	if count == 0xFFFF { // too many for the header
		count, at = order.Uint64(b[at:]), at+8
	}
	if order.Uint16(b[8:]) != freelistPage || count > uint64(len(b)-at)/8 {
		return fmt.Errorf("page %d is not a list of free pages", id)
	}
	for range count {
		free := order.Uint64(b[at:])
		if at += 8; free < 2 || free >= uint64(len(c.used)) || c.used[free] {
			return fmt.Errorf("page %d is wrongly listed as free", free)
		}
		c.used[free] = true
	}
	return nil
}

// checkEntry returns an error if an entry of one of our buckets does not have the
// form that the code relies on. It accepts anything in other buckets.
func checkEntry(bucket, key, value []byte) error {
	valid := true
	switch string(bucket) {
	case string(bucketTasks), string(bucketBalance):
		valid = json.Valid(value)
	case string(bucketList), string(bucketOwned):
		valid = len(key) > prefixLength+stampLength
	case string(bucketDue):
		valid = len(key) > stampLength
	case string(bucketUsed), string(bucketTimings), string(bucketPause):
		valid = len(value) == intLength
	case string(bucketForgot):
		valid = len(value) == intLength || bytes.Equal(key, saltKey)
	}
	if !valid {
		return fmt.Errorf("an entry of %s has a form that this program does not write", bucket)
	}
	return nil
}
