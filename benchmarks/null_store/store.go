package main

import (
	"sort"
	"strings"
	"sync"
	"time"
)

type object struct {
	size     int64
	etag     string
	kind     string
	acl      string
	modified time.Time
	metadata map[string]string
}

type upload struct {
	bucket, key string
	object      object
	parts       map[int]object
}

type bucket struct {
	objects map[string]object
	sorted  []string // sorted names, nil after a change
}

type store struct {
	sync.Mutex
	buckets  map[string]*bucket
	uploads  map[string]*upload
	requests map[string]int
}

type bucketCount struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func newStore() *store {
	return &store{buckets: map[string]*bucket{}, uploads: map[string]*upload{}, requests: map[string]int{}}
}

func (s *store) counts(reset bool) any {
	s.Lock()
	defer s.Unlock()
	buckets := map[string]bucketCount{}
	for name, found := range s.buckets {
		count := bucketCount{Objects: len(found.objects)}
		for _, one := range found.objects {
			count.Bytes += one.size
		}
		buckets[name] = count
	}
	requests := s.requests
	if reset {
		s.requests = map[string]int{}
	} else {
		requests = map[string]int{}
		for name, number := range s.requests {
			requests[name] = number
		}
	}
	return map[string]any{"requests": requests, "buckets": buckets}
}

func (b *bucket) put(key string, one object) {
	if _, known := b.objects[key]; !known {
		b.sorted = nil
	}
	b.objects[key] = one
}

func (b *bucket) remove(key string) {
	if _, known := b.objects[key]; known {
		b.sorted = nil
		delete(b.objects, key)
	}
}

type listed struct {
	keys     []string
	prefixes []string
	next     string // the key to continue after; empty at the end
}

// list returns up to limit keys and common prefixes after a key or prefix, in byte order.
func (b *bucket) list(prefix, delimiter, after string, limit int) listed {
	if b.sorted == nil {
		b.sorted = make([]string, 0, len(b.objects))
		for key := range b.objects {
			b.sorted = append(b.sorted, key)
		}
		sort.Strings(b.sorted)
	}
	var found listed
	position := sort.SearchStrings(b.sorted, max(prefix, after))
	last := ""
	for ; position < len(b.sorted); position++ {
		key := b.sorted[position]
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if key <= after || (after != "" && delimiter != "" && strings.HasSuffix(after, delimiter) && strings.HasPrefix(key, after)) {
			continue
		}
		rest := key[len(prefix):]
		common := ""
		if cut := strings.Index(rest, delimiter); delimiter != "" && cut >= 0 {
			common = prefix + rest[:cut+len(delimiter)]
			if common == last {
				continue
			}
		}
		if len(found.keys)+len(found.prefixes) == limit {
			found.next = last
			break
		}
		if common != "" {
			found.prefixes = append(found.prefixes, common)
			last = common
		} else {
			found.keys = append(found.keys, key)
			last = key
		}
	}
	return found
}
