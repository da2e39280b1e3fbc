package request

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Environment joins the lines of files and the values of -e, in this order. A name without "=" takes the caller's
// value; where the caller has none, a line of a file is left out and an -e is sent as it is, which unsets the image's.
func Environment(files, values []string) ([]string, error) {
	var env []string
	for _, path := range files {
		lines, err := readLines(path)
		if err != nil {
			return nil, fmt.Errorf("--env-file: %w", err)
		}
		for _, line := range lines {
			if strings.Contains(line, "=") {
				env = append(env, line)
			} else if v, ok := os.LookupEnv(line); ok {
				env = append(env, line+"="+v)
			}
		}
	}
	for _, s := range values {
		name, _, hasValue := strings.Cut(s, "=")
		if name == "" {
			return nil, fmt.Errorf("--env %q: NAME or NAME=value is needed", s)
		}
		if v, ok := os.LookupEnv(name); ok && !hasValue {
			s = name + "=" + v
		}
		env = append(env, s)
	}
	return env, nil
}

func labelSet(files, values []string) (map[string]string, error) {
	var all []string
	for _, path := range files {
		lines, err := readLines(path)
		if err != nil {
			return nil, fmt.Errorf("--label-file: %w", err)
		}
		all = append(all, lines...)
	}
	labels := make(map[string]string)
	for _, s := range append(all, values...) {
		key, value, _ := strings.Cut(s, "=")
		if key == "" {
			return nil, fmt.Errorf("--label %q: a label needs a name", s)
		}
		labels[key] = value
	}
	return labels, nil
}

// readLines reads NAME=value lines. Blank lines and lines that begin with # are left out.
func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if !utf8.ValidString(line) {
			return nil, fmt.Errorf("%s: line %d is not UTF-8", path, n)
		}
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line, "=")
		if name == "" || strings.ContainsFunc(name, unicode.IsSpace) {
			return nil, fmt.Errorf("%s: line %d: %q is not a name", path, n, name)
		}
		lines = append(lines, line)
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lines, nil
}
