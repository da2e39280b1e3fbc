package wire

// FilterMaxInstructions is the kernel's bound for one program (BPF_MAXINSNS).
const FilterMaxInstructions = 4096

// Filter is a system call filter as the kernel takes it. brigd has compiled it, and the warden stacks it on a floor of its
// own, which no Filter can weaken.
type Filter struct {
	// Program is classic BPF, eight bytes for each instruction (struct sock_filter). Without any the floor is alone.
	Program []byte `json:"program,omitempty"`
	// Log asks the kernel to log every verdict other than allow.
	Log bool `json:"log,omitempty"`
}

// Valid checks the length. What the instructions may be is the kernel's to say, and it does when it loads them.
func (f *Filter) Valid() bool {
	return len(f.Program)%8 == 0 && len(f.Program)/8 <= FilterMaxInstructions
}
