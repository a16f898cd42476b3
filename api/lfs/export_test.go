package lfs

import (
	"encoding/json"
	"time"
)

// CheckBatch reads a batch as the handler does, and returns its objects that may be.
func CheckBatch(text []byte, largest int64) (oids []string, sizes []int64, err error) {
	var request batchRequest
	if err := json.Unmarshal(text, &request); err != nil {
		return nil, nil, err
	}
	if err := request.check(); err != nil {
		return nil, nil, err
	}
	for _, o := range request.Objects {
		if oid, size, err := o.parse(largest); err == nil {
			oids, sizes = append(oids, oid.String()), append(sizes, size)
		}
	}
	return oids, sizes, nil
}

// ReadGrant reports whether a text is believed by whoever has a secret, and Grant makes one that is.
func ReadGrant(secret []byte, text string) bool {
	_, ok := signer{secret, time.Now}.read(text)
	return ok
}

// Grant is the text of a grant that a secret signs.
func Grant(secret []byte) string {
	return signer{secret, time.Now}.sign(grant{Repository: 1, Operation: download, Ends: time.Now().Add(lifetime).Unix()})
}
