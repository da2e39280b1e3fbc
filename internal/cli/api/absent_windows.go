package api

// absent is false where no engine can be started: engines run on Linux.
func absent(error) bool { return false }
