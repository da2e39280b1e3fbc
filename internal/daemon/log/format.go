package log

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"time"
	"unicode/utf8"
)

// format is how records stand in a file. What it reads may have been torn by a crash anywhere.
type format interface {
	// name is the newest file's; older ones have .1, .2 … behind it.
	name() string
	// head is what comes before the first record of a file, and of a run.
	head(b []byte) []byte
	// record appends a record.
	record(b []byte, stream byte, at time.Time, line []byte) []byte
	// next reads what b begins with into rec, and tells how many bytes it was: 0 if more are needed and may come. kind is 0 if it
	// was no record; of a line, with skim set, nothing else is of interest.
	next(rec *Record, b []byte, more, skim bool) (n int, kind byte)
	// whole tells how much of a file was written completely, by what is at its end.
	whole(f *os.File, size int64) (int64, error)
}

// maxRecord bounds a record in bytes: each byte of a line and of what is noted may be escaped to six.
const maxRecord = 6*(MaxLine+maxAttrs) + 256

// jsonFormat is that of Docker's driver json-file. The fields are what stands between text and time, for each stream.
type jsonFormat struct{ stdout, stderr []byte }

func newJSON(attrs []Attr) *jsonFormat {
	noted := ""
	if len(attrs) > 0 {
		m := make(map[string]string, len(attrs))
		for _, a := range attrs {
			m[a.Key] = a.Value
		}
		if b, err := json.Marshal(m); err == nil { // a map of strings has no error
			noted = `,"attrs":` + string(b)
		}
	}
	return &jsonFormat{[]byte(`","stream":"stdout"` + noted + `,"time":"`), []byte(`","stream":"stderr"` + noted + `,"time":"`)}
}

func (*jsonFormat) name() string { return fileName }

func (*jsonFormat) head(b []byte) []byte { return b }

func (j *jsonFormat) record(b []byte, stream byte, at time.Time, line []byte) []byte {
	b = append(b, `{"log":"`...)
	b = appendText(b, line)
	if stream == Stderr {
		b = append(b, j.stderr...)
	} else {
		b = append(b, j.stdout...)
	}
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, "\"}\n"...)
}

func (*jsonFormat) next(rec *Record, b []byte, more, skim bool) (n int, kind byte) {
	n = bytes.IndexByte(b, '\n') + 1
	if n == 0 {
		if more && len(b) <= maxRecord {
			return 0, 0
		}
		return len(b), 0
	}
	line := bytes.TrimSpace(b[:n])
	if skim {
		// Nothing in it matters but that it is one. This is what --tail has most of.
		if len(line) > 1 && line[0] == '{' && line[len(line)-1] == '}' {
			return n, Stdout
		}
		return n, 0
	}
	var j struct {
		Log    string            `json:"log"`
		Stream string            `json:"stream"`
		Attrs  map[string]string `json:"attrs"`
		Time   time.Time         `json:"time"`
	}
	if json.Unmarshal(line, &j) != nil {
		return n, 0
	}
	*rec = Record{Stream: Stdout, Time: j.Time, Text: []byte(j.Log)}
	if j.Stream == "stderr" {
		rec.Stream = Stderr
	}
	for k, v := range j.Attrs {
		rec.Attrs = append(rec.Attrs, Attr{k, v})
	}
	return n, rec.Stream
}

// whole: up to the last end of a line.
func (*jsonFormat) whole(f *os.File, size int64) (int64, error) {
	b := make([]byte, min(size, 1))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil {
		return 0, err
	}
	if len(b) == 0 || b[0] == '\n' {
		return size, nil
	}
	b = make([]byte, min(size, maxRecord))
	if _, err := io.ReadFull(io.NewSectionReader(f, size-int64(len(b)), int64(len(b))), b); err != nil {
		return 0, err
	}
	return size - int64(len(b)) + int64(bytes.LastIndexByte(b, '\n')) + 1, nil
}

const hex = "0123456789abcdef"

// appendText escapes what JSON cannot hold as it is. Bytes that are no UTF-8 become U+FFFD, as in Docker's files.
func appendText(b, s []byte) []byte {
	for len(s) > 0 {
		n := plain(s)
		b, s = append(b, s[:n]...), s[n:]
		if len(s) == 0 {
			break
		}
		switch c := s[0]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			s = s[1:]
		case c == '\n':
			b = append(b, '\\', 'n')
			s = s[1:]
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			s = s[1:]
		default:
			r, n := utf8.DecodeRune(s)
			b = utf8.AppendRune(b, r)
			s = s[n:]
		}
	}
	return b
}

// plain is how much of s, from its beginning, stands in JSON as it is.
func plain(s []byte) int {
	for i, c := range s {
		if c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}
