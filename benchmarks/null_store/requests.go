package main

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (s *server) answer(r *http.Request) answer {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	words := r.URL.Query()
	s.store.Lock()
	s.store.requests[r.Method]++
	s.store.Unlock()
	if s.signature {
		if code := s.refused(r); code != "" {
			return failed(http.StatusForbidden, code)
		}
	}
	sent := s.read(r)
	if sent.code != "" {
		return failed(http.StatusBadRequest, sent.code)
	}
	s.store.Lock()
	defer s.store.Unlock()
	if name == "" {
		return s.listBuckets()
	}
	there := s.store.buckets[name]
	if key == "" && r.Method == http.MethodPut && len(words) == 0 {
		if there == nil {
			s.store.buckets[name] = &bucket{objects: map[string]object{}}
		}
		return ok(nil)
	}
	if there == nil {
		return failed(http.StatusNotFound, "NoSuchBucket")
	}
	if key == "" {
		return s.bucketAnswer(r, name, there, words)
	}
	if words.Has("uploads") || words.Has("uploadId") {
		return s.multipartAnswer(r, name, key, there, words, sent)
	}
	return objectAnswer(r, key, there, words, sent)
}

func (s *server) listBuckets() answer {
	type one struct {
		Name         string
		CreationDate string
	}
	type all struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Buckets []one    `xml:"Buckets>Bucket"`
	}
	var found all
	for name := range s.store.buckets {
		found.Buckets = append(found.Buckets, one{name, time.Unix(0, 0).UTC().Format(time.RFC3339)})
	}
	return ok(found)
}

func (s *server) bucketAnswer(r *http.Request, name string, there *bucket, words url.Values) answer {
	switch {
	case r.Method == http.MethodGet && words.Has("location"):
		type location struct {
			XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		}
		return ok(location{})
	case r.Method == http.MethodGet && words.Has("uploads"):
		type uploads struct {
			XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
		}
		return ok(uploads{})
	case r.Method == http.MethodGet:
		return listing(name, there, words)
	case r.Method == http.MethodHead:
		return ok(nil)
	case r.Method == http.MethodDelete:
		delete(s.store.buckets, name)
		return answer{status: http.StatusNoContent}
	}
	return failed(http.StatusNotImplemented, "NotImplemented")
}

func listing(name string, there *bucket, words url.Values) answer {
	type content struct {
		Key          string
		LastModified string
		ETag         string
		Size         int64
		StorageClass string
	}
	type common struct{ Prefix string }
	type result struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name                  string
		Prefix                string
		MaxKeys               int
		KeyCount              int
		IsTruncated           bool
		EncodingType          string `xml:",omitempty"`
		NextContinuationToken string `xml:",omitempty"`
		NextMarker            string `xml:",omitempty"`
		Contents              []content
		CommonPrefixes        []common
	}
	encode := func(text string) string { return text }
	if words.Get("encoding-type") == "url" {
		encode = func(text string) string { return strings.ReplaceAll(escape(text), "%2F", "/") }
	}
	limit, err := strconv.Atoi(words.Get("max-keys"))
	if err != nil || limit > 1000 {
		limit = 1000
	}
	after := max(words.Get("continuation-token"), words.Get("start-after"), words.Get("marker"))
	found := there.list(words.Get("prefix"), words.Get("delimiter"), after, limit)
	page := result{
		Name: name, Prefix: encode(words.Get("prefix")), MaxKeys: limit, KeyCount: len(found.keys) + len(found.prefixes),
		IsTruncated: found.next != "", EncodingType: words.Get("encoding-type"), NextContinuationToken: found.next,
	}
	if words.Get("list-type") != "2" {
		page.NextContinuationToken, page.NextMarker = "", encode(found.next)
	}
	for _, key := range found.keys {
		one := there.objects[key]
		stamp := one.modified.UTC().Format("2006-01-02T15:04:05.000Z")
		page.Contents = append(page.Contents, content{encode(key), stamp, quoted(one.etag), one.size, "STANDARD"})
	}
	for _, prefix := range found.prefixes {
		page.CommonPrefixes = append(page.CommonPrefixes, common{encode(prefix)})
	}
	return ok(page)
}

