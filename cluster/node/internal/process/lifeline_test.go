package process

import "testing"

// Without the variable nothing is watched; with something that is no descriptor the start is refused.
func TestLifelineDescriptor(t *testing.T) {
	for descriptor, accepted := range map[string]bool{"": true, "three": false, "-1": false} {
		err := DieWithStarter(descriptor)
		if (err == nil) != accepted {
			t.Errorf("DieWithStarter(%q): error %v, accepted must be %v", descriptor, err, accepted)
		}
	}
}
