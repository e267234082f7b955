package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
)

const algorithm = "AWS4-HMAC-SHA256"

var signingKeys sync.Map // scope without its last part -> key

// refused returns an error code if the signature of a request is wrong or missing, and otherwise an empty string.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func (s *server) refused(r *http.Request) string {
	words, found := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !found {
		return "AccessDenied"
	}
	fields := map[string]string{}
	for _, word := range strings.Split(words, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		fields[name] = value
	}
	accessKey, scope, _ := strings.Cut(fields["Credential"], "/")
	parts := strings.Split(scope, "/")
	if accessKey != s.accessKey {
		return "InvalidAccessKeyId"
	}
	if len(parts) != 4 {
		return "AuthorizationHeaderMalformed"
	}
	stamp := r.Header.Get("X-Amz-Date")
	text := algorithm + "\n" + stamp + "\n" + scope + "\n" + hexed(canonical(r, fields["SignedHeaders"]))
	if !strings.HasPrefix(stamp, parts[0]) || !hmac.Equal([]byte(hex.EncodeToString(sign(s.keyOf(scope, parts), text))), []byte(fields["Signature"])) {
		return "SignatureDoesNotMatch"
	}
	return ""
}

func (s *server) keyOf(scope string, parts []string) []byte {
	if known, found := signingKeys.Load(scope); found {
		return known.([]byte)
	}
	key := []byte("AWS4" + s.secretKey)
	for _, part := range parts {
		key = sign(key, part)
	}
	signingKeys.Store(scope, key)
	return key
}

func canonical(r *http.Request, signed string) string {
	var lines strings.Builder
	for _, name := range strings.Split(signed, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
		case "transfer-encoding":
			value = strings.Join(r.TransferEncoding, ",")
		}
		lines.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	return strings.Join([]string{
		r.Method, path(r), query(r), lines.String(), signed, r.Header.Get("X-Amz-Content-Sha256"),
	}, "\n")
}

func path(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	return raw
}

func query(r *http.Request) string {
	var pairs []string
	for name, values := range r.URL.Query() {
		for _, value := range values {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "&")
}

func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
