package rtnl

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Loopback is the index of every namespace's loopback interface.
const Loopback = 1

// End is one end of a pair.
type End struct {
	Name  string
	Index int // chosen by who asks; it must be free
	MAC   net.HardwareAddr
	Flags uint32 // IFF_NOARP; one end cannot be up before the other is there
}

func (e End) info() *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index, m.Flags, m.Change = int32(e.Index), e.Flags, e.Flags
	return m
}

func (e End) attrs(mtu int) []nl.NetlinkRequestData {
	return []nl.NetlinkRequestData{
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Name)),
		nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))),
		nl.NewRtAttr(unix.IFLA_ADDRESS, e.MAC),
		nl.NewRtAttr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1)),
		nl.NewRtAttr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1)),
	}
}

// Pair makes a pair of interfaces: near in the socket's namespace, far in that of the descriptor netns.
func (b *Batch) Pair(near, far End, netns, mtu int) {
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	r.AddData(near.info())
	for _, a := range near.attrs(mtu) {
		r.AddData(a)
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, []byte("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	peer.AddChild(far.info())
	for _, a := range far.attrs(mtu) {
		peer.AddChild(a)
	}
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(netns)))
	r.AddData(info)
	b.add("make the pair", r)
}

// Up brings an interface up.
func (b *Batch) Up(index int) {
	r := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	r.AddData(End{Index: index, Flags: unix.IFF_UP}.info())
	b.add("bring up", r)
}

// Delete removes an interface.
func (b *Batch) Delete(index int) {
	r := nl.NewNetlinkRequest(unix.RTM_DELLINK, 0)
	r.AddData(End{Index: index}.info())
	b.add("delete", r)
}

// Address gives an interface an address of a network, without a route to it.
func (b *Batch) Address(index int, a netip.Prefix) {
	r := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m := nl.NewIfAddrmsg(unix.AF_INET)
	m.Index, m.Prefixlen = uint32(index), uint8(a.Bits())
	r.AddData(m)
	ip, mask := a.Addr().AsSlice(), net.CIDRMask(a.Bits(), 32)
	broadcast := make([]byte, len(ip))
	for i := range ip {
		broadcast[i] = ip[i] | ^mask[i]
	}
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip))
	r.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast))
	r.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(unix.IFA_F_PERMANENT|unix.IFA_F_NOPREFIXROUTE)))
	b.add("add the address "+a.String(), r)
}

// Neighbour says for good who has an address.
func (b *Batch) Neighbour(index int, a netip.Addr, mac net.HardwareAddr) {
	r := nl.NewNetlinkRequest(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m := netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(index), State: netlink.NUD_PERMANENT}
	r.AddData(&m)
	r.AddData(nl.NewRtAttr(unix.NDA_DST, a.AsSlice()))
	r.AddData(nl.NewRtAttr(unix.NDA_LLADDR, mac))
	b.add("add the neighbour "+a.String(), r)
}

// Route leads a network to an interface: to whoever is there, or by way of a gateway. from is the sender of what the
// namespace itself sends. What is not valid is left out. A route that is there is replaced.
func (b *Batch) Route(index int, to netip.Prefix, gateway, from netip.Addr) {
	r := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	m := nl.NewRtMsg()
	m.Family, m.Dst_len = unix.AF_INET, uint8(to.Bits())
	if !gateway.IsValid() {
		m.Scope = unix.RT_SCOPE_LINK
	}
	r.AddData(m)
	if to.Bits() > 0 {
		r.AddData(nl.NewRtAttr(unix.RTA_DST, to.Addr().AsSlice()))
	}
	if gateway.IsValid() {
		r.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	}
	if from.IsValid() {
		r.AddData(nl.NewRtAttr(unix.RTA_PREFSRC, from.AsSlice()))
	}
	r.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	b.add("add the route to "+to.String(), r)
}

// Blocks are the numbers of two blocks that interfaces share: what is attached to a block is attached to all of them.
// A block is there as long as one of its interfaces. The zero value shares nothing.
type Blocks struct{ Ingress, Egress uint32 }

// InBlock is the index that Program takes when its parent is a shared block (TCM_IFINDEX_MAGIC_BLOCK).
const InBlock = -1

// Clsact makes the place where programs are attached to an interface; one that is there, and shares nothing, is left as
// it is.
func (b *Batch) Clsact(index int, shared Blocks) {
	const ingressBlock, egressBlock = 13, 14 // TCA_INGRESS_BLOCK, TCA_EGRESS_BLOCK
	r := nl.NewNetlinkRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE)
	r.AddData(&nl.TcMsg{Ifindex: int32(index), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT})
	r.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("clsact")))
	if shared != (Blocks{}) {
		r.AddData(nl.NewRtAttr(ingressBlock, nl.Uint32Attr(shared.Ingress)))
		r.AddData(nl.NewRtAttr(egressBlock, nl.Uint32Attr(shared.Egress)))
	}
	b.add("add clsact", r)
}

// Program attaches a program, which decides itself, at HANDLE_MIN_INGRESS or HANDLE_MIN_EGRESS of an interface, or to a
// block (InBlock), in place of one that is there.
func (b *Batch) Program(index int, parent uint32, name string, fd int) {
	b.program(index, parent, name, fd, 0)
}

// FirstProgram is Program where none is there: one that is there stays.
func (b *Batch) FirstProgram(index int, parent uint32, name string, fd int) {
	b.program(index, parent, name, fd, unix.NLM_F_EXCL)
}

func (b *Batch) program(index int, parent uint32, name string, fd, flags int) {
	const handle, priority = 1, 1
	r := nl.NewNetlinkRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|flags)
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	r.AddData(&nl.TcMsg{Ifindex: int32(index), Handle: handle, Parent: parent, Info: netlink.MakeHandle(priority, all)})
	r.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_FD, nl.Uint32Attr(uint32(fd)))
	options.AddRtAttr(nl.TCA_BPF_NAME, nl.ZeroTerminated(name))
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	r.AddData(options)
	b.add("attach the program "+name, r)
}
