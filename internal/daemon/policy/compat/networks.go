package compat

var (
	networkFlags = []string{"--network"}
	publishFlags = []string{"-p", "--publish"}
)

const (
	oneSubnet   = "the engine gives the addresses of its one subnet itself"
	notOnBridge = "containers on bridge have no names for each other and do not reach each other"
	makeOne     = "use a network of one's own: brig network create"
	filledIn    = "the engine fills it in after the start"
	endpoint    = "NetworkingConfig.EndpointsConfig[]."
)

// What a container has of the network.
var networks = []Entry{
	{Field: "HostConfig.NetworkMode", Flags: networkFlags, State: Works,
		Note: "bridge (traffic between containers is off), none, and networks of one's own"},
	{Field: "HostConfig.NetworkMode", Value: "host", Flags: networkFlags, State: Refused, Rule: "no-host-network",
		Reason: "the container would see and use the host's network", Instead: "use bridge, none or a network of one's own"},
	{Field: "HostConfig.NetworkMode", Value: "container:NAME", Flags: networkFlags, State: Works,
		Note: "it has to be there when the other one is made, and to run when that starts; its settings of the network hold for both"},
	{Field: "NetworkingConfig.EndpointsConfig", Value: "SECOND", As: "--network, more than one",
		Flags: networkFlags, State: Works,
		Note: "at most 16; the container has one address and one interface for all of them"},
	{Field: "NetworkDisabled", State: Works},
	{Field: "ExposedPorts", Flags: []string{"--expose"}, State: Works, Kept: true},
	{Field: "HostConfig.PortBindings", Below: []string{"HostIp", "HostPort"}, Flags: publishFlags, State: Works,
		Note: "tcp and udp; at most 48 ports of a container; ports below 1024 for whom policy.toml allows them, or for root"},
	{Field: "HostConfig.PortBindings", Value: "sctp", As: "-p PORT/sctp", Flags: publishFlags, State: Missing,
		Reason: "published are tcp and udp", Instead: "leave it out"},
	{Field: "HostConfig.PublishAllPorts", Flags: []string{"-P", "--publish-all"}, State: Works},
	{Field: "HostConfig.Dns", Flags: []string{"--dns"}, State: Works},
	{Field: "HostConfig.Dns", Value: "OWN", As: "--dns, in a network of one's own", Flags: []string{"--dns"}, State: Missing,
		Reason: "these servers do not know the names of the network", Instead: "leave it out"},
	{Field: "HostConfig.DnsOptions", Flags: []string{"--dns-option"}, State: Works},
	{Field: "HostConfig.DnsSearch", Flags: []string{"--dns-search"}, State: Works},
	{Field: "HostConfig.ExtraHosts", Flags: []string{"--add-host"}, State: Works,
		Note: "host-gateway is the gateway of the network"},
	{Field: "HostConfig.Links", Flags: []string{"--link"}, State: Works,
		Note: "a name, in a network of one's own, that this container alone has"},
	{Field: "HostConfig.Links", Value: "BRIDGE", As: "--link, on bridge", Flags: []string{"--link"}, State: Missing,
		Reason: notOnBridge, Instead: makeOne},

	{Field: endpoint + "IPAMConfig.IPv4Address", Flags: []string{"--ip"}, State: Missing, Reason: oneSubnet,
		Instead: "leave it out"},
	{Field: endpoint + "IPAMConfig.IPv6Address", Flags: []string{"--ip6"}, State: Missing, Reason: "containers have IPv4 alone",
		Instead: "leave it out"},
	{Field: endpoint + "IPAMConfig.LinkLocalIPs", Flags: []string{"--link-local-ip"}, State: Missing,
		Reason:  oneSubnet,
		Instead: "leave it out"},
	{Field: endpoint + "Links", Flags: []string{"--link"}, State: Works},
	{Field: endpoint + "Aliases", Flags: []string{"--network-alias"}, State: Works, Note: "in networks of one's own"},
	{Field: endpoint + "Aliases", Value: "BRIDGE", As: "--network-alias, on bridge", Flags: []string{"--network-alias"},
		State: Missing, Reason: notOnBridge, Instead: makeOne},
	{Field: endpoint + "DriverOpts", Flags: []string{"--network driver-opt"}, State: Missing, Reason: "the one driver has no options of an endpoint",
		Instead: "leave it out"},
	{Field: endpoint + "GwPriority", Flags: []string{"--network gw-priority"}, State: Missing,
		Reason: "a container has one gateway, whatever networks it is in", Instead: "leave it out"},
	{Field: endpoint + "MacAddress", Flags: []string{"--mac-address"}, State: Missing,
		Reason: "the engine chooses the address, and drops what another one sends", Instead: "leave it out"},
	{Field: "MacAddress", Flags: []string{"--mac-address"}, State: Missing,
		Reason: "the engine chooses the address, and drops what another one sends", Instead: "leave it out"},
	{Field: endpoint + "NetworkID", State: Works, Kept: true, Note: "that of the network which is named"},
	{Field: endpoint + "NetworkID", Value: "OTHER", State: Missing, Reason: "the network that is named has another id",
		Instead: "leave it out"},
	{Field: "VolumesFrom", State: Missing, Reason: "it moved in API 1.19", Instead: "use HostConfig.VolumesFrom"},
	{Field: endpoint + "EndpointID", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "Gateway", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "IPAddress", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "IPPrefixLen", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "IPv6Gateway", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "GlobalIPv6Address", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "GlobalIPv6PrefixLen", State: Missing, Reason: filledIn, Instead: "leave it out"},
	{Field: endpoint + "DNSNames", State: Missing, Reason: filledIn, Instead: "leave it out"},
}
