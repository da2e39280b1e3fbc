package cli

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// oldID and newID are the container that web was, and the one that it is made again as.
const oldID, newID = "0123456789abcdef", "fedcba9876543210"

// layRecreation lays down an engine on which web can be made again. What removing the old one does is the test's.
func layRecreation(f *fakeEngine) {
	const inspected = `{"Id":"` + oldID + `","Name":"/web","Image":"sha256:1","State":{"Running":true},"Config":{"Image":"app"},"HostConfig":{},"NetworkSettings":{}}`
	for _, at := range []string{"/containers/web", "/containers/" + oldID} {
		f.json("GET "+at+"/json", 200, inspected)
		f.json("GET "+at+"/changes", 200, `[]`)
	}
	f.json("GET /containers/web/stats", 200, reading(oldID, "/web"))
	f.json("GET /containers/web/top", 200, `{"Titles":["UID","GID","COMMAND"],"Processes":[["7","7","app"]]}`)
	f.json("GET /images/app/json", 200, `{"Id":"sha256:1"}`)
	f.json("POST /containers/create", 201, `{"Id":"`+newID+`"}`)
	f.json("GET /containers/"+newID+"/json", 200, `{"State":{"Running":true}}`)
	for _, line := range []string{oldID + "/stop", oldID + "/rename", newID + "/rename", newID + "/start"} {
		f.on("POST /containers/"+line, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	}
}

// When the old container cannot be removed the new one stays, and somebody is told which is where, and what to do.
func TestTightenSaysThatTheOldContainerIsLeft(t *testing.T) {
	lost := func(f *fakeEngine) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				f.t.Error(err)
				return
			}
			conn.Close()
		}
	}
	refused := func(*fakeEngine) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"its files are busy"}`, http.StatusInternalServerError)
		}
	}
	for name, c := range map[string]struct {
		remove, look func(*fakeEngine) http.HandlerFunc // look is asked for after the removal
		code         int
		says         []string
	}{
		"refused": {refused, nil, 1, []string{"brig: web was made again and runs, but the container that it was is there still, as web.before-tighten: its files are busy. " +
			"Next: brig rm web.before-tighten\n"}},
		"no answer, and there": {lost, nil, 1, []string{"web was made again and runs", " is there still, as web.before-tighten: ", "Next: brig rm web.before-tighten\n"}},
		"no answer, and gone": {lost, func(*fakeEngine) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"message":"No such container"}`, 404) }
		}, 0, nil},
		"no answer any more": {lost, lost, 1, []string{"web was made again and runs", " may be there still, as web.before-tighten: ", "Next: brig rm web.before-tighten\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits until the new container has stayed
			f := newFake(t)
			layRecreation(f)
			f.on("DELETE /containers/"+oldID, func(w http.ResponseWriter, r *http.Request) {
				if c.look != nil {
					f.on("GET /containers/"+oldID+"/json", c.look(f))
				}
				c.remove(f)(w, r)
			})
			r := f.brig("", "tighten", "--apply", "web")
			if r.code != c.code || (r.out == "web\n") != (c.code == 0) {
				t.Errorf("%+v", r)
			}
			for _, words := range c.says {
				if !strings.Contains(r.err, words) {
					t.Errorf("%q is not in %q", words, r.err)
				}
			}
			seen := f.lines()
			end := slices.Index(seen, "DELETE /containers/"+oldID)
			if end < 0 || slices.ContainsFunc(seen[end:], func(line string) bool {
				return strings.HasPrefix(line, "POST ") || strings.HasSuffix(line, newID)
			}) {
				t.Errorf("something was undone: %q", seen)
			}
		})
	}
}
