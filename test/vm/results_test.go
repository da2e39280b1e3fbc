package vm

import (
	"strings"
	"testing"
)

// What a machine says of its tests is what the host says of them: a failure fails, and one that never ended does not pass.
func TestResultsAreThoseOfTheMachine(t *testing.T) {
	const mark = "\x16"
	said := mark + "=== RUN   TestA\n" + mark + "=== RUN   TestA/one_thing\n    a_test.go:1: too little\n" +
		mark + "--- FAIL: TestA/one_thing (0.10s)\n" + mark + "--- FAIL: TestA (0.20s)\n" +
		mark + "=== RUN   TestB\n    b_test.go:1: missing: a disk\n" + mark + "--- SKIP: TestB (0.00s)\n" +
		mark + "=== RUN   TestC\nhalf a wo"
	top, err := Results([]byte(said), []string{"TestA", "TestB", "TestC", "TestD"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var walk func(r *Result, above string)
	walk = func(r *Result, above string) {
		for _, s := range r.Subtests {
			got = append(got, above+s.Name+":"+s.Action)
			walk(s, above+s.Name+"/")
		}
	}
	walk(top, "")
	want := "TestA:fail TestA/one_thing:fail TestB:skip TestC: TestD:"
	if s := strings.Join(got, " "); strings.ReplaceAll(s, "TestC:fail", "TestC:") != want {
		t.Errorf("%s, want %s", s, want)
	}
	if one := top.Subtests[0].Subtests[0]; !strings.Contains(one.Output, "too little") {
		t.Errorf("the reason is lost: %q", one.Output)
	}
}

func TestTheNewestKernelIsTaken(t *testing.T) {
	const names = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-56-cloud-amd64\nlinux-image-6.1.0-57-cloud-amd64-unsigned\n" +
		"linux-image-6.1.0-58-amd64\nlinux-image-6.1.0-10-cloud-amd64\n"
	if got := newest(names); got != "6.1.0-56-cloud-amd64" {
		t.Error(got)
	}
	if got := newest("linux-image-6.1.0-58-amd64\n"); got != "" {
		t.Error(got)
	}
}

func TestArchiveOfTheInitialRoot(t *testing.T) {
	var c cpio
	c.add("d", cpioDir, nil)
	c.add("d/file", cpioFile, []byte("12345"))
	b := string(c.end())
	if len(b)%4 != 0 || strings.Count(b, "070701") != 3 || !strings.Contains(b, "d/file\x00\x00\x00\x0012345\x00\x00\x00070701") {
		t.Errorf("%q", b)
	}
	const fields = "070701" + "00000000" + "000081ed" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005"
	if !strings.Contains(b, fields) {
		t.Errorf("no header %s in %q", fields, b)
	}
}
