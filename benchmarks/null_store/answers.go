package main

import (
	"encoding/xml"
	"net/http"
	"strconv"
)

// A response is built first, then delayed, then written.
type answer struct {
	status  int
	code    string
	headers map[string]string
	body    any
}

type errorBody struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func failed(status int, code string) answer { return answer{status: status, code: code} }

func noSuchKey() answer { return failed(http.StatusNotFound, "NoSuchKey") }

func (a answer) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	for name, value := range a.headers {
		header[name] = []string{value}
	}
	var content []byte
	if a.code != "" {
		a.body = errorBody{Code: a.code, Message: a.code + " of the null store"}
	}
	if a.body != nil && r.Method != http.MethodHead {
		content, _ = xml.Marshal(a.body)
		content = append([]byte(xml.Header), content...)
		header.Set("Content-Type", "application/xml")
	}
	if _, given := a.headers["Content-Length"]; !given && a.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(content)))
	}
	w.WriteHeader(a.status)
	if len(content) > 0 {
		_, _ = w.Write(content)
	}
}
