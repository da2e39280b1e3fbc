// Package e2e tests the engine as it is used: the real programs, started as a person would, in a network namespace and
// directories of the test's own, talked to through brig and through the docker client.
package e2e
