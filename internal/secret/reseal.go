package secret

// NeedsReseal reports whether an older key than the primary one sealed a value, so that [Sealer.Reseal] would give one that outlives that
// key. A value of a newer key does not need it: another process has the keyset with that key as the primary one already. Neither does one
// that this keyset cannot open.
func (s *Sealer) NeedsReseal(sealed Sealed) bool {
	s.follow()
	id, ok := keyOf(sealed)
	if !ok {
		return false
	}
	if !s.keys.Load().enabled[id] && !s.learn(id) {
		return false
	}
	keys := s.keys.Load()
	return keys.age[id] < keys.age[keys.primary]
}

// Reseal returns a value sealed with the primary key, under the same binding: the value itself if that does not need it. Its error is that
// of [Sealer.Open]. A store replaces what it has by the result only if it still has what was given, since others may write meanwhile.
func (s *Sealer) Reseal(sealed Sealed, binding Binding) (Sealed, error) {
	plaintext, err := s.Open(sealed, binding)
	if err != nil {
		return nil, err
	}
	defer clear(plaintext)
	if !s.NeedsReseal(sealed) {
		return sealed, nil
	}
	return s.Seal(plaintext, binding)
}

// PrimaryKey returns the ID of the key that seals. With [Sealed.Key] a store finds what was sealed by others.
func (s *Sealer) PrimaryKey() uint32 {
	s.follow()
	return s.keys.Load().primary
}

// Key returns the ID of the key that sealed the value, which is not secret, and false for what is no sealed value.
func (s Sealed) Key() (id uint32, ok bool) { return keyOf(s) }
