// Command bench measures Brig beside the engines that are installed, in one interleaved run, and prints tables.
//
//	bench [-bin DIR] [-write FILE] [-only NAME,NAME] [-rounds N] [-lasts DURATION] [-idle N] [-large MB] [-dir DIR]
//	bench -scale N -churn M …   only the last part of the page: N containers at once, M one after the other
//	bench -install     fetch the peers first: Debian's packages, unpacked and not installed, and newer ones built from
//	                   the Go module proxy, all below the user's cache directory
//
// How it measures:
//
//   - Every engine lives in a room (test/room): namespaces of its own and a directory on disk. A peer that is missing is
//     a line that says so.
//   - Programs that were just built, Brig's and the newest peers', are copied first, as installing them would.
//   - A time is that of a command line, from fork to reaped, taken inside the room; 40 ms of idleness come before each.
//     Engines take turns within a round (A, B, C, A, B, C, …), so that drift of the machine meets all of them.
//   - A measurement counts if the machine was quiet before and after it: a fixed piece of arithmetic on every processor
//     took no more than 1.25 times its best time (quiet.go). Otherwise it is taken again, for all engines alike; how often
//     is said on the page, and what had to stand although the machine was never quiet.
//   - Rates are complete starts per second of a number of workers that each start the next container when theirs ended.
//     Engines take turns in several windows, and the best counts: what else happens on the machine, or on that below a
//     virtual one, only takes away. The median stands beside it for the most workers.
//   - Memory is what the engine's own processes (everything in the room but the programs of the containers) and the
//     whole machine have more with idle containers than without, divided by their number.
//   - All engines run the same root: a static busybox and nothing else. runc and crun get a bundle with Docker's
//     seccomp profile and capabilities, an empty network namespace and a read-only root, and have no image, network or
//     log to care for.
package main
