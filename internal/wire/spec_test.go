package wire

import "testing"

// TestSpecCannotSayWhatIsNotBuilt: a device for a container is no message.
func TestSpecCannotSayWhatIsNotBuilt(t *testing.T) {
	var q ContainerStart
	if err := DecodeStrict([]byte(`{"id":"x","spec":{"resources":{"memory":1}}}`), &q); err != nil {
		t.Error(err)
	}
	if err := DecodeStrict([]byte(`{"id":"x","spec":{"resources":{"memory":1,"devices":[{"type":"b"}]}}}`), &q); err == nil {
		t.Errorf("a device was taken as %+v", q)
	}
}
