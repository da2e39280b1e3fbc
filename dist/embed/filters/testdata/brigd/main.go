// A program that does what brigd does, under its filter, and then tries the way out.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

var failed bool

func check(what string, err error) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		failed = true
	}
}

func refused(what string, err error) {
	if err != unix.EPERM && err != unix.ENOSYS {
		fmt.Printf("%s: %v, want a refusal\n", what, err)
		failed = true
	}
}

func main() {
	f := os.NewFile(4, "warden")
	conn, err := net.FileConn(f)
	check("socket", err)
	buf := make([]byte, 100)
	_, err = conn.Read(buf)
	check("read", err)
	dir, err := os.Getwd()
	check("getwd", err)
	serve("tcp", "127.0.0.1:0")
	serve("unix", filepath.Join(dir, "api.sock"))
	records(dir)
	_, err = net.Interfaces()
	check("interfaces", err)
	_, err = os.Hostname()
	check("hostname", err)
	escape()
	if !failed {
		fmt.Println("everything as expected")
	}
	_, err = conn.Write([]byte("done"))
	check("answer", err)
	_ = unix.Exec("/bin/sh", []string{"sh"}, nil)
	fmt.Println("still alive after execve")
}

func serve(network, address string) {
	l, err := net.Listen(network, address)
	check("listen", err)
	if err != nil {
		return
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Dial: func(string, string) (net.Conn, error) { return net.Dial(network, l.Addr().String()) }}}
	resp, err := client.Get("http://brig/")
	check("request over "+network, err)
	if err == nil {
		resp.Body.Close()
	}
}

// records writes one as section 7 of the design says: temporary file, fsync, rename, fsync of the directory.
func records(dir string) {
	root, err := os.OpenRoot(dir)
	check("open root", err)
	check("mkdir", root.MkdirAll("a/b", 0o700))
	f, err := root.OpenFile("a/b/tmp", os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	check("create", err)
	_, err = f.WriteString("{}")
	check("write", err)
	check("fsync", f.Sync())
	check("close", f.Close())
	check("rename", root.Rename("a/b/tmp", "a/b/record"))
	check("chmod", os.Chmod(filepath.Join(dir, "a/b/record"), 0o400))
	_, err = os.ReadDir(filepath.Join(dir, "a/b"))
	check("read directory", err)
	_, err = os.Stat(filepath.Join(dir, "a/b/record"))
	check("stat", err)
	check("remove", os.RemoveAll(filepath.Join(dir, "a")))
	_, err = os.CreateTemp(dir, "x")
	check("temporary file", err)
}

func escape() {
	for what, family := range map[string]int{"packet": unix.AF_PACKET, "vsock": unix.AF_VSOCK, "alg": unix.AF_ALG} {
		_, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		refused(what, err)
	}
	_, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	refused("raw socket", err)
	_, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT)
	refused("netlink audit", err)
	refused("chroot", unix.Chroot("/"))
	refused("kill", unix.Kill(1, 0))
	refused("mknod", unix.Mknodat(unix.AT_FDCWD, "x", unix.S_IFCHR, 0))
	refused("setxattr", unix.Setxattr(".", "user.x", []byte("x"), 0))
	refused("setuid", unix.Setresuid(0, 0, 0))
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	refused("ioctl", errno)
	_, err = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	refused("executable memory", err)
}
