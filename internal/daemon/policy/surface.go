package policy

// Surface is what is left of the kernel: how many system calls can be reached, if some only with some arguments, of how
// many that there are, and in how many families sockets can be asked for. The numbers are counted when the filters are made
// (dist/embed/filters).
type Surface struct{ Calls, Known, Families int }
