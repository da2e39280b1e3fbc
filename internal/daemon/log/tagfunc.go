package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
)

func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []string:
		n := 0
		for _, s := range v {
			n += len(s)
		}
		return min(n, maxTag) // the environment may be long; what is made of it may not
	}
	return 0
}

// functions are those of Docker's tags.
var functions = map[string]func(args []any) (any, error){
	"json": func(a []any) (any, error) {
		if len(a) != 1 {
			return nil, errArgs
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(a[0])
		return strings.TrimSpace(b.String()), err
	},
	"split": func(a []any) (any, error) {
		s, err := texts(a, 2)
		if err != nil {
			return nil, err
		}
		return strings.Split(s[0], s[1]), nil
	},
	"join":  join,
	"title": func(a []any) (any, error) { return change(a, title) },
	"lower": func(a []any) (any, error) { return change(a, strings.ToLower) },
	"upper": func(a []any) (any, error) { return change(a, strings.ToUpper) },
	"pad":   pad,
	"truncate": func(a []any) (any, error) {
		if len(a) != 2 {
			return nil, errArgs
		}
		s, ok := a[0].(string)
		n, isNumber := a[1].(int)
		if !ok || !isNumber {
			return nil, errArgs
		}
		return s[:min(len(s), n)], nil
	},
	"index": index,
}

var errArgs = errors.New("its operands are of another number or kind")

func texts(a []any, n int) (s []string, err error) {
	if len(a) != n {
		return nil, errArgs
	}
	for _, v := range a {
		t, ok := v.(string)
		if !ok {
			return nil, errArgs
		}
		s = append(s, t)
	}
	return s, nil
}

func change(a []any, f func(string) string) (any, error) {
	s, err := texts(a, 1)
	if err != nil {
		return nil, err
	}
	return f(s[0]), nil
}

// title begins each word with a capital.
func title(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		first := !unicode.IsLetter(before) && !unicode.IsDigit(before) && before != '_'
		before = r
		if first {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

func join(a []any) (any, error) {
	if len(a) != 2 {
		return nil, errArgs
	}
	list, ok := a[0].([]string)
	sep, isText := a[1].(string)
	if !ok || !isText {
		return nil, errArgs
	}
	n := len(sep) * len(list)
	for _, s := range list {
		n += len(s)
	}
	if n > maxTag {
		return nil, errTooLong
	}
	return strings.Join(list, sep), nil
}

func pad(a []any) (any, error) {
	if len(a) != 3 {
		return nil, errArgs
	}
	s, ok := a[0].(string)
	left, isLeft := a[1].(int)
	right, isRight := a[2].(int)
	switch {
	case !ok || !isLeft || !isRight:
		return nil, errArgs
	case left > maxTag || right > maxTag:
		return nil, errTooLong
	case s == "":
		return s, nil
	}
	return strings.Repeat(" ", left) + s + strings.Repeat(" ", right), nil
}

func index(a []any) (any, error) {
	if len(a) != 2 {
		return nil, errArgs
	}
	switch of := a[0].(type) {
	case map[string]string:
		if k, ok := a[1].(string); ok {
			return of[k], nil
		}
	case []string:
		if n, ok := a[1].(int); ok && n < len(of) {
			return of[n], nil
		}
	}
	return nil, errArgs
}
