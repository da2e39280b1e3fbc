package wire

// Version of the programs, set by the build. All five come from one build and refuse to talk to another one.
var Version = "0.1.0-dev"
