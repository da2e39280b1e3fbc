package request

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/blkiodev"

	"github.com/brig-engine/brig/internal/cli/engineapi"
)

// disks reads the options about single disks: DEVICE:NUMBER.
func (o *Options) disks(h *engineapi.HostConfig) error {
	for _, s := range o.weights {
		path, value, err := disk("--blkio-weight-device", s)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n != 0 && (n < 10 || n > 1000) {
			return fmt.Errorf("--blkio-weight-device %q: a weight is 10 to 1000", s)
		}
		h.BlkioWeightDevice = append(h.BlkioWeightDevice, &blkiodev.WeightDevice{Path: path, Weight: uint16(n)})
	}
	count := func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }
	for _, l := range []struct {
		option string
		values []string
		read   func(string) (uint64, error)
		to     *[]*blkiodev.ThrottleDevice
	}{
		{"--device-read-bps", o.readBps, bytesPerSecond, &h.BlkioDeviceReadBps},
		{"--device-write-bps", o.writeBps, bytesPerSecond, &h.BlkioDeviceWriteBps},
		{"--device-read-iops", o.readIOps, count, &h.BlkioDeviceReadIOps},
		{"--device-write-iops", o.writeIOps, count, &h.BlkioDeviceWriteIOps},
	} {
		for _, s := range l.values {
			path, value, err := disk(l.option, s)
			if err != nil {
				return err
			}
			n, err := l.read(value)
			if err != nil {
				return fmt.Errorf("%s %q: %q is not a rate", l.option, s, value)
			}
			*l.to = append(*l.to, &blkiodev.ThrottleDevice{Path: path, Rate: n})
		}
	}
	n, err := size("--io-maxbandwidth", o.ioBandwidth)
	h.IOMaximumBandwidth, h.IOMaximumIOps = uint64(max(n, 0)), o.ioOps
	return err
}

func bytesPerSecond(s string) (uint64, error) {
	n, err := units.RAMInBytes(s)
	if err == nil && n < 0 {
		err = strconv.ErrRange
	}
	return uint64(n), err
}

func disk(option, s string) (path, value string, err error) {
	path, value, ok := strings.Cut(s, ":")
	if !ok || !strings.HasPrefix(path, "/dev/") || strings.Contains(value, ":") {
		return "", "", fmt.Errorf("%s %q: /dev/DEVICE:NUMBER is needed", option, s)
	}
	return path, value, nil
}
