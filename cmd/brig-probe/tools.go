package main

import (
	"encoding/hex"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tools are the everyday commands of the image, and the neighbour's part in the drill (serve, hold, take, sync-write), the attacker's that prints
// (pour) or plants links (plant), the second caller's (ask), what counts what is left (census), and the trojans of copy-trojan.
// Arguments are those of the plain POSIX forms, without options.
func tools(name string) func(args []string) int {
	switch name {
	case "true":
		return func([]string) int { return 0 }
	case "false":
		return func([]string) int { return 1 }
	case "sleep":
		return toolSleep
	case "echo":
		return toolEcho
	case "cat":
		return toolCat
	case "id":
		return toolID
	case "ls":
		return toolList
	case "hostname":
		return toolHostname
	case "env":
		return toolEnv
	case "hardware-address":
		return toolHardwareAddress
	case "serve":
		return toolServe
	case "hold":
		return toolHold
	case "take":
		return toolTake
	case "leave":
		return toolLeave
	case "pour":
		return toolPour
	case "ask":
		return toolAsk
	case "census":
		return toolCensus
	case "_rights":
		return toolRights
	case "_int80":
		return toolInt80
	case "_hog":
		return toolHog
	case "_type":
		return toolType
	case "_threads":
		return toolThreads
	case "_files":
		return toolFiles
	case "_watches":
		return toolWatches
	case "_arguments":
		return toolArguments
	case "_wait":
		return toolWait
	case "sync-write":
		return toolSyncWrite
	case "evict":
		return toolEvict
	case "resident":
		return toolResident
	case "plant":
		return toolPlant
	case "xz", "unxz", "gzip", "gunzip", "unpigz", "zstd", "bzip2", "tar":
		return toolTrojan
	}
	return nil
}

// toolSleep waits for the given number of seconds (fractions allowed; "infinity"), or until it is told to end: as
// process 1 of a container it would otherwise not see SIGTERM.
func toolSleep(args []string) int {
	if len(args) != 1 {
		fail("usage: sleep SECONDS")
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if args[0] == "infinity" {
		<-stop
		return 143
	}
	seconds, err := strconv.ParseFloat(args[0], 64)
	if err != nil || seconds < 0 || seconds > 1e8 {
		fail("sleep: not a number of seconds: " + args[0])
	}
	select {
	case <-stop:
		return 143
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return 0
	}
}

func toolEcho(args []string) int {
	os.Stdout.WriteString(strings.Join(args, " ") + "\n")
	return 0
}

func toolCat(args []string) int {
	if len(args) == 0 {
		args = []string{"-"}
	}
	status := 0
	for _, name := range args {
		f := os.Stdin
		if name != "-" {
			var err error
			if f, err = os.Open(name); err != nil {
				os.Stderr.WriteString("cat: " + err.Error() + "\n")
				status = 1
				continue
			}
		}
		if _, err := io.Copy(os.Stdout, f); err != nil {
			os.Stderr.WriteString("cat: " + err.Error() + "\n")
			status = 1
		}
		if f != os.Stdin {
			f.Close()
		}
	}
	return status
}

func toolID([]string) int {
	text := "uid=" + strconv.Itoa(os.Getuid()) + " gid=" + strconv.Itoa(os.Getgid())
	if groups, err := os.Getgroups(); err == nil && len(groups) > 0 {
		names := make([]string, len(groups))
		for i, g := range groups {
			names[i] = strconv.Itoa(g)
		}
		text += " groups=" + strings.Join(names, ",")
	}
	os.Stdout.WriteString(text + "\n")
	return 0
}

func toolList(args []string) int {
	if len(args) == 0 {
		args = []string{"."}
	}
	status := 0
	for _, dir := range args {
		entries, err := os.ReadDir(dir)
		if err != nil {
			os.Stderr.WriteString("ls: " + err.Error() + "\n")
			status = 1
		}
		for _, e := range entries {
			os.Stdout.WriteString(e.Name() + "\n")
		}
	}
	return status
}

func toolHostname([]string) int {
	name, err := os.Hostname()
	if err != nil {
		fail("hostname: " + err.Error())
	}
	os.Stdout.WriteString(name + "\n")
	return 0
}

func toolEnv([]string) int {
	for _, e := range os.Environ() {
		os.Stdout.WriteString(e + "\n")
	}
	return 0
}

// toolHardwareAddress prints an interface's own, which /sys would not show for another network namespace.
func toolHardwareAddress(args []string) int {
	if len(args) != 1 {
		fail("usage: hardware-address INTERFACE")
	}
	_, mac, _, err := interfaceOf(args[0])
	if err != nil {
		fail("hardware-address: " + args[0] + ": " + errName(err))
	}
	text := ""
	for i, b := range mac {
		if i > 0 {
			text += ":"
		}
		text += hex.EncodeToString([]byte{b})
	}
	os.Stdout.WriteString(text + "\n")
	return 0
}
