package link

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Priorities of our routing rules, right behind the host's local table. An interface that had forwarding off before a
// Brig engine came forwards to containers and to nothing else (traps.md 27):
//
//	16  iif eth0 to SUBNET lookup main      one per engine and interface
//	17  iif eth0 blackhole                  one per interface; also says that it was Brig who switched forwarding on
//
// Where the host is a router by its own decision (net.ipv4.ip_forward is 1, from the start or because Docker or libvirt
// came later) there are no such rules, and nothing is undone in the end.
//
// The rules are the memory: engines side by side share them, a killed engine's are found and removed at the next start,
// and no flush of nftables touches them.
const (
	passPriority, stopPriority = 16, 17
	mainTable                  = unix.RT_TABLE_MAIN
)

// openForwarding switches forwarding on for every interface of the host that has an IPv4 address of its own, and for
// our end of the pair, where somebody may have switched it off.
func (r *Router) openForwarding() error {
	if err := r.setForwarding(r.plan.HostLink, "1"); err != nil {
		return err
	}
	rules, err := r.rules()
	if err != nil {
		return err
	}
	router, err := r.forwarding("all")
	if err != nil {
		return err
	}
	if router {
		return r.withdraw(rules)
	}
	names, err := r.outsideLinks()
	if err != nil {
		return err
	}
	for _, name := range names {
		ours := slices.ContainsFunc(rules, func(x netlink.Rule) bool {
			return x.Priority == stopPriority && x.IifName == name
		})
		on, err := r.forwarding(name)
		if err != nil {
			return err
		}
		if on && !ours {
			continue // a router on this interface, by its own decision
		}
		if err := r.openOne(name); err != nil {
			return err
		}
	}
	return nil
}

// withdraw removes the rules of all engines and leaves forwarding as it is: the host decides about it now.
func (r *Router) withdraw(rules []netlink.Rule) error {
	for _, rule := range rules {
		del := stopRule(rule.IifName)
		if rule.Priority == passPriority {
			del = &rule
		}
		if err := r.host.RuleDel(del); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("withdraw routing rule of %s: %w", rule.IifName, err)
		}
	}
	return nil
}

func (r *Router) openOne(name string) error {
	for _, rule := range []*netlink.Rule{r.passRule(name, r.plan.Subnet), stopRule(name)} {
		if err := r.host.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add routing rule for %s: %w", name, err)
		}
	}
	return r.setForwarding(name, "1")
}

// restoreForwarding removes this engine's rules, and with the last engine's also the forwarding.
func (r *Router) restoreForwarding() error {
	rules, err := r.rules()
	if err != nil {
		return err
	}
	var errs []error
	others := map[string]bool{}
	ours := map[string]bool{}
	for _, rule := range rules {
		switch {
		case rule.Priority != passPriority:
		case r.isOurs(rule.Dst):
			ours[rule.IifName] = true
			errs = append(errs, r.host.RuleDel(&rule))
		default:
			others[rule.IifName] = true
		}
	}
	for _, rule := range rules {
		if name := rule.IifName; rule.Priority == stopPriority && ours[name] && !others[name] {
			if err := r.setForwarding(name, "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
				continue // the rule stays: the interface still forwards
			}
			errs = append(errs, r.host.RuleDel(stopRule(name)))
		}
	}
	return errors.Join(errs...)
}

// isOurs tells whether a rule's destination is the subnet of now or of the run before.
func (r *Router) isOurs(dst *net.IPNet) bool {
	mine := []netip.Prefix{r.plan.Subnet}
	if s := r.cfg.State; s != nil && s.Instance == r.cfg.Instance && s.Subnet.IsValid() {
		mine = append(mine, s.Subnet)
	}
	return dst != nil && slices.ContainsFunc(mine, func(p netip.Prefix) bool { return dst.String() == p.String() })
}

func (r *Router) passRule(name string, subnet netip.Prefix) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.IifName = netlink.FAMILY_V4, passPriority, name
	rule.Dst, rule.Table = prefixNet(subnet), mainTable
	return rule
}

func stopRule(name string) *netlink.Rule {
	rule := netlink.NewRule()
	rule.Family, rule.Priority, rule.IifName = netlink.FAMILY_V4, stopPriority, name
	rule.Type, rule.Table = unix.RTN_BLACKHOLE, 0
	return rule
}

// rules lists the routing rules of all Brig engines.
func (r *Router) rules() ([]netlink.Rule, error) {
	all, err := r.host.RuleList(netlink.FAMILY_V4)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list routing rules: %w", err)
	}
	return slices.DeleteFunc(all, func(x netlink.Rule) bool {
		return x.IifName == "" || x.Priority != passPriority && x.Priority != stopPriority
	}), nil
}

// outsideLinks names the host's interfaces that can lead to the outside: up, not loopback, not ours, with an address.
func (r *Router) outsideLinks() ([]string, error) {
	links, err := r.host.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := r.host.AddrList(nil, netlink.FAMILY_V4)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	has := map[int]bool{}
	for _, a := range addrs {
		has[a.LinkIndex] = true
	}
	var out []string
	for _, l := range links {
		at := l.Attrs()
		if at.Flags&net.FlagUp != 0 && at.Flags&net.FlagLoopback == 0 && has[at.Index] && at.Name != r.plan.HostLink {
			out = append(out, at.Name)
		}
	}
	return out, nil
}

// hostAddresses lists the host's IPv4 addresses but loopback and its end of the pair.
func (r *Router) hostAddresses() ([]netip.Addr, error) {
	addrs, err := r.host.AddrList(nil, netlink.FAMILY_V4)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP.To4())
		if ok && !ip.IsLoopback() && ip != r.plan.Host {
			out = append(out, ip)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}

func (r *Router) forwarding(name string) (on bool, err error) {
	err = inside(r.cfg.HostNetns, func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + name + "/forwarding")
		on = string(bytes.TrimSpace(b)) == "1"
		return err
	})
	return on, err
}

func (r *Router) setForwarding(name, value string) error {
	return inside(r.cfg.HostNetns, func() error {
		return setSysctls(false, sysctl{"ipv4/conf/" + name + "/forwarding", value})
	})
}

// Refresh follows changes of the host: new addresses and interfaces, a firewall that came or went, and what other
// programs have taken away (the pair, the table), which is made again. It is called when the kernel tells of a change
// (Watch) and may be called at any time.
func (r *Router) Refresh() error {
	r.whole.Lock()
	defer r.whole.Unlock()
	if r.closed {
		return nil
	}
	h, _, err := r.ends()
	if err != nil || h.Attrs().Flags&net.FlagUp == 0 {
		if err := r.build(true); err != nil {
			return err
		}
	}
	if err := r.reconcile(false); err != nil {
		return err
	}
	return r.openForwarding()
}

// Warnings are sentences for people about what the host does to the network, as of the last Sync or Refresh.
func (r *Router) Warnings() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, b := range r.blockers {
		out = append(out, fmt.Sprintf("The host's firewall (nftables chain %q) drops forwarded packets unless one of its "+
			"rules lets them through: containers may reach nothing outside. With ufw: ufw route allow in on %s. Published "+
			"ports follow the host's rules for its own services, and containers see %s as the sender.", b, r.plan.HostLink,
			r.plan.Host))
	}
	return out
}
