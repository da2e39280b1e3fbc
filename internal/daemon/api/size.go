package api

import (
	"net/http"

	apicontainer "github.com/moby/moby/api/types/container"
)

// notMeasured is the API's word for a size that was not calculated.
const notMeasured = -1

// mostSizes bounds what one list measures: docker asks for sizes whenever it prints whole objects (ps --format json), a
// worker looks into each container, and nobody waits a minute for a list.
const mostSizes = 100

// measure fills in what the containers of rows have written, and how large their roots are with that.
func (s *Server) measure(r *http.Request, rows []apicontainer.Summary) error {
	fd, err := callerFD(r)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	sizes := s.Engine.Sizes(r.Context(), ids, fd)
	for i := range rows {
		size, ok := sizes[rows[i].ID]
		if !ok {
			rows[i].SizeRw = notMeasured
			continue
		}
		rows[i].SizeRw, rows[i].SizeRootFs = size.Own, size.Root
	}
	return nil
}
