package main

import (
	"encoding/binary"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// question is a netlink request that changes nothing and that only who may administer gets an answer to: a socket alone
// does no harm. A protocol without one is opened and not used.
type question struct {
	name     string
	protocol int
	kind     uint16 // 0: nothing is asked
	payload  []byte
}

func questions() []question {
	const (
		nftGetGeneration  = 10<<8 | 16 // NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
		xfrmGetInfo       = 0x23       // XFRM_MSG_GETSADINFO
		auditGet          = 1000       // AUDIT_GET
		cryptoRemove      = 0x11       // CRYPTO_MSG_DELALG, of an algorithm without a name
		genericController = 0x10       // GENL_ID_CTRL
	)
	// CTRL_CMD_GETFAMILY of the controller itself. For a name that it does not know the kernel looks for a module, whoever
	// asks.
	family := append([]byte{3, 1, 0, 0, 11, 0, 2, 0}, "nlctrl\x00\x00"...)
	return []question{
		{"nf_tables", unix.NETLINK_NETFILTER, nftGetGeneration, make([]byte, 4)},
		{"xfrm", unix.NETLINK_XFRM, xfrmGetInfo, make([]byte, 4)},
		{"audit", unix.NETLINK_AUDIT, auditGet, nil},
		{"crypto", unix.NETLINK_CRYPTO, cryptoRemove, make([]byte, 208)},
		{"generic (and modules by name)", unix.NETLINK_GENERIC, genericController, family},
		{"a new interface", unix.NETLINK_ROUTE, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg)},
		{"selinux", unix.NETLINK_SELINUX, 0, nil},
		{"iscsi", unix.NETLINK_ISCSI, 0, nil},
		{"connector", unix.NETLINK_CONNECTOR, 0, nil},
		{"scsi", unix.NETLINK_SCSITRANSPORT, 0, nil},
		{"rdma", unix.NETLINK_RDMA, 0, nil},
		{"smc", unix.NETLINK_SMC, 0, nil},
	}
}

// probeNetlinkProtocols is exposed when one of the dangerous protocols could be opened and used.
func probeNetlinkProtocols([]string) verdict {
	p := readPosture()
	var used, refused []string
	var kinds tally
	opened := 0
	for _, q := range questions() {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, q.protocol)
		if err != nil {
			if p.seccomp { // otherwise this kernel does not have it
				kinds.add("seccomp")
				refused = append(refused, q.name+" → "+errName(err))
			}
			continue
		}
		opened++
		if q.kind != 0 {
			answer, err := ask(fd, q)
			switch {
			case err != nil || answer == unix.ECONNREFUSED || denied(answer):
				kinds.add(p.administrator())
				refused = append(refused, q.name+" → "+errName(max(answer, errnoOf(err))))
			default:
				used = append(used, q.name)
			}
		}
		unix.Close(fd)
	}
	if len(used) > 0 {
		return verdict{verdict: exposed, detail: "asked and answered: " + few(used, 5)}
	}
	if len(refused) == 0 {
		return verdict{verdict: notApplicable, detail: "this kernel has none of the protocols"}
	}
	return verdict{verdict: blocked, layer: kinds.most(), detail: strconv.Itoa(opened) + " protocols open, none of use: " +
		few(refused, 3) + " (" + kinds.String() + ")"}
}

// administrator names what keeps a request from counting as the administrator's.
func (p posture) administrator() string {
	if p.caps&(1<<unix.CAP_NET_ADMIN) == 0 {
		return "capability"
	}
	return "user namespace"
}

// ask sends the question and returns the error number of the answer, 0 for one that is none.
func ask(fd int, q question) (syscall.Errno, error) {
	const head = unix.SizeofNlMsghdr
	message := make([]byte, head, head+len(q.payload))
	*(*unix.NlMsghdr)(unsafe.Pointer(&message[0])) = unix.NlMsghdr{Len: uint32(head + len(q.payload)), Type: q.kind,
		Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK, Seq: 1}
	timeout(fd, 300)
	if err := unix.Sendto(fd, append(message, q.payload...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, err
	}
	var answer [4096]byte
	n, err := read(fd, answer[:])
	if err != nil {
		return 0, err
	}
	if n >= head+4 && binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		return syscall.Errno(-int32(binary.NativeEndian.Uint32(answer[head:]))), nil
	}
	return 0, nil
}

func errnoOf(err error) syscall.Errno {
	e, _ := err.(syscall.Errno)
	return e
}
