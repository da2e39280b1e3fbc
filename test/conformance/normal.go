package conformance

import (
	"regexp"
	"strings"
)

// rule replaces what two runs of the same command line never share by a name.
type rule struct {
	pattern *regexp.Regexp
	name    string
}

var rules = []rule{
	// The client has a goroutine that may or may not have written all when the engine refuses.
	{regexp.MustCompile(`(?m)^time="[^"]*" level=error msg="Can't .* closed pipe"\n`), ""},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "<id>"},
	{regexp.MustCompile(`\b[0-9a-f]{12}\b`), "<short>"},
	{regexp.MustCompile(`\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?( [A-Z]{3})?`), "<time>"},
	{regexp.MustCompile(`\b0001-01-01T00:00:00Z\b`), "<never>"},
	{regexp.MustCompile(`\b(Less than a second|About an? \w+|\d+ (second|minute|hour|day|week|month|year)s?)\b`), "<span>"},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b`), "<mac>"},
	{regexp.MustCompile(`\b(172\.(1[6-9]|2\d|3[01])|10\.\d+|192\.168)\.\d+\.\d+\b`), "<address>"},
	{regexp.MustCompile(`\b[5-9]\.\d+\.\d+(-[\w.]+)+\b`), "<kernel>"},
	// Layers take other space in another format, and the program in the image is this machine's.
	{regexp.MustCompile(`\b\d+(\.\d+)?[kMG]B\b`), "<size>"},
	{regexp.MustCompile(`(reclaimed space: )\S+`), "${1}<size>"},
	{regexp.MustCompile(`  +`), "  "}, // columns are as wide as what was replaced in them
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
}

// Normal gives a text with names in place of identities, times, addresses and widths. known are those of this run that
// have a name of their own: what to replace, and by what.
func Normal(text string, known *strings.Replacer) string {
	text = known.Replace(strings.ReplaceAll(text, "\r\n", "\n"))
	for _, r := range rules {
		text = r.pattern.ReplaceAllString(text, r.name)
	}
	return text
}
