package dns

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const (
	headerLen  = 12
	maxName    = 255
	maxMessage = 65535

	flagResponse   = 0x8000
	maskOpcode     = 0x7800
	flagRecursion  = 0x0100
	rcodeServFail  = 2
	rcodeNameError = 3
	flagRecAvail   = 0x0080
	maxAdditional  = 4 // OPT, TSIG, and some room
	questionFields = 4 // type and class
)

var (
	errMalformed = errors.New("malformed message")
	errNotQuery  = errors.New("not a plain query")
)

// question returns the bytes of the one question of a message: name, type, class.
func question(msg []byte) ([]byte, error) {
	if len(msg) < headerLen || len(msg) > maxMessage {
		return nil, errMalformed
	}
	if binary.BigEndian.Uint16(msg[4:]) != 1 {
		return nil, errMalformed
	}
	end := headerLen
	for {
		if end >= len(msg) {
			return nil, errMalformed
		}
		n := int(msg[end])
		if n > 63 { // a pointer has no place in the first name of a message
			return nil, errMalformed
		}
		end += 1 + n
		if end-headerLen > maxName {
			return nil, errMalformed
		}
		if n == 0 {
			break
		}
	}
	end += questionFields
	if end > len(msg) {
		return nil, errMalformed
	}
	return msg[headerLen:end], nil
}

// checkQuery admits one standard query: no answers in it, nothing but a few additional records.
func checkQuery(msg []byte) ([]byte, error) {
	q, err := question(msg)
	if err != nil {
		return nil, err
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&(flagResponse|maskOpcode) != 0 || binary.BigEndian.Uint32(msg[6:]) != 0 ||
		binary.BigEndian.Uint16(msg[10:]) > maxAdditional {
		return nil, errNotQuery
	}
	return q, nil
}

// isAnswer tells whether msg answers the question q that was sent with this number. Names are compared without case:
// some resolvers do not give it back. A resolver that refuses may leave the question out; then it is no answer for us.
func isAnswer(msg []byte, number uint16, q []byte) bool {
	got, err := question(msg)
	if err != nil || binary.BigEndian.Uint16(msg) != number || binary.BigEndian.Uint16(msg[2:])&flagResponse == 0 {
		return false
	}
	if len(got) != len(q) {
		return false
	}
	name := len(q) - questionFields
	return bytes.EqualFold(got[:name], q[:name]) && bytes.Equal(got[name:], q[name:])
}

// renumber puts a number into a message.
func renumber(msg []byte, number uint16) { binary.BigEndian.PutUint16(msg, number) }

func numberOf(msg []byte) uint16 { return binary.BigEndian.Uint16(msg) }

// failure is the answer to a query that no resolver answered: SERVFAIL with the question alone.
func failure(query, q []byte) []byte { return reply(query, q, rcodeServFail) }

// reply is an answer without records.
func reply(query, q []byte, code uint16) []byte {
	out := make([]byte, headerLen, headerLen+len(q))
	copy(out, query[:2])
	flags := binary.BigEndian.Uint16(query[2:])&flagRecursion | flagResponse | flagRecAvail | code
	binary.BigEndian.PutUint16(out[2:], flags)
	binary.BigEndian.PutUint16(out[4:], 1)
	return append(out, q...)
}
