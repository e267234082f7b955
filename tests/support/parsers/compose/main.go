// Reads dotenv files with compose's own package. One path per line on stdin, one line of JSON each on stdout.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

type answer struct {
	Values map[string]string `json:"values,omitempty"`
	Error  string            `json:"error,omitempty"`
}

func main() {
	// Nothing is looked up in the environment: only the file counts.
	none := func(string) (string, bool) { return "", false }
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	paths := bufio.NewScanner(os.Stdin)
	for paths.Scan() {
		var result answer
		values, err := dotenv.ReadFile(paths.Text(), none)
		if err != nil {
			result.Error = err.Error()
		} else {
			result.Values = values
		}
		if err := encoder.Encode(result); err != nil {
			os.Exit(1)
		}
	}
}
