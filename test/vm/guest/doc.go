// Package guest has the tests that run in a machine of package vm. On any other machine it has none: Main ends before them.
package guest
