// Package clients runs what people use Docker through against Brig, and by the same scripts against dockerd: Docker
// Compose, docker-py, testcontainers-go and dockerode, each in a fixed version and as it is published.
//
// A scenario is a program in testdata that reads DOCKER_HOST, does what its users do, and prints a line of the Test
// Anything Protocol for each thing that it found to be so, or not. It runs in a room (test/room) beside the engine,
// where published ports are on the loopback. A line that one engine earns and the other does not fails the test.
package clients
