package clients

import "testing"

func TestAReportWithoutItsEndIsAnError(t *testing.T) {
	for text, good := range map[string]bool{
		"ok - one\nnot ok - two: no\n# seen\n1..2\n": true,
		"ok - one\n":            false, // it died
		"ok - one\n1..2\n":      false, // it forgot something
		"1..0\n":                false,
		"ok - one\n1..many\n":   false,
		"":                      false,
		"Traceback (most\n1..0": false,
	} {
		r, err := ReadReport(text)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if good && (len(r.Passed) != 1 || r.Passed[0] != "one" || len(r.Failed) != 1 || r.Failed[0] != "two: no") {
			t.Errorf("%q: %+v", text, r)
		}
	}
}
