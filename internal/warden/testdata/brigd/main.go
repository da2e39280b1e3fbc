// brigd stands in for the daemon in the warden's tests: it hands its connections, to the warden and to brig-store, and the API's listening socket to the test
// and then waits.
package main

import (
	"flag"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func main() {
	flag.String("state", "", "")
	run := flag.String("run", "", "")
	flag.Parse()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(*run, "test.sock"), Net: "unix"})
	if err != nil {
		panic(err)
	}
	if _, _, err := c.WriteMsgUnix([]byte("x"), unix.UnixRights(4, 3, 6), nil); err != nil {
		panic(err)
	}
	unix.Close(4)
	unix.Close(6)
	os.NewFile(5, "ready").WriteString("ready\n")
	os.NewFile(5, "ready").Close()
	c.Read(make([]byte, 1)) // until the test is over
}