func objectAnswer(r *http.Request, key string, there *bucket, words url.Values, sent payload) answer {
	one, known := there.objects[key]
	switch {
	case r.Method == http.MethodPut && words.Has("acl"):
		if !known {
			return noSuchKey()
		}
		one.acl = r.Header.Get("X-Amz-Acl")
		there.put(key, one)
		return ok(nil)
	case r.Method == http.MethodPut:
		there.put(key, described(r, sent))
		return accepted(sent)
	case r.Method == http.MethodHead && known:
		headers := map[string]string{
			"Etag": quoted(one.etag), "Content-Length": strconv.FormatInt(one.size, 10), "Content-Type": one.kind,
			"Last-Modified": one.modified.UTC().Format(http.TimeFormat),
		}
		for name, value := range one.metadata {
			headers[name] = value
		}
		return answer{status: http.StatusOK, headers: headers}
	case r.Method == http.MethodHead:
		return noSuchKey()
	case r.Method == http.MethodDelete:
		there.remove(key)
		return answer{status: http.StatusNoContent}
	}
	return failed(http.StatusNotImplemented, "NotImplemented")
}

func (s *server) multipartAnswer(
	r *http.Request, name, key string, there *bucket, words url.Values, sent payload,
) answer {
	if r.Method == http.MethodPost && words.Has("uploads") {
		type initiated struct {
			XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
			Bucket   string
			Key      string
			UploadID string `xml:"UploadId"`
		}
		id := fmt.Sprintf("%s/%s/%d", name, key, time.Now().UnixNano())
		s.store.uploads[id] = &upload{name, key, described(r, payload{}), map[int]object{}}
		return ok(initiated{Bucket: name, Key: key, UploadID: id})
	}
	id := words.Get("uploadId")
	under := s.store.uploads[id]
	if under == nil || under.bucket != name || under.key != key {
		return failed(http.StatusNotFound, "NoSuchUpload")
	}
	switch r.Method {
	case http.MethodPut:
		number, err := strconv.Atoi(words.Get("partNumber"))
		if err != nil {
			return failed(http.StatusBadRequest, "InvalidPart")
		}
		under.parts[number] = object{size: sent.size}
		return accepted(sent)
	case http.MethodPost:
		whole := under.object
		for _, part := range under.parts {
			whole.size += part.size
		}
		whole.modified = time.Now()
		there.put(key, whole)
		delete(s.store.uploads, id)
		type completed struct {
			XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
			Bucket  string
			Key     string
			ETag    string
		}
		return ok(completed{Bucket: name, Key: key, ETag: quoted(whole.etag)})
	case http.MethodDelete:
		delete(s.store.uploads, id)
		return answer{status: http.StatusNoContent}
	}
	return failed(http.StatusNotImplemented, "NotImplemented")
}

func accepted(sent payload) answer {
	headers := map[string]string{"Etag": quoted(sent.etag)}
	maps.Copy(headers, sent.checksum)
	return answer{status: http.StatusOK, headers: headers}
}

func described(r *http.Request, sent payload) object {
	one := object{
		size: sent.size, etag: sent.etag, kind: r.Header.Get("Content-Type"), acl: r.Header.Get("X-Amz-Acl"),
		modified: time.Now(),
	}
	if one.etag == "" {
		one.etag = "null-store"
	}
	for name, values := range r.Header {
		if name == "Cache-Control" || strings.HasPrefix(name, "X-Amz-Meta-") {
			if one.metadata == nil {
				one.metadata = map[string]string{}
			}
			one.metadata[name] = values[0]
		}
	}
	return one
}

func quoted(text string) string { return `"` + text + `"` }
