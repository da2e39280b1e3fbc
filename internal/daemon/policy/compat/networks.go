package compat

var (
	networkFlags = []string{"--network"}
	publishFlags = []string{"-p", "--publish"}
)

const (
	oneNetwork  = "the networks are bridge and none, which have no names and no addresses to choose"
	reachByPort = "publish a port, and go through the host"
	filledIn    = "the engine fills it in after the start"
	endpoint    = "NetworkingConfig.EndpointsConfig[]."
)

// What a container has of the network.
var networks = []Entry{
	{Field: "HostConfig.NetworkMode", Flags: networkFlags, State: Works,
		Note: "bridge (traffic between containers is off) and none"},
	{Field: "HostConfig.NetworkMode", Value: "host", Flags: networkFlags, State: Refused, Rule: "no-host-network",
		Reason: "the container would see and use the host's network", Instead: "use bridge or none"},
	{Field: "HostConfig.NetworkMode", Value: "container:NAME", Flags: networkFlags, State: Missing,
		Reason: "no two containers share a network namespace", Instead: "run both programs in one container"},
	{Field: "NetworkingConfig.EndpointsConfig", Value: "SECOND", As: "--network, more than one",
		Flags: networkFlags, State: Missing,
		Reason: "a container has one network", Instead: "leave it out"},
	{Field: "NetworkDisabled", State: Works},
	{Field: "ExposedPorts", Flags: []string{"--expose"}, State: Works, Kept: true},
	{Field: "HostConfig.PortBindings", Below: []string{"HostIp", "HostPort"}, Flags: publishFlags, State: Works,
		Note: "tcp and udp; at most 48 ports of a container; ports below 1024 for root only"},
	{Field: "HostConfig.PortBindings", Value: "sctp", As: "-p PORT/sctp", Flags: publishFlags, State: Missing,
		Reason: "published are tcp and udp", Instead: "leave it out"},
	{Field: "HostConfig.PublishAllPorts", Flags: []string{"-P", "--publish-all"}, State: Works},
	{Field: "HostConfig.Dns", Flags: []string{"--dns"}, State: Works},
	{Field: "HostConfig.DnsOptions", Flags: []string{"--dns-option"}, State: Works},
	{Field: "HostConfig.DnsSearch", Flags: []string{"--dns-search"}, State: Works},
	{Field: "HostConfig.ExtraHosts", Flags: []string{"--add-host"}, State: Works,
		Note: "host-gateway is the gateway of the network"},
	{Field: "HostConfig.Links", Flags: []string{"--link"}, State: Missing,
		Reason: "containers do not reach each other", Instead: reachByPort},

	{Field: endpoint + "IPAMConfig.IPv4Address", Flags: []string{"--ip"}, State: Missing, Reason: oneNetwork,
		Instead: "leave it out"},
	{Field: endpoint + "IPAMConfig.IPv6Address", Flags: []string{"--ip6"}, State: Missing, Reason: oneNetwork,
		Instead: "leave it out"},
	{Field: endpoint + "IPAMConfig.LinkLocalIPs", Flags: []string{"--link-local-ip"}, State: Missing,
		Reason:  oneNetwork,
		Instead: "leave it out"},
	{Field: endpoint + "Links", Flags: []string{"--link"}, State: Missing,
		Reason:  "containers do not reach each other",
		Instead: reachByPort},
	{Field: endpoint + "Aliases", Flags: []string{"--network-alias"}, State: Missing, Reason: oneNetwork,
		Instead: reachByPort},
	{Field: endpoint + "DriverOpts", Flags: []string{"--network driver-opt"}, State: Missing, Reason: oneNetwork,
		Instead: "leave it out"},
	{Field: endpoint + "GwPriority", Flags: []string{"--network gw-priority"}, State: Missing,
		Reason: "a container has one network", Instead: "leave it out"},
	{Field: endpoint + "MacAddress", Flags: []string{"--mac-address"}, State: Missing,
		Reason: "the engine chooses the address, and drops what another one sends", Instead: "leave it out"},
	{Field: "MacAddress", Flags: []string{"--mac-address"}, State: Missing,
		Reason: "the engine chooses the address, and drops what another one sends", Instead: "leave it out"},
	{Field: endpoint + "NetworkID", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "EndpointID", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "Gateway", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "IPAddress", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "IPPrefixLen", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "IPv6Gateway", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "GlobalIPv6Address", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "GlobalIPv6PrefixLen", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "DNSNames", State: Missing, Reason: filledIn, Instead: "leave it out"},
}
